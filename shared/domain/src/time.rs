//! Timestamps, and the ports for the clock and for ids, so that tests control both.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Id, ValidationError};

/// An instant with millisecond precision, written as RFC 3339 in UTC (`2026-01-31T12:00:00.000Z`). The width is
/// constant, so the text sorts chronologically.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime, example = "2026-01-31T12:00:00.000Z"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// Returns milliseconds since the Unix epoch.
    pub fn as_millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// Returns whole seconds since the Unix epoch.
    pub fn as_seconds(self) -> i64 {
        self.0.as_second()
    }

    /// Creates an instant from milliseconds since the Unix epoch, clamped to the supported range.
    pub fn from_millis(millis: i64) -> Self {
        Self(jiff::Timestamp::from_millisecond(millis).unwrap_or(if millis < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        }))
    }

    /// Adds seconds (negative: subtracts), clamped to the supported range.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self::from_millis(self.as_millis().saturating_add(seconds.saturating_mul(1000)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}
impl FromStr for Timestamp {
    type Err = ValidationError;
    fn from_str(text: &str) -> Result<Self, ValidationError> {
        let invalid = |_| ValidationError::new("must be an RFC 3339 time such as 2026-01-31T12:00:00Z");
        let instant = text.parse::<jiff::Timestamp>().map_err(invalid)?;
        Ok(Self::from_millis(instant.as_millisecond()))
    }
}
impl TryFrom<String> for Timestamp {
    type Error = ValidationError;
    fn try_from(text: String) -> Result<Self, ValidationError> {
        text.parse()
    }
}
impl From<Timestamp> for String {
    fn from(instant: Timestamp) -> String {
        instant.to_string()
    }
}

/// A source of the current time.
pub trait Clock: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Timestamp;
}

/// A source of new ids.
pub trait Ids: Send + Sync {
    /// Returns a new UUID of version 7; UUIDs of one source sort by creation.
    fn next(&self) -> Uuid;
}

impl dyn Ids + '_ {
    /// Returns a new typed id.
    pub fn make<T>(&self) -> Id<T> {
        Id::new(self.next())
    }
}

/// The system clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the only place that reads the system clock")]
        Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
    }
}

/// UUIDs of version 7 from the system clock and the operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl Ids for RandomIds {
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_as_text_sorts_by_time() {
        let early: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let late: Timestamp = "2026-01-31T12:00:00.010Z".parse().unwrap();
        assert_eq!(early.to_string(), "2026-01-31T12:00:00.000Z");
        assert!(early.to_string() < late.to_string());
        assert_eq!(early.plus_seconds(i64::MAX), Timestamp::from_millis(i64::MAX));
    }
}
