//! Gateway responses: errors that the gateway itself produces, rendered with the template's `GatewayResponses`.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html>

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::context::Context;
use crate::deployment::GatewayResponse;

/// The body template of AWS for types that the template does not define.
const DEFAULT_TEMPLATE: &str = r#"{"message":$context.error.messageString}"#;

/// An error that the gateway itself produces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GatewayError {
    /// The policy does not allow the method.
    AccessDenied,
    /// The policy denies the method.
    ExplicitlyDenied,
    /// The output of the authorizer is malformed.
    AuthorizerConfigurationError,
    /// The authorizer failed.
    AuthorizerFailure,
    /// The path or the request is malformed.
    BadRequest,
    /// The function failed, or was not invoked.
    IntegrationFailure,
    /// The function exceeded the integration timeout.
    IntegrationTimeout,
    /// The result of the function is malformed.
    MalformedResponse,
    /// There is no such route. The name is that of AWS, where the request could have been a signed one.
    MissingAuthenticationToken,
    /// The body is too large.
    RequestTooLarge,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The function is at its concurrency limit.
    Throttled,
    /// The token is missing or invalid.
    Unauthorized,
}

impl GatewayError {
    /// The response type. An error without a type of its own has the default type of its class.
    fn kind(self) -> &'static str {
        match self {
            Self::AccessDenied | Self::ExplicitlyDenied => "ACCESS_DENIED",
            Self::AuthorizerConfigurationError => "AUTHORIZER_CONFIGURATION_ERROR",
            Self::AuthorizerFailure => "AUTHORIZER_FAILURE",
            Self::BadRequest | Self::RequestTimeout => "DEFAULT_4XX",
            Self::IntegrationFailure => "INTEGRATION_FAILURE",
            Self::IntegrationTimeout => "INTEGRATION_TIMEOUT",
            Self::MalformedResponse => "DEFAULT_5XX",
            Self::MissingAuthenticationToken => "MISSING_AUTHENTICATION_TOKEN",
            Self::RequestTooLarge => "REQUEST_TOO_LARGE",
            Self::Throttled => "THROTTLED",
            Self::Unauthorized => "UNAUTHORIZED",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::AccessDenied | Self::ExplicitlyDenied | Self::MissingAuthenticationToken => {
                StatusCode::FORBIDDEN
            }
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Throttled => StatusCode::TOO_MANY_REQUESTS,
            Self::AuthorizerConfigurationError | Self::AuthorizerFailure => StatusCode::INTERNAL_SERVER_ERROR,
            Self::IntegrationFailure | Self::MalformedResponse => StatusCode::BAD_GATEWAY,
            Self::IntegrationTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::AccessDenied => "User is not authorized to access this resource",
            Self::ExplicitlyDenied => "User is not authorized to access this resource with an explicit deny",
            Self::BadRequest => "Bad Request",
            Self::IntegrationTimeout => "Endpoint request timed out",
            Self::MissingAuthenticationToken => "Missing Authentication Token",
            Self::RequestTimeout => "Request Timeout",
            Self::RequestTooLarge => "Request Too Long",
            Self::Throttled => "Too Many Requests",
            Self::Unauthorized => "Unauthorized",
            Self::AuthorizerConfigurationError
            | Self::AuthorizerFailure
            | Self::IntegrationFailure
            | Self::MalformedResponse => "Internal server error",
        }
    }

    /// Renders the response that `responses` defines for this type, or else for its class, or else the default of AWS.
    pub(super) fn response(
        self,
        responses: &BTreeMap<String, GatewayResponse>,
        context: &Context,
        request: &HeaderMap,
    ) -> Response {
        let class = if self.status().is_client_error() { "DEFAULT_4XX" } else { "DEFAULT_5XX" };
        let defined = responses.get(self.kind()).or_else(|| responses.get(class));
        let status = defined.and_then(|defined| defined.status).map(StatusCode::from_u16);
        let status = status.and_then(Result::ok).unwrap_or(self.status());
        let variable = |name: &str| match name {
            "status" => Some(status.as_u16().to_string()),
            "error.message" => Some(self.message().to_owned()),
            "error.responseType" => Some(self.kind().to_owned()),
            other => context.variable(other),
        };
        let template = defined.and_then(|defined| defined.template.as_deref()).unwrap_or(DEFAULT_TEMPLATE);
        let mut response = Response::new(Body::from(render(template, variable)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, mapping) in defined.iter().flat_map(|defined| &defined.headers) {
            let value = map(mapping, variable, request).and_then(|value| HeaderValue::from_str(&value).ok());
            match (HeaderName::from_bytes(name.as_bytes()), value) {
                (Ok(name), Some(value)) => drop(headers.insert(name, value)),
                (Ok(_), None) | (Err(_), _) => {
                    tracing::debug!(
                        response = self.kind(),
                        header = name,
                        mapping,
                        "a header has no valid value"
                    );
                }
            }
        }
        response
    }
}

/// The value of a header: `'literal'`, `context.…` or `method.request.header.…`.
fn map(mapping: &str, variable: impl Fn(&str) -> Option<String>, request: &HeaderMap) -> Option<String> {
    if let Some(literal) = mapping.strip_prefix('\'').and_then(|mapping| mapping.strip_suffix('\'')) {
        return Some(literal.to_owned());
    }
    if let Some(name) = mapping.strip_prefix("context.") {
        return variable(name);
    }
    let value = request.get(mapping.strip_prefix("method.request.header.")?)?;
    Some(value.to_str().ok()?.to_owned())
}

/// Renders a template. Each value is escaped as the inside of a JSON string, and `$context.error.messageString` includes
/// the quotes, so no request can change the structure of the response. A missing variable is rendered as nothing.
fn render(template: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    const MARK: &str = "$context.";
    let mut rendered = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find(MARK) {
        rendered.push_str(&rest[..at]);
        rest = &rest[at + MARK.len()..];
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_'))).unwrap_or(rest.len());
        // A full stop after a variable is not part of its name.
        let name = rest[..end].trim_end_matches('.');
        rest = &rest[name.len()..];
        if name == "error.messageString" {
            rendered.push_str(&quoted(&variable("error.message").unwrap_or_default()));
        } else if let Some(value) = variable(name) {
            rendered.push_str(unquoted(&quoted(&value)));
        }
    }
    rendered + rest
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A JSON string without its quotes.
fn unquoted(json: &str) -> &str {
    json.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(json)
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::http::Request;
    use serde_json::{Value, json};

    use super::*;

    fn context(path: &str) -> Context {
        let request = Request::builder().uri(path).body(()).unwrap();
        Context::new(&request.into_parts().0, "dev")
    }

    async fn json_of(response: Response) -> Value {
        serde_json::from_slice(&to_bytes(response.into_body(), 10_000).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_response_is_looked_up_by_type_then_by_class() {
        let defined = |status, template: &str| GatewayResponse {
            status,
            headers: BTreeMap::new(),
            template: Some(template.to_owned()),
        };
        let responses = BTreeMap::from([
            ("UNAUTHORIZED".to_owned(), defined(None, r#"{"is":"own"}"#)),
            (
                "INTEGRATION_FAILURE".to_owned(),
                defined(Some(503), r#"{"is":"own","status":$context.status}"#),
            ),
            (
                "DEFAULT_4XX".to_owned(),
                defined(None, r#"{"is":"4xx","detail":$context.error.messageString}"#),
            ),
        ]);
        for (error, status, body) in [
            (GatewayError::Unauthorized, 401, json!({"is": "own"})),
            (GatewayError::IntegrationFailure, 503, json!({"is": "own", "status": 503})),
            (GatewayError::RequestTooLarge, 413, json!({"is": "4xx", "detail": "Request Too Long"})),
            (GatewayError::IntegrationTimeout, 504, json!({"message": "Endpoint request timed out"})),
            (GatewayError::MalformedResponse, 502, json!({"message": "Internal server error"})),
        ] {
            let response = error.response(&responses, &context("/"), &HeaderMap::new());
            assert_eq!(response.status(), status, "{error:?}");
            assert_eq!(json_of(response).await, body, "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_request_cannot_change_the_structure_of_the_response() {
        let template =
            r#"{"instance":"$context.path","request_id":"$context.requestId","gone":"$context.nothing."}"#;
        let responses = BTreeMap::from([(
            "DEFAULT_4XX".to_owned(),
            GatewayResponse { status: None, headers: BTreeMap::new(), template: Some(template.to_owned()) },
        )]);
        let hostile = r#"/a","status":"200","x":"$context.requestId"#;
        let mut context = context("/");
        context.path = hostile.to_owned();
        let body = json_of(GatewayError::BadRequest.response(&responses, &context, &HeaderMap::new())).await;
        assert_eq!(body, json!({"instance": hostile, "request_id": context.request_id, "gone": "."}));
    }

    #[test]
    fn headers_are_literals_or_references() {
        let headers = [
            ("Content-Type", "'application/problem+json'"),
            ("X-Request-Id", "context.requestId"),
            ("X-Origin", "method.request.header.Origin"),
            ("X-Nothing", "context.nothing"),
            ("X-Unknown", "stageVariables.a"),
            ("X-Path", "context.path"),
        ];
        let responses = BTreeMap::from([(
            "THROTTLED".to_owned(),
            GatewayResponse {
                status: None,
                headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
                template: None,
            },
        )]);
        let mut context = context("/");
        context.path = "/a\r\nSet-Cookie: b".to_owned();
        let request = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static("http://here"))]);
        let response = GatewayError::Throttled.response(&responses, &context, &request);
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("content-type"), Some("application/problem+json"));
        assert_eq!(header("x-request-id"), Some(context.request_id.as_str()));
        assert_eq!(header("x-origin"), Some("http://here"));
        for name in ["x-nothing", "x-unknown", "x-path", "set-cookie"] {
            assert_eq!(header(name), None, "{name}");
        }
    }
}
