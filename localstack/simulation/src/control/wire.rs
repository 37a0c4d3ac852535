//! Reading and rewriting the writes of DynamoDB requests as JSON.

use serde_json::{Value, json};

use crate::connector::Call;

/// An expression that is true for every row and for none. It is appended to a condition, so that the names
/// and values of the condition stay in use.
const ALWAYS: &str = "attribute_exists(pk) OR attribute_not_exists(pk)";

/// Returns the actions of a transaction, or the action of a single write; empty for other calls.
pub(super) fn actions(call: &mut Call) -> Vec<Action<'_>> {
    let kind = match call.operation.as_str() {
        "PutItem" => "Put",
        "UpdateItem" => "Update",
        "DeleteItem" => "Delete",
        "TransactWriteItems" => {
            let actions = call.body["TransactItems"].as_array_mut().into_iter().flatten();
            return actions.filter_map(Action::of).collect();
        }
        _ => return Vec::new(),
    };
    vec![Action { kind: kind.to_owned(), body: &mut call.body }]
}

/// An action of a write.
pub(super) struct Action<'a> {
    /// `Put`, `Update`, `Delete` or `ConditionCheck`.
    pub(super) kind: String,
    /// The parameters of the action.
    pub(super) body: &'a mut Value,
}

impl<'a> Action<'a> {
    fn of(action: &'a mut Value) -> Option<Self> {
        let (kind, body) = action.as_object_mut()?.iter_mut().next()?;
        Some(Self { kind: kind.clone(), body })
    }

    /// Returns the type of the row: the prefixes of its keys, such as `ORDER/ALLOCATION`.
    pub(super) fn row(&self) -> String {
        row(self.body.get("Key").unwrap_or(&self.body["Item"]))
    }

    pub(super) fn condition(&self) -> Option<String> {
        self.body["ConditionExpression"].as_str().map(str::to_owned)
    }

    /// Makes the condition always true.
    pub(super) fn drop_condition(&mut self) {
        if let Some(condition) = self.condition() {
            self.body["ConditionExpression"] = json!(format!("({condition}) OR {ALWAYS}"));
        }
    }

    /// Returns a value of the expressions as text.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let value = &self.body["ExpressionAttributeValues"][name];
        value["S"].as_str().or_else(|| value["N"].as_str())
    }
}

/// Returns the type of the row of a key.
pub(super) fn row(key: &Value) -> String {
    let head = |name: &str| key[name]["S"].as_str().unwrap_or_default().split('#').next().unwrap_or_default();
    format!("{}/{}", head("pk"), head("sk"))
}

/// Splits a transaction into the actions that `belongs` selects, and the rest. `None` if either is empty.
pub(super) fn part(call: &Call, belongs: impl Fn(&Action<'_>) -> bool) -> Option<(Call, Call)> {
    if call.operation != "TransactWriteItems" {
        return None;
    }
    let all = call.body["TransactItems"].as_array()?.clone();
    let (first, rest): (Vec<Value>, Vec<Value>) = all
        .into_iter()
        .partition(|action| Action::of(&mut action.clone()).is_some_and(|action| belongs(&action)));
    (!first.is_empty() && !rest.is_empty()).then(|| (transaction(first), transaction(rest)))
}

/// Creates a transaction of these actions.
pub(super) fn transaction(actions: Vec<Value>) -> Call {
    // Without a client request token: it is not a retry of the function's own transaction.
    let body = json!({"TransactItems": actions});
    Call { service: crate::connector::Service::DynamoDb, operation: "TransactWriteItems".to_owned(), body }
}

/// Returns the types of the rows that a `BatchWriteItem` puts.
pub(super) fn batch_puts(call: &Call) -> Vec<String> {
    if call.operation != "BatchWriteItem" {
        return Vec::new();
    }
    let tables = call.body["RequestItems"].as_object().into_iter().flatten();
    let requests = tables.flat_map(|(_, requests)| requests.as_array().into_iter().flatten());
    requests.filter_map(|request| request.get("PutRequest")).map(|put| row(&put["Item"])).collect()
}
