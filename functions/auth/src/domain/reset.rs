//! Password resets: how many are granted.

use erp_domain::Timestamp;

/// Lifetime of a reset token, in seconds.
pub const RESET_SECONDS: i64 = 60 * 60;
/// Resets granted within [`ALLOWANCE_SECONDS`] for one address, to one source network.
pub const RESETS_PER_NETWORK: u32 = 5;
/// Resets granted within [`ALLOWANCE_SECONDS`] for one address, to all source networks that are not known: it bounds
/// the mail that one mailbox receives.
pub const RESETS_PER_ADDRESS: u32 = 20;
/// The period of the allowances, in seconds.
const ALLOWANCE_SECONDS: i64 = 60 * 60;

/// Resets that were granted within the current period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Their number.
    pub count: u32,
    /// Start of the period.
    pub since: Timestamp,
}

impl Allowance {
    /// Returns an allowance of which nothing is used.
    pub fn unused(now: Timestamp) -> Self {
        Self { count: 0, since: now }
    }

    /// Grants one more reset; `None` if `limit` is reached.
    pub fn take(self, limit: u32, now: Timestamp) -> Option<Self> {
        let is_over = now >= self.since.plus_seconds(ALLOWANCE_SECONDS);
        let current = if is_over { Self::unused(now) } else { self };
        (current.count < limit).then_some(Self { count: current.count + 1, ..current })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_resets_an_hour_are_granted() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let mut allowance = Allowance::unused(now);
        for _ in 0..RESETS_PER_NETWORK {
            allowance = allowance.take(RESETS_PER_NETWORK, now).unwrap();
        }
        assert_eq!(allowance.take(RESETS_PER_NETWORK, now.plus_seconds(ALLOWANCE_SECONDS - 1)), None);
        let later = now.plus_seconds(ALLOWANCE_SECONDS);
        assert_eq!(allowance.take(RESETS_PER_NETWORK, later), Some(Allowance { count: 1, since: later }));
    }
}
