//! The Lambda event of a batch of stream records, and event filtering.
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>

use serde_json::{Value, json};

use crate::arn;
use crate::broker::filter;
use crate::deployment::REGION;

/// A stream record in the format of the Lambda event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    /// The order of the records of a table.
    pub(super) sequence_number: String,
    json: Value,
}

impl Record {
    /// Converts a record of the database and sets its region and event source.
    pub(super) fn new(
        table: &str,
        record: &dynoxide::actions::get_records::Record,
    ) -> serde_json::Result<Self> {
        let mut json = serde_json::to_value(record)?;
        json["awsRegion"] = json!(REGION);
        json["eventSourceARN"] = json!(arn::stream(table));
        Ok(Self { sequence_number: record.dynamodb.sequence_number.clone(), json })
    }

    /// Returns `true` if one of the filters matches; without filters every record matches.
    pub(super) fn matches(&self, filters: &[Value]) -> bool {
        filters.is_empty() || filters.iter().any(|filter| filter::matches(filter, &self.json))
    }

    #[cfg(test)]
    pub(super) fn numbered(sequence_number: &str) -> Self {
        Self { sequence_number: sequence_number.to_owned(), json: Value::Null }
    }
}

/// The event of a batch.
pub(super) fn event(records: &[Record]) -> Value {
    json!({ "Records": records.iter().map(|record| &record.json).collect::<Vec<_>>() })
}
