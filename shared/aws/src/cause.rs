//! Why AWS did not do what it was asked.

use std::error::Error;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId as _;
use erp_contracts::chain;

/// The reason in a line: the service's code and message with the id of the request if it answered, else what went wrong
/// on the way.
///
/// Not the SDK's `DisplayErrorContext`, which adds the whole answer: after a cancelled transaction that has in it the rows
/// that were in the way, and a log is no place for them.
pub fn cause<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let mut text = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => chain(error),
    };
    if let Some(id) = error.request_id() {
        text.push_str(&format!(" (request {id})"));
    }
    text
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_dynamodb::operation::get_item::GetItemError;

    use super::*;

    fn answer(body: &'static str) -> HttpResponse {
        let mut answer = HttpResponse::new(400.try_into().unwrap(), body.into());
        answer.headers_mut().insert("x-amzn-requestid", "R1");
        answer
    }

    #[test]
    fn says_what_the_service_said_and_nothing_of_the_answer() {
        let said = ErrorMetadata::builder().code("ThrottlingException").message("Slow down").build();
        let error = SdkError::service_error(GetItemError::generic(said), answer("password_hash"));
        let text = cause(&error);
        assert!(text.starts_with("ThrottlingException: Slow down"), "{text}");
        assert!(!text.contains("password_hash"), "{text}");
    }

    #[test]
    fn says_why_the_service_was_not_reached() {
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "port 1 is closed");
        let error = SdkError::<GetItemError, _>::timeout_error(refused);
        assert_eq!(cause(&error), "request has timed out: port 1 is closed");
        let error = SdkError::<GetItemError, _>::response_error("no JSON", answer("password_hash"));
        assert_eq!(cause(&error), "response error: no JSON (request R1)");
    }
}
