//! One address for three protocols, as the SDKs speak them when their endpoint is overridden.

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
use super::{Authorize, Broker, sns, sqs, wire};

/// A mebibyte of message may be six times as long as escaped JSON, and a batch carries attributes besides.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// Who asks, and who says whether they may.
pub(crate) struct Caller {
    headers: HeaderMap,
    authorizer: Option<Arc<dyn Authorize>>,
}

impl Caller {
    /// Refuses what the authorizer refuses; without one, nothing.
    pub(crate) fn allow(&self, action: &str, resource_arn: &str) -> Result<(), BrokerError> {
        match &self.authorizer {
            Some(authorizer) => authorizer
                .check(&self.headers, action, resource_arn)
                .map_err(|why| BrokerError::refused(ErrorCode::AccessDenied, why)),
            None => Ok(()),
        }
    }
}

/// The protocol of a request and of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// AWS JSON 1.0, which SQS speaks.
    Json,
    /// Forms in, XML out.
    Query(Dialect),
}

pub(crate) fn router(broker: Arc<Broker>) -> Router {
    Router::new()
        .route("/", methods())
        .route("/{account}/{queue}", methods())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(broker)
}

/// The query protocols allow GET as well; links in SNS envelopes use it.
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
    let (protocol, read) = read(&uri, &headers, &body);
    let answer = match read {
        Ok((operation, mut input)) => {
            if let (Some(Path((account, queue))), Value::Object(input)) = (path, &mut input) {
                input.entry("QueueUrl").or_insert_with(|| json!(format!("/{account}/{queue}")));
            }
            let caller = Caller { headers, authorizer: broker.authorizer() };
            let answer = match protocol {
                Protocol::Json | Protocol::Query(Dialect::Sqs) => {
                    sqs::dispatch(&broker, &caller, &operation, input).await
                }
                Protocol::Query(Dialect::Sns) => sns::dispatch(&broker, &caller, &operation, input).await,
            };
            answer.map(|answer| (operation, answer))
        }
        Err(error) => Err(error),
    };
    let mut response = match answer {
        Ok((operation, answer)) => match protocol {
            Protocol::Json => body_of(protocol, answer.to_string()),
            Protocol::Query(dialect) => {
                body_of(protocol, xml::answer(dialect, &operation, &answer, &request_id))
            }
        },
        Err(error) => refusal(protocol, &error, &request_id),
    };
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

/// The protocol, and the operation with its input.
fn read(uri: &Uri, headers: &HeaderMap, body: &Bytes) -> (Protocol, Result<(String, Value), BrokerError>) {
    if let Some(target) = headers.get("x-amz-target") {
        let operation = target.to_str().ok().and_then(|target| target.strip_prefix("AmazonSQS."));
        return (Protocol::Json, read_json(operation, body));
    }
    let mut form: Vec<(String, String)> =
        form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    form.extend(form_urlencoded::parse(body).into_owned());
    let value = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let action = value("Action");
    let dialect = dialect(value("Version").as_deref(), headers, action.as_deref());
    let read = match action {
        Some(action) => wire::form_to_json(&form).map(|input| (action, input)),
        None => Err(BrokerError::refused(
            ErrorCode::MissingParameter,
            "The request must contain an Action, or a header X-Amz-Target.",
        )),
    };
    (Protocol::Query(dialect), read)
}

fn read_json(operation: Option<&str>, body: &Bytes) -> Result<(String, Value), BrokerError> {
    let operation = operation.ok_or_else(|| {
        BrokerError::refused(ErrorCode::InvalidAction, "X-Amz-Target names no operation of SQS.")
    })?;
    let input = if body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(body) };
    let input = input.map_err(|error| {
        BrokerError::refused(ErrorCode::InvalidParameterValue, format!("The request is not JSON: {error}"))
    })?;
    Ok((operation.to_owned(), input))
}

/// Whose operation it is: by the version of the API, else by the service that the request is signed for, else by name.
fn dialect(version: Option<&str>, headers: &HeaderMap, action: Option<&str>) -> Dialect {
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

fn body_of(protocol: Protocol, body: String) -> Response {
    let content_type = match protocol {
        Protocol::Json => "application/x-amz-json-1.0",
        Protocol::Query(_) => "text/xml",
    };
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// A failure in the shape of the protocol; one that is ours is logged here.
fn refusal(protocol: Protocol, error: &BrokerError, request_id: &str) -> Response {
    let (code, message) = error.public();
    if code == ErrorCode::InternalFailure {
        tracing::error!(error = error as &dyn std::error::Error, request_id, "the broker failed");
    }
    let mut response = match protocol {
        Protocol::Json => {
            let body = json!({ "__type": format!("com.amazonaws.sqs#{}", code.name()), "message": message });
            body_of(protocol, body.to_string())
        }
        Protocol::Query(dialect) => body_of(protocol, xml::error(dialect, code, &message, request_id)),
    };
    *response.status_mut() = code.status();
    if protocol == Protocol::Json {
        let fault = if code.is_senders_fault() { "Sender" } else { "Receiver" };
        if let Ok(value) = HeaderValue::from_str(&format!("{};{fault}", code.sqs_query_code())) {
            response.headers_mut().insert("x-amzn-query-error", value);
        }
    }
    response
}
