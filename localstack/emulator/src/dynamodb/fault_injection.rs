//! Fault injection: calls that fail before they run, or whose response is lost after they succeeded.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;

/// A request to the endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Name of the operation, such as `TransactWriteItems`.
    pub operation: &'a str,
    /// Access key id of the caller.
    pub caller: Option<&'a str>,
    /// Body of the request.
    pub body: &'a Value,
}

/// An injected fault.
#[derive(Debug, Clone)]
pub enum Fault {
    /// An error response.
    Error {
        /// HTTP status; the SDK retries 5xx.
        status: StatusCode,
        /// Error code, such as `ThrottlingException`.
        code: String,
        /// Error message.
        message: String,
    },
    /// The connection is closed in the middle of the response.
    HangUp {
        /// Time between the request and the close.
        after: Duration,
    },
}

/// Decides which calls fail.
pub trait Intercept: Send + Sync {
    /// Called before a call runs; with a fault it does not run.
    fn before(&self, call: &Call<'_>) -> Option<Fault>;

    /// Called after a call succeeded; with a fault its effect stays and its response is lost.
    fn after(&self, call: &Call<'_>) -> Option<Fault>;
}
