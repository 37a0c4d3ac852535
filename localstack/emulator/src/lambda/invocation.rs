//! What an invocation is, and how it fails.

use axum::body::Bytes;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use thiserror::Error;

/// Most bytes of a request and of an answer.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub(crate) const PAYLOAD_LIMIT: usize = 6 * 1024 * 1024;

/// The answer of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Id of this invocation, the one in the function's logs.
    pub request_id: String,
    /// What the function returned, or the JSON that describes its error.
    pub payload: Bytes,
    /// `Unhandled` where the function failed, crashed or took too long; none where it answered.
    pub function_error: Option<String>,
}

impl Invocation {
    /// `errorMessage` of a failed invocation.
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

/// Why a function was not invoked. A function that ran and failed is an [`Invocation`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvokeError {
    /// No function has this name, logical id or ARN.
    #[error("Function not found: {0}")]
    NotFound(String),
    /// Every place is taken, and the queue for them is full or too slow.
    #[error("Rate Exceeded.")]
    Throttled,
    /// The request is too large.
    #[error("Request must be smaller than {limit} bytes for the InvokeFunction operation")]
    TooLarge {
        /// Most bytes allowed.
        limit: usize,
    },
    /// The platform is being stopped.
    #[error("The platform is stopping")]
    Stopping,
}

/// Something that runs functions. [`Functions`](super::Functions) does; tests put their own in its place.
pub trait Invoke: Send + Sync + 'static {
    /// Runs a function and waits for its answer. A caller that stops waiting does not stop the function.
    ///
    /// # Errors
    /// When the function did not get the request; it may be sent again without harm.
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
