//! Exponential back-off.

use std::time::Duration;

/// Delays that double from `first` up to `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Delay after the first failure.
    pub first: Duration,
    /// Longest delay.
    pub max: Duration,
}

impl Backoff {
    /// The delay after this number of consecutive failures, counted from one.
    #[must_use]
    pub fn after(&self, failures: u32) -> Duration {
        let doubled = 2_u32.checked_pow(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_limit() {
        let backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_secs(1) };
        let delays = [0, 1, 2, 3, 4, 5, 40, u32::MAX].map(|failures| backoff.after(failures).as_millis());
        assert_eq!(delays, [100, 100, 200, 400, 800, 1000, 1000, 1000]);
    }
}
