//! Tables of the deployment in the database: made when they are missing, left alone when they are as the
//! template has them, and never changed behind anybody's back.

use std::collections::BTreeSet;

use dynoxide::Database;
use dynoxide::actions::create_table::CreateTableRequest;
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::describe_time_to_live::DescribeTimeToLiveRequest;
use dynoxide::actions::update_time_to_live::{TimeToLiveSpecification, UpdateTimeToLiveRequest};
use serde_json::Value;

use super::DynamoDbError;
use crate::deployment::Table;

/// What two descriptions of a table have to agree on, and the words to compare it in.
const COMPARED: [&str; 4] =
    ["AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"];

/// Makes the database hold this table.
pub(super) fn ensure(database: &Database, table: &Table) -> Result<(), DynamoDbError> {
    let failed = |source| DynamoDbError::Table { table: table.name.clone(), source };
    let existing = database.describe_table(DescribeTableRequest { table_name: table.name.clone() });
    match existing {
        Ok(response) => {
            let response = serde_json::to_value(response).map_err(|e| malformed(table, &e))?;
            compare(table, &response["Table"])?;
        }
        Err(dynoxide::DynoxideError::ResourceNotFoundException(_)) => {
            let request: CreateTableRequest =
                serde_json::from_value(table.create.clone()).map_err(|e| malformed(table, &e))?;
            database.create_table(request).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    expire(database, table).map_err(failed)
}

/// The request that the template makes is not one that DynamoDB would take.
fn malformed(table: &Table, error: &serde_json::Error) -> DynamoDbError {
    // How the database marks its own messages among the deserializer's.
    let message = error.to_string();
    let message = message.strip_prefix("VALIDATION:").unwrap_or(&message);
    DynamoDbError::Definition { table: table.name.clone(), message: message.to_owned() }
}

fn compare(table: &Table, found: &Value) -> Result<(), DynamoDbError> {
    let mut different: Vec<&str> =
        COMPARED.into_iter().filter(|part| essence(&table.create[*part]) != essence(&found[*part])).collect();
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

/// A list of definitions without order, and without what the description adds to them.
fn essence(list: &Value) -> BTreeSet<String> {
    const ESSENTIAL: [&str; 6] =
        ["AttributeName", "AttributeType", "KeyType", "IndexName", "KeySchema", "Projection"];
    let reduced = |item: &Value| -> String {
        let item = item.as_object().into_iter().flatten();
        let parts: BTreeSet<String> = item
            .filter(|(name, _)| ESSENTIAL.contains(&name.as_str()))
            .map(|(name, value)| match value {
                Value::Array(_) => format!("{name}={:?}", essence(value)),
                other => format!("{name}={other}"),
            })
            .collect();
        format!("{parts:?}")
    };
    list.as_array().into_iter().flatten().map(reduced).collect()
}

fn expire(database: &Database, table: &Table) -> Result<(), dynoxide::DynoxideError> {
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
