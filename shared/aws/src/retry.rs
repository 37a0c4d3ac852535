//! The back-off of all retries: exponential, with jitter
//! (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).

use std::time::Duration;

use backon::ExponentialBuilder;

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

#[cfg(test)]
mod tests {
    use backon::BackoffBuilder;

    use super::*;

    #[test]
    fn contenders_retry_at_different_moments() {
        let delays = || backoff(8).build().collect::<Vec<Duration>>();
        assert_eq!(delays().len(), 7);
        assert_ne!(delays(), delays());
    }
}
