//! The event row: one row in the partition of the entity, written in the transaction of the change it tells of.
//!
//! It is the entity's history and the outbox at once. The table's stream carries it to the relay, which publishes
//! the event and takes the row out of the `outbox` index; a row that stays in that index was never published, and
//! a sweep finds it there, however old.

use aws_sdk_dynamodb::types::AttributeValue;
use erp_contracts::{Event, StoreError};
use erp_domain::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::table::{Row, unavailable};
use crate::{Key, Table};

/// What sort keys of event rows start with.
pub const EVENT_PREFIX: &str = "EVENT#";
/// Name of the index of rows that were not published yet.
pub const OUTBOX_INDEX: &str = "outbox";
/// Rows of that index that are read at once.
const PAGE: i32 = 100;
/// Partitions of that index: enough that no one of them is hot.
pub const OUTBOX_SHARDS: u8 = 4;

/// An event in a table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventRow {
    pk: String,
    sk: String,
    /// The whole event, JSON, as it is published.
    pub event: String,
    /// There until it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outbox_pk: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outbox_sk: Option<String>,
}

/// The sort key of an event.
pub fn event_sk(id: Uuid) -> String {
    format!("{EVENT_PREFIX}{id}")
}

/// The partition of the outbox index that an event stands in.
pub fn outbox_pk(id: Uuid) -> String {
    let [.., last] = *id.as_bytes();
    format!("OUTBOX#{}", last % OUTBOX_SHARDS)
}

/// Every partition of the outbox index.
pub fn outbox_partitions() -> impl Iterator<Item = String> + Send {
    (0..OUTBOX_SHARDS).map(|shard| format!("OUTBOX#{shard}"))
}

/// The smallest id of that millisecond (UUID of version 7, RFC 9562 section 5.7): ids of events sort by time.
fn first_id_at(at: Timestamp) -> String {
    let millis = u64::try_from(at.as_millis()).unwrap_or(0);
    format!("{:08x}-{:04x}-7000-8000-000000000000", (millis >> 16) & 0xffff_ffff, millis & 0xffff)
}

/// Rows of one partition of a table's outbox index whose event is older than `before`, oldest first, behind the row
/// `after`, and the row to go on behind, if there may be more.
///
/// # Errors
/// When the table does not answer.
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
        .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
        .expression_attribute_values(":before", AttributeValue::S(first_id_at(before)))
        .set_exclusive_start_key(after)
        .limit(PAGE)
        .send()
        .await
        .map_err(unavailable)?;
    Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
}

impl EventRow {
    /// An event of the entity whose partition is `pk`, to be published.
    ///
    /// # Errors
    /// Never in practice: an event is JSON already.
    pub fn to_publish<C>(pk: &str, event: &Event) -> Result<Self, StoreError<C>> {
        let mut row = Self::history(pk, event)?;
        row.outbox_pk = Some(outbox_pk(event.id));
        row.outbox_sk = Some(event.id.to_string());
        Ok(row)
    }

    /// Somebody else's event that belongs to the history of the entity, and is not published again.
    ///
    /// # Errors
    /// As [`EventRow::to_publish`].
    pub fn history<C>(pk: &str, event: &Event) -> Result<Self, StoreError<C>> {
        let json = event.to_json().map_err(StoreError::unavailable)?;
        Ok(Self { pk: pk.to_owned(), sk: event_sk(event.id), event: json, outbox_pk: None, outbox_sk: None })
    }

    /// Where it stands.
    pub fn key(&self) -> Key {
        Key::new(&self.pk, &self.sk)
    }

    /// The event.
    ///
    /// # Errors
    /// When the row does not hold one, which no code of ours wrote.
    pub fn read<C>(&self) -> Result<Event, StoreError<C>> {
        Event::parse(&self.event).map_err(StoreError::unavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_before_its_time_ends_and_not_before_it_begins() {
        let id = Uuid::now_v7();
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        let at = i64::try_from(seconds * 1000 + u64::from(nanos) / 1_000_000).unwrap();
        assert!(first_id_at(Timestamp::from_millis(at)) <= id.to_string());
        assert!(id.to_string() < first_id_at(Timestamp::from_millis(at + 1)));
    }
}
