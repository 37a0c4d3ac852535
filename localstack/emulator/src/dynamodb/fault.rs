//! Calls that go wrong on purpose: before they run, or after they succeeded and without the caller being told.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;

/// A request to the endpoint, as a test sees it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Such as `TransactWriteItems`.
    pub operation: &'a str,
    /// Access key id of the caller.
    pub caller: Option<&'a str>,
    /// The request; null when it is not JSON.
    pub body: &'a Value,
}

/// How a call goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// An error of the service.
    Error {
        /// The HTTP status; the SDK tries 5xx again.
        status: StatusCode,
        /// Such as `ThrottlingException`.
        code: String,
        /// In words.
        message: String,
    },
    /// The connection breaks off in the middle of an answer, after a while.
    HangUp {
        /// How long the caller waits for it.
        after: Duration,
    },
}

/// Decides which calls go wrong.
pub trait Intercept: Send + Sync {
    /// Asked before a call runs; with a fault it does not run.
    fn before(&self, call: &Call<'_>) -> Option<Fault>;

    /// Asked after a call succeeded; with a fault its effect stays and its answer is lost.
    fn after(&self, call: &Call<'_>) -> Option<Fault>;
}
