//! The wall clock: the only place that reads it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since the epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "the emulator's clock is the machine's clock: functions compare its deadlines with real time"
)]
pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Milliseconds since the epoch.
pub(crate) fn unix_millis() -> u64 {
    u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX)
}

/// The current time as a calendar timestamp.
pub(crate) fn timestamp() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH + unix_time()
}
