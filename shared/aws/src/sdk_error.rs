//! SDK errors as one line that may be logged.

use std::error::Error;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId as _;

use crate::store::error_chain;

/// Formats an SDK error: the service's error code and message with the request id if there was a response, otherwise
/// the transport error.
///
/// The SDK's `DisplayErrorContext` is not used, because it contains the whole response: for a cancelled transaction
/// that includes the rows whose conditions failed, which must not be logged.
pub fn sdk_error_message<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let mut text = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => error_chain(error),
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

    fn response(body: &'static str) -> HttpResponse {
        let mut response = HttpResponse::new(400.try_into().unwrap(), body.into());
        response.headers_mut().insert("x-amzn-requestid", "R1");
        response
    }

    #[test]
    fn a_service_error_is_formatted_without_the_response_body() {
        let metadata = ErrorMetadata::builder().code("ThrottlingException").message("Slow down").build();
        let error = SdkError::service_error(GetItemError::generic(metadata), response("password_hash"));
        let text = sdk_error_message(&error);
        assert!(text.starts_with("ThrottlingException: Slow down"), "{text}");
        assert!(!text.contains("password_hash"), "{text}");
    }

    #[test]
    fn a_transport_error_is_formatted_with_its_causes() {
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "port 1 is closed");
        let error = SdkError::<GetItemError, _>::timeout_error(refused);
        assert_eq!(sdk_error_message(&error), "request has timed out: port 1 is closed");
        let error = SdkError::<GetItemError, _>::response_error("no JSON", response("password_hash"));
        assert_eq!(sdk_error_message(&error), "response error: no JSON (request R1)");
    }
}
