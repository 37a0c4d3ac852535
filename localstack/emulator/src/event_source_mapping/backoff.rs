//! How long to wait before the next attempt.

use std::time::Duration;

/// Waits that double from `first` up to `most`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// After many.
    pub most: Duration,
}

impl Backoff {
    /// The wait after this many failures in a row, counted from one.
    #[must_use]
    pub fn after(&self, failures: u32) -> Duration {
        let doubled = 2_u32.checked_pow(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit() {
        let backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(1) };
        let waits = [0, 1, 2, 3, 4, 5, 40, u32::MAX].map(|failures| backoff.after(failures).as_millis());
        assert_eq!(waits, [100, 100, 200, 400, 800, 1000, 1000, 1000]);
    }
}
