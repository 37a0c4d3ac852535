//! Takes published rows out of the `outbox` index.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::table::unavailable;
use erp_contracts::StoreError;

use crate::record::Outgoing;

/// The row has got no further event since it was read.
const SAME_EVENTS: &str = "outbox_sk = :seen";

/// Where it is written that something is out.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Notes that all events of the row are out, unless it has got another since; then that one's record in the
    /// stream will bring it here again.
    async fn published(&self, row: &Outgoing) -> Result<(), StoreError>;
}

/// The tables themselves.
pub struct DynamoOutbox {
    /// The client.
    pub client: Client,
}

#[async_trait]
impl Outbox for DynamoOutbox {
    async fn published(&self, row: &Outgoing) -> Result<(), StoreError> {
        let done = self
            .client
            .update_item()
            .table_name(&row.table)
            .set_key(Some(row.key.attributes()))
            // An event row keeps its `event`: it is history. A row that carries its own loses its `events`.
            .update_expression("REMOVE outbox_pk, outbox_sk, #events")
            .condition_expression(SAME_EVENTS)
            .expression_attribute_names("#events", "events")
            .expression_attribute_values(":seen", AttributeValue::S(row.outbox_sk.clone()))
            .send()
            .await;
        match done {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(unavailable(error)),
        }
    }
}
