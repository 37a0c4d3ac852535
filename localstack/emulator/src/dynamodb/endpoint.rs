//! The request handler: authorize, inject faults, run the operation, notify the readers of streams.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
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
    let (status, body) = match shared.operations.run(operation, body).await {
        Ok(response) => response,
        Err(reason) => {
            tracing::error!(%reason, operation, "the operation has no response");
            return error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "Internal server error");
        }
    };
    if status.is_success() {
        if is_write(operation) {
            shared.wake();
        }
        if let Some(fault) = intercept.and_then(|intercept| intercept.after(&call)) {
            return inject(fault).await;
        }
    }
    respond(status, if DESCRIPTIONS.contains(&operation) { with_region(&body) } else { body })
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

/// Replaces the region in ARNs, which dynoxide fills with its own name.
fn with_region(body: &str) -> String {
    let local = format!("arn:aws:dynamodb:{}:", dynoxide::streams::LOCAL_REGION);
    body.replace(&local, &format!("arn:aws:dynamodb:{REGION}:"))
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
    respond(status, body.to_string())
}

fn respond(status: StatusCode, body: String) -> Response {
    let id = Uuid::new_v4().simple().to_string().to_ascii_uppercase();
    (status, [("content-type", JSON), ("x-amzn-requestid", id.as_str())], body).into_response()
}
