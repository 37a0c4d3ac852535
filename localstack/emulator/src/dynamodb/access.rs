//! Which permissions a DynamoDB request needs: what AWS checks, per table and index, transactions and batches
//! taken apart.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::arn;

/// An action and the ARN that it is done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) action: String,
    pub(crate) resource: String,
}

/// What `operation` with this body needs. A body without a table needs the right to everything, and is refused
/// by the database once the caller turns out to have it.
pub(crate) fn needs(operation: &str, body: &Value) -> Vec<Need> {
    let one = |resource: String| vec![need(operation, resource)];
    match operation {
        "Query" | "Scan" => match body["IndexName"].as_str() {
            Some(index) => one(arn::index(table_of(body).unwrap_or("*"), index)),
            None => one(table_arn(body)),
        },
        "BatchGetItem" | "BatchWriteItem" => {
            let tables = body["RequestItems"].as_object();
            let needs: Vec<_> = tables
                .into_iter()
                .flat_map(serde_json::Map::keys)
                .map(|table| need(operation, arn::table(arn::table_name(table))))
                .collect();
            if needs.is_empty() { one(table_arn(body)) } else { needs }
        }
        "TransactWriteItems" | "TransactGetItems" => {
            let elements = body["TransactItems"].as_array().into_iter().flatten();
            let mut needs = Vec::new();
            for (kind, element) in elements.filter_map(Value::as_object).flatten() {
                let action = match kind.as_str() {
                    "Put" => "PutItem",
                    "Update" => "UpdateItem",
                    "Delete" => "DeleteItem",
                    "Get" => "GetItem",
                    // ConditionCheck; anything else is refused by the database.
                    _ => "ConditionCheckItem",
                };
                let need = need(action, table_arn(element));
                if !needs.contains(&need) {
                    needs.push(need);
                }
            }
            if needs.is_empty() { one(table_arn(body)) } else { needs }
        }
        "DescribeStream" | "GetShardIterator" => {
            one(arn::stream(body["StreamArn"].as_str().map_or("*", arn::table_name)))
        }
        "GetRecords" => one(arn::stream(&iterator_table(body).unwrap_or_else(|| "*".to_owned()))),
        "ListTables" | "ListStreams" => one("*".to_owned()),
        _ => one(table_arn(body)),
    }
}

/// Whether the operation changes items, and so may have put records into a stream.
pub(crate) fn writes(operation: &str) -> bool {
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

fn need(operation: &str, resource: String) -> Need {
    Need { action: format!("dynamodb:{operation}"), resource }
}

fn table_of(body: &Value) -> Option<&str> {
    let named = body["TableName"].as_str().or_else(|| body["ResourceArn"].as_str());
    named.map(arn::table_name)
}

fn table_arn(body: &Value) -> String {
    arn::table(table_of(body).unwrap_or("*"))
}

/// The table whose stream an iterator reads: iterators are base64 of JSON that names it.
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
        needs(operation, body)
            .iter()
            .map(|need| format!("{} {}", need.action, short(&need.resource)))
            .collect()
    }

    #[test]
    fn each_request_needs_what_aws_checks() {
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
