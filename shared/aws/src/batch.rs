//! SQS batches: each message succeeds or fails alone, within the deadline of the invocation
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>).
//!
//! SQS counts receives, not failures: when a function is killed, every message of its batch has one receive
//! more. So the worker does not leave the decision about a message to its receive count:
//!
//! ```text
//! poison message     moved to the dead-letter queue at once, with the reason
//! transient failure  received again after an exponential back-off with jitter
//! no time left       received again at once
//! ```
//!
//! The `maxReceiveCount` of the queue is the limit for messages that kill the function.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, MessageAttributeValue};
use erp_contracts::Event;
use erp_domain::Clock;
use erp_domain::time::SystemClock;
use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout_at};

use crate::deadline::earlier;
use crate::metric::{self, Metric};
use crate::sdk_error_message;

/// Message attribute of a dead letter: the reason why the worker moved it.
pub const REASON_ATTRIBUTE: &str = "dead-letter-reason";
/// Time before the deadline of an invocation at which the processing of messages ends. It is needed to make
/// the remaining messages visible and to respond.
pub const RESERVE: Duration = Duration::from_secs(3);
/// The part of [`RESERVE`] that is left for the response.
const RESPONSE_TIME: Duration = Duration::from_millis(500);
/// Longest back-off, in seconds.
const MAX_BACKOFF: u32 = 900;
/// Maximum number of entries of a batch request to SQS.
const MAX_ENTRIES: usize = 10;
/// Maximum number of characters of a reason.
const MAX_REASON: usize = 1000;
/// Age, since its first receive, at which a message is overdue, in milliseconds.
const OVERDUE: i64 = 15 * 60 * 1000;

/// Why a message was not processed.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// It can never be processed. It is moved to the dead-letter queue.
    #[error("poison message: {0}")]
    Poison(String),
    /// A later attempt may succeed.
    #[error("not processed: {0}")]
    Retry(String),
}

impl MessageError {
    /// Creates a retryable error with its chain of causes.
    pub fn retry(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Retry(crate::error_chain(error))
    }
}

/// The queue of a worker and its dead-letter queue.
#[derive(Debug, Clone)]
pub struct WorkQueue {
    client: Client,
    url: String,
    dead_letter_url: String,
}

/// The outcome of a message that was processed in time.
enum Outcome {
    Done,
    Poison,
    Failed,
}

impl WorkQueue {
    /// Creates the client of two queues, given by their URLs.
    pub fn new(client: Client, url: String, dead_letter_url: String) -> Self {
        Self { client, url, dead_letter_url }
    }

    /// Processes the messages of a batch one after the other and reports those that are still in the queue.
    ///
    /// Messages with the fewest receives come first, so that a message that kills the function does not stop
    /// the others. If one was received before, each is deleted as soon as it is processed, so that a killed
    /// function repeats only the message in progress.
    pub async fn process<F, R>(&self, batch: SqsEvent, deadline: Instant, mut handle: F) -> SqsBatchResponse
    where
        F: FnMut(Event) -> R,
        R: Future<Output = Result<(), MessageError>>,
    {
        let messages = sorted(batch.records);
        count_overdue(&messages, SystemClock.now().as_millis());
        let redelivered = messages.iter().any(|message| receives(message) > 1);
        let stop = earlier(deadline, RESERVE);
        let (mut poison, mut failed, mut unprocessed) = (0, Vec::new(), Vec::new());
        for (index, message) in messages.into_iter().enumerate() {
            if Instant::now() >= stop {
                unprocessed.push(message);
                continue;
            }
            match timeout_at(stop, self.process_message(&message, redelivered, &mut handle)).await {
                Ok(Outcome::Done) => {}
                Ok(Outcome::Poison) => poison += 1,
                Ok(Outcome::Failed) => failed.push(message),
                // It had the time of the whole invocation.
                Err(_) if index == 0 => {
                    tracing::error!(message_id = message.message_id, "message not processed in time");
                    failed.push(message);
                }
                Err(_) => unprocessed.push(message),
            }
        }
        let count = poison + failed.len() as u64;
        if count > 0 {
            metric::emit(&[(Metric::MessagesFailed, count)]);
        }
        if !unprocessed.is_empty() {
            tracing::warn!(messages = unprocessed.len(), "no time left in this invocation");
        }
        let delayed = failed.into_iter().map(|message| (backoff(receives(&message)), message));
        let returned = unprocessed.into_iter().map(|message| (0, message));
        let kept: Vec<(u32, SqsMessage)> = delayed.chain(returned).collect();
        let end = earlier(deadline, RESPONSE_TIME);
        if timeout_at(end, self.change_visibility(&kept)).await.is_err() {
            tracing::warn!("messages stay invisible for the visibility time-out of the queue: no response");
        }
        let mut response = SqsBatchResponse::default();
        for (_, message) in kept {
            response.add_failure(message.message_id.unwrap_or_default());
        }
        response
    }

    async fn process_message<F, R>(&self, message: &SqsMessage, redelivered: bool, handle: &mut F) -> Outcome
    where
        F: FnMut(Event) -> R,
        R: Future<Output = Result<(), MessageError>>,
    {
        let result = match Event::parse(message.body.as_deref().unwrap_or_default()) {
            Ok(event) => {
                let (event_id, kind, subject) = (event.id, event.kind, event.subject.clone());
                let request_id = event.correlation_id.clone().unwrap_or_default();
                // A panic is the failure of one message, too.
                let handled = AssertUnwindSafe(async { handle(event).await }).catch_unwind().await;
                let result = handled.unwrap_or_else(|_| Err(MessageError::Retry("panicked".to_owned())));
                match &result {
                    Ok(()) => tracing::info!(%event_id, %kind, subject, request_id, "event processed"),
                    Err(error) => {
                        tracing::warn!(%event_id, %kind, subject, request_id, %error, "event not processed");
                    }
                }
                result
            }
            Err(error) => {
                tracing::error!(message_id = message.message_id, %error, "message is not an event");
                Err(MessageError::Poison(error.to_string()))
            }
        };
        match result {
            Ok(()) => {
                if redelivered {
                    self.delete(message).await;
                }
                Outcome::Done
            }
            Err(MessageError::Poison(reason)) => match self.send_dead_letter(message, &reason).await {
                Ok(()) => {
                    self.delete(message).await;
                    Outcome::Poison
                }
                Err(error) => {
                    let message_id = message.message_id.as_deref();
                    tracing::warn!(message_id, error, "message not moved to the dead-letter queue");
                    Outcome::Failed
                }
            },
            Err(MessageError::Retry(_)) => Outcome::Failed,
        }
    }

    /// Deletes a processed message. After an error Lambda deletes it, as the response does not name it.
    async fn delete(&self, message: &SqsMessage) {
        let Some(receipt) = &message.receipt_handle else { return };
        let request = self.client.delete_message().queue_url(&self.url).receipt_handle(receipt);
        if let Err(error) = request.send().await {
            let error = sdk_error_message(&error);
            tracing::warn!(message_id = message.message_id, error, "processed message not deleted");
        }
    }

    /// Sends a copy of a message to the dead-letter queue: body, attributes, and the reason as an attribute.
    async fn send_dead_letter(&self, message: &SqsMessage, reason: &str) -> Result<(), String> {
        let mut request = self.client.send_message().queue_url(&self.dead_letter_url);
        for (name, attribute) in &message.message_attributes {
            let value = MessageAttributeValue::builder()
                .set_data_type(attribute.data_type.clone())
                .set_string_value(attribute.string_value.clone())
                .set_binary_value(attribute.binary_value.as_ref().map(|bytes| Blob::new(bytes.0.clone())))
                .build();
            request = request.message_attributes(name, value.map_err(|error| error.to_string())?);
        }
        let reason =
            MessageAttributeValue::builder().data_type("String").string_value(attribute_text(reason));
        let sent = request
            .message_attributes(REASON_ATTRIBUTE, reason.build().map_err(|error| error.to_string())?)
            .message_body(message.body.as_deref().unwrap_or_default())
            .send()
            .await;
        sent.map(drop).map_err(|error| sdk_error_message(&error))
    }

    /// Makes messages visible after a number of seconds. After an error they become visible when the
    /// visibility time-out of the queue ends.
    async fn change_visibility(&self, messages: &[(u32, SqsMessage)]) {
        for some in messages.chunks(MAX_ENTRIES) {
            let entries: Result<Vec<_>, BuildError> = some
                .iter()
                .enumerate()
                .filter_map(|(id, (seconds, message))| Some((id, seconds, message.receipt_handle.as_ref()?)))
                .map(|(id, seconds, receipt)| {
                    ChangeMessageVisibilityBatchRequestEntry::builder()
                        .id(id.to_string())
                        .receipt_handle(receipt)
                        .visibility_timeout(i32::try_from(*seconds).unwrap_or(i32::MAX))
                        .build()
                })
                .collect();
            let error = match entries {
                Ok(entries) if entries.is_empty() => continue,
                Ok(entries) => {
                    let request = self.client.change_message_visibility_batch().queue_url(&self.url);
                    match request.set_entries(Some(entries)).send().await {
                        Ok(response) => response.failed.into_iter().map(|entry| entry.code).next(),
                        Err(error) => Some(sdk_error_message(&error)),
                    }
                }
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = error {
                tracing::warn!(error, "messages stay invisible for the visibility time-out of the queue");
            }
        }
    }
}

/// The receive count of a message; 1 if the event does not contain it.
fn receives(message: &SqsMessage) -> u32 {
    attribute(message, "ApproximateReceiveCount").unwrap_or(1)
}

/// Reads a system attribute that is a number.
fn attribute<T: std::str::FromStr>(message: &SqsMessage, name: &str) -> Option<T> {
    message.attributes.get(name)?.parse().ok()
}

/// Sorts messages by their receive count. The order of messages with the same count above one is random:
/// those behind one that kills the function would otherwise never be processed.
fn sorted(mut messages: Vec<SqsMessage>) -> Vec<SqsMessage> {
    messages.sort_by_cached_key(|message| match receives(message) {
        first @ ..=1 => (first, 0),
        again => (again, fastrand::u64(..)),
    });
    messages
}

/// Counts messages that have been received, and not processed, for a long time.
fn count_overdue(messages: &[SqsMessage], now: i64) {
    let first = |message| attribute::<i64>(message, "ApproximateFirstReceiveTimestamp");
    let overdue = messages.iter().filter_map(first).filter(|first| now - first > OVERDUE).count() as u64;
    if overdue > 0 {
        metric::emit(&[(Metric::MessagesOverdue, overdue)]);
    }
}

/// Returns a random back-off in seconds: the upper bound is 1 s after the first receive, doubles with each
/// further one up to [`MAX_BACKOFF`]; the lower bound is half of it.
fn backoff(receives: u32) -> u32 {
    let upper = 2_u32.saturating_pow(receives.saturating_sub(1)).min(MAX_BACKOFF);
    fastrand::u32(upper.div_ceil(2)..=upper)
}

/// Returns a text as SQS accepts it in an attribute: not empty, limited in length, without control
/// characters.
fn attribute_text(text: &str) -> String {
    let allowed = |c: &char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    let text: String = text.chars().filter(allowed).take(MAX_REASON).collect();
    if text.is_empty() { "unknown".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: usize, receives: u32) -> SqsMessage {
        let mut message = SqsMessage::default();
        message.message_id = Some(id.to_string());
        message.attributes.insert("ApproximateReceiveCount".to_owned(), receives.to_string());
        message
    }

    fn ids(messages: &[SqsMessage]) -> Vec<usize> {
        messages.iter().map(|message| message.message_id.as_ref().unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn messages_with_the_fewest_receives_come_first() {
        let counts = [7, 1, 3, 1, 12, 2, 1];
        let messages = counts.iter().enumerate().map(|(id, count)| message(id, *count)).collect();
        assert_eq!(ids(&sorted(messages)), [1, 3, 6, 5, 2, 0, 4]);
        assert_eq!(ids(&sorted((0..10).map(|id| message(id, 1)).collect())), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn each_redelivered_message_comes_first_at_some_time() {
        let mut first = [false; 10];
        for _ in 0..1000 {
            let order = ids(&sorted((0..10).map(|id| message(id, 2)).collect()));
            first[order[0]] = true;
        }
        assert_eq!(first, [true; 10]);
    }

    #[test]
    fn the_backoff_doubles_from_one_second_to_fifteen_minutes() {
        for (receives, lower, upper) in
            [(0, 1, 1), (1, 1, 1), (2, 1, 2), (3, 2, 4), (10, 256, 512), (11, 450, 900), (100, 450, 900)]
        {
            let delays: Vec<u32> = (0..1000).map(|_| backoff(receives)).collect();
            assert!(delays.iter().all(|delay| (lower..=upper).contains(delay)), "{receives}: {delays:?}");
            assert!(
                lower == upper || delays.iter().any(|delay| *delay != delays[0]),
                "{receives}: no jitter"
            );
        }
    }

    #[test]
    fn a_reason_is_a_valid_attribute() {
        assert_eq!(attribute_text("expected value\n\u{0} at line 1\u{ffff}"), "expected value at line 1");
        assert_eq!(attribute_text(""), "unknown");
        assert_eq!(attribute_text(&"ä".repeat(5000)).chars().count(), MAX_REASON);
    }
}
