//! One endpoint for the three protocols of the SDKs.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde_json::{Value, json};
use uuid::Uuid;

use super::error::{BrokerError, ErrorCode};
use super::wire::xml::{self, Dialect};
use super::{Broker, sns, sqs, wire};
use crate::iam::Iam;

/// A message of 1 MiB can take 6 MiB as escaped JSON, and a batch has attributes besides.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// The caller of a request and the policies that it is checked against.
pub(crate) struct Caller {
    headers: HeaderMap,
    iam: Option<Arc<Iam>>,
}

impl Caller {
    /// Rejects a request without the permission; without policies everything is allowed.
    pub(crate) fn authorize(&self, action: &str, resource_arn: &str) -> Result<(), BrokerError> {
        match &self.iam {
            Some(iam) => iam
                .check(&self.headers, action, resource_arn)
                .map_err(|denied| BrokerError::rejected(ErrorCode::AccessDenied, denied.to_string())),
            None => Ok(()),
        }
    }
}

/// The protocol of a request and its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// AWS JSON 1.0, for SQS only.
    Json,
    /// Requests are forms, responses are XML.
    Query(Dialect),
}

pub(crate) fn router(broker: Arc<Broker>) -> Router {
    Router::new()
        .route("/", methods())
        .route("/{account}/{queue}", methods())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(broker)
}

/// The query protocols also allow GET; links in SNS envelopes use it.
fn methods() -> MethodRouter<Arc<Broker>> {
    get(serve).post(serve)
}

async fn serve(
    State(broker): State<Arc<Broker>>,
    path: Option<Path<(String, String)>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request_id = Uuid::new_v4().to_string();
    let (protocol, request) = parse_request(&uri, &headers, &body);
    let result = match request {
        Ok((operation, mut input)) => {
            if let (Some(Path((account, queue))), Value::Object(input)) = (path, &mut input) {
                input.entry("QueueUrl").or_insert_with(|| json!(format!("/{account}/{queue}")));
            }
            let caller = Caller { headers, iam: broker.iam() };
            let output = match protocol {
                Protocol::Json | Protocol::Query(Dialect::Sqs) => {
                    sqs::dispatch(&broker, &caller, &operation, input).await
                }
                Protocol::Query(Dialect::Sns) => sns::dispatch(&broker, &caller, &operation, input).await,
            };
            output.map(|output| (operation, output))
        }
        Err(error) => Err(error),
    };
    let mut response = match result {
        Ok((operation, output)) => match protocol {
            Protocol::Json => with_body(protocol, output.to_string()),
            Protocol::Query(dialect) => {
                with_body(protocol, xml::response(dialect, &operation, &output, &request_id))
            }
        },
        Err(error) => error_response(protocol, &error, &request_id),
    };
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

/// The protocol, and the operation with its input.
fn parse_request(
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
) -> (Protocol, Result<(String, Value), BrokerError>) {
    if let Some(target) = headers.get("x-amz-target") {
        // A header that is not ASCII names no operation, and is rejected as such.
        let operation = target.to_str().ok().and_then(|target| target.strip_prefix("AmazonSQS."));
        return (Protocol::Json, parse_json(operation, body));
    }
    let form = match wire::parse_form(uri.query(), body) {
        Ok(form) => form,
        Err(error) => return (Protocol::Query(dialect(None, headers, None)), Err(error)),
    };
    let value = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let action = value("Action");
    let dialect = dialect(value("Version").as_deref(), headers, action.as_deref());
    let request = match action {
        Some(action) => wire::form_to_json(&form).map(|input| (action, input)),
        None => Err(BrokerError::rejected(
            ErrorCode::MissingParameter,
            "The request must contain an Action, or a header X-Amz-Target.",
        )),
    };
    (Protocol::Query(dialect), request)
}

fn parse_json(operation: Option<&str>, body: &Bytes) -> Result<(String, Value), BrokerError> {
    let operation = operation.ok_or_else(|| {
        BrokerError::rejected(ErrorCode::InvalidAction, "X-Amz-Target names no operation of SQS.")
    })?;
    // An operation without parameters may come without a body.
    let input = if body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(body) };
    let input = input.map_err(|error| {
        BrokerError::rejected(ErrorCode::InvalidParameterValue, format!("The request is not JSON: {error}"))
    })?;
    Ok((operation.to_owned(), input))
}

/// The service of a request: by the API version, else by the service in the signature, else by the action's
/// name.
fn dialect(version: Option<&str>, headers: &HeaderMap, action: Option<&str>) -> Dialect {
    // A header that is not ASCII names no service.
    let signed_for =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match version {
        Some("2010-03-31") => Dialect::Sns,
        Some("2012-11-05") => Dialect::Sqs,
        _ if signed_for.contains("/sns/aws4_request") => Dialect::Sns,
        _ if signed_for.contains("/sqs/aws4_request") => Dialect::Sqs,
        _ if action.is_some_and(|action| sns::ACTIONS.contains(&action)) => Dialect::Sns,
        _ => Dialect::Sqs,
    }
}

fn with_body(protocol: Protocol, body: String) -> Response {
    let content_type = match protocol {
        Protocol::Json => "application/x-amz-json-1.0",
        Protocol::Query(_) => "text/xml",
    };
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// The error response of the protocol; internal errors are logged here.
fn error_response(protocol: Protocol, error: &BrokerError, request_id: &str) -> Response {
    let (code, message) = error.public_error();
    if code == ErrorCode::InternalFailure {
        tracing::error!(error = error as &dyn std::error::Error, request_id, "internal error of the broker");
    }
    let mut response = match protocol {
        Protocol::Json => {
            let body = json!({ "__type": format!("com.amazonaws.sqs#{}", code.name()), "message": message });
            with_body(protocol, body.to_string())
        }
        Protocol::Query(dialect) => with_body(protocol, xml::error(dialect, code, &message, request_id)),
    };
    *response.status_mut() = code.status();
    if protocol == Protocol::Json {
        let sender = if code.is_client_error() { "Sender" } else { "Receiver" };
        if let Ok(value) = HeaderValue::from_str(&format!("{};{sender}", code.sqs_query_code())) {
            response.headers_mut().insert("x-amzn-query-error", value);
        }
    }
    response
}
