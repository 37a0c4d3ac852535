//! Invocations and their errors.

use axum::body::Bytes;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use thiserror::Error;

/// Maximum size of a request and of a response, in bytes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub(crate) const PAYLOAD_LIMIT: usize = 6 * 1024 * 1024;

/// The result of a function that received the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Request id, as in the function's logs.
    pub request_id: String,
    /// The returned value, or the JSON of the function error.
    pub payload: Bytes,
    /// `Unhandled` when the function failed, crashed or timed out; none when it returned a value.
    pub function_error: Option<String>,
}

impl Invocation {
    /// The `errorMessage` of a failed invocation.
    #[must_use]
    pub fn error_message(&self) -> Option<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Failure {
            error_message: String,
        }
        self.function_error.as_ref()?;
        serde_json::from_slice::<Failure>(&self.payload).ok().map(|failure| failure.error_message)
    }
}

/// An error before the function received the request. A function that ran and failed is an [`Invocation`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvokeError {
    /// No function has this name, logical id or ARN.
    #[error("Function not found: {0}")]
    NotFound(String),
    /// The function is at its concurrency limit, and its queue is full or too slow.
    #[error("Rate Exceeded.")]
    Throttled,
    /// The request is too large.
    #[error("Request must be smaller than {limit} bytes for the InvokeFunction operation")]
    TooLarge {
        /// Maximum size in bytes.
        limit: usize,
    },
    /// The platform is stopping.
    #[error("The platform is stopping")]
    Stopping,
}

/// Invokes functions: [`Functions`](super::Functions), the wrapper that counts usage, and the fakes of tests.
pub trait Invoke: Send + Sync + 'static {
    /// Invokes a function and waits for its result. Dropping the future does not stop the function.
    ///
    /// # Errors
    /// When the function did not receive the request, which is then safe to retry.
    fn invoke<'a>(
        &'a self,
        function: &'a str,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<Invocation, InvokeError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failed_invocation_has_an_error_message() {
        let payload = Bytes::from_static(br#"{"errorType":"Error","errorMessage":"Unauthorized"}"#);
        let failed = Invocation {
            request_id: "1".into(),
            payload: payload.clone(),
            function_error: Some("Unhandled".into()),
        };
        assert_eq!(failed.error_message().as_deref(), Some("Unauthorized"));
        assert_eq!(Invocation { function_error: None, ..failed }.error_message(), None);
    }
}
