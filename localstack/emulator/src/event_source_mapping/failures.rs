//! Which items of a batch a function says it could not do.
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting>

use std::collections::BTreeSet;

use serde_json::Value;

use crate::lambda::{Invocation, InvokeError};

/// How a batch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// All of it is done.
    Done,
    /// All of it but these is done; there is at least one, and each is of the batch.
    Without(BTreeSet<String>),
    /// None of it is known to be done.
    Failed(String),
    /// The event is too large for an invocation: it must be sent in parts.
    TooLarge,
    /// The function did not get it.
    NotRun(InvokeError),
}

/// Reads how a batch ended. `items` are the identifiers of the batch; `report` is whether the function's answer
/// counts at all (`ReportBatchItemFailures`).
///
/// As on AWS, an answer that names no failure is a success, and one that cannot be understood, or names an item that
/// was not in the batch, fails the whole batch.
pub(super) fn read(
    invoked: Result<Invocation, InvokeError>,
    report: bool,
    items: impl Iterator<Item = impl AsRef<str>>,
) -> Ended {
    let invocation = match invoked {
        Ok(invocation) => invocation,
        Err(InvokeError::TooLarge { .. }) => return Ended::TooLarge,
        Err(error @ (InvokeError::NotFound(_) | InvokeError::Throttled | InvokeError::Stopping)) => {
            return Ended::NotRun(error);
        }
    };
    if invocation.function_error.is_some() {
        return Ended::Failed(String::from_utf8_lossy(&invocation.payload).into_owned());
    }
    if !report {
        return Ended::Done;
    }
    let failed = match identifiers(&invocation.payload) {
        Ok(failed) => failed,
        Err(reason) => return Ended::Failed(reason),
    };
    if failed.is_empty() {
        return Ended::Done;
    }
    let items: BTreeSet<String> = items.map(|item| item.as_ref().to_owned()).collect();
    match failed.difference(&items).next() {
        Some(stranger) => Ended::Failed(format!("the answer names {stranger:?}, which is not in the batch")),
        None => Ended::Without(failed),
    }
}

fn identifiers(payload: &[u8]) -> Result<BTreeSet<String>, String> {
    let malformed = |what: &str| Err(format!("the answer is no batch response: {what}"));
    let answer: Value = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
    let failures = match &answer {
        Value::Null => return Ok(BTreeSet::new()),
        Value::Object(answer) => answer.get("batchItemFailures"),
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
        Some(_) | None => {
            Err("the answer is no batch response: an itemIdentifier is missing or empty".to_owned())
        }
    };
    failures.iter().map(identifier).collect()
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::*;

    fn ended(payload: &str, function_error: Option<&str>, report: bool) -> Ended {
        let invocation = Invocation {
            request_id: "r".into(),
            payload: Bytes::from(payload.to_owned()),
            function_error: function_error.map(str::to_owned),
        };
        read(Ok(invocation), report, ["a", "b"].iter())
    }

    #[test]
    fn an_answer_without_failures_is_a_success() {
        for payload in
            ["null", "{}", r#"{"batchItemFailures":null}"#, r#"{"batchItemFailures":[]}"#, r#"{"other":1}"#]
        {
            assert_eq!(ended(payload, None, true), Ended::Done, "{payload}");
        }
    }

    #[test]
    fn failures_are_what_the_answer_names() {
        let payload = r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"b"}]}"#;
        assert_eq!(ended(payload, None, true), Ended::Without(BTreeSet::from(["b".to_owned()])));
        assert_eq!(ended(payload, None, false), Ended::Done, "nobody asked");
    }

    #[test]
    fn an_answer_that_cannot_be_understood_fails_the_whole_batch() {
        for payload in [
            "",
            "nonsense",
            r#""ok""#,
            r#"{"batchItemFailures":{}}"#,
            r#"{"batchItemFailures":[{}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"itemId":"a"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"stranger"}]}"#,
        ] {
            assert!(matches!(ended(payload, None, true), Ended::Failed(_)), "{payload}");
        }
        assert_eq!(ended("{}", Some("Unhandled"), true), Ended::Failed("{}".to_owned()));
    }
}
