//! The outcome of a batch: the partial batch response of a function, and errors.
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting>

use std::collections::BTreeSet;

use serde_json::Value;

use crate::lambda::{Invocation, InvokeError};

/// The outcome of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BatchOutcome {
    /// All items were processed.
    Succeeded,
    /// All items except these were processed; there is at least one, and each belongs to the batch.
    PartiallyFailed(BTreeSet<String>),
    /// The function failed; no item is known to be processed.
    Failed(String),
    /// The event is too large for one invocation.
    TooLarge,
    /// The function was not invoked.
    NotInvoked(InvokeError),
}

/// The outcome of an invocation. `items` are the identifiers of the batch; without `report`
/// (`ReportBatchItemFailures`) the response is not evaluated.
///
/// As on AWS, a response without failures is a success, and one that cannot be decoded, or names an item that
/// is not in the batch, fails the whole batch.
pub(super) fn outcome(
    invoked: Result<Invocation, InvokeError>,
    report: bool,
    items: impl Iterator<Item = impl AsRef<str>>,
) -> BatchOutcome {
    let invocation = match invoked {
        Ok(invocation) => invocation,
        Err(InvokeError::TooLarge { .. }) => return BatchOutcome::TooLarge,
        Err(error @ (InvokeError::NotFound(_) | InvokeError::Throttled | InvokeError::Stopping)) => {
            return BatchOutcome::NotInvoked(error);
        }
    };
    if invocation.function_error.is_some() {
        return BatchOutcome::Failed(String::from_utf8_lossy(&invocation.payload).into_owned());
    }
    if !report {
        return BatchOutcome::Succeeded;
    }
    let failed = match identifiers(&invocation.payload) {
        Ok(failed) => failed,
        Err(reason) => return BatchOutcome::Failed(reason),
    };
    if failed.is_empty() {
        return BatchOutcome::Succeeded;
    }
    let items: BTreeSet<String> = items.map(|item| item.as_ref().to_owned()).collect();
    match failed.difference(&items).next() {
        Some(unknown) => {
            BatchOutcome::Failed(format!("the response names {unknown:?}, which is not in the batch"))
        }
        None => BatchOutcome::PartiallyFailed(failed),
    }
}

fn identifiers(payload: &[u8]) -> Result<BTreeSet<String>, String> {
    let malformed = |reason: &str| Err(format!("not a batch response: {reason}"));
    let response: Value = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
    let failures = match &response {
        Value::Null => return Ok(BTreeSet::new()),
        Value::Object(response) => response.get("batchItemFailures"),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return malformed("not an object");
        }
    };
    let failures = match failures {
        None | Some(Value::Null) => return Ok(BTreeSet::new()),
        Some(Value::Array(failures)) => failures,
        Some(_) => return malformed("batchItemFailures is not a list"),
    };
    let identifier = |failure: &Value| match failure["itemIdentifier"].as_str() {
        Some(identifier) if !identifier.is_empty() => Ok(identifier.to_owned()),
        Some(_) | None => Err("not a batch response: an itemIdentifier is missing or empty".to_owned()),
    };
    failures.iter().map(identifier).collect()
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::*;

    fn outcome_of(payload: &str, function_error: Option<&str>, report: bool) -> BatchOutcome {
        let invocation = Invocation {
            request_id: "r".into(),
            payload: Bytes::from(payload.to_owned()),
            function_error: function_error.map(str::to_owned),
        };
        outcome(Ok(invocation), report, ["a", "b"].iter())
    }

    #[test]
    fn a_response_without_failures_is_a_success() {
        for payload in
            ["null", "{}", r#"{"batchItemFailures":null}"#, r#"{"batchItemFailures":[]}"#, r#"{"other":1}"#]
        {
            assert_eq!(outcome_of(payload, None, true), BatchOutcome::Succeeded, "{payload}");
        }
    }

    #[test]
    fn the_response_names_the_failed_items() {
        let payload = r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"b"}]}"#;
        assert_eq!(
            outcome_of(payload, None, true),
            BatchOutcome::PartiallyFailed(BTreeSet::from(["b".to_owned()]))
        );
        assert_eq!(outcome_of(payload, None, false), BatchOutcome::Succeeded, "failures are not reported");
    }

    #[test]
    fn a_response_that_cannot_be_decoded_fails_the_whole_batch() {
        for payload in [
            "",
            "nonsense",
            r#""ok""#,
            r#"{"batchItemFailures":{}}"#,
            r#"{"batchItemFailures":[{}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"itemId":"a"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"unknown"}]}"#,
        ] {
            assert!(matches!(outcome_of(payload, None, true), BatchOutcome::Failed(_)), "{payload}");
        }
        assert_eq!(outcome_of("{}", Some("Unhandled"), true), BatchOutcome::Failed("{}".to_owned()));
    }
}
