//! SNS topics: events in batches, with one outcome per event.

use std::collections::HashMap;

use aws_sdk_sns::Client;
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use erp_aws::sdk_error_message;
use tokio::time::{Instant, timeout_at};

use crate::row::Message;

/// Maximum entries of one `PublishBatch`.
const BATCH: usize = 10;
/// Maximum bytes of the messages of one `PublishBatch`: 256 KiB less room for attributes
/// (<https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>).
const BATCH_BYTES: usize = 240 * 1024;

/// The outcome is unknown, because there was no response before the deadline.
const NO_RESPONSE: &str = "no response in time";

/// The outcome of publishing one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// SNS accepted it.
    Published,
    /// It was not accepted, or the outcome is unknown: retry.
    Failed(String),
    /// SNS will not accept it in a retry either.
    Rejected(String),
}

/// The SNS topics of the contexts.
#[derive(Debug, Clone)]
pub struct Topics {
    /// The SDK client.
    pub client: Client,
    /// The topic ARNs by context.
    pub arns: HashMap<&'static str, String>,
}

impl Topics {
    /// Publishes events to the topic of a context until the time `stop`; returns the outcomes in the order of the
    /// events, without those for which there was no time.
    pub async fn publish(&self, context: &str, messages: &[&Message], stop: Instant) -> Vec<Outcome> {
        let Some(topic) = self.arns.get(context) else {
            return vec![Outcome::Rejected(format!("{context} has no topic")); messages.len()];
        };
        let mut outcomes = Vec::with_capacity(messages.len());
        while outcomes.len() < messages.len() && Instant::now() < stop {
            let batch = next_batch(&messages[outcomes.len()..]);
            let published = timeout_at(stop, self.publish_batch(topic, batch)).await;
            outcomes.extend(
                published.unwrap_or_else(|_| vec![Outcome::Failed(NO_RESPONSE.to_owned()); batch.len()]),
            );
        }
        outcomes
    }

    async fn publish_batch(&self, topic: &str, messages: &[&Message]) -> Vec<Outcome> {
        let entries = messages.iter().enumerate().map(|(index, message)| {
            let kind = MessageAttributeValue::builder().data_type("String");
            PublishBatchRequestEntry::builder()
                .id(index.to_string())
                .message(&message.json)
                .message_attributes("type", kind.string_value(message.event.kind.as_str()).build()?)
                .build()
        });
        let failed = |reason: String| vec![Outcome::Failed(reason); messages.len()];
        let entries = match entries.collect::<Result<_, _>>() {
            Ok(entries) => entries,
            Err(error) => return failed(error.to_string()),
        };
        let request = self.client.publish_batch().topic_arn(topic);
        let response = match request.set_publish_batch_request_entries(Some(entries)).send().await {
            Ok(response) => response,
            Err(error) => return failed(sdk_error_message(&error)),
        };
        let mut outcomes = failed("the response of SNS does not mention it".to_owned());
        let successes = response.successful().iter().map(|entry| (entry.id(), Outcome::Published));
        let failures = response.failed().iter().map(|entry| {
            let reason = format!("{}: {}", entry.code(), entry.message().unwrap_or("-"));
            let rejected = entry.sender_fault();
            (Some(entry.id()), if rejected { Outcome::Rejected(reason) } else { Outcome::Failed(reason) })
        });
        for (id, outcome) in successes.chain(failures) {
            let index = id.and_then(|id| id.parse::<usize>().ok());
            if let Some(slot) = index.and_then(|index| outcomes.get_mut(index)) {
                *slot = outcome;
            }
        }
        outcomes
    }
}

/// Returns the longest prefix that fits into one `PublishBatch`, at least one message.
fn next_batch<'a, 'm>(messages: &'a [&'m Message]) -> &'a [&'m Message] {
    let mut bytes = 0;
    let fits = |message: &&&Message| {
        bytes += message.json.len();
        bytes <= BATCH_BYTES
    };
    let count = messages.iter().take(BATCH).take_while(fits).count();
    &messages[..count.max(1)]
}
