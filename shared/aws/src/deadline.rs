//! Deadlines of invocations, and that of the request in progress as a value of its task: retries and invocations far
//! below the handler do not start what cannot end in time.

use std::future::Future;
use std::time::Duration;

use erp_domain::Clock;
use erp_domain::time::SystemClock;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

/// Shortest time in which an attempt may succeed: a call of DynamoDB takes about 10 ms, of a function 50 ms.
const MIN_ATTEMPT: Duration = Duration::from_millis(100);

tokio::task_local! {
    static DEADLINE: Instant;
}

/// Returns the deadline of an invocation from that in its context, which is in milliseconds since the Unix epoch.
pub fn of_invocation(millis: u64) -> Instant {
    let left = i64::try_from(millis).unwrap_or(i64::MAX).saturating_sub(SystemClock.now().as_millis());
    let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
    // No invocation takes longer than 15 minutes.
    Instant::now() + left.min(Duration::from_secs(900))
}

/// Returns the time that is `reserve` before a deadline.
pub fn earlier(deadline: Instant, reserve: Duration) -> Instant {
    deadline.checked_sub(reserve).unwrap_or(deadline)
}

/// Runs `work` until the deadline; [`at_most`] and [`allows`] use the deadline inside of it.
///
/// # Errors
/// If the deadline passes. `work` is dropped at its last `await`: the outcome of a call in progress is unknown.
pub async fn within<F: Future>(deadline: Instant, work: F) -> Result<F::Output, Elapsed> {
    timeout_at(deadline, DEADLINE.scope(deadline, work)).await
}

/// Returns `at`, or the deadline of this task if that is earlier.
pub fn at_most(at: Instant) -> Instant {
    DEADLINE.try_with(|deadline| at.min(*deadline)).unwrap_or(at)
}

/// Returns whether an attempt that starts after `delay` can end before the deadline of this task.
pub fn allows(delay: Duration) -> bool {
    DEADLINE.try_with(|deadline| Instant::now() + delay + MIN_ATTEMPT <= *deadline).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_deadline_limits_the_work_inside_and_nothing_outside() {
        let start = Instant::now();
        let [soon, later] = [1, 60].map(|seconds| start + Duration::from_secs(seconds));
        assert!(allows(Duration::from_secs(3600)));
        assert_eq!(at_most(later), later);
        let inside = within(soon, async {
            assert!(allows(Duration::ZERO) && !allows(Duration::from_secs(1)));
            assert_eq!((at_most(later), at_most(start)), (soon, start));
        });
        inside.await.unwrap();
        assert!(within(start, std::future::pending::<()>()).await.is_err());
    }
}
