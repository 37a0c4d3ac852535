//! SNS: batches, with every entry of every answer looked at.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_sns::Client;
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use erp_aws::cause;
use erp_contracts::Event;

/// The most entries of one `PublishBatch`.
const BATCH: usize = 10;
/// The most bytes of one `PublishBatch`, less room for attributes
/// (<https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>).
const BATCH_BYTES: usize = 240 * 1024;

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is out.
    Published,
    /// Another time it may be.
    Failed(String),
    /// It never will be.
    Refused(String),
}

/// The way out.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Publishes events to the topic of a service; one outcome for each, in their order.
    async fn publish(&self, service: &str, events: &[&Event]) -> Vec<Outcome>;
}

/// SNS topics, by the service whose events they carry.
pub struct SnsPublisher {
    /// The client.
    pub client: Client,
    /// ARNs by service.
    pub topics: HashMap<&'static str, String>,
}

#[async_trait]
impl Publisher for SnsPublisher {
    async fn publish(&self, service: &str, events: &[&Event]) -> Vec<Outcome> {
        let Some(topic) = self.topics.get(service) else {
            return vec![Outcome::Refused(format!("{service} has no topic")); events.len()];
        };
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(events.len());
        let mut batch: Vec<String> = Vec::new();
        let mut bytes = 0;
        for event in events {
            let json = match event.to_json() {
                Ok(json) => json,
                // Cannot be, since it was read from JSON; an empty message would be refused by SNS.
                Err(error) => {
                    tracing::error!(%error, "an event cannot be written");
                    String::new()
                }
            };
            if batch.len() == BATCH || bytes + json.len() > BATCH_BYTES {
                let sent = &events[outcomes.len()..outcomes.len() + batch.len()];
                let more = self.send(topic, sent, std::mem::take(&mut batch)).await;
                outcomes.extend(more);
                bytes = 0;
            }
            bytes += json.len();
            batch.push(json);
        }
        if !batch.is_empty() {
            let more = self.send(topic, &events[outcomes.len()..], batch).await;
            outcomes.extend(more);
        }
        outcomes
    }
}

impl SnsPublisher {
    async fn send(&self, topic: &str, events: &[&Event], messages: Vec<String>) -> Vec<Outcome> {
        let mut request = self.client.publish_batch().topic_arn(topic);
        for (index, (event, message)) in events.iter().zip(messages).enumerate() {
            let kind = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(event.kind.as_str())
                .build();
            let entry = kind.and_then(|kind| {
                PublishBatchRequestEntry::builder()
                    .id(index.to_string())
                    .message(message)
                    .message_attributes("type", kind)
                    .build()
            });
            match entry {
                Ok(entry) => request = request.publish_batch_request_entries(entry),
                Err(error) => return vec![Outcome::Failed(error.to_string()); events.len()],
            }
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return vec![Outcome::Failed(cause(&error)); events.len()],
        };
        // An entry that the answer does not mention was not published, for all that we know.
        let mut outcomes = vec![Outcome::Failed("SNS did not say".to_owned()); events.len()];
        let at = |id: Option<&str>| {
            id.and_then(|id| id.parse::<usize>().ok()).filter(|index| *index < events.len())
        };
        for entry in answer.successful() {
            if let Some(index) = at(entry.id()) {
                outcomes[index] = Outcome::Published;
            }
        }
        for entry in answer.failed() {
            if let Some(index) = at(Some(entry.id())) {
                let reason = format!("{}: {}", entry.code(), entry.message().unwrap_or_default());
                outcomes[index] =
                    if entry.sender_fault() { Outcome::Refused(reason) } else { Outcome::Failed(reason) };
            }
        }
        outcomes
    }
}
