//! The permissions that AWS requires for a DynamoDB request, per table and index; transactions and batches
//! require those of their elements.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::arn;

/// An action on a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Permission {
    pub(crate) action: String,
    pub(crate) resource: String,
}

/// The permissions that `operation` with this body requires. A body without a table requires the permission
/// for all tables, and is then rejected by the database.
pub(crate) fn required_permissions(operation: &str, body: &Value) -> Vec<Permission> {
    let one = |resource: String| vec![permission(operation, resource)];
    match operation {
        "Query" | "Scan" => match body["IndexName"].as_str() {
            Some(index) => one(arn::index(table_of(body).unwrap_or("*"), index)),
            None => one(table_arn(body)),
        },
        "BatchGetItem" | "BatchWriteItem" => {
            let tables = body["RequestItems"].as_object();
            let permissions: Vec<_> = tables
                .into_iter()
                .flat_map(serde_json::Map::keys)
                .map(|table| permission(operation, arn::table(arn::table_name(table))))
                .collect();
            if permissions.is_empty() { one(table_arn(body)) } else { permissions }
        }
        "TransactWriteItems" | "TransactGetItems" => {
            let elements = body["TransactItems"].as_array().into_iter().flatten();
            let mut permissions = Vec::new();
            for (kind, element) in elements.filter_map(Value::as_object).flatten() {
                let action = match kind.as_str() {
                    "Put" => "PutItem",
                    "Update" => "UpdateItem",
                    "Delete" => "DeleteItem",
                    "Get" => "GetItem",
                    // ConditionCheck; the database rejects anything else.
                    _ => "ConditionCheckItem",
                };
                let permission = permission(action, table_arn(element));
                if !permissions.contains(&permission) {
                    permissions.push(permission);
                }
            }
            if permissions.is_empty() { one(table_arn(body)) } else { permissions }
        }
        "DescribeStream" | "GetShardIterator" => {
            one(arn::stream(body["StreamArn"].as_str().map_or("*", arn::table_name)))
        }
        "GetRecords" => one(arn::stream(&iterator_table(body).unwrap_or_else(|| "*".to_owned()))),
        "ListTables" | "ListStreams" => one("*".to_owned()),
        _ => one(table_arn(body)),
    }
}

/// Returns `true` if the operation changes items and may add stream records.
pub(crate) fn is_write(operation: &str) -> bool {
    matches!(
        operation,
        "PutItem"
            | "UpdateItem"
            | "DeleteItem"
            | "BatchWriteItem"
            | "TransactWriteItems"
            | "ExecuteStatement"
            | "ExecuteTransaction"
            | "BatchExecuteStatement"
    )
}

fn permission(operation: &str, resource: String) -> Permission {
    Permission { action: format!("dynamodb:{operation}"), resource }
}

fn table_of(body: &Value) -> Option<&str> {
    let named = body["TableName"].as_str().or_else(|| body["ResourceArn"].as_str());
    named.map(arn::table_name)
}

fn table_arn(body: &Value) -> String {
    arn::table(table_of(body).unwrap_or("*"))
}

/// The table whose stream an iterator reads: an iterator is base64 of JSON with its name. A malformed
/// iterator, for which this is `None`, requires the permission for all streams.
fn iterator_table(body: &Value) -> Option<String> {
    let iterator = STANDARD.decode(body["ShardIterator"].as_str()?).ok()?;
    let iterator: Value = serde_json::from_slice(&iterator).ok()?;
    iterator["table_name"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn flat(operation: &str, body: &Value) -> Vec<String> {
        let short = |arn: &str| arn.rsplit(':').next().unwrap().to_owned();
        required_permissions(operation, body)
            .iter()
            .map(|permission| format!("{} {}", permission.action, short(&permission.resource)))
            .collect()
    }

    #[test]
    fn each_request_requires_the_permissions_of_aws() {
        let iterator = STANDARD.encode(r#"{"table_name":"a","shard_id":"s","position":0}"#);
        for (operation, body, expected) in [
            ("PutItem", json!({ "TableName": "a" }), vec!["dynamodb:PutItem table/a"]),
            ("PutItem", json!({ "TableName": arn::table("a") }), vec!["dynamodb:PutItem table/a"]),
            ("Query", json!({ "TableName": "a" }), vec!["dynamodb:Query table/a"]),
            ("Query", json!({ "TableName": "a", "IndexName": "i" }), vec!["dynamodb:Query table/a/index/i"]),
            (
                "BatchGetItem",
                json!({ "RequestItems": { "a": {}, "b": {} } }),
                vec!["dynamodb:BatchGetItem table/a", "dynamodb:BatchGetItem table/b"],
            ),
            (
                "TransactWriteItems",
                json!({ "TransactItems": [
                    { "Put": { "TableName": "a" } },
                    { "Update": { "TableName": "a" } },
                    { "Update": { "TableName": "a" } },
                    { "Delete": { "TableName": "b" } },
                    { "ConditionCheck": { "TableName": "c" } },
                ] }),
                vec![
                    "dynamodb:PutItem table/a",
                    "dynamodb:UpdateItem table/a",
                    "dynamodb:DeleteItem table/b",
                    "dynamodb:ConditionCheckItem table/c",
                ],
            ),
            (
                "TransactGetItems",
                json!({ "TransactItems": [{ "Get": { "TableName": "a" } }] }),
                vec!["dynamodb:GetItem table/a"],
            ),
            (
                "GetRecords",
                json!({ "ShardIterator": iterator }),
                vec!["dynamodb:GetRecords table/a/stream/local"],
            ),
            (
                "DescribeStream",
                json!({ "StreamArn": arn::stream("a") }),
                vec!["dynamodb:DescribeStream table/a/stream/local"],
            ),
            ("ListTables", json!({}), vec!["dynamodb:ListTables *"]),
            ("GetItem", json!({}), vec!["dynamodb:GetItem table/*"]),
        ] {
            assert_eq!(flat(operation, &body), expected, "{operation} {body}");
        }
    }
}
