//! A question to another service: one direct Lambda invocation, with a time-out, a retry with jitter, and a circuit
//! breaker that turns a dead dependency into a fast refusal.

use std::sync::Mutex;
use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::cause::cause;

/// How long one attempt may take; a cold start of the other side fits in.
const ATTEMPT: Duration = Duration::from_secs(4);
/// Attempts, the first included: together they stay below the time-out of the asking function.
const ATTEMPTS: u32 = 2;
/// Failures in a row after which nobody is asked for a while.
const FAILURES: u32 = 5;
/// That while.
const OPEN: Duration = Duration::from_secs(5);

/// A function that answers `Q` with `A`, by its name.
pub struct Asker {
    client: Client,
    function: String,
    breaker: Mutex<Breaker>,
}

/// No answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It failed so often that it is not asked for some seconds.
    #[error("{0} is not asked for a moment: it failed too often")]
    Open(String),
    /// It did not answer, or not in time, or nothing that can be read.
    #[error("{function} did not answer: {reason}")]
    Failed {
        /// Which function.
        function: String,
        /// Why.
        reason: String,
    },
}

#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// Whether to ask now. After the while, one caller after the other may try.
    fn lets_through(&mut self, now: Instant) -> bool {
        match self.open_until {
            Some(until) if now < until => false,
            Some(_) => {
                // Half open: this one tries, the others wait for what it finds.
                self.open_until = Some(now + OPEN);
                true
            }
            None => true,
        }
    }

    fn record(&mut self, worked: bool, now: Instant) {
        if worked {
            *self = Self::default();
        } else {
            self.failures += 1;
            if self.failures >= FAILURES {
                self.open_until = Some(now + OPEN);
            }
        }
    }
}

impl Asker {
    /// Asks the function of this name.
    pub fn new(client: Client, function: String) -> Self {
        Self { client, function, breaker: Mutex::default() }
    }

    /// Asks, and reads the answer.
    ///
    /// # Errors
    /// When there is none.
    pub async fn ask<Q: Serialize, A: DeserializeOwned>(&self, question: &Q) -> Result<A, AskError> {
        let failed = |reason: String| AskError::Failed { function: self.function.clone(), reason };
        let payload = serde_json::to_vec(question).map_err(|error| failed(error.to_string()))?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            if !self.breaker(|breaker, now| breaker.lets_through(now)) {
                return Err(AskError::Open(self.function.clone()));
            }
            let answer = tokio::time::timeout(ATTEMPT, self.invoke(payload.clone())).await;
            let answer = answer.unwrap_or_else(|_| Err(format!("nothing within {ATTEMPT:?}")));
            self.breaker(|breaker, now| breaker.record(answer.is_ok(), now));
            match answer {
                Ok(bytes) => {
                    return serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()));
                }
                Err(reason) if attempt >= ATTEMPTS => return Err(failed(reason)),
                Err(reason) => {
                    tracing::warn!(function = self.function, reason, "asked in vain, asking again");
                    crate::transaction::pause(attempt).await;
                }
            }
        }
    }

    async fn invoke(&self, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let request = self.client.invoke().function_name(&self.function).payload(Blob::new(payload));
        let answer = request.send().await.map_err(|error| cause(&error))?;
        let bytes = answer.payload.map(Blob::into_inner).unwrap_or_default();
        match answer.function_error {
            None => Ok(bytes),
            Some(kind) => Err(format!("{kind}: {}", String::from_utf8_lossy(&bytes))),
        }
    }

    fn breaker<T>(&self, with: impl FnOnce(&mut Breaker, Instant) -> T) -> T {
        // A poisoned lock only says that a thread died in these few lines; the numbers are still numbers.
        let mut breaker = self.breaker.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        with(&mut breaker, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_dependency_is_left_alone_and_tried_again_later() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert!(breaker.lets_through(now));
            breaker.record(false, now);
        }
        assert!(!breaker.lets_through(now), "open");
        let later = now + OPEN;
        assert!(breaker.lets_through(later), "one may try");
        assert!(!breaker.lets_through(later), "and only one");
        breaker.record(true, later);
        assert!(breaker.lets_through(later) && breaker.lets_through(later), "closed again");
    }
}
