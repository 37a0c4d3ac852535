//! Attempts against one secret, counted before they are made.

use std::sync::Arc;
use std::time::Duration;

use erp_contracts::StoreError;
use erp_domain::Clock;

use crate::attempts::{Admission, Attempts};
use crate::ports::{AttemptStore, Moved, Target, Versioned};

/// How often a place is asked for: with the pauses between, a few seconds.
const ROUNDS: u32 = 40;
/// Milliseconds of a pause.
const PAUSE: std::ops::Range<u64> = 25..75;

/// Decides whether a secret may be tried.
#[derive(Clone)]
pub struct Throttle {
    /// Where attempts are counted.
    pub store: Arc<dyn AttemptStore>,
    /// When they happen.
    pub clock: Arc<dyn Clock>,
}

/// Not now, but after so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locked(pub i64);

impl Throttle {
    /// Takes a place for one attempt, which must be settled by [`Throttle::failed`] or [`Throttle::succeeded`].
    ///
    /// Where places are only taken by attempts that are being made, it waits a little: somebody who logs in with ten
    /// browsers at once knows the password.
    ///
    /// # Errors
    /// [`Locked`].
    pub async fn begin(&self, target: &Target) -> Result<(), StoreError<Locked>> {
        for _ in 0..ROUNDS {
            let Versioned { value, version } = self.load(target).await.map_err(StoreError::widen)?;
            match value.begin(self.clock.now()) {
                Admission::Locked(seconds) => return Err(StoreError::Conflict(Locked(seconds))),
                Admission::Wait => {}
                Admission::Go(begun) => match self.store.save_attempts(target, version, &begun).await {
                    Ok(()) => return Ok(()),
                    Err(StoreError::Conflict(Moved)) => {}
                    Err(error) => return Err(error.map(|Moved| Locked(1))),
                },
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(PAUSE))).await;
        }
        Err(StoreError::Conflict(Locked(1)))
    }

    /// The attempt failed.
    ///
    /// # Errors
    /// When the store does not answer. The attempt counts as failed all the same, a little later.
    pub async fn failed(&self, target: &Target) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            let Versioned { value, version } = self.load(target).await?;
            let now = self.clock.now();
            let failed = value.fail(now);
            match self.store.save_attempts(target, version, &failed).await {
                Ok(()) => {
                    if failed.is_locked(now) {
                        // Whose it is stays out of the log.
                        tracing::warn!(failures = failed.failures, "too many failed attempts, locked");
                    }
                    return Ok(());
                }
                Err(StoreError::Conflict(Moved)) => {}
                Err(error) => return Err(StoreError::unavailable(error)),
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(PAUSE))).await;
        }
        tracing::warn!("an attempt was not settled; it will count as failed");
        Ok(())
    }

    /// The attempt succeeded: nothing before it counts.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn succeeded(&self, target: &Target) -> Result<(), StoreError> {
        self.store.forget_attempts(target).await
    }

    async fn load(&self, target: &Target) -> Result<Versioned<Attempts>, StoreError> {
        let found = self.store.attempts(target).await?;
        Ok(found.unwrap_or_else(|| Versioned { value: Attempts::none(self.clock.now()), version: 0 }))
    }
}
