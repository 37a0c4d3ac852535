//! One request: who may, what goes wrong on purpose, hand on, wake the readers of streams.

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
use super::access::{needs, writes};
use super::fault::{Call, Fault};
use crate::deployment::REGION;
use crate::iam;

/// DynamoDB takes requests of up to 16 MB.
const BODY_LIMIT: usize = 16 * 1024 * 1024;
const JSON: &str = "application/x-amz-json-1.0";
/// The checksum of an answer's body, which is not right any more once the body was changed.
const CHECKSUM: &str = "x-amz-crc32";

/// Operations whose answers hold ARNs and no items.
const DESCRIPTIONS: [&str; 6] =
    ["CreateTable", "DeleteTable", "DescribeStream", "DescribeTable", "ListStreams", "UpdateTable"];

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new().route("/", post(handle)).layer(DefaultBodyLimit::max(BODY_LIMIT)).with_state(shared)
}

async fn handle(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default();
    // What is not JSON is for the database to refuse, in DynamoDB's words.
    let parsed: Value = serde_json::from_slice(&body).unwrap_or_default();
    for need in needs(operation, &parsed) {
        if let Err(denied) = shared.iam.check(&headers, &need.action, &need.resource) {
            tracing::warn!(%denied, "refused");
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
        return fail(fault).await;
    }
    let (response, succeeded) = match hand_on(&shared, operation, &headers, body).await {
        Ok(answer) => answer,
        Err(reason) => {
            tracing::error!(%reason, operation, "the database does not answer");
            return error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "Internal server error");
        }
    };
    if succeeded {
        if writes(operation) {
            shared.wake();
        }
        if let Some(fault) = intercept.and_then(|intercept| intercept.after(&call)) {
            return fail(fault).await;
        }
    }
    response
}

/// The placeholder of an empty text among the key conditions of a query, which DynamoDB refuses and the embedded
/// database does not.
fn empty_key<'a>(operation: &str, body: &'a Value) -> Option<&'a str> {
    if operation != "Query" {
        return None;
    }
    let condition = body["KeyConditionExpression"].as_str()?;
    let names = condition.split(|character: char| !(character.is_alphanumeric() || ":_".contains(character)));
    let empty = |name: &&str| body["ExpressionAttributeValues"][*name]["S"] == "";
    names.filter(|name| name.starts_with(':')).find(empty)
}

/// The database's answer, and whether it is a success.
async fn hand_on(
    shared: &Shared,
    operation: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<(Response, bool), reqwest::Error> {
    let mut headers = headers.clone();
    for name in [HOST, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    let answer = shared.client.post(&shared.backend_url).headers(headers).body(body).send().await?;
    let status = answer.status();
    let mut headers = answer.headers().clone();
    headers.remove(TRANSFER_ENCODING);
    let mut body = answer.bytes().await?;
    if DESCRIPTIONS.contains(&operation) {
        body = with_our_arns(&body);
        headers.remove(CONTENT_LENGTH);
        headers.remove(CHECKSUM);
    }
    Ok(((status, headers, body).into_response(), status.is_success()))
}

/// The database puts its own name where ARNs have the region.
fn with_our_arns(body: &[u8]) -> Bytes {
    let text = String::from_utf8_lossy(body);
    let theirs = format!("arn:aws:dynamodb:{}:", dynoxide::streams::LOCAL_REGION);
    text.replace(&theirs, &format!("arn:aws:dynamodb:{REGION}:")).into()
}

async fn fail(fault: Fault) -> Response {
    match fault {
        Fault::Error { status, code, message } => error(status, &code, &message),
        Fault::HangUp { after } => {
            tokio::time::sleep(after).await;
            // A body that fails is how a handler makes the server drop the connection.
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
