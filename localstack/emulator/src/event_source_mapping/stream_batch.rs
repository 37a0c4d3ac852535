//! What becomes of a batch of stream records: retry, split, give up. No I/O, no time.
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>

use super::failures::Ended;
use super::stream_event::Record;

/// Records that go to the function in one event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    /// In their order; at least one.
    pub(super) records: Vec<Record>,
    /// How often exactly this was tried.
    pub(super) attempts: u32,
}

/// What the mapping says about failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    /// `BisectBatchOnFunctionError`.
    pub(super) bisect: bool,
    /// `MaximumRetryAttempts`; none means for ever.
    pub(super) maximum_retries: Option<u32>,
}

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Next {
    /// Everything up to this sequence number is done; go on with `rest`, if there is any.
    Forward { done: String, rest: Option<Part> },
    /// Nothing is done; go on with these, in this order.
    Retry(Vec<Part>),
    /// It was tried too often: these records are lost to the function, and whatever follows may go on.
    GiveUp { records: Vec<Record>, reason: String },
}

impl Part {
    pub(super) fn new(records: Vec<Record>) -> Self {
        Self { records, attempts: 0 }
    }

    /// Decides how to go on after an attempt.
    pub(super) fn after(self, ended: Ended, rules: Rules) -> Next {
        match ended {
            Ended::Done => match self.records.last() {
                Some(last) => Next::Forward { done: last.sequence_number.clone(), rest: None },
                None => Next::Retry(Vec::new()),
            },
            Ended::Without(failed) => {
                let first = self.records.iter().position(|record| failed.contains(&record.sequence_number));
                self.from(first.unwrap_or(0), rules)
            }
            // Dividing is no retry.
            Ended::Failed(_) if rules.bisect && self.records.len() > 1 => self.halves(),
            Ended::Failed(reason) => self.again(rules, reason),
            Ended::TooLarge if self.records.len() > 1 => self.halves(),
            Ended::TooLarge => Next::GiveUp {
                records: self.records,
                reason: "the record is too large for an event".to_owned(),
            },
            Ended::NotRun(_) => Next::Retry(vec![self]),
        }
    }

    /// Everything before the first failure is done, and what comes after it is tried again with it: the order of a
    /// stream holds.
    fn from(mut self, first: usize, rules: Rules) -> Next {
        let records = self.records.split_off(first);
        match self.records.pop() {
            // That it came further counts for more than how often it was tried before.
            Some(done) => {
                Next::Forward { done: done.sequence_number, rest: Some(Self { records, attempts: 1 }) }
            }
            None => Self { records, ..self }.again(rules, "the function says so".to_owned()),
        }
    }

    fn again(self, rules: Rules, reason: String) -> Next {
        let attempts = self.attempts.saturating_add(1);
        if rules.maximum_retries.is_some_and(|most| attempts > most) {
            return Next::GiveUp { records: self.records, reason };
        }
        Next::Retry(vec![Self { attempts, ..self }])
    }

    fn halves(mut self) -> Next {
        let second = self.records.split_off(self.records.len() / 2);
        let attempts = self.attempts;
        Next::Retry(vec![self, Self { records: second, attempts }])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::lambda::InvokeError;

    const FOR_EVER: Rules = Rules { bisect: false, maximum_retries: None };
    const TWICE: Rules = Rules { bisect: false, maximum_retries: Some(1) };
    const BISECT: Rules = Rules { bisect: true, maximum_retries: Some(1) };

    fn part(numbers: &[&str], attempts: u32) -> Part {
        Part { records: numbers.iter().map(|number| Record::numbered(number)).collect(), attempts }
    }

    fn without(failed: &[&str]) -> Ended {
        Ended::Without(failed.iter().map(|number| (*number).to_owned()).collect::<BTreeSet<_>>())
    }

    fn failed() -> Ended {
        Ended::Failed("boom".to_owned())
    }

    #[test]
    fn a_batch_that_is_done_moves_the_checkpoint_to_its_end() {
        let next = part(&["1", "2", "3"], 4).after(Ended::Done, FOR_EVER);
        assert_eq!(next, Next::Forward { done: "3".to_owned(), rest: None });
    }

    #[test]
    fn it_goes_on_from_the_lowest_failure_whatever_was_named_after_it() {
        let next = part(&["1", "2", "3", "4"], 0).after(without(&["4", "2"]), BISECT);
        assert_eq!(next, Next::Forward { done: "1".to_owned(), rest: Some(part(&["2", "3", "4"], 1)) });
    }

    #[test]
    fn a_failure_at_the_front_is_a_retry_and_retries_end() {
        let next = part(&["1", "2"], 0).after(without(&["1"]), TWICE);
        assert_eq!(next, Next::Retry(vec![part(&["1", "2"], 1)]));
        let next = part(&["1", "2"], 1).after(without(&["1"]), TWICE);
        assert!(matches!(next, Next::GiveUp { records, .. } if records.len() == 2));
        let next = part(&["1"], 1000).after(failed(), FOR_EVER);
        assert_eq!(next, Next::Retry(vec![part(&["1"], 1001)]), "no limit");
    }

    #[test]
    fn a_poisonous_record_is_found_by_halving_and_halving_is_no_retry() {
        let next = part(&["1", "2", "3"], 0).after(failed(), BISECT);
        assert_eq!(next, Next::Retry(vec![part(&["1"], 0), part(&["2", "3"], 0)]));
        let next = part(&["1"], 0).after(failed(), BISECT);
        assert_eq!(next, Next::Retry(vec![part(&["1"], 1)]));
        let next = part(&["1"], 1).after(failed(), BISECT);
        assert!(matches!(next, Next::GiveUp { .. }));
    }

    #[test]
    fn what_the_function_did_not_get_does_not_count_against_it() {
        let next = part(&["1", "2"], 1).after(Ended::NotRun(InvokeError::Throttled), BISECT);
        assert_eq!(next, Next::Retry(vec![part(&["1", "2"], 1)]));
        let next = part(&["1", "2"], 1).after(Ended::TooLarge, TWICE);
        assert_eq!(next, Next::Retry(vec![part(&["1"], 1), part(&["2"], 1)]));
    }
}
