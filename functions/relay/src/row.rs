//! Stream records and rows of the outbox index, read as unpublished events.

use aws_lambda_events::event::dynamodb::EventRecord;
use erp_aws::Key;
use erp_aws::table::Row;
use erp_contracts::{Event, EventError};
use serde::Deserialize;

/// A row with unpublished events.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    /// The table.
    pub table: String,
    /// The primary key.
    pub key: Key,
    /// The sort key in the outbox index: the id of the latest event.
    pub outbox_sk: String,
    /// The events, oldest first.
    pub messages: Vec<Message>,
    /// The position in the stream, if the row was read from one.
    pub sequence_number: Option<String>,
}

/// An event, and the stored JSON text that is published as it is.
#[derive(Debug, Clone)]
pub struct Message {
    /// The event.
    pub event: Event,
    /// Its JSON text.
    pub json: String,
}

/// The reason why a record or row has no events to publish.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// It is not an event row, or is already published. The filter of the trigger lets few of these pass.
    #[error("nothing to publish")]
    NothingToPublish,
    /// It is in the outbox index and cannot be decoded.
    #[error("{key}: {reason}")]
    Unreadable {
        /// The key of the row.
        key: String,
        /// The reason.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Image {
    pk: String,
    sk: String,
    outbox_sk: Option<String>,
    /// The event of an event row.
    event: Option<String>,
    /// The unpublished events of a row that carries its own, such as an allocation.
    #[serde(default)]
    events: Vec<String>,
}

impl OutboxRow {
    /// Reads a stream record.
    ///
    /// # Errors
    /// If there is nothing to publish, or the row cannot be decoded.
    pub fn from_record(record: EventRecord) -> Result<Self, RowError> {
        if record.change.new_image.is_empty() {
            return Err(RowError::NothingToPublish);
        }
        let key = format!("{:?}", record.change.keys);
        let unreadable = |reason: String| RowError::Unreadable { key, reason };
        let Some(table) = record.event_source_arn.as_deref().and_then(table_name) else {
            return Err(unreadable("the ARN of its stream names no table".to_owned()));
        };
        let image = serde_dynamo::from_item(record.change.new_image);
        let image = image.map_err(|error| unreadable(error.to_string()))?;
        Ok(Self { sequence_number: record.change.sequence_number, ..Self::from_image(table, image)? })
    }

    /// Reads a row of the outbox index of a table.
    ///
    /// # Errors
    /// As [`OutboxRow::from_record`].
    pub fn from_index(table: &str, row: Row) -> Result<Self, RowError> {
        let key = format!("{:?} / {:?}", row.get("pk"), row.get("sk"));
        let image = serde_dynamo::from_item(row);
        let image = image.map_err(|error| RowError::Unreadable { key, reason: error.to_string() })?;
        Self::from_image(table.to_owned(), image)
    }

    fn from_image(table: String, image: Image) -> Result<Self, RowError> {
        let Some(outbox_sk) = image.outbox_sk else { return Err(RowError::NothingToPublish) };
        let key = Key::new(image.pk, image.sk);
        let unreadable = |error: EventError| RowError::Unreadable {
            key: format!("{} / {}", key.pk, key.sk),
            reason: error.to_string(),
        };
        let message = |json: String| Ok(Message { event: Event::parse(&json)?, json });
        let messages = image.event.into_iter().chain(image.events).map(message);
        let messages = messages.collect::<Result<_, _>>().map_err(unreadable)?;
        Ok(Self { table, key, outbox_sk, messages, sequence_number: None })
    }
}

/// Returns the table of a stream ARN: `arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL`.
fn table_name(arn: &str) -> Option<String> {
    arn.split('/').nth(1).filter(|name| !name.is_empty()).map(str::to_owned)
}
