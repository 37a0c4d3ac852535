//! Synchronous invocation of another function: time-out, one retry with jitter, circuit breaker, all within the
//! deadline of the request.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use backon::Retryable;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use crate::clients::preconnect_function;
use crate::deadline;
use crate::retry::{backoff, in_time};
use crate::sdk_error::sdk_error_message;

/// Longest time of one attempt; a cold start of the invoked function fits in.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
/// Attempts, the first included.
const ATTEMPTS: usize = 2;
/// Consecutive failures that open the circuit breaker.
const FAILURE_THRESHOLD: u32 = 5;
/// Time that the circuit breaker stays open before one attempt is let through.
const OPEN_DURATION: Duration = Duration::from_secs(5);

/// A client of one function, by its name.
pub struct FunctionClient {
    client: Client,
    function: String,
    breaker: Mutex<CircuitBreaker>,
}

/// Why an invocation has no result.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The circuit breaker is open: the function was not invoked.
    #[error("{0} is not invoked: its circuit breaker is open")]
    CircuitOpen(String),
    /// The function failed, timed out, or returned something that cannot be decoded.
    #[error("the invocation of {function} failed: {reason}")]
    Failed {
        /// Name of the function.
        function: String,
        /// The reason.
        reason: String,
    },
}

#[derive(Debug, Default)]
struct CircuitBreaker {
    failures: u32,
    open_until: Option<Instant>,
}

impl CircuitBreaker {
    /// Returns whether an attempt may be made now. Half open, it admits one attempt per [`OPEN_DURATION`].
    fn admits(&mut self, now: Instant) -> bool {
        match self.open_until {
            Some(until) if now < until => false,
            Some(_) => {
                self.open_until = Some(now + OPEN_DURATION);
                true
            }
            None => true,
        }
    }

    fn record(&mut self, succeeded: bool, now: Instant) {
        if succeeded {
            *self = Self::default();
        } else {
            self.failures += 1;
            if self.failures >= FAILURE_THRESHOLD {
                self.open_until = Some(now + OPEN_DURATION);
            }
        }
    }
}

impl FunctionClient {
    /// Creates a client. The SDK client must neither retry nor time out by itself: see [`ATTEMPT_TIMEOUT`].
    pub fn new(client: Client, function: String) -> Self {
        Self { client, function, breaker: Mutex::default() }
    }

    /// Opens the connection to Lambda.
    pub async fn preconnect(&self) {
        preconnect_function(&self.client, &self.function).await;
    }

    /// Invokes the function with a request and decodes its response.
    pub async fn invoke<Q: Serialize, A: DeserializeOwned>(&self, request: &Q) -> Result<A, InvokeError> {
        let failed = |reason: String| InvokeError::Failed { function: self.function.clone(), reason };
        let payload = serde_json::to_vec(request).map_err(|error| failed(error.to_string()))?;
        let attempt = || self.attempt(payload.clone());
        let bytes = attempt
            .retry(backoff(ATTEMPTS))
            .when(|error| matches!(error, InvokeError::Failed { .. }))
            .adjust(in_time)
            .notify(|error, _| tracing::warn!(%error, "invocation failed, retrying"))
            .await?;
        serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))
    }

    async fn attempt(&self, payload: Vec<u8>) -> Result<Vec<u8>, InvokeError> {
        if !self.breaker().admits(Instant::now()) {
            return Err(InvokeError::CircuitOpen(self.function.clone()));
        }
        // At the deadline itself, this time-out comes before that of the request: the circuit breaker counts it.
        let end = deadline::at_most(Instant::now() + ATTEMPT_TIMEOUT);
        let result = timeout_at(end, self.invoke_once(payload)).await;
        let result = result.unwrap_or_else(|_| Err("no response in time".to_owned()));
        self.breaker().record(result.is_ok(), Instant::now());
        result.map_err(|reason| InvokeError::Failed { function: self.function.clone(), reason })
    }

    async fn invoke_once(&self, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let request = self.client.invoke().function_name(&self.function).payload(Blob::new(payload));
        let response = request.send().await.map_err(|error| sdk_error_message(&error))?;
        let bytes = response.payload.map(Blob::into_inner).unwrap_or_default();
        match response.function_error {
            None => Ok(bytes),
            Some(kind) => Err(format!("{kind}: {}", String::from_utf8_lossy(&bytes))),
        }
    }

    fn breaker(&self) -> MutexGuard<'_, CircuitBreaker> {
        // After a panic of another thread the counters are still valid.
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_function_is_not_invoked_until_the_breaker_is_half_open() {
        let now = Instant::now();
        let mut breaker = CircuitBreaker::default();
        for _ in 0..FAILURE_THRESHOLD {
            assert!(breaker.admits(now));
            breaker.record(false, now);
        }
        assert!(!breaker.admits(now), "open");
        let later = now + OPEN_DURATION;
        assert!(breaker.admits(later), "half open: one attempt");
        assert!(!breaker.admits(later), "and only one");
        breaker.record(true, later);
        assert!(breaker.admits(later) && breaker.admits(later), "closed");
    }
}
