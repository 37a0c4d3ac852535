//! Decides after each attempt to retry, split or discard a batch of stream records. No I/O, no clock.
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>

use super::batch_response::BatchOutcome;
use super::stream_event::Record;

/// Records for one event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Batch {
    /// At least one record, in order.
    pub(super) records: Vec<Record>,
    /// Number of attempts with exactly these records.
    pub(super) attempts: u32,
}

/// The failure handling of the mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RetryPolicy {
    /// `BisectBatchOnFunctionError`.
    pub(super) bisect: bool,
    /// `MaximumRetryAttempts`; `None` for no limit.
    pub(super) maximum_retries: Option<u32>,
}

/// The decision after an attempt.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NextStep {
    /// Move the checkpoint to this sequence number and continue with `rest`, if any.
    Advance { checkpoint: String, rest: Option<Batch> },
    /// No record was processed; continue with these batches in order.
    Retry(Vec<Batch>),
    /// The attempts are exhausted: discard these records and continue with the next ones.
    Discard { records: Vec<Record>, reason: String },
}

impl Batch {
    pub(super) fn new(records: Vec<Record>) -> Self {
        Self { records, attempts: 0 }
    }

    /// The decision after an attempt.
    pub(super) fn after(self, outcome: BatchOutcome, retry_policy: RetryPolicy) -> NextStep {
        match outcome {
            BatchOutcome::Succeeded => match self.records.last() {
                Some(last) => NextStep::Advance { checkpoint: last.sequence_number.clone(), rest: None },
                None => NextStep::Retry(Vec::new()),
            },
            BatchOutcome::PartiallyFailed(failed) => {
                let first = self.records.iter().position(|record| failed.contains(&record.sequence_number));
                // Without the failed record in the batch, all of it is retried.
                self.retry_from(first.unwrap_or(0), retry_policy)
            }
            // A split does not count as a retry.
            BatchOutcome::Failed(_) if retry_policy.bisect && self.records.len() > 1 => self.split(),
            BatchOutcome::Failed(reason) => self.retry(retry_policy, reason),
            BatchOutcome::TooLarge if self.records.len() > 1 => self.split(),
            BatchOutcome::TooLarge => NextStep::Discard {
                records: self.records,
                reason: "the record is too large for an event".to_owned(),
            },
            BatchOutcome::NotInvoked(_) => NextStep::Retry(vec![self]),
        }
    }

    /// Advances to the record before the first failure and retries the rest, which keeps the order of the
    /// stream.
    fn retry_from(mut self, first: usize, retry_policy: RetryPolicy) -> NextStep {
        let records = self.records.split_off(first);
        match self.records.pop() {
            // Progress resets the attempts.
            Some(processed) => NextStep::Advance {
                checkpoint: processed.sequence_number,
                rest: Some(Self { records, attempts: 1 }),
            },
            None => Self { records, ..self }.retry(retry_policy, "named in the batch response".to_owned()),
        }
    }

    fn retry(self, retry_policy: RetryPolicy, reason: String) -> NextStep {
        let attempts = self.attempts.saturating_add(1);
        if retry_policy.maximum_retries.is_some_and(|max| attempts > max) {
            return NextStep::Discard { records: self.records, reason };
        }
        NextStep::Retry(vec![Self { attempts, ..self }])
    }

    fn split(mut self) -> NextStep {
        let second = self.records.split_off(self.records.len() / 2);
        let attempts = self.attempts;
        NextStep::Retry(vec![self, Self { records: second, attempts }])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::lambda::InvokeError;

    const UNLIMITED: RetryPolicy = RetryPolicy { bisect: false, maximum_retries: None };
    const ONE_RETRY: RetryPolicy = RetryPolicy { bisect: false, maximum_retries: Some(1) };
    const BISECT: RetryPolicy = RetryPolicy { bisect: true, maximum_retries: Some(1) };

    fn batch(numbers: &[&str], attempts: u32) -> Batch {
        Batch { records: numbers.iter().map(|number| Record::numbered(number)).collect(), attempts }
    }

    fn partially_failed(failed: &[&str]) -> BatchOutcome {
        BatchOutcome::PartiallyFailed(
            failed.iter().map(|number| (*number).to_owned()).collect::<BTreeSet<_>>(),
        )
    }

    fn failed() -> BatchOutcome {
        BatchOutcome::Failed("boom".to_owned())
    }

    #[test]
    fn a_processed_batch_moves_the_checkpoint_to_its_end() {
        let next = batch(&["1", "2", "3"], 4).after(BatchOutcome::Succeeded, UNLIMITED);
        assert_eq!(next, NextStep::Advance { checkpoint: "3".to_owned(), rest: None });
    }

    #[test]
    fn processing_continues_at_the_first_failure() {
        let next = batch(&["1", "2", "3", "4"], 0).after(partially_failed(&["4", "2"]), BISECT);
        assert_eq!(
            next,
            NextStep::Advance { checkpoint: "1".to_owned(), rest: Some(batch(&["2", "3", "4"], 1)) }
        );
    }

    #[test]
    fn a_failure_of_the_first_record_is_a_retry_and_retries_are_limited() {
        let next = batch(&["1", "2"], 0).after(partially_failed(&["1"]), ONE_RETRY);
        assert_eq!(next, NextStep::Retry(vec![batch(&["1", "2"], 1)]));
        let next = batch(&["1", "2"], 1).after(partially_failed(&["1"]), ONE_RETRY);
        assert!(matches!(next, NextStep::Discard { records, .. } if records.len() == 2));
        let next = batch(&["1"], 1000).after(failed(), UNLIMITED);
        assert_eq!(next, NextStep::Retry(vec![batch(&["1"], 1001)]), "no limit");
    }

    #[test]
    fn a_poison_record_is_found_by_bisection_which_does_not_count_as_a_retry() {
        let next = batch(&["1", "2", "3"], 0).after(failed(), BISECT);
        assert_eq!(next, NextStep::Retry(vec![batch(&["1"], 0), batch(&["2", "3"], 0)]));
        let next = batch(&["1"], 0).after(failed(), BISECT);
        assert_eq!(next, NextStep::Retry(vec![batch(&["1"], 1)]));
        let next = batch(&["1"], 1).after(failed(), BISECT);
        assert!(matches!(next, NextStep::Discard { .. }));
    }

    #[test]
    fn an_attempt_without_an_invocation_does_not_count() {
        let next = batch(&["1", "2"], 1).after(BatchOutcome::NotInvoked(InvokeError::Throttled), BISECT);
        assert_eq!(next, NextStep::Retry(vec![batch(&["1", "2"], 1)]));
        let next = batch(&["1", "2"], 1).after(BatchOutcome::TooLarge, ONE_RETRY);
        assert_eq!(next, NextStep::Retry(vec![batch(&["1"], 1), batch(&["2"], 1)]));
    }
}
