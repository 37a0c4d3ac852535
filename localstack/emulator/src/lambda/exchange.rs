//! Passes one request at a time from the platform to one runtime, and the reply back.
//!
//! The platform offers a request; the runtime takes it (`next`) and replies to it (`response`, `error`). A request
//! that was not taken can be withdrawn and offered to another environment; a taken one cannot.

use std::sync::Mutex;
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::{Notify, oneshot, watch};

use super::sync::lock;

/// A request for one runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// Request id of the invocation, as in headers and logs.
    pub(super) id: String,
    /// The event.
    pub(super) payload: Bytes,
    /// Longest time from `next` to the reply.
    pub(super) timeout: Duration,
}

/// The reply of a runtime to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// The function's result.
    Response(Bytes),
    /// The JSON of the function's error.
    Error(Bytes),
}

/// The shared state of both sides.
#[derive(Debug)]
pub(super) struct Exchange {
    state: Mutex<State>,
    offered: Notify,
    polling: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    offer: Option<(Request, oneshot::Sender<Reply>)>,
    taken: Option<(String, oneshot::Sender<Reply>)>,
    init_error: Option<Bytes>,
}

impl Exchange {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), offered: Notify::new(), polling: watch::Sender::new(false) }
    }

    /// Offers a request. The receiver gets the reply, and closes when the offer is withdrawn.
    pub(super) fn offer(&self, request: Request) -> oneshot::Receiver<Reply> {
        let (sender, reply) = oneshot::channel();
        lock(&self.state).offer = Some((request, sender));
        self.offered.notify_one();
        reply
    }

    /// Withdraws an offer. Returns the request if the runtime has not taken it.
    pub(super) fn withdraw(&self) -> Option<Request> {
        lock(&self.state).offer.take().map(|(request, _)| request)
    }

    /// Waits for the next request, on behalf of the runtime.
    pub(super) async fn take(&self) -> Request {
        let polling = Polling::begin(&self.polling);
        loop {
            let taken = {
                let mut state = lock(&self.state);
                state.offer.take().map(|(request, sender)| {
                    state.taken = Some((request.id.clone(), sender));
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

    /// Replies to the taken request, on behalf of the runtime. Returns false when `id` is another request.
    pub(super) fn reply(&self, id: &str, reply: Reply) -> bool {
        let taken = lock(&self.state).taken.take_if(|(taken, _)| taken == id);
        let Some((id, sender)) = taken else { return false };
        if sender.send(reply).is_err() {
            tracing::debug!(request_id = id, "the reply came after the end of the request");
        }
        true
    }

    /// Stores the error of a failed initialization.
    pub(super) fn fail_init(&self, error: Bytes) {
        lock(&self.state).init_error = Some(error);
    }

    /// The error of a failed initialization, as the runtime reported it.
    pub(super) fn init_error(&self) -> Option<Bytes> {
        lock(&self.state).init_error.clone()
    }

    /// Waits until the runtime polls for a request: its initialization or its last request has ended.
    pub(super) async fn polled(&self) {
        // The sender lives in self, so the wait cannot end with a closed channel.
        if self.polling.subscribe().wait_for(|polling| *polling).await.is_err() {
            std::future::pending().await
        }
    }
}

/// Marks the runtime as polling until it is dropped, which a broken connection does as well.
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
    async fn a_reply_reaches_the_side_that_offered() {
        let exchange = Exchange::new();
        let reply = exchange.offer(request("a"));
        assert_eq!(exchange.take().await.id, "a");
        assert!(!exchange.reply("b", Reply::Response(Bytes::new())), "another request");
        assert!(exchange.reply("a", Reply::Response(Bytes::from_static(b"1"))));
        assert!(!exchange.reply("a", Reply::Response(Bytes::new())), "a second reply");
        assert_eq!(reply.await, Ok(Reply::Response(Bytes::from_static(b"1"))));
    }

    #[tokio::test]
    async fn only_an_offer_that_was_not_taken_can_be_withdrawn() {
        let exchange = Exchange::new();
        let reply = exchange.offer(request("a"));
        assert_eq!(exchange.withdraw(), Some(request("a")));
        assert!(reply.await.is_err());
        let _reply = exchange.offer(request("b"));
        assert_eq!(exchange.take().await.id, "b");
        assert_eq!(exchange.withdraw(), None);
    }

    #[tokio::test]
    async fn an_aborted_poll_is_not_polling() {
        let exchange = Exchange::new();
        let mut take = Box::pin(exchange.take());
        assert!(futures_util::poll!(&mut take).is_pending());
        exchange.polled().await;
        drop(take);
        assert!(!*exchange.polling.borrow());
    }
}
