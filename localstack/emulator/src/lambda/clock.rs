//! The wall clock, read in one place.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since the epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "the platform stands where AWS stands, and its clock is this machine's; deadlines handed to functions must be real"
)]
pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Milliseconds since the epoch.
pub(crate) fn unix_millis() -> u64 {
    u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX)
}

/// Now, as a calendar has it.
pub(crate) fn timestamp() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH + unix_time()
}
