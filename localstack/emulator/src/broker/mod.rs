//! The SNS and SQS endpoint on SQLite. Accepted messages survive a kill of the process.
//!
//! ```text
//! http       one router for three protocols: SQS over JSON, SQS and SNS over the query protocol
//! sqs, sns   the operations: parse the input, authorize, one call to the store, response
//! wire       converts requests and responses between forms, JSON and XML
//! store      the database; each change is one transaction
//! message, queue, topic   values and their validation, without storage
//! filter     event patterns, also used by stream triggers
//! ```
//!
//! Standard queues and topics only: no FIFO, no encryption, and SNS delivers to SQS alone. Unsupported
//! features are rejected by name. A receive waits for the queue's notification and for the time at which the
//! next hidden message becomes visible, so it neither polls nor waits too long.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::iam::Iam;

mod error;
pub mod filter;
mod http;
mod message;
mod queue;
mod sns;
mod sqs;
mod store;
mod topic;
mod wire;

#[cfg(test)]
mod tests;

pub use error::{BrokerError, ErrorCode};
pub use message::{MAX_MESSAGE_BYTES, MessageAttribute, MessageAttributes, ReceivedMessage};
pub use queue::arn as queue_arn;
pub use topic::arn as topic_arn;

use message::Receipt;
use store::topics::Topic;
use store::{Clock, Store, messages, queues, topics};

/// Longest visibility timeout: 12 hours.
const MAX_VISIBILITY: Duration = Duration::from_secs(43_200);
/// Longest wait of one receive within the process: one day. Over HTTP it is 20 seconds.
const MAX_WAIT: Duration = Duration::from_secs(86_400);
/// Above this number, notifications without a waiting receiver are dropped.
const MAX_SIGNALS: usize = 1_024;

/// The number of messages in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDepth {
    /// The queue's name.
    pub name: String,
    /// Messages that can be received now.
    pub visible: u64,
    /// Messages that were received and not deleted, within their visibility timeout.
    pub in_flight: u64,
    /// Messages whose delay has not passed.
    pub delayed: u64,
}

/// SNS and SQS of one account in one region.
pub struct Broker {
    store: Arc<Mutex<Store>>,
    /// By queue name; notified when the queue may have a visible message.
    signals: Mutex<HashMap<String, Arc<Notify>>>,
    base_url: RwLock<String>,
    iam: RwLock<Option<Arc<Iam>>>,
}

impl Broker {
    /// Opens the database at this path and creates it where it is missing; without a path it is in memory. `base_url`,
    /// such as `http://127.0.0.1:4566`, is the prefix of queue URLs and can be set later.
    ///
    /// # Errors
    /// The file cannot be opened, or is not a database of this program; then it is left unchanged.
    pub fn open(path: Option<&Path>, base_url: String) -> Result<Arc<Self>, BrokerError> {
        Self::open_with_clock(path, base_url, Arc::new(system_time))
    }

    /// [`Broker::open`] with another clock.
    pub(crate) fn open_with_clock(
        path: Option<&Path>,
        base_url: String,
        clock: Clock,
    ) -> Result<Arc<Self>, BrokerError> {
        let store = Store::open(path, clock)?;
        Ok(Arc::new(Self {
            store: Arc::new(Mutex::new(store)),
            signals: Mutex::default(),
            base_url: RwLock::new(base_url),
            iam: RwLock::default(),
        }))
    }

    /// Sets the prefix of queue URLs, once the port is known.
    pub fn set_base_url(&self, url: String) {
        *self.base_url.write().unwrap_or_else(PoisonError::into_inner) = url;
    }

    /// The prefix of queue URLs, without a slash at the end.
    fn base_url(&self) -> String {
        let url = self.base_url.read().unwrap_or_else(PoisonError::into_inner);
        url.trim_end_matches('/').to_owned()
    }

    /// Authorizes every later request over HTTP; calls within the process are not checked.
    pub fn set_iam(&self, iam: Arc<Iam>) {
        *self.iam.write().unwrap_or_else(PoisonError::into_inner) = Some(iam);
    }

    fn iam(&self) -> Option<Arc<Iam>> {
        self.iam.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves `POST /` and `POST /{account}/{queue}` for both services.
    pub fn router(self: &Arc<Self>) -> axum::Router {
        http::router(Arc::clone(self))
    }

    /// Creates a queue, or sets the attributes of an existing one to exactly these and the defaults.
    /// A dead-letter queue must exist before the queue that names it.
    ///
    /// # Errors
    /// A name or an attribute is invalid in SQS.
    pub fn ensure_queue(&self, name: &str, attributes: &BTreeMap<String, String>) -> Result<(), BrokerError> {
        self.store().write(|tx, now| match queues::find(tx, name)? {
            Some(queue) => queues::set_attributes(tx, now, &queue, attributes),
            None => queues::insert(tx, now, name, attributes, &BTreeMap::new()),
        })?;
        // The attributes may change when a waiting receive gets a message.
        self.signal(name).notify_waiters();
        Ok(())
    }

    /// Creates a topic unless it exists, and returns its ARN.
    ///
    /// # Errors
    /// The name is invalid in SNS.
    pub fn ensure_topic(&self, name: &str) -> Result<String, BrokerError> {
        topic::check_name(name)?;
        let arn = topic::arn(name);
        self.store().write(|tx, _| match topics::find(tx, &arn)? {
            Some(_) => Ok(()),
            None => topics::put(
                tx,
                &Topic { arn: arn.clone(), attributes: BTreeMap::new(), tags: BTreeMap::new() },
            ),
        })?;
        Ok(arn)
    }

    /// Subscribes a queue to a topic, or sets the attributes of the subscription to exactly these.
    ///
    /// # Errors
    /// The topic does not exist, the queue's ARN is malformed, or an attribute is invalid in SNS.
    pub fn ensure_subscription(
        &self,
        topic_arn: &str,
        queue_arn: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), BrokerError> {
        self.store().write(|tx, _| topics::subscribe(tx, topic_arn, queue_arn, attributes))?;
        Ok(())
    }

    /// Deletes every subscription that is not among these pairs of topic ARN and queue ARN.
    ///
    /// # Errors
    /// The database fails.
    pub fn retain_subscriptions(&self, keep: &[(String, String)]) -> Result<(), BrokerError> {
        self.store().write(|tx, _| {
            for subscription in topics::subscriptions(tx, None)? {
                let retained = keep
                    .iter()
                    .any(|(topic, queue)| *topic == subscription.topic && *queue == subscription.endpoint);
                if !retained {
                    topics::unsubscribe(tx, &subscription.arn)?;
                }
            }
            Ok(())
        })
    }

    /// Receives up to `max` messages (0 counts as 1) and hides them for the queue's visibility timeout.
    /// Without a visible message it waits up to `wait` (at most one day). Dropping the future makes received
    /// messages visible again.
    ///
    /// # Errors
    /// The queue does not exist, or the database fails.
    pub async fn receive(
        &self,
        queue: &str,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<ReceivedMessage>, BrokerError> {
        self.receive_with_visibility(queue, max, wait, None).await
    }

    /// [`Broker::receive`] with a visibility timeout in milliseconds for these messages.
    async fn receive_with_visibility(
        &self,
        queue: &str,
        max: usize,
        wait: Duration,
        visibility_ms: Option<i64>,
    ) -> Result<Vec<ReceivedMessage>, BrokerError> {
        let deadline = Instant::now() + wait.min(MAX_WAIT);
        let signal = self.signal(queue);
        loop {
            // Registered before the read, so that a message sent between the read and the wait is not missed.
            let mut notified = std::pin::pin!(signal.notified());
            notified.as_mut().enable();
            let (name, store, signal) = (queue.to_owned(), Arc::clone(&self.store), Arc::clone(&signal));
            let (guard, found, now) = self
                .run(move |open| {
                    let (mut found, now) = open.write(|tx, now| {
                        let queue = queues::get(tx, &name)?;
                        Ok((messages::receive(tx, now, &queue, max.max(1), visibility_ms)?, now))
                    })?;
                    let guard = ReceiveGuard { messages: std::mem::take(&mut found.messages), store, signal };
                    Ok((guard, found, now))
                })
                .await?;
            if let Some(dead_letter_queue) = found.moved_to {
                self.signal(&dead_letter_queue).notify_waiters();
            }
            let messages = guard.disarm();
            if !messages.is_empty() || Instant::now() >= deadline {
                return Ok(messages);
            }
            let until_visible = found.next_visible_at.map(|at| {
                // A time in the past means a message that became visible since the read.
                let pause = u64::try_from(at.saturating_sub(now)).unwrap_or(0).max(1);
                Duration::from_millis(pause).min(MAX_WAIT)
            });
            let wake = until_visible.map_or(deadline, |pause| deadline.min(Instant::now() + pause));
            tokio::select! {
                () = notified => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Deletes messages by their receipt handles. A message that no longer exists is no error.
    ///
    /// # Errors
    /// The queue does not exist, or a handle is malformed; then nothing is deleted.
    pub fn delete(&self, queue: &str, receipt_handles: &[String]) -> Result<(), BrokerError> {
        let receipts = receipt_handles.iter().map(|h| Receipt::decode(h)).collect::<Result<Vec<_>, _>>()?;
        self.store().write(|tx, _| {
            let queue = queues::get(tx, queue)?;
            receipts.iter().try_for_each(|receipt| messages::delete(tx, &queue, receipt))
        })
    }

    /// Makes a received message visible after `after`, at most twelve hours. A message that was deleted,
    /// received again, or whose visibility was changed since this receive stays as it is.
    ///
    /// # Errors
    /// The queue does not exist, or the receipt handle is malformed.
    pub fn release(
        &self,
        queue: &str,
        message: &ReceivedMessage,
        after: Duration,
    ) -> Result<(), BrokerError> {
        let receipt = Receipt::decode(&message.receipt_handle)?;
        // Twelve hours in milliseconds fit.
        let after_ms = i64::try_from(after.min(MAX_VISIBILITY).as_millis()).unwrap_or(i64::MAX);
        self.store().write(|tx, now| {
            let queue = queues::get(tx, queue)?;
            messages::release(tx, &queue, &receipt, message.visible_at, now.saturating_add(after_ms))
        })?;
        self.signal(queue).notify_waiters();
        Ok(())
    }

    /// Makes all messages in flight visible and returns their number. Called at the start, when no receiver
    /// of the previous process is left.
    ///
    /// # Errors
    /// The database fails.
    pub fn release_in_flight(&self) -> Result<usize, BrokerError> {
        let released = self.store().write(|tx, now| messages::release_in_flight(tx, now))?;
        for signal in self.signals.lock().unwrap_or_else(PoisonError::into_inner).values() {
            signal.notify_waiters();
        }
        Ok(released)
    }

    /// The number of messages in every queue, by name, without expired messages.
    ///
    /// # Errors
    /// The database fails.
    pub fn depths(&self) -> Result<Vec<QueueDepth>, BrokerError> {
        self.store().write(|tx, now| {
            queues::list(tx, "")?
                .into_iter()
                .map(|queue| {
                    messages::expire(tx, now, &queue)?;
                    let counts = queues::count(tx, now, &queue)?;
                    let (visible, in_flight, delayed) = (counts.visible, counts.in_flight, counts.delayed);
                    Ok(QueueDepth { name: queue.name, visible, in_flight, delayed })
                })
                .collect()
        })
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // A panic within a transaction rolls it back, so the store behind a poisoned lock is consistent.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on a thread that may block: a commit may wait for the disk writes of a checkpoint.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, BrokerError> + Send + 'static,
    ) -> Result<T, BrokerError> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || work(&mut store.lock().unwrap_or_else(PoisonError::into_inner)))
            .await?
    }

    fn signal(&self, queue: &str) -> Arc<Notify> {
        let mut signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
        // Clients can name any number of queues that do not exist.
        if signals.len() >= MAX_SIGNALS {
            signals.retain(|_, signal| Arc::strong_count(signal) > 1);
        }
        Arc::clone(signals.entry(queue.to_owned()).or_default())
    }
}

/// Undoes a receive when it is dropped before the caller has the messages (a closed connection, a dropped
/// future). Otherwise they would stay hidden until their visibility timeout.
struct ReceiveGuard {
    messages: Vec<ReceivedMessage>,
    store: Arc<Mutex<Store>>,
    signal: Arc<Notify>,
}

impl ReceiveGuard {
    fn disarm(mut self) -> Vec<ReceivedMessage> {
        std::mem::take(&mut self.messages)
    }
}

impl Drop for ReceiveGuard {
    fn drop(&mut self) {
        if self.messages.is_empty() {
            return;
        }
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let undone = store.write(|tx, now| {
            self.messages.iter().try_for_each(|message| {
                messages::undo_receive(tx, now, &Receipt::decode(&message.receipt_handle)?)
            })
        });
        match undone {
            Ok(()) => self.signal.notify_waiters(),
            // They become visible when their visibility timeout expires.
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot undo the receive of a cancelled request"
            ),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the only place that reads the system clock")]
fn system_time() -> i64 {
    Timestamp::now().as_millisecond()
}
