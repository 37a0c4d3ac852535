//! The event row: transactional outbox and history of an entity in one.
//!
//! It is written in the transaction of the change, in the partition of the entity. The table's stream delivers it to the
//! relay, which publishes the event and removes the row from the `outbox` index. A row that stays in the index was never
//! published; the sweep finds it there, however old.

use erp_contracts::Event;
use erp_domain::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::list::{shard, shards};
use crate::table::{Row, unavailable};
use crate::transaction::text;
use crate::{StoreError, Table};

/// Prefix of the sort keys of event rows.
pub const EVENT_PREFIX: &str = "EVENT#";
/// Index of the rows that are not published yet.
pub const OUTBOX_INDEX: &str = "outbox";
/// Rows read per query of the index.
const QUERY_LIMIT: i32 = 100;
/// Name of the partitions of the index, before their shard.
const OUTBOX: &str = "OUTBOX";

/// An event as a row of a table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventRow {
    pk: String,
    sk: String,
    /// The event as it is published, JSON.
    pub event: String,
    /// Present until the event is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outbox_pk: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outbox_sk: Option<String>,
}

/// Returns the sort key of an event.
pub fn event_sk(id: Uuid) -> String {
    format!("{EVENT_PREFIX}{id}")
}

/// Returns the shard of the outbox index for an event.
pub fn outbox_pk(id: Uuid) -> String {
    shard(OUTBOX, id)
}

/// Returns every shard of the outbox index.
pub fn outbox_partitions() -> Vec<String> {
    shards(OUTBOX)
}

/// Returns the smallest UUID of version 7 of a millisecond (RFC 9562 section 5.7).
fn first_id_at(at: Timestamp) -> String {
    let millis = u64::try_from(at.as_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid().to_string()
}

/// Reads rows of one shard of the outbox index whose event is older than `before`, oldest first, starting after the key
/// `after`. Returns the rows, and the key to continue after if there may be more.
pub async fn unpublished(
    table: &Table,
    partition: &str,
    before: Timestamp,
    after: Option<Row>,
) -> Result<(Vec<Row>, Option<Row>), StoreError> {
    let page = table
        .client
        .query()
        .table_name(&table.name)
        .index_name(OUTBOX_INDEX)
        .key_condition_expression("outbox_pk = :pk AND outbox_sk < :before")
        .expression_attribute_values(":pk", text(partition))
        .expression_attribute_values(":before", text(first_id_at(before)))
        .set_exclusive_start_key(after)
        .limit(QUERY_LIMIT)
        .send()
        .await
        .map_err(unavailable)?;
    Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
}

impl EventRow {
    /// Creates the row of an event of the entity in partition `pk`, to be published.
    pub fn to_publish(pk: &str, event: &Event) -> Result<Self, StoreError> {
        let mut row = Self::history(pk, event)?;
        row.outbox_pk = Some(outbox_pk(event.id));
        row.outbox_sk = Some(event.id.to_string());
        Ok(row)
    }

    /// Creates the row of another context's event that belongs to the history of the entity and is not published again.
    pub fn history(pk: &str, event: &Event) -> Result<Self, StoreError> {
        let json = event.to_json()?;
        Ok(Self { pk: pk.to_owned(), sk: event_sk(event.id), event: json, outbox_pk: None, outbox_sk: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_id_of_a_millisecond_is_a_lower_bound() {
        let id = Uuid::now_v7();
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        let at = i64::try_from(seconds * 1000 + u64::from(nanos) / 1_000_000).unwrap();
        assert!(first_id_at(Timestamp::from_millis(at)) <= id.to_string());
        assert!(id.to_string() < first_id_at(Timestamp::from_millis(at + 1)));
    }
}
