//! What a call of DynamoDB's writes, read and rewritten as the JSON that it is.

use serde_json::{Value, json};

use crate::connector::Call;

/// What is true of every row and of none: an expression that means it and keeps the names and values of the one it
/// stands behind in use.
const ALWAYS: &str = "attribute_exists(pk) OR attribute_not_exists(pk)";

/// The actions of a transaction, or the one of a single write; empty for whatever else.
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

/// One action of a write.
pub(super) struct Action<'a> {
    /// `Put`, `Update`, `Delete` or `ConditionCheck`.
    pub(super) kind: String,
    /// Its fields.
    pub(super) body: &'a mut Value,
}

impl<'a> Action<'a> {
    fn of(action: &'a mut Value) -> Option<Self> {
        let (kind, body) = action.as_object_mut()?.iter_mut().next()?;
        Some(Self { kind: kind.clone(), body })
    }

    /// What kind of row: the first words of its keys, such as `ORDER/ALLOCATION`.
    pub(super) fn row(&self) -> String {
        row(self.body.get("Key").unwrap_or(&self.body["Item"]))
    }

    pub(super) fn condition(&self) -> Option<String> {
        self.body["ConditionExpression"].as_str().map(str::to_owned)
    }

    /// Its condition holds whatever is there.
    pub(super) fn strip(&mut self) {
        if let Some(condition) = self.condition() {
            self.body["ConditionExpression"] = json!(format!("({condition}) OR {ALWAYS}"));
        }
    }

    /// A value of its expressions, as text.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let value = &self.body["ExpressionAttributeValues"][name];
        value["S"].as_str().or_else(|| value["N"].as_str())
    }
}

/// What kind of row a key belongs to.
pub(super) fn row(key: &Value) -> String {
    let head = |name: &str| key[name]["S"].as_str().unwrap_or_default().split('#').next().unwrap_or_default();
    format!("{}/{}", head("pk"), head("sk"))
}

/// Parts a transaction: what `belongs` to the first, and the rest. None if one of them would be empty.
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

/// A transaction of these actions.
pub(super) fn transaction(actions: Vec<Value>) -> Call {
    // Without a token: it is none of the function's own.
    let body = json!({"TransactItems": actions});
    Call { service: crate::connector::Service::DynamoDb, operation: "TransactWriteItems".to_owned(), body }
}

/// The rows of a `BatchWriteItem` that are put, by kind.
pub(super) fn batch_puts(call: &Call) -> Vec<String> {
    if call.operation != "BatchWriteItem" {
        return Vec::new();
    }
    let tables = call.body["RequestItems"].as_object().into_iter().flatten();
    let requests = tables.flat_map(|(_, requests)| requests.as_array().into_iter().flatten());
    requests.filter_map(|request| request.get("PutRequest")).map(|put| row(&put["Item"])).collect()
}
