//! The SNS and SQS endpoint on SQLite: what was accepted is still there after the process was killed.
//!
//! ```text
//! http       one router for three protocols: SQS over JSON, SQS and SNS over the query protocol
//! sqs, sns   the operations: read the request, ask the authorizer, one call to the store, answer
//! wire       request parameters and answers, between forms, JSON and XML
//! store      the database; each change is one transaction
//! message, queue, topic   values and their rules, without storage
//! filter     event patterns, which the stream triggers use as well
//! ```
//!
//! Standard queues and topics only: no FIFO, no encryption, and SNS delivers to SQS alone. What is not here is refused
//! by name. The rule that is not obvious: whoever waits for a message waits on the queue's signal *and* on the time when
//! the next hidden message becomes visible, so no receive polls and none sleeps too long.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use axum::http::HeaderMap;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

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

/// Longest time that a message can be hidden: 12 hours.
const MAX_VISIBILITY: Duration = Duration::from_secs(43_200);
/// Longest wait of one receive within the process; over HTTP it is 20 seconds.
const MAX_WAIT: Duration = Duration::from_secs(86_400);
/// So many signals are kept before those that nobody waits for are dropped.
const MANY_SIGNALS: usize = 1_024;

/// Decides whether a request may do what it asks for.
pub trait Authorize: Send + Sync {
    /// Looks at a request's headers, its action (such as `sqs:ReceiveMessage`) and the ARN it acts on (`*` for the
    /// actions that act on no one resource, such as `sqs:ListQueues`).
    ///
    /// # Errors
    /// Why it may not, in words for the caller; the broker answers `AccessDenied` with them.
    fn check(&self, headers: &HeaderMap, action: &str, resource_arn: &str) -> Result<(), String>;
}

/// How many messages a queue holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDepth {
    /// The queue.
    pub name: String,
    /// Messages that can be received now.
    pub visible: u64,
    /// Messages that were received and not deleted, within their visibility time-out.
    pub in_flight: u64,
    /// Messages that were sent with a delay that has not passed.
    pub delayed: u64,
}

/// SNS and SQS of one account in one region.
pub struct Broker {
    store: Arc<Mutex<Store>>,
    /// Rung when a queue may have something to receive.
    signals: Mutex<HashMap<String, Arc<Notify>>>,
    base_url: RwLock<String>,
    authorizer: RwLock<Option<Arc<dyn Authorize>>>,
}

impl Broker {
    /// Opens the database at that path, making it where there is none, or one in memory. `base_url`, such as
    /// `http://127.0.0.1:4566`, goes into queue URLs and can be set later.
    ///
    /// # Errors
    /// The file cannot be opened, or is not a database of this program.
    pub fn open(path: Option<&Path>, base_url: String) -> Result<Arc<Self>, BrokerError> {
        Self::open_with_clock(path, base_url, Arc::new(system_time))
    }

    /// [`Broker::open`] with another time, in milliseconds since the epoch.
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
            authorizer: RwLock::default(),
        }))
    }

    /// Sets what queue URLs begin with, once the port is known.
    pub fn set_base_url(&self, url: String) {
        *self.base_url.write().unwrap_or_else(PoisonError::into_inner) = url;
    }

    /// What queue URLs begin with, without a slash at the end.
    fn base_url(&self) -> String {
        let url = self.base_url.read().unwrap_or_else(PoisonError::into_inner);
        url.trim_end_matches('/').to_owned()
    }

    /// Has every request over HTTP checked from now on; calls within the process are not.
    pub fn set_authorizer(&self, authorizer: Arc<dyn Authorize>) {
        *self.authorizer.write().unwrap_or_else(PoisonError::into_inner) = Some(authorizer);
    }

    fn authorizer(&self) -> Option<Arc<dyn Authorize>> {
        self.authorizer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves `POST /` and `POST /{account}/{queue}` for both services.
    pub fn router(self: &Arc<Self>) -> axum::Router {
        http::router(Arc::clone(self))
    }

    /// Makes a queue, or gives an existing one exactly these attributes; what is not among them gets its default.
    /// A dead-letter queue must be there before the queue that names it.
    ///
    /// # Errors
    /// A name or an attribute that SQS would refuse.
    pub fn ensure_queue(&self, name: &str, attributes: &BTreeMap<String, String>) -> Result<(), BrokerError> {
        self.store().write(|tx, now| match queues::find(tx, name)? {
            Some(queue) => queues::set_attributes(tx, now, &queue, attributes),
            None => queues::insert(tx, now, name, attributes, &BTreeMap::new()),
        })?;
        // Another time-out or another dead-letter queue may concern who waits.
        self.signal(name).notify_waiters();
        Ok(())
    }

    /// Makes a topic where there is none and returns its ARN.
    ///
    /// # Errors
    /// A name that SNS would refuse.
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

    /// Subscribes a queue to a topic, or gives the subscription exactly these attributes.
    ///
    /// # Errors
    /// The topic is not there, the queue's ARN is none, or an attribute that SNS would refuse.
    pub fn ensure_subscription(
        &self,
        topic_arn: &str,
        queue_arn: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), BrokerError> {
        self.store().write(|tx, _| topics::subscribe(tx, topic_arn, queue_arn, attributes))?;
        Ok(())
    }

    /// Ends every subscription that is not among these pairs of topic ARN and queue ARN.
    ///
    /// # Errors
    /// Only the database's.
    pub fn retain_subscriptions(&self, keep: &[(String, String)]) -> Result<(), BrokerError> {
        self.store().write(|tx, _| {
            for subscription in topics::subscriptions(tx, None)? {
                let kept = keep
                    .iter()
                    .any(|(topic, queue)| *topic == subscription.topic && *queue == subscription.endpoint);
                if !kept {
                    topics::unsubscribe(tx, &subscription.arn)?;
                }
            }
            Ok(())
        })
    }

    /// Takes up to `max` messages (at least one is asked for; there is no upper limit), hiding them for the queue's
    /// visibility time-out. While there are none, waits up to `wait` (at most a day) for one that is sent or becomes
    /// visible. Dropping the future gives back what it took.
    ///
    /// # Errors
    /// The queue is not there.
    pub async fn receive(
        &self,
        queue: &str,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<ReceivedMessage>, BrokerError> {
        self.receive_hiding(queue, max, wait, None).await
    }

    /// [`Broker::receive`] with a visibility time-out, in milliseconds, for these messages alone.
    async fn receive_hiding(
        &self,
        queue: &str,
        max: usize,
        wait: Duration,
        hide_for: Option<i64>,
    ) -> Result<Vec<ReceivedMessage>, BrokerError> {
        let deadline = Instant::now() + wait.min(MAX_WAIT);
        let signal = self.signal(queue);
        loop {
            // In line before the look, so that what arrives between the look and the wait is not missed.
            let mut rung = std::pin::pin!(signal.notified());
            rung.as_mut().enable();
            let (name, store, signal) = (queue.to_owned(), Arc::clone(&self.store), Arc::clone(&signal));
            let (taken, found, now) = self
                .run(move |open| {
                    let (mut found, now) = open.write(|tx, now| {
                        let queue = queues::get(tx, &name)?;
                        Ok((messages::receive(tx, now, &queue, max.max(1), hide_for)?, now))
                    })?;
                    let taken = Taken { messages: std::mem::take(&mut found.messages), store, signal };
                    Ok((taken, found, now))
                })
                .await?;
            if let Some(dead_letters) = found.moved_to {
                self.signal(&dead_letters).notify_waiters();
            }
            let messages = taken.keep();
            if !messages.is_empty() || Instant::now() >= deadline {
                return Ok(messages);
            }
            let until_visible = found.next_visible_at.map(|at| {
                let pause = u64::try_from(at.saturating_sub(now)).unwrap_or(0).max(1);
                Duration::from_millis(pause).min(MAX_WAIT)
            });
            let wake = until_visible.map_or(deadline, |pause| deadline.min(Instant::now() + pause));
            tokio::select! {
                () = rung => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Deletes messages by their receipts. One that is gone already is no error.
    ///
    /// # Errors
    /// The queue is not there, or a handle was not made here; then nothing is deleted.
    pub fn delete(&self, queue: &str, receipt_handles: &[String]) -> Result<(), BrokerError> {
        let receipts = receipt_handles.iter().map(|h| Receipt::decode(h)).collect::<Result<Vec<_>, _>>()?;
        self.store().write(|tx, _| {
            let queue = queues::get(tx, queue)?;
            receipts.iter().try_for_each(|receipt| messages::delete(tx, &queue, receipt))
        })
    }

    /// Hides a message for `after` from now on; zero makes it visible at once. At most twelve hours.
    ///
    /// # Errors
    /// The queue or the message is not there, the receipt is not the message's latest, or the time-out ran out.
    pub fn change_visibility(
        &self,
        queue: &str,
        receipt_handle: &str,
        after: Duration,
    ) -> Result<(), BrokerError> {
        let receipt = Receipt::decode(receipt_handle)?;
        let hide_for = i64::try_from(after.min(MAX_VISIBILITY).as_millis()).unwrap_or(0);
        self.store().write(|tx, now| {
            let queue = queues::get(tx, queue)?;
            messages::change_visibility(tx, now, &queue, &receipt, hide_for)
        })?;
        self.signal(queue).notify_waiters();
        Ok(())
    }

    /// Makes everything in flight visible at once and returns how many messages that were. For the start: whoever
    /// received before a kill is not alive any more.
    ///
    /// # Errors
    /// Only the database's.
    pub fn release_in_flight(&self) -> Result<usize, BrokerError> {
        let released = self.store().write(|tx, now| messages::release_in_flight(tx, now))?;
        for signal in self.signals.lock().unwrap_or_else(PoisonError::into_inner).values() {
            signal.notify_waiters();
        }
        Ok(released)
    }

    /// What every queue holds, by name; expired messages do not count.
    ///
    /// # Errors
    /// Only the database's.
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
        // A panic within a transaction rolled it back, so what is behind a poisoned lock is sound.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs work on the store where blocking is allowed: a commit may have to wait for a checkpoint's disk writes.
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
        // Requests may name any number of queues that do not exist.
        if signals.len() >= MANY_SIGNALS {
            signals.retain(|_, signal| Arc::strong_count(signal) > 1);
        }
        Arc::clone(signals.entry(queue.to_owned()).or_default())
    }
}

/// Messages on their way from the database to whoever asked. When the asker goes away in between (a client that hangs
/// up, a future that is dropped) they are as if never received, instead of hidden until their time-out.
struct Taken {
    messages: Vec<ReceivedMessage>,
    store: Arc<Mutex<Store>>,
    signal: Arc<Notify>,
}

impl Taken {
    fn keep(mut self) -> Vec<ReceivedMessage> {
        std::mem::take(&mut self.messages)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.messages.is_empty() {
            return;
        }
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let given_back = store.write(|tx, now| {
            self.messages.iter().try_for_each(|message| {
                messages::give_back(tx, now, &Receipt::decode(&message.receipt_handle)?)
            })
        });
        match given_back {
            Ok(()) => self.signal.notify_waiters(),
            // They come back by themselves when their visibility time-out is over.
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "messages that nobody took were not given back"
            ),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where the broker's clock comes from outside of tests")]
fn system_time() -> i64 {
    Timestamp::now().as_millisecond()
}
