//! The request handler: authorize, inject faults, forward to the database, notify the readers of streams.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Shared;
use super::access::{is_write, required_permissions};
use super::fault_injection::{Call, Fault};
use crate::deployment::REGION;
use crate::iam;

/// Maximum size of a request in bytes, as in DynamoDB.
const BODY_LIMIT: usize = 16 * 1024 * 1024;
const JSON: &str = "application/x-amz-json-1.0";
/// The checksum of a response's body, which a changed body invalidates.
const CHECKSUM: &str = "x-amz-crc32";

/// Operations whose responses contain ARNs and no items.
const DESCRIPTIONS: [&str; 6] =
    ["CreateTable", "DeleteTable", "DescribeStream", "DescribeTable", "ListStreams", "UpdateTable"];

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new().route("/", post(handle)).layer(DefaultBodyLimit::max(BODY_LIMIT)).with_state(shared)
}

async fn handle(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let Some((_, operation)) = target.and_then(|target| target.rsplit_once('.')) else {
        let message = "The X-Amz-Target header is missing or malformed.";
        return error(StatusCode::BAD_REQUEST, "UnknownOperationException", message);
    };
    let parsed: Value = match serde_json::from_slice(&body) {
        Ok(parsed) => parsed,
        Err(reason) => {
            let message = format!("The request is not valid JSON: {reason}");
            return error(StatusCode::BAD_REQUEST, "SerializationException", &message);
        }
    };
    for permission in required_permissions(operation, &parsed) {
        if let Err(denied) = shared.iam.check(&headers, &permission.action, &permission.resource) {
            tracing::warn!(%denied, "request denied");
            return error(StatusCode::BAD_REQUEST, denied.code(), &denied.to_string());
        }
    }
    if let Some(attribute) = empty_key(operation, &parsed) {
        let message = format!(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an \
             empty string value. Key: {attribute}"
        );
        return error(StatusCode::BAD_REQUEST, "ValidationException", &message);
    }
    let intercept = shared.intercept();
    let call = Call { operation, caller: iam::caller(&headers), body: &parsed };
    if let Some(fault) = intercept.as_ref().and_then(|intercept| intercept.before(&call)) {
        return inject(fault).await;
    }
    let (response, succeeded) = match forward(&shared, operation, &headers, body).await {
        Ok(forwarded) => forwarded,
        Err(reason) => {
            tracing::error!(%reason, operation, "the database did not respond");
            return error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "Internal server error");
        }
    };
    if succeeded {
        if is_write(operation) {
            shared.wake();
        }
        if let Some(fault) = intercept.and_then(|intercept| intercept.after(&call)) {
            return inject(fault).await;
        }
    }
    response
}

/// The placeholder of an empty string in the key condition of a query, which DynamoDB rejects and dynoxide
/// accepts.
fn empty_key<'a>(operation: &str, body: &'a Value) -> Option<&'a str> {
    if operation != "Query" {
        return None;
    }
    let condition = body["KeyConditionExpression"].as_str()?;
    let names = condition.split(|character: char| !(character.is_alphanumeric() || ":_".contains(character)));
    let empty = |name: &&str| body["ExpressionAttributeValues"][*name]["S"] == "";
    names.filter(|name| name.starts_with(':')).find(empty)
}

/// A request that the database did not complete.
#[derive(Debug, thiserror::Error)]
enum ForwardError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the response is not UTF-8: {0}")]
    Encoding(#[from] std::str::Utf8Error),
}

/// Forwards a request; returns the response and whether it is a success.
async fn forward(
    shared: &Shared,
    operation: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<(Response, bool), ForwardError> {
    let mut headers = headers.clone();
    for name in [HOST, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    let response = shared.client.post(&shared.backend_url).headers(headers).body(body).send().await?;
    let status = response.status();
    let mut headers = response.headers().clone();
    headers.remove(TRANSFER_ENCODING);
    let mut body = response.bytes().await?;
    if DESCRIPTIONS.contains(&operation) {
        body = with_region(&body)?;
        headers.remove(CONTENT_LENGTH);
        headers.remove(CHECKSUM);
    }
    Ok(((status, headers, body).into_response(), status.is_success()))
}

/// Replaces the region in ARNs, which dynoxide fills with its own name.
fn with_region(body: &[u8]) -> Result<Bytes, std::str::Utf8Error> {
    let text = std::str::from_utf8(body)?;
    let local = format!("arn:aws:dynamodb:{}:", dynoxide::streams::LOCAL_REGION);
    Ok(text.replace(&local, &format!("arn:aws:dynamodb:{REGION}:")).into())
}

async fn inject(fault: Fault) -> Response {
    match fault {
        Fault::Error { status, code, message } => error(status, &code, &message),
        Fault::HangUp { after } => {
            tokio::time::sleep(after).await;
            // An error in the body makes the server close the connection.
            let broken =
                futures_util::stream::once(async { Err::<Bytes, _>(std::io::ErrorKind::BrokenPipe) });
            let broken = futures_util::StreamExt::map(broken, |item| item.map_err(std::io::Error::from));
            (StatusCode::OK, [(CONTENT_TYPE, JSON), (CONTENT_LENGTH, "2")], Body::from_stream(broken))
                .into_response()
        }
    }
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "__type": format!("com.amazon.coral.service#{code}"), "message": message });
    let id = Uuid::new_v4().simple().to_string().to_ascii_uppercase();
    (status, [("content-type", JSON), ("x-amzn-requestid", id.as_str())], body.to_string()).into_response()
}
