//! How often a secret may be guessed: the rules, without clock or store.
//!
//! An attempt is counted before it is made and settled afterwards, so that a hundred guesses at once are no more than
//! a hundred one after the other. [`BUDGET`] failures in a row lock the account: for a minute at first, twice as long
//! after each failure that follows, for a quarter of an hour at most. A success forgets everything.

use erp_domain::Timestamp;

/// Failures in a row that lock an account; at the same time, attempts that may be on their way at once.
pub const BUDGET: u32 = 5;
/// A failure is forgotten so many seconds after it, or after the lock that it brought.
pub const WINDOW_SECONDS: i64 = 15 * 60;
const FIRST_LOCK_SECONDS: i64 = 60;
const LONGEST_LOCK_SECONDS: i64 = 15 * 60;
/// An attempt that was not settled after so many seconds never will be: the function that made it is gone. It counts
/// as failed.
const IN_FLIGHT_SECONDS: i64 = 15;

/// The attempts on one account that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// Failures in a row.
    pub failures: u32,
    /// When the last of them was.
    pub failed_at: Timestamp,
    /// Attempts begun and not settled.
    pub in_flight: u32,
    /// When the last of them began.
    pub begun_at: Timestamp,
}

/// Whether one more attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Yes, once these are saved.
    Go(Attempts),
    /// Perhaps, when those that are being made are settled.
    Wait,
    /// Not for so many seconds.
    Locked(i64),
}

impl Attempts {
    /// No attempts.
    pub fn none(now: Timestamp) -> Self {
        Self { failures: 0, failed_at: now, in_flight: 0, begun_at: now }
    }

    /// Asks for one more attempt.
    pub fn begin(self, now: Timestamp) -> Admission {
        let known = self.as_of(now);
        let locked = known.locked_until().as_millis() - now.as_millis();
        if locked > 0 {
            // Rounded up: who comes back when told finds it open.
            return Admission::Locked((locked + 999) / 1000);
        }
        // Once the budget is used up and the lock is over, there is one attempt at a time.
        if known.in_flight >= BUDGET.saturating_sub(known.failures).max(1) {
            return Admission::Wait;
        }
        Admission::Go(Self { in_flight: known.in_flight + 1, begun_at: now, ..known })
    }

    /// One of the attempts has failed.
    #[must_use]
    pub fn fail(self, now: Timestamp) -> Self {
        let known = self.as_of(now);
        Self {
            failures: known.failures.saturating_add(1),
            failed_at: now,
            in_flight: known.in_flight.saturating_sub(1),
            ..known
        }
    }

    /// Whether these attempts lock the account at this moment.
    pub fn is_locked(self, now: Timestamp) -> bool {
        self.locked_until() > now
    }

    /// From here on nothing of it counts.
    pub fn forgotten_at(self) -> Timestamp {
        let failures = self.locked_until().plus_seconds(WINDOW_SECONDS);
        let in_flight = self.begun_at.plus_seconds(IN_FLIGHT_SECONDS + LONGEST_LOCK_SECONDS + WINDOW_SECONDS);
        if self.in_flight == 0 { failures } else { failures.max(in_flight) }
    }

    fn locked_until(self) -> Timestamp {
        let seconds = match self.failures.checked_sub(BUDGET) {
            None => 0,
            Some(more) => (FIRST_LOCK_SECONDS << more.min(10)).min(LONGEST_LOCK_SECONDS),
        };
        self.failed_at.plus_seconds(seconds)
    }

    /// What still counts.
    fn as_of(self, now: Timestamp) -> Self {
        let mut known = self;
        if known.in_flight > 0 && now >= known.begun_at.plus_seconds(IN_FLIGHT_SECONDS) {
            known.failures = known.failures.saturating_add(known.in_flight);
            known.failed_at = known.failed_at.max(known.begun_at);
            known.in_flight = 0;
        }
        if now >= known.locked_until().plus_seconds(WINDOW_SECONDS) {
            known.failures = 0;
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: i64 = 1_800_000_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(T0).plus_seconds(seconds)
    }

    fn fail(attempts: Attempts, now: Timestamp) -> Attempts {
        match attempts.begin(now) {
            Admission::Go(begun) => begun.fail(now),
            other => panic!("{other:?}"),
        }
    }

    fn failed_times(times: u32) -> Attempts {
        (0..times).fold(Attempts::none(at(0)), |attempts, _| fail(attempts, at(0)))
    }

    #[test]
    fn five_failures_in_a_row_lock_for_a_minute_and_each_one_more_for_twice_as_long() {
        let mut attempts = failed_times(BUDGET);
        let mut now = 0;
        for seconds in [60, 120, 240, 480, 900, 900] {
            assert_eq!(attempts.begin(at(now)), Admission::Locked(seconds));
            assert_eq!(attempts.begin(at(now + seconds - 1)), Admission::Locked(1));
            now += seconds;
            attempts = fail(attempts, at(now));
        }
    }

    #[test]
    fn a_failure_is_forgotten_after_a_quarter_of_an_hour() {
        let attempts = failed_times(BUDGET - 1);
        assert!(fail(attempts, at(WINDOW_SECONDS - 1)).is_locked(at(WINDOW_SECONDS)));
        assert!(!fail(attempts, at(WINDOW_SECONDS)).is_locked(at(WINDOW_SECONDS)));
        assert_eq!(attempts.forgotten_at(), at(WINDOW_SECONDS));
    }

    #[test]
    fn attempts_at_once_wait_for_each_other_instead_of_exceeding_the_budget() {
        let mut attempts = failed_times(2);
        for _ in 0..BUDGET - 2 {
            let Admission::Go(begun) = attempts.begin(at(0)) else { panic!() };
            attempts = begun;
        }
        assert_eq!(attempts.begin(at(0)), Admission::Wait);
        for _ in 0..BUDGET - 2 {
            attempts = attempts.fail(at(0));
        }
        assert_eq!(attempts.begin(at(0)), Admission::Locked(60));
        let Admission::Go(begun) = attempts.begin(at(60)) else { panic!() };
        assert_eq!(begun.begin(at(60)), Admission::Wait, "after a lock, one at a time");
    }

    #[test]
    fn an_attempt_that_is_never_settled_counts_as_failed() {
        let mut attempts = Attempts::none(at(0));
        for _ in 0..BUDGET {
            let Admission::Go(begun) = attempts.begin(at(0)) else { panic!() };
            attempts = begun;
        }
        assert_eq!(attempts.begin(at(IN_FLIGHT_SECONDS - 1)), Admission::Wait);
        assert_eq!(attempts.begin(at(IN_FLIGHT_SECONDS)), Admission::Locked(60 - IN_FLIGHT_SECONDS));
        assert!(attempts.forgotten_at() > at(60));
    }

    proptest::proptest! {
        /// Whatever the order in which attempts begin and fail: no more of them than the budget before a lock.
        #[test]
        fn no_order_of_things_admits_more_attempts_than_the_budget(steps in proptest::collection::vec(0..2, 0..60)) {
            let (mut attempts, mut open, mut admitted) = (Attempts::none(at(0)), 0, 0);
            for step in steps {
                match (step, attempts.begin(at(0))) {
                    (0, Admission::Go(begun)) => {
                        attempts = begun;
                        open += 1;
                        admitted += 1;
                    }
                    (1, _) if open > 0 => {
                        attempts = attempts.fail(at(0));
                        open -= 1;
                    }
                    _ => {}
                }
                proptest::prop_assert!(admitted <= BUDGET);
            }
        }
    }
}
