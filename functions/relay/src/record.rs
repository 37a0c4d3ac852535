//! From a stream record to what is to be published.

use aws_lambda_events::event::dynamodb::EventRecord;
use erp_aws::Key;
use erp_aws::table::Row;
use erp_contracts::Event;
use erp_contracts::event::EventError;
use serde::Deserialize;

/// A row with events that are not out yet.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The table it is in.
    pub table: String,
    /// Where it stands.
    pub key: Key,
    /// What its place in the outbox index says: the id of its latest event.
    pub outbox_sk: String,
    /// The events, oldest first.
    pub events: Vec<Event>,
    /// Its place in the stream; empty if it was not found there.
    pub sequence_number: String,
}

/// Why a record gives nothing to publish.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is no event row, or one that is out already. The trigger's filter lets few of these through.
    #[error("nothing to publish")]
    NothingToPublish,
    /// It says that it is one, and is not.
    #[error("{key}: {reason}")]
    Unreadable {
        /// Of the row.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Image {
    pk: String,
    sk: String,
    outbox_sk: Option<String>,
    /// An event row has one …
    event: Option<String>,
    /// … and a row that carries its own events has those that are not out yet.
    #[serde(default)]
    events: Vec<String>,
}

impl Outgoing {
    /// Reads a record of a stream.
    ///
    /// # Errors
    /// When there is nothing to publish in it.
    pub fn read(record: EventRecord) -> Result<Self, RecordError> {
        if record.change.new_image.is_empty() {
            return Err(RecordError::NothingToPublish);
        }
        let key = format!("{:?}", record.change.keys);
        let table = record.event_source_arn.as_deref().and_then(table_name);
        let no_table =
            || RecordError::Unreadable { key: key.clone(), reason: "its table is not named".into() };
        let table = table.ok_or_else(no_table)?;
        let image = serde_dynamo::from_item(record.change.new_image);
        let image = image.map_err(|error| RecordError::Unreadable { key, reason: error.to_string() })?;
        let sequence_number = record.change.sequence_number.unwrap_or_default();
        Ok(Self { sequence_number, ..Self::of(table, image)? })
    }

    /// Reads a row of a table's outbox index.
    ///
    /// # Errors
    /// As [`Outgoing::read`].
    pub fn from_row(table: &str, row: Row) -> Result<Self, RecordError> {
        let key = format!("{:?} / {:?}", row.get("pk"), row.get("sk"));
        let image = serde_dynamo::from_item(row);
        let image = image.map_err(|error| RecordError::Unreadable { key, reason: error.to_string() })?;
        Self::of(table.to_owned(), image)
    }

    fn of(table: String, image: Image) -> Result<Self, RecordError> {
        let Some(outbox_sk) = image.outbox_sk else { return Err(RecordError::NothingToPublish) };
        let key = Key::new(image.pk, image.sk);
        let unreadable = |error: EventError| RecordError::Unreadable {
            key: format!("{} / {}", key.pk, key.sk),
            reason: error.to_string(),
        };
        let json = image.event.into_iter().chain(image.events);
        let events: Vec<Event> =
            json.map(|json| Event::parse(&json).map_err(unreadable)).collect::<Result<_, _>>()?;
        Ok(Self { table, key, outbox_sk, events, sequence_number: String::new() })
    }
}

/// `arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL`
fn table_name(arn: &str) -> Option<String> {
    arn.split('/').nth(1).filter(|name| !name.is_empty()).map(str::to_owned)
}
