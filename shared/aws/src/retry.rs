//! The back-off of all retries: exponential, with jitter
//! (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).

use std::time::Duration;

use backon::ExponentialBuilder;

use crate::deadline;

/// Returns the back-off for `attempts` attempts, the first included: 20 ms, doubled each time, at most 1 s, plus up to
/// as much jitter.
pub fn backoff(attempts: usize) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(Duration::from_secs(1))
        .with_max_times(attempts.saturating_sub(1))
        .with_jitter()
        // Without its `std` feature, backon uses one constant seed: contenders would retry at the same moments.
        .with_jitter_seed(fastrand::u64(..))
}

/// Ends the retries if the next attempt cannot end before the deadline of the request: for `backon::Retry::adjust`.
pub fn in_time<E>(_: &E, delay: Option<Duration>) -> Option<Duration> {
    delay.filter(|delay| deadline::allows(*delay))
}

#[cfg(test)]
mod tests {
    use backon::{BackoffBuilder, Retryable};
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn contenders_retry_at_different_moments() {
        let delays = || backoff(8).build().collect::<Vec<Duration>>();
        assert_eq!(delays().len(), 7);
        assert_ne!(delays(), delays());
    }

    #[tokio::test]
    async fn no_attempt_starts_that_cannot_end_before_the_deadline() {
        let mut attempts = 0;
        let attempt = || {
            attempts += 1;
            std::future::ready(Err::<(), _>("conflict"))
        };
        let start = Instant::now();
        let retried = attempt.retry(backoff(100)).adjust(in_time);
        let error = deadline::within(start + Duration::from_millis(500), retried).await;
        assert_eq!(error.unwrap(), Err("conflict"), "the error of the last attempt, not the time-out");
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
        assert!((2..10).contains(&attempts), "{attempts}");
    }
}
