//! A queue's messages in batches to a function.
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>
//!
//! One thing differs from AWS: a message that failed is hidden for a moment that grows with its receives, where AWS
//! waits for the queue's visibility time-out; on one machine nobody wants to wait three minutes for the next attempt.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::activity::InFlight;
use super::backoff::Backoff;
use super::failures::{self, Ended};
use super::queue_event;
use crate::broker::{Broker, BrokerError, ReceivedMessage};
use crate::lambda::{Invoke, InvokeError};

/// How long one look at the queue waits for a message; also the longest a stop waits for it, because a look that is
/// broken off might take messages with it.
const LOOK: Duration = Duration::from_millis(500);
/// Until the next look after one that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// A queue that drives a function.
pub(super) struct QueueReader {
    pub(super) function: String,
    pub(super) queue_arn: String,
    pub(super) batch_size: usize,
    pub(super) batching_window: Duration,
    /// Most batches at once.
    pub(super) concurrency: usize,
    pub(super) report_item_failures: bool,
    pub(super) redelivery: Backoff,
    pub(super) broker: Arc<Broker>,
    pub(super) functions: Arc<dyn Invoke>,
    pub(super) in_flight: InFlight,
}

impl QueueReader {
    /// The name in the ARN.
    fn queue(&self) -> &str {
        self.queue_arn.rsplit(':').next().unwrap_or(&self.queue_arn)
    }

    /// Reads until it is told to stop; batches in flight are in `tasks` then.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken, tasks: TaskTracker) {
        let slots = Arc::new(Semaphore::new(self.concurrency.max(1)));
        while let Some(Ok(slot)) = stop.run_until_cancelled(Arc::clone(&slots).acquire_owned()).await {
            let messages = match self.gather().await {
                Ok(messages) => messages,
                Err(error) => {
                    tracing::error!(queue = self.queue(), %error, "the queue cannot be read");
                    stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
                    continue;
                }
            };
            if messages.is_empty() {
                continue;
            }
            let busy = self.in_flight.begin();
            let reader = Arc::clone(&self);
            if stop.is_cancelled() {
                reader.put_back(messages, |_| Duration::ZERO).await;
                return;
            }
            tasks.spawn(async move {
                reader.deliver(messages).await;
                drop((busy, slot));
            });
        }
    }

    /// The next batch, or nothing when nothing comes for a while.
    async fn gather(&self) -> Result<Vec<ReceivedMessage>, BrokerError> {
        let mut batch = self.broker.receive(self.queue(), self.batch_size, LOOK).await?;
        let began = Instant::now();
        while !batch.is_empty() && batch.len() < self.batch_size {
            let left = self.batching_window.saturating_sub(began.elapsed());
            if left.is_zero() {
                break;
            }
            match self.broker.receive(self.queue(), self.batch_size - batch.len(), left.min(LOOK)).await {
                Ok(more) => batch.extend(more),
                // What was gathered is in our hands already.
                Err(error) => {
                    tracing::warn!(queue = self.queue(), %error, "the batch stays short");
                    break;
                }
            }
        }
        Ok(batch)
    }

    /// Gives messages to the function, in more than one part where they are too large for one event.
    async fn deliver(&self, messages: Vec<ReceivedMessage>) {
        let mut parts = vec![messages];
        while let Some(mut messages) = parts.pop() {
            match self.invoke(&messages).await {
                Ended::Done => self.delete(messages).await,
                Ended::Without(failed) => self.settle(messages, &failed).await,
                Ended::TooLarge if messages.len() > 1 => {
                    let second = messages.split_off(messages.len() / 2);
                    parts.extend([second, messages]);
                }
                Ended::TooLarge => self.fail(messages, "the message is too large for an event").await,
                Ended::Failed(reason) => self.fail(messages, &reason).await,
                Ended::NotRun(InvokeError::Stopping) => self.put_back(messages, |_| Duration::ZERO).await,
                Ended::NotRun(error) => self.fail(messages, &error.to_string()).await,
            }
        }
    }

    async fn invoke(&self, messages: &[ReceivedMessage]) -> Ended {
        let event = queue_event::event(&self.queue_arn, messages).to_string();
        let invoked = self.functions.invoke(&self.function, Bytes::from(event)).await;
        failures::read(invoked, self.report_item_failures, messages.iter().map(|message| &message.message_id))
    }

    async fn settle(&self, messages: Vec<ReceivedMessage>, failed: &BTreeSet<String>) {
        let (failed, done): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|message| failed.contains(&message.message_id));
        self.delete(done).await;
        self.fail(failed, "the function says so").await;
    }

    async fn fail(&self, messages: Vec<ReceivedMessage>, reason: &str) {
        let (queue, function, count) = (self.queue(), &self.function, messages.len());
        tracing::warn!(queue, function, messages = count, reason, "messages failed");
        self.put_back(messages, |message| self.redelivery.after(receives(message))).await;
    }

    async fn delete(&self, messages: Vec<ReceivedMessage>) {
        let handles: Vec<String> = messages.into_iter().map(|message| message.receipt_handle).collect();
        self.with_broker(move |broker, queue| broker.delete(queue, &handles)).await;
    }

    async fn put_back(&self, messages: Vec<ReceivedMessage>, after: impl Fn(&ReceivedMessage) -> Duration) {
        for message in messages {
            let (after, handle) = (after(&message), message.receipt_handle);
            self.with_broker(move |broker, queue| broker.change_visibility(queue, &handle, after)).await;
        }
    }

    /// Does something to the queue on a thread that may wait for the disk. What goes wrong is only logged: the
    /// messages come back when their visibility time-out is over.
    async fn with_broker(&self, act: impl FnOnce(&Broker, &str) -> Result<(), BrokerError> + Send + 'static) {
        let (broker, queue) = (Arc::clone(&self.broker), self.queue().to_owned());
        let acted = tokio::task::spawn_blocking(move || act(&broker, &queue)).await;
        match acted {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(queue = self.queue(), %error, "messages cannot be settled"),
            Err(error) => tracing::error!(queue = self.queue(), %error, "messages cannot be settled"),
        }
    }
}

fn receives(message: &ReceivedMessage) -> u32 {
    message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
}
