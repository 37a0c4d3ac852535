//! Creates missing tables of the deployment and compares existing ones with the template. Existing tables are
//! never changed.

use std::collections::BTreeSet;
use std::path::Path;

use dynoxide::Database;
use dynoxide::actions::create_table::CreateTableRequest;
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::describe_time_to_live::DescribeTimeToLiveRequest;
use dynoxide::actions::update_time_to_live::{TimeToLiveSpecification, UpdateTimeToLiveRequest};
use serde_json::Value;

use super::DynamoDbError;
use crate::deployment::Table;

/// The properties of a table that must equal the template's.
const COMPARED: [&str; 4] =
    ["AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"];

/// Creates the table, or compares it with the existing one.
pub(super) fn ensure(database: &Database, path: &Path, table: &Table) -> Result<(), DynamoDbError> {
    let failed = |source| DynamoDbError::Table { table: table.name.clone(), path: path.to_owned(), source };
    let existing = database.describe_table(DescribeTableRequest { table_name: table.name.clone() });
    match existing {
        Ok(response) => {
            let response = serde_json::to_value(response).map_err(|e| invalid_definition(table, &e))?;
            compare(table, &response["Table"])?;
        }
        Err(dynoxide::DynoxideError::ResourceNotFoundException(_)) => {
            let request: CreateTableRequest =
                serde_json::from_value(table.create.clone()).map_err(|e| invalid_definition(table, &e))?;
            database.create_table(request).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    enable_time_to_live(database, table).map_err(failed)
}

/// The error for a definition that is invalid in DynamoDB.
fn invalid_definition(table: &Table, error: &serde_json::Error) -> DynamoDbError {
    // The prefix marks messages of the database among those of the deserializer.
    let message = error.to_string();
    let message = message.strip_prefix("VALIDATION:").unwrap_or(&message);
    DynamoDbError::Definition { table: table.name.clone(), message: message.to_owned() }
}

fn compare(table: &Table, found: &Value) -> Result<(), DynamoDbError> {
    let mut different: Vec<&str> = COMPARED
        .into_iter()
        .filter(|part| normalized(&table.create[*part]) != normalized(&found[*part]))
        .collect();
    let view = |description: &Value| {
        description["StreamSpecification"]["StreamViewType"].as_str().map(str::to_owned)
    };
    if view(&table.create) != view(found) {
        different.push("StreamSpecification");
    }
    if different.is_empty() {
        return Ok(());
    }
    Err(DynamoDbError::Different { table: table.name.clone(), parts: different.join(", ") })
}

/// A list of definitions as a set, without the fields that only the description has.
fn normalized(list: &Value) -> BTreeSet<String> {
    const FIELDS: [&str; 6] =
        ["AttributeName", "AttributeType", "KeyType", "IndexName", "KeySchema", "Projection"];
    let reduced = |item: &Value| -> String {
        let item = item.as_object().into_iter().flatten();
        let parts: BTreeSet<String> = item
            .filter(|(name, _)| FIELDS.contains(&name.as_str()))
            .map(|(name, value)| match value {
                Value::Array(_) => format!("{name}={:?}", normalized(value)),
                other => format!("{name}={other}"),
            })
            .collect();
        format!("{parts:?}")
    };
    list.as_array().into_iter().flatten().map(reduced).collect()
}

fn enable_time_to_live(database: &Database, table: &Table) -> Result<(), dynoxide::DynoxideError> {
    let Some(attribute) = &table.ttl_attribute else { return Ok(()) };
    let described =
        database.describe_time_to_live(DescribeTimeToLiveRequest { table_name: table.name.clone() })?;
    if described.time_to_live_description.attribute_name.as_ref() == Some(attribute) {
        return Ok(());
    }
    database.update_time_to_live(UpdateTimeToLiveRequest {
        table_name: table.name.clone(),
        time_to_live_specification: TimeToLiveSpecification {
            attribute_name: attribute.clone(),
            enabled: true,
        },
    })?;
    Ok(())
}
