//! How often a secret may be guessed.
//!
//! An attempt is counted before it is made and settled afterwards, so that a hundred concurrent guesses are no more than
//! a hundred sequential ones. When the budget of a counter is spent, attempts are admitted one at a time, with a lock
//! after each failure. A stranger must not lock the owner out, so a login is counted twice:
//!
//! ```text
//! per account and source network  5 failures, then locked for 1, 2, 4 … 15 minutes; a success resets it
//! per account                     100 failures, then paused for 5 s after each; a source network from which the
//!                                 owner logged in during the last 30 days is not counted here
//! ```
//!
//! Service secrets and the bootstrap secret are random: their attempts are counted per source network only, and
//! paused, not locked.

use erp_domain::Timestamp;

/// Seconds after which a failure, and the lock that followed it, is forgotten.
pub const WINDOW_SECONDS: i64 = 15 * 60;
/// Seconds that a source network is known after a successful login.
pub const KNOWN_NETWORK_SECONDS: i64 = 30 * 24 * 60 * 60;
/// Seconds after which an attempt that was not settled counts as failed: its function has ended.
const IN_FLIGHT_SECONDS: i64 = 15;

/// The limits of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Failures before the first lock; also the maximum number of concurrent attempts.
    pub budget: u32,
    /// Duration of the first lock. It doubles with each further failure.
    pub first_lock_seconds: i64,
    /// Maximum duration of a lock.
    pub longest_lock_seconds: i64,
}

impl Limits {
    /// Logins to one account from one source network.
    pub const LOGIN: Self = Self { budget: 5, first_lock_seconds: 60, longest_lock_seconds: 15 * 60 };
    /// Logins to one account from all source networks that are not known.
    pub const ACCOUNT: Self = Self { budget: 100, first_lock_seconds: 5, longest_lock_seconds: 5 };
    /// Attempts with a random secret from one source network.
    pub const RANDOM_SECRET: Self = Self { budget: 5, first_lock_seconds: 5, longest_lock_seconds: 5 };

    fn lock_seconds(&self, failures: u32) -> i64 {
        match failures.checked_sub(self.budget) {
            None => 0,
            Some(more) => (self.first_lock_seconds << more.min(10)).min(self.longest_lock_seconds),
        }
    }
}

/// The attempts that a counter has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// Failures since the last success.
    pub failures: u32,
    /// Time of the last failure.
    pub failed_at: Timestamp,
    /// Attempts begun and not settled.
    pub in_flight: u32,
    /// Time when the last of them began.
    pub begun_at: Timestamp,
    /// Time of the last success.
    pub succeeded_at: Option<Timestamp>,
}

/// Whether one more attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may, once this value is saved.
    Admitted(Attempts),
    /// It may perhaps, when the attempts in flight are settled.
    Wait,
    /// It may not for this number of seconds.
    Locked(i64),
}

impl Attempts {
    /// Returns the value of a new counter.
    pub fn none(now: Timestamp) -> Self {
        Self { failures: 0, failed_at: now, in_flight: 0, begun_at: now, succeeded_at: None }
    }

    /// Begins one more attempt.
    pub fn begin(self, limits: &Limits, now: Timestamp) -> Admission {
        let current = self.as_of(limits, now);
        let locked = current.locked_until(limits).as_millis() - now.as_millis();
        if locked > 0 {
            // Rounded up, so that a client that waits for that long is admitted.
            return Admission::Locked((locked + 999) / 1000);
        }
        if current.in_flight >= limits.budget.saturating_sub(current.failures).max(1) {
            return Admission::Wait;
        }
        Admission::Admitted(Self { in_flight: current.in_flight + 1, begun_at: now, ..current })
    }

    /// Settles one attempt as failed.
    #[must_use]
    pub fn fail(self, limits: &Limits, now: Timestamp) -> Self {
        let current = self.as_of(limits, now);
        Self {
            failures: current.failures.saturating_add(1),
            failed_at: now,
            in_flight: current.in_flight.saturating_sub(1),
            ..current
        }
    }

    /// Returns whether the counter is locked.
    pub fn is_locked(self, limits: &Limits, now: Timestamp) -> bool {
        self.locked_until(limits) > now
    }

    /// Returns whether the last success is recent enough to trust the source network.
    pub fn is_known(self, now: Timestamp) -> bool {
        self.succeeded_at.is_some_and(|at| now < at.plus_seconds(KNOWN_NETWORK_SECONDS))
    }

    /// Returns the time from which on the value is that of a new counter.
    pub fn forgotten_at(self, limits: &Limits) -> Timestamp {
        let longest = IN_FLIGHT_SECONDS + limits.longest_lock_seconds + WINDOW_SECONDS;
        let failures = self.locked_until(limits).plus_seconds(WINDOW_SECONDS);
        let in_flight = (self.in_flight > 0).then(|| self.begun_at.plus_seconds(longest));
        let known = self.succeeded_at.map(|at| at.plus_seconds(KNOWN_NETWORK_SECONDS));
        [Some(failures), in_flight, known].into_iter().flatten().max().unwrap_or(failures)
    }

    fn locked_until(self, limits: &Limits) -> Timestamp {
        self.failed_at.plus_seconds(limits.lock_seconds(self.failures))
    }

    /// Returns what still counts at a time.
    fn as_of(self, limits: &Limits, now: Timestamp) -> Self {
        let mut current = self;
        if current.in_flight > 0 && now >= current.begun_at.plus_seconds(IN_FLIGHT_SECONDS) {
            current.failures = current.failures.saturating_add(current.in_flight);
            current.failed_at = current.failed_at.max(current.begun_at);
            current.in_flight = 0;
        }
        if now >= current.locked_until(limits).plus_seconds(WINDOW_SECONDS) {
            current.failures = 0;
        }
        current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: i64 = 1_800_000_000_000;
    const LOGIN: &Limits = &Limits::LOGIN;
    const BUDGET: u32 = LOGIN.budget;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(T0).plus_seconds(seconds)
    }

    fn fail(limits: &Limits, attempts: Attempts, now: Timestamp) -> Attempts {
        match attempts.begin(limits, now) {
            Admission::Admitted(begun) => begun.fail(limits, now),
            other => panic!("{other:?}"),
        }
    }

    fn failed_times(limits: &Limits, times: u32) -> Attempts {
        (0..times).fold(Attempts::none(at(0)), |attempts, _| fail(limits, attempts, at(0)))
    }

    #[test]
    fn five_failures_in_a_row_lock_for_a_minute_and_each_one_more_for_twice_as_long() {
        let mut attempts = failed_times(LOGIN, BUDGET);
        let mut now = 0;
        for seconds in [60, 120, 240, 480, 900, 900] {
            assert_eq!(attempts.begin(LOGIN, at(now)), Admission::Locked(seconds));
            assert_eq!(attempts.begin(LOGIN, at(now + seconds - 1)), Admission::Locked(1));
            now += seconds;
            attempts = fail(LOGIN, attempts, at(now));
        }
    }

    #[test]
    fn an_account_is_paused_for_seconds_after_a_hundred_failures() {
        let limits = &Limits::ACCOUNT;
        let mut attempts = failed_times(limits, limits.budget);
        for now in (0..100).map(|n| n * 5) {
            assert_eq!(attempts.begin(limits, at(now)), Admission::Locked(5));
            attempts = fail(limits, attempts, at(now + 5));
        }
    }

    #[test]
    fn a_failure_is_forgotten_after_a_quarter_of_an_hour() {
        let attempts = failed_times(LOGIN, BUDGET - 1);
        assert!(fail(LOGIN, attempts, at(WINDOW_SECONDS - 1)).is_locked(LOGIN, at(WINDOW_SECONDS)));
        assert!(!fail(LOGIN, attempts, at(WINDOW_SECONDS)).is_locked(LOGIN, at(WINDOW_SECONDS)));
        assert_eq!(attempts.forgotten_at(LOGIN), at(WINDOW_SECONDS));
    }

    #[test]
    fn concurrent_attempts_wait_for_each_other_instead_of_exceeding_the_budget() {
        let mut attempts = failed_times(LOGIN, 2);
        for _ in 0..BUDGET - 2 {
            let Admission::Admitted(begun) = attempts.begin(LOGIN, at(0)) else { panic!() };
            attempts = begun;
        }
        assert_eq!(attempts.begin(LOGIN, at(0)), Admission::Wait);
        for _ in 0..BUDGET - 2 {
            attempts = attempts.fail(LOGIN, at(0));
        }
        assert_eq!(attempts.begin(LOGIN, at(0)), Admission::Locked(60));
        let Admission::Admitted(begun) = attempts.begin(LOGIN, at(60)) else { panic!() };
        assert_eq!(begun.begin(LOGIN, at(60)), Admission::Wait, "after a lock, one at a time");
    }

    #[test]
    fn an_attempt_that_is_never_settled_counts_as_failed() {
        let mut attempts = Attempts::none(at(0));
        for _ in 0..BUDGET {
            let Admission::Admitted(begun) = attempts.begin(LOGIN, at(0)) else { panic!() };
            attempts = begun;
        }
        assert_eq!(attempts.begin(LOGIN, at(IN_FLIGHT_SECONDS - 1)), Admission::Wait);
        assert_eq!(attempts.begin(LOGIN, at(IN_FLIGHT_SECONDS)), Admission::Locked(60 - IN_FLIGHT_SECONDS));
        assert!(attempts.forgotten_at(LOGIN) > at(60));
    }

    #[test]
    fn a_network_is_known_for_thirty_days_after_a_success() {
        let attempts = Attempts { succeeded_at: Some(at(0)), ..Attempts::none(at(0)) };
        assert!(
            attempts.is_known(at(KNOWN_NETWORK_SECONDS - 1)) && !attempts.is_known(at(KNOWN_NETWORK_SECONDS))
        );
        assert_eq!(attempts.forgotten_at(LOGIN), at(KNOWN_NETWORK_SECONDS));
        assert!(fail(LOGIN, attempts, at(1)).is_known(at(1)), "a failure changes nothing about that");
        assert!(!Attempts::none(at(0)).is_known(at(0)));
    }

    proptest::proptest! {
        /// Whatever the order in which attempts begin and fail, no more than the budget precede a lock.
        #[test]
        fn no_order_of_events_admits_more_attempts_than_the_budget(steps in proptest::collection::vec(0..2, 0..60)) {
            let (mut attempts, mut open, mut admitted) = (Attempts::none(at(0)), 0, 0);
            for step in steps {
                match (step, attempts.begin(LOGIN, at(0))) {
                    (0, Admission::Admitted(begun)) => {
                        attempts = begun;
                        open += 1;
                        admitted += 1;
                    }
                    (1, _) if open > 0 => {
                        attempts = attempts.fail(LOGIN, at(0));
                        open -= 1;
                    }
                    _ => {}
                }
                proptest::prop_assert!(admitted <= BUDGET);
            }
        }
    }
}
