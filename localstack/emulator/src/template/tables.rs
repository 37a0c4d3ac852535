//! `AWS::DynamoDB::Table` as a request of `CreateTable`.

use serde_json::{Map, Value, json};

use crate::deployment::Table;

use super::properties::Properties;
use super::resources::Resource;
use super::scope::Scope;

/// Properties for capacity, encryption, backup and monitoring.
const IGNORED: [&str; 8] = [
    "ContributorInsightsSpecification",
    "OnDemandThroughput",
    "PointInTimeRecoverySpecification",
    "ProvisionedThroughput",
    "SSESpecification",
    "TableClass",
    "Tags",
    "WarmThroughput",
];

/// Reads a table.
pub(crate) fn read(resource: &Resource, scope: &Scope<'_>) -> Table {
    let at = resource.at();
    let properties = scope.resolve(&resource.properties, &at).unwrap_or(Value::Null);
    let mut reader = Properties::new(properties, at, scope.problems);
    let name = reader.string("TableName").unwrap_or_else(|| scope.resources[&resource.id].reference.clone());
    // Capacity is not emulated: every table is on demand.
    reader.ignore(&["BillingMode"]);
    let mut create = Map::from_iter([
        ("TableName".to_owned(), json!(name)),
        ("BillingMode".to_owned(), json!("PAY_PER_REQUEST")),
        ("AttributeDefinitions".to_owned(), attribute_definitions(&mut reader)),
        ("KeySchema".to_owned(), key_schema(&mut reader)),
    ]);
    for kind in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
        if let Some(indexes) = reader.objects(kind) {
            create.insert(kind.to_owned(), indexes.into_iter().map(index).collect());
        }
    }
    if let Some(mut stream) = reader.object("StreamSpecification") {
        let view = stream.required_string("StreamViewType");
        stream.finish();
        create.insert(
            "StreamSpecification".to_owned(),
            json!({ "StreamEnabled": true, "StreamViewType": view.unwrap_or_default() }),
        );
    }
    if let Some(protected) = reader.boolean("DeletionProtectionEnabled") {
        create.insert("DeletionProtectionEnabled".to_owned(), json!(protected));
    }
    let ttl_attribute = reader.object("TimeToLiveSpecification").and_then(time_to_live);
    reader.ignore(&IGNORED);
    reader.finish();
    Table { logical_id: resource.id.clone(), name, create: Value::Object(create), ttl_attribute }
}

fn attribute_definitions(reader: &mut Properties<'_>) -> Value {
    let definitions = reader.objects("AttributeDefinitions").unwrap_or_default();
    definitions
        .into_iter()
        .map(|definition| strings_object(definition, &["AttributeName", "AttributeType"]))
        .collect()
}

fn key_schema(reader: &mut Properties<'_>) -> Value {
    let Some(keys) = reader.objects("KeySchema") else {
        reader.report("has no KeySchema");
        return json!([]);
    };
    keys.into_iter().map(|key| strings_object(key, &["AttributeName", "KeyType"])).collect()
}

fn index(mut reader: Properties<'_>) -> Value {
    let name = reader.required_string("IndexName").unwrap_or_default();
    let keys = key_schema(&mut reader);
    let mut projected = Map::new();
    match reader.object("Projection") {
        Some(mut projection) => {
            let kind = projection.required_string("ProjectionType").unwrap_or_default();
            projected.insert("ProjectionType".to_owned(), json!(kind));
            if let Some(attributes) = projection.strings("NonKeyAttributes") {
                projected.insert("NonKeyAttributes".to_owned(), json!(attributes));
            }
            projection.finish();
        }
        None => reader.report("has no Projection"),
    }
    reader.ignore(&[
        "ContributorInsightsSpecification",
        "OnDemandThroughput",
        "ProvisionedThroughput",
        "WarmThroughput",
    ]);
    reader.finish();
    json!({ "IndexName": name, "KeySchema": keys, "Projection": projected })
}

/// An object with exactly these strings.
fn strings_object(mut reader: Properties<'_>, names: &[&'static str]) -> Value {
    let object: Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!(reader.required_string(name).unwrap_or_default())))
        .collect();
    reader.finish();
    Value::Object(object)
}

fn time_to_live(mut reader: Properties<'_>) -> Option<String> {
    let attribute = reader.string("AttributeName");
    let enabled = reader.boolean("Enabled").unwrap_or(false);
    if enabled && attribute.is_none() {
        reader.report("is enabled but has no AttributeName");
    }
    reader.finish();
    attribute.filter(|_| enabled)
}
