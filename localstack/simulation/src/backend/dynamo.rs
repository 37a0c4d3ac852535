//! The embedded database with a record of every change of every row: the content of the streams, and the
//! input of the checks.

use std::collections::BTreeMap;
use std::sync::Arc;

use dynoxide::{Database, DynoxideError};
use erp_local::deployment::Deployment;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::connector::WireResponse;
use crate::invocation::Invocation;
use crate::time::VirtualClock;

/// The key of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The table.
    pub table: String,
    /// The partition key.
    pub pk: String,
    /// The sort key.
    pub sk: String,
}

/// A changed row. Rows are DynamoDB JSON: `{"version": {"N": "1"}}`.
#[derive(Debug, Clone)]
pub struct Change {
    /// The key.
    pub place: Place,
    /// The row before.
    pub old: Option<Arc<Value>>,
    /// The row after.
    pub new: Option<Arc<Value>>,
}

/// Rows that changed atomically.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Number of the commit, from 1.
    pub number: usize,
    /// Milliseconds since the start.
    pub at: i64,
    /// The invocation; `None` for the test harness.
    pub invocation: Option<Arc<Invocation>>,
    /// The operation.
    pub operation: String,
    /// The rows.
    pub changes: Vec<Change>,
}

/// The tables of a simulation.
pub struct Dynamo {
    database: Database,
    clock: VirtualClock,
    rows: BTreeMap<Place, Arc<Value>>,
    commits: Vec<Arc<Commit>>,
}

impl Dynamo {
    /// Creates the tables of a deployment. The streams are derived from the recorded commits.
    pub(crate) fn new(deployment: &Deployment, clock: VirtualClock) -> Self {
        let database = Database::memory_with_clock(Arc::new(clock)).unwrap();
        for table in &deployment.tables {
            let mut create = table.create.clone();
            create.as_object_mut().unwrap().remove("StreamSpecification");
            database.create_table(serde_json::from_value(create).unwrap()).unwrap();
        }
        Self { database, clock, rows: BTreeMap::new(), commits: Vec::new() }
    }

    /// Returns every row.
    pub fn rows(&self) -> &BTreeMap<Place, Arc<Value>> {
        &self.rows
    }

    /// Returns every commit, oldest first.
    pub fn commits(&self) -> &[Arc<Commit>] {
        &self.commits
    }

    /// Returns the number of the last commit.
    pub fn moment(&self) -> usize {
        self.commits.len()
    }

    pub(crate) fn execute(&mut self, operation: &str, body: &Value) -> WireResponse {
        let response = self.dispatch(operation, body.clone());
        if response.is_ok() {
            self.note(operation, body);
        }
        response
    }

    /// Executes the first half of a batch; the rest is reported as unprocessed.
    pub(crate) fn execute_partially(&mut self, operation: &str, body: &Value) -> WireResponse {
        let (mut first_half, mut unprocessed) = (body.clone(), json!({}));
        let halve = |requests: &mut Value| {
            let list = requests.as_array_mut().map(std::mem::take).unwrap_or_default();
            let (first, second) = list.split_at(list.len() / 2);
            *requests = json!(first);
            second.to_vec()
        };
        for (table, requests) in first_half["RequestItems"].as_object_mut().into_iter().flatten() {
            if operation == "BatchGetItem" {
                let second = halve(&mut requests["Keys"]);
                unprocessed[table] = requests.clone();
                unprocessed[table]["Keys"] = json!(second);
            } else {
                unprocessed[table] = json!(halve(requests));
            }
        }
        let empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
        let is_empty = first_half["RequestItems"].as_object().is_some_and(|tables| {
            tables.values().any(|requests| empty(requests) || empty(&requests["Keys"]))
        });
        let name = if operation == "BatchGetItem" { "UnprocessedKeys" } else { "UnprocessedItems" };
        let mut response = if is_empty {
            WireResponse::ok(json!({"Responses": {}}).to_string())
        } else {
            self.execute(operation, &first_half)
        };
        if response.is_ok() {
            let mut json: Value = serde_json::from_str(&response.body).unwrap();
            json[name] = unprocessed;
            response.body = json.to_string();
        }
        response
    }

    fn dispatch(&self, operation: &str, body: Value) -> WireResponse {
        let db = &self.database;
        match operation {
            "GetItem" => run(body, |request| db.get_item(request)),
            "PutItem" => run(body, |request| db.put_item(request)),
            "UpdateItem" => run(body, |request| db.update_item(request)),
            "DeleteItem" => run(body, |request| db.delete_item(request)),
            "Query" => run(body, |request| db.query(request)),
            "Scan" => run(body, |request| db.scan(request)),
            "BatchGetItem" => run(body, |request| db.batch_get_item(request)),
            "BatchWriteItem" => run(body, |request| db.batch_write_item(request)),
            "TransactWriteItems" => run(body, |request| db.transact_write_items(request)),
            "TransactGetItems" => run(body, |request| db.transact_get_items(request)),
            "DescribeTable" => run(body, |request| db.describe_table(request)),
            other => panic!("unsupported operation {other}: add it to backend/dynamo.rs"),
        }
    }

    /// Compares every row that the call may have changed.
    fn note(&mut self, operation: &str, body: &Value) {
        let places = written(operation, body);
        let mut changes = Vec::new();
        for place in places {
            let new = self.read(&place);
            let old = self.rows.get(&place).cloned();
            if old.as_deref() == new.as_ref() {
                continue;
            }
            let new = new.map(Arc::new);
            match &new {
                Some(row) => self.rows.insert(place.clone(), Arc::clone(row)),
                None => self.rows.remove(&place),
            };
            changes.push(Change { place, old, new });
        }
        if !changes.is_empty() {
            let invocation = crate::invocation::CURRENT.try_with(Arc::clone).ok();
            let (number, at) = (self.commits.len() + 1, self.clock.elapsed());
            let commit = Commit { number, at, invocation, operation: operation.to_owned(), changes };
            self.commits.push(Arc::new(commit));
        }
    }

    fn read(&self, place: &Place) -> Option<Value> {
        let key = json!({"pk": {"S": place.pk}, "sk": {"S": place.sk}});
        let response =
            self.dispatch("GetItem", json!({"TableName": place.table, "Key": key, "ConsistentRead": true}));
        assert!(response.is_ok(), "{}", response.body);
        let mut response: Value = serde_json::from_str(&response.body).unwrap();
        response.as_object_mut().and_then(|response| response.remove("Item"))
    }
}

fn run<Q, A>(body: Value, operation: impl FnOnce(Q) -> Result<A, DynoxideError>) -> WireResponse
where
    Q: DeserializeOwned,
    A: Serialize,
{
    let request = match serde_json::from_value(body) {
        Ok(request) => request,
        Err(error) => return super::dynamo_error(400, "ValidationException", &error.to_string()),
    };
    match operation(request) {
        Ok(response) => WireResponse::ok(serde_json::to_string(&response).unwrap()),
        Err(error) => {
            WireResponse { status: error.status_code(), body: error.to_json(), headers: Vec::new() }
        }
    }
}

/// Returns the keys that a call writes.
fn written(operation: &str, body: &Value) -> Vec<Place> {
    let place = |table: &Value, key: &Value| Place {
        table: table.as_str().unwrap_or_default().to_owned(),
        pk: key["pk"]["S"].as_str().unwrap_or_default().to_owned(),
        sk: key["sk"]["S"].as_str().unwrap_or_default().to_owned(),
    };
    match operation {
        "PutItem" => vec![place(&body["TableName"], &body["Item"])],
        "UpdateItem" | "DeleteItem" => vec![place(&body["TableName"], &body["Key"])],
        "TransactWriteItems" => {
            let actions = body["TransactItems"].as_array().into_iter().flatten();
            let of = |action: &Value| {
                let (kind, action) = action.as_object()?.iter().next()?;
                match kind.as_str() {
                    "Put" => Some(place(&action["TableName"], &action["Item"])),
                    "Update" | "Delete" => Some(place(&action["TableName"], &action["Key"])),
                    _ => None,
                }
            };
            actions.filter_map(of).collect()
        }
        "BatchWriteItem" => {
            let tables = body["RequestItems"].as_object().into_iter().flatten();
            let of = |(table, requests): (&String, &Value)| {
                let requests = requests.as_array().cloned().unwrap_or_default();
                let table = json!(table);
                let keys = requests.into_iter().map(move |request| match request.get("PutRequest") {
                    Some(put) => place(&table, &put["Item"]),
                    None => place(&table, &request["DeleteRequest"]["Key"]),
                });
                keys.collect::<Vec<_>>()
            };
            tables.flat_map(of).collect()
        }
        _ => Vec::new(),
    }
}
