//! The hand-over of one request at a time between the platform and one runtime.
//!
//! The platform offers a request; the runtime takes it (`next`) and answers it (`response`, `error`). As long as
//! it was not taken it can be withdrawn and given to another environment; once taken it cannot.

use std::sync::Mutex;
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::{Notify, oneshot, watch};

use super::sync::lock;

/// A request for one runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// Names the invocation in headers, logs and answers.
    pub(super) id: String,
    /// The event.
    pub(super) payload: Bytes,
    /// From the moment the runtime takes it.
    pub(super) timeout: Duration,
}

/// What a runtime says about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The function's result.
    Response(Bytes),
    /// The JSON of the function's error.
    Error(Bytes),
}

/// Both ends of the hand-over.
#[derive(Debug)]
pub(super) struct Exchange {
    state: Mutex<State>,
    offered: Notify,
    polling: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    offer: Option<(Request, oneshot::Sender<Answer>)>,
    taken: Option<(String, oneshot::Sender<Answer>)>,
    init_error: Option<Bytes>,
}

impl Exchange {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), offered: Notify::new(), polling: watch::Sender::new(false) }
    }

    /// Offers a request; the answer comes through the channel, which closes when the offer is withdrawn.
    pub(super) fn offer(&self, request: Request) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        lock(&self.state).offer = Some((request, reply));
        self.offered.notify_one();
        answer
    }

    /// Takes an offer back. Some when the runtime never saw it.
    pub(super) fn withdraw(&self) -> Option<Request> {
        lock(&self.state).offer.take().map(|(request, _)| request)
    }

    /// Waits, as the runtime, for the next request.
    pub(super) async fn take(&self) -> Request {
        let polling = Polling::begin(&self.polling);
        loop {
            let taken = {
                let mut state = lock(&self.state);
                state.offer.take().map(|(request, reply)| {
                    state.taken = Some((request.id.clone(), reply));
                    request
                })
            };
            if let Some(request) = taken {
                drop(polling);
                return request;
            }
            self.offered.notified().await;
        }
    }

    /// Answers, as the runtime, the request it took. False when that is not the request it has.
    pub(super) fn answer(&self, id: &str, answer: Answer) -> bool {
        let taken = lock(&self.state).taken.take_if(|(taken, _)| taken == id);
        let Some((id, reply)) = taken else { return false };
        if reply.send(answer).is_err() {
            tracing::debug!(request_id = id, "nobody waits for this answer any more");
        }
        true
    }

    /// Keeps what the runtime says about a start that failed.
    pub(super) fn fail_init(&self, error: Bytes) {
        lock(&self.state).init_error = Some(error);
    }

    /// What the runtime said about a start that failed.
    pub(super) fn init_error(&self) -> Option<Bytes> {
        lock(&self.state).init_error.clone()
    }

    /// Waits until the runtime asks for a request: its start, or its last request, is over.
    pub(super) async fn polled(&self) {
        // The sender lives in self, so the wait cannot end with a closed channel.
        if self.polling.subscribe().wait_for(|polling| *polling).await.is_err() {
            std::future::pending().await
        }
    }
}

/// The runtime is waiting in `next` for as long as this lives, however its connection ends.
struct Polling<'a>(&'a watch::Sender<bool>);

impl<'a> Polling<'a> {
    fn begin(polling: &'a watch::Sender<bool>) -> Self {
        polling.send_replace(true);
        Self(polling)
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str) -> Request {
        Request { id: id.into(), payload: Bytes::from_static(b"{}"), timeout: Duration::from_secs(1) }
    }

    #[tokio::test]
    async fn an_answer_reaches_whoever_offered() {
        let exchange = Exchange::new();
        let answer = exchange.offer(request("a"));
        assert_eq!(exchange.take().await.id, "a");
        assert!(!exchange.answer("b", Answer::Response(Bytes::new())), "not the one it has");
        assert!(exchange.answer("a", Answer::Response(Bytes::from_static(b"1"))));
        assert!(!exchange.answer("a", Answer::Response(Bytes::new())), "already answered");
        assert_eq!(answer.await, Ok(Answer::Response(Bytes::from_static(b"1"))));
    }

    #[tokio::test]
    async fn only_what_was_not_taken_can_be_withdrawn() {
        let exchange = Exchange::new();
        let answer = exchange.offer(request("a"));
        assert_eq!(exchange.withdraw(), Some(request("a")));
        assert!(answer.await.is_err());
        let _answer = exchange.offer(request("b"));
        assert_eq!(exchange.take().await.id, "b");
        assert_eq!(exchange.withdraw(), None);
    }

    #[tokio::test]
    async fn a_poll_that_is_broken_off_is_not_a_poll() {
        let exchange = Exchange::new();
        let mut take = Box::pin(exchange.take());
        assert!(futures_util::poll!(&mut take).is_pending());
        exchange.polled().await;
        drop(take);
        assert!(!*exchange.polling.borrow());
    }
}
