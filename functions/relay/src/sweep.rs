//! The sweep: what stands in the `outbox` index for longer than it should was never published. A stream keeps its
//! records for a day; the index keeps its rows until they are out.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::outbox::{OUTBOX_INDEX, outbox_partitions};
use erp_aws::table::{Row, unavailable};
use erp_contracts::StoreError;
use erp_domain::{Clock, Timestamp};
use std::sync::Arc;

use crate::Relay;
use crate::record::Outgoing;

/// Seconds that the stream and the relay get before the sweep takes over.
pub const MIN_AGE_SECONDS: i64 = 300;
/// Rows read at once.
const PAGE: i32 = 100;

/// Where rows wait to be published.
#[async_trait]
pub trait Unpublished: Send + Sync {
    /// The tables there are.
    fn tables(&self) -> &[String];

    /// Rows of one partition of a table's outbox index that came before `before`, oldest first, behind the row
    /// `after`, and the row to go on behind, if there may be more.
    async fn older(
        &self,
        table: &str,
        partition: &str,
        before: Timestamp,
        after: Option<Row>,
    ) -> Result<(Vec<Row>, Option<Row>), StoreError>;
}

/// Publishes what was forgotten.
#[derive(Clone)]
pub struct Sweep {
    /// Publishes, and takes out of the index.
    pub relay: Relay,
    /// Where to look.
    pub unpublished: Arc<dyn Unpublished>,
    /// Tells how old something is.
    pub clock: Arc<dyn Clock>,
}

/// What a sweep found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Swept {
    /// Rows that stood there.
    pub found: usize,
    /// Rows that could not be read, and need a person.
    pub unreadable: usize,
    /// Whether everything else is out now.
    pub complete: bool,
}

impl Sweep {
    /// Goes through every table once.
    ///
    /// # Errors
    /// When a table does not answer; what was published so far is out.
    pub async fn run(&self) -> Result<Swept, StoreError> {
        let before = self.clock.now().plus_seconds(-MIN_AGE_SECONDS);
        let mut swept = Swept { complete: true, ..Swept::default() };
        for table in self.unpublished.tables() {
            for partition in outbox_partitions() {
                let mut after = None;
                loop {
                    let (rows, more) = self.unpublished.older(table, &partition, before, after).await?;
                    swept.found += rows.len();
                    let mut outgoing = Vec::new();
                    for row in rows {
                        match Outgoing::from_row(table, row) {
                            Ok(found) => outgoing.push(found),
                            Err(error) => {
                                swept.unreadable += 1;
                                tracing::error!(table, %error, "a row in the outbox cannot be published");
                            }
                        }
                    }
                    swept.complete &= self.relay.publish(&outgoing).await.is_none();
                    after = more;
                    if after.is_none() {
                        break;
                    }
                }
            }
        }
        if swept.found > 0 {
            tracing::warn!(
                found = swept.found,
                unreadable = swept.unreadable,
                "the sweep found unpublished events"
            );
        }
        Ok(swept)
    }
}

/// The tables themselves.
pub struct DynamoUnpublished {
    /// The client.
    pub client: Client,
    /// Their names.
    pub tables: Vec<String>,
}

#[async_trait]
impl Unpublished for DynamoUnpublished {
    fn tables(&self) -> &[String] {
        &self.tables
    }

    async fn older(
        &self,
        table: &str,
        partition: &str,
        before: Timestamp,
        after: Option<Row>,
    ) -> Result<(Vec<Row>, Option<Row>), StoreError> {
        let page = self
            .client
            .query()
            .table_name(table)
            .index_name(OUTBOX_INDEX)
            .key_condition_expression("outbox_pk = :pk AND outbox_sk < :before")
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
            .expression_attribute_values(":before", AttributeValue::S(first_id_at(before)))
            .set_exclusive_start_key(after)
            .limit(PAGE)
            .send()
            .await
            .map_err(unavailable)?;
        Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
    }
}

/// The smallest UUID of version 7 of that millisecond (RFC 9562 section 5.7): ids of events sort by time.
fn first_id_at(at: Timestamp) -> String {
    let millis = u64::try_from(at.as_millis()).unwrap_or(0);
    format!("{:08x}-{:04x}-7000-8000-000000000000", (millis >> 16) & 0xffff_ffff, millis & 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_before_its_time_ends_and_not_before_it_begins() {
        let id = uuid::Uuid::now_v7();
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        let at = i64::try_from(seconds * 1000 + u64::from(nanos) / 1_000_000).unwrap();
        assert!(first_id_at(Timestamp::from_millis(at)) <= id.to_string());
        assert!(id.to_string() < first_id_at(Timestamp::from_millis(at + 1)));
    }
}
