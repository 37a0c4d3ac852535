//! Removes published rows from the `outbox` index.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::StoreError;
use erp_aws::table::unavailable;

use crate::row::OutboxRow;

/// Condition: the row has had no further event since it was read.
const SAME_EVENTS: &str = "outbox_sk = :seen";

/// Removes a row from the index, unless it has a further event by now: the stream record of that event
/// delivers the row again.
pub async fn remove_published(client: &Client, row: &OutboxRow) -> Result<(), StoreError> {
    let result = client
        .update_item()
        .table_name(&row.table)
        .set_key(Some(row.key.attributes()))
        // An event row keeps its `event`, which is the history of the entity.
        .update_expression("REMOVE outbox_pk, outbox_sk, #events")
        .condition_expression(SAME_EVENTS)
        .expression_attribute_names("#events", "events")
        .expression_attribute_values(":seen", AttributeValue::S(row.outbox_sk.clone()))
        .send()
        .await;
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => {
            Ok(())
        }
        Err(error) => Err(unavailable(error)),
    }
}
