//! Delivers messages of a queue in batches to a function.
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>
//!
//! As on AWS, a message that the function names in a partial batch response stays hidden until the visibility
//! timeout of the queue, or until the time that the function set with `ChangeMessageVisibility`.
//!
//! Unlike on AWS, after a failed invocation the messages are hidden for a short delay that grows with their
//! number of receives, and not for the queue's visibility timeout of some minutes, so that the messages of a
//! killed process are received again soon. A change by the function is kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::activity::InFlight;
use super::backoff::Backoff;
use super::batch_response::{self, BatchOutcome};
use super::queue_event;
use crate::broker::{Broker, BrokerError, ReceivedMessage};
use crate::lambda::{Invoke, InvokeError};

/// Longest wait of one receive, and thus of a stop: a receive is never cancelled.
const RECEIVE_WAIT: Duration = Duration::from_millis(500);
/// Delay after a failed receive.
const ERROR_DELAY: Duration = Duration::from_secs(1);

/// The mapping of a queue to a function.
pub(super) struct QueueReader {
    pub(super) function: String,
    pub(super) queue_arn: String,
    pub(super) batch_size: usize,
    pub(super) batching_window: Duration,
    /// Maximum number of concurrent batches.
    pub(super) concurrency: usize,
    pub(super) report_item_failures: bool,
    pub(super) redelivery: Backoff,
    pub(super) broker: Arc<Broker>,
    pub(super) functions: Arc<dyn Invoke>,
    pub(super) in_flight: InFlight,
}

impl QueueReader {
    /// The queue's name.
    fn queue(&self) -> &str {
        self.queue_arn.rsplit(':').next().unwrap_or(&self.queue_arn)
    }

    /// Receives and delivers batches until `stop`; batches in flight continue in `tasks`.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken, tasks: TaskTracker) {
        let slots = Arc::new(Semaphore::new(self.concurrency.max(1)));
        while let Some(Ok(slot)) = stop.run_until_cancelled(Arc::clone(&slots).acquire_owned()).await {
            let messages = match self.receive_batch().await {
                Ok(messages) => messages,
                Err(error) => {
                    tracing::error!(queue = self.queue(), %error, "cannot receive from the queue");
                    stop.run_until_cancelled(tokio::time::sleep(ERROR_DELAY)).await;
                    continue;
                }
            };
            if messages.is_empty() {
                continue;
            }
            let in_flight = self.in_flight.begin();
            let reader = Arc::clone(&self);
            if stop.is_cancelled() {
                reader.release(messages, |_| Duration::ZERO).await;
                return;
            }
            tasks.spawn(async move {
                reader.deliver(messages).await;
                drop((in_flight, slot));
            });
        }
    }

    /// The next batch; empty after [`RECEIVE_WAIT`] without a message.
    async fn receive_batch(&self) -> Result<Vec<ReceivedMessage>, BrokerError> {
        let mut batch = self.broker.receive(self.queue(), self.batch_size, RECEIVE_WAIT).await?;
        let began = Instant::now();
        while !batch.is_empty() && batch.len() < self.batch_size {
            let left = self.batching_window.saturating_sub(began.elapsed());
            if left.is_zero() {
                break;
            }
            match self
                .broker
                .receive(self.queue(), self.batch_size - batch.len(), left.min(RECEIVE_WAIT))
                .await
            {
                Ok(more) => batch.extend(more),
                // The messages received so far are delivered.
                Err(error) => {
                    tracing::warn!(queue = self.queue(), %error, "cannot complete the batch");
                    break;
                }
            }
        }
        Ok(batch)
    }

    /// Invokes the function with the messages, in several events if they are too large for one.
    async fn deliver(&self, messages: Vec<ReceivedMessage>) {
        let mut parts = vec![messages];
        while let Some(mut messages) = parts.pop() {
            match self.invoke(&messages).await {
                BatchOutcome::Succeeded => self.delete(messages).await,
                BatchOutcome::PartiallyFailed(failed) => self.apply_partial_failure(messages, &failed).await,
                BatchOutcome::TooLarge if messages.len() > 1 => {
                    let second = messages.split_off(messages.len() / 2);
                    parts.extend([second, messages]);
                }
                BatchOutcome::TooLarge => self.fail(messages, "the message is too large for an event").await,
                BatchOutcome::Failed(reason) => self.fail(messages, &reason).await,
                BatchOutcome::NotInvoked(InvokeError::Stopping) => {
                    self.release(messages, |_| Duration::ZERO).await
                }
                BatchOutcome::NotInvoked(error) => self.fail(messages, &error.to_string()).await,
            }
        }
    }

    async fn invoke(&self, messages: &[ReceivedMessage]) -> BatchOutcome {
        let event = queue_event::event(&self.queue_arn, messages).to_string();
        let invoked = self.functions.invoke(&self.function, Bytes::from(event)).await;
        batch_response::outcome(
            invoked,
            self.report_item_failures,
            messages.iter().map(|message| &message.message_id),
        )
    }

    async fn apply_partial_failure(&self, messages: Vec<ReceivedMessage>, failed: &BTreeSet<String>) {
        let (queue, function, count) = (self.queue(), &self.function, failed.len());
        tracing::warn!(queue, function, messages = count, "the batch response names failed messages");
        let processed = messages.into_iter().filter(|message| !failed.contains(&message.message_id));
        self.delete(processed.collect()).await;
    }

    async fn fail(&self, messages: Vec<ReceivedMessage>, reason: &str) {
        let (queue, function, count) = (self.queue(), &self.function, messages.len());
        tracing::warn!(queue, function, messages = count, reason, "failed messages will be received again");
        self.release(messages, |message| self.redelivery.after(receives(message))).await;
    }

    async fn delete(&self, messages: Vec<ReceivedMessage>) {
        let handles: Vec<String> = messages.into_iter().map(|message| message.receipt_handle).collect();
        self.with_broker(move |broker, queue| broker.delete(queue, &handles)).await;
    }

    /// Makes messages visible after a delay, unless the function has changed their visibility.
    async fn release(&self, messages: Vec<ReceivedMessage>, after: impl Fn(&ReceivedMessage) -> Duration) {
        for message in messages {
            let after = after(&message);
            self.with_broker(move |broker, queue| broker.release(queue, &message, after)).await;
        }
    }

    /// Changes the queue on a thread that may block. Errors are only logged, because the messages become
    /// visible when their visibility timeout expires.
    async fn with_broker(&self, act: impl FnOnce(&Broker, &str) -> Result<(), BrokerError> + Send + 'static) {
        let (broker, queue) = (Arc::clone(&self.broker), self.queue().to_owned());
        let result = tokio::task::spawn_blocking(move || act(&broker, &queue)).await;
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(queue = self.queue(), %error, "cannot delete or release messages")
            }
            Err(error) => tracing::error!(queue = self.queue(), %error, "cannot delete or release messages"),
        }
    }
}

/// The number of receives. The broker always sets the attribute; 1 stands for the shortest delay.
fn receives(message: &ReceivedMessage) -> u32 {
    message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
}
