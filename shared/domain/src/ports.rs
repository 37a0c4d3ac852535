//! Time, ids and randomness: what a rule may need from outside, as traits, so that tests decide it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Id, Invalid};

/// An instant with millisecond precision, written as RFC 3339 in UTC (`2026-01-31T12:00:00.000Z`): always the
/// same width, so that as text it sorts by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// Milliseconds since the Unix epoch.
    pub fn as_millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// Whole seconds since the Unix epoch.
    pub fn as_seconds(self) -> i64 {
        self.0.as_second()
    }

    /// The instant so many milliseconds after the Unix epoch; out of range it is the nearest there is.
    pub fn from_millis(millis: i64) -> Self {
        Self(jiff::Timestamp::from_millisecond(millis).unwrap_or(if millis < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        }))
    }

    /// The instant `seconds` later (or, negative, earlier); the end of time if there is none.
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
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let instant: jiff::Timestamp = text
            .parse()
            .map_err(|_| Invalid::new("must be an RFC 3339 time such as 2026-01-31T12:00:00Z"))?;
        Ok(Self::from_millis(instant.as_millisecond()))
    }
}
impl TryFrom<String> for Timestamp {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}
impl From<Timestamp> for String {
    fn from(instant: Timestamp) -> String {
        instant.to_string()
    }
}

/// What time it is.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Makes ids.
pub trait Ids: Send + Sync {
    /// A UUID of version 7 that nobody had before; later ones sort after earlier ones of the same maker.
    fn next(&self) -> Uuid;
}

impl dyn Ids + '_ {
    /// A typed id.
    pub fn make<T>(&self) -> Id<T> {
        Id::new(self.next())
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
        Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
    }
}

/// UUIDs of version 7 from the machine's clock and randomness.
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
