//! Stream records and rows of the outbox index, read as unpublished events.

use aws_lambda_events::event::dynamodb::EventRecord;
use erp_aws::table::{Row, Unreadable, of_stream, read};
use erp_aws::{Key, StoreError, error_chain};
use erp_contracts::Event;
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

#[derive(Deserialize)]
struct Image {
    outbox_sk: String,
    /// The event of an event row.
    event: Option<String>,
    /// The unpublished events of a row that carries its own, such as an allocation.
    #[serde(default)]
    events: Vec<String>,
}

impl OutboxRow {
    /// Reads a stream record; `None` if its row is deleted or already published. The filter of the trigger
    /// lets few of these pass.
    pub fn from_record(record: EventRecord) -> Result<Option<Self>, Unreadable> {
        let image = record.change.new_image;
        if !image.contains_key("outbox_sk") {
            return Ok(None);
        }
        let Some(table) = record.event_source_arn.as_deref().and_then(of_stream) else {
            let reason = "the ARN of its stream names no table".to_owned();
            return Err(Unreadable { key: format!("{:?}", record.change.keys), reason });
        };
        let row = Self::from_index(table, image.into())?;
        Ok(Some(Self { sequence_number: record.change.sequence_number, ..row }))
    }

    /// Reads a row of the outbox index of a table.
    pub fn from_index(table: &str, row: Row) -> Result<Self, Unreadable> {
        let key = format!("{:?} / {:?}", row.get("pk"), row.get("sk"));
        let decoded = Self::decode(table, row);
        decoded.map_err(|error| Unreadable { key, reason: error_chain(error.into_cause().as_ref()) })
    }

    fn decode(table: &str, row: Row) -> Result<Self, StoreError> {
        let key = Key::of(&row)?;
        let Image { outbox_sk, event, events } = read(row)?;
        let message = |json: String| Ok(Message { event: Event::parse(&json)?, json });
        let messages = event.into_iter().chain(events).map(message).collect::<Result<_, StoreError>>()?;
        Ok(Self { table: table.to_owned(), key, outbox_sk, messages, sequence_number: None })
    }
}
