//! The Invoke API, as the SDKs call it. <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};
use uuid::Uuid;

use super::functions::{Functions, full_arn};
use super::invocation::{Invocation, InvokeError, PAYLOAD_LIMIT};
use crate::iam::Iam;

/// Maximum size of an asynchronous event, in bytes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const EVENT_LIMIT: usize = 1024 * 1024;

/// The Invoke API of `functions`. `RequestResponse` waits for the result. `Event` responds at once and runs the
/// function once: unlike on AWS, a failure is logged and not retried. `DryRun` only checks the permission.
pub fn router(functions: Arc<Functions>, iam: Arc<Iam>) -> Router {
    Router::new()
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .with_state(Api { functions, iam })
}

#[derive(Clone)]
struct Api {
    functions: Arc<Functions>,
    iam: Arc<Iam>,
}

/// An error response of the Invoke API.
struct ApiError {
    status: StatusCode,
    kind: &'static str,
    body: Value,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, body: json!({ "Type": "User", "Message": message.into() }) }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, [("x-amzn-errortype", self.kind)], Json(self.body)).into_response()
    }
}

impl From<InvokeError> for ApiError {
    fn from(error: InvokeError) -> Self {
        let message = error.to_string();
        match error {
            InvokeError::NotFound(_) => {
                Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
            }
            InvokeError::Throttled => Self {
                status: StatusCode::TOO_MANY_REQUESTS,
                kind: "TooManyRequestsException",
                body: json!({
                    "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
                    "Type": "User",
                    "message": message,
                }),
            },
            InvokeError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", message)
            }
            InvokeError::Stopping => Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceException", message),
        }
    }
}

async fn invoke(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let response = match handle(&api, &name, &headers, body).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    };
    if response.headers().contains_key("x-amzn-requestid") {
        return response;
    }
    ([("x-amzn-requestid", Uuid::new_v4().to_string())], response).into_response()
}

async fn handle(api: &Api, name: &str, headers: &HeaderMap, body: Body) -> Result<Response, ApiError> {
    let arn = api.functions.arn(name).ok_or_else(|| InvokeError::NotFound(full_arn(name)))?;
    api.iam.check(headers, "lambda:InvokeFunction", &arn).map_err(|denied| {
        ApiError::new(StatusCode::FORBIDDEN, "AccessDeniedException", denied.to_string())
    })?;
    let kind = headers.get("x-amz-invocation-type").map_or(Ok("RequestResponse"), |kind| kind.to_str());
    match kind {
        Ok("RequestResponse") => {
            let payload = read(body, PAYLOAD_LIMIT).await?;
            Ok(result_response(api.functions.invoke(&arn, payload).await?))
        }
        Ok("Event") => {
            let payload = read(body, EVENT_LIMIT).await?;
            let functions = Arc::clone(&api.functions);
            tokio::spawn(async move { run_event(&functions, &arn, payload).await });
            Ok(StatusCode::ACCEPTED.into_response())
        }
        Ok("DryRun") => Ok(StatusCode::NO_CONTENT.into_response()),
        Ok(_) | Err(_) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "InvalidParameterValueException",
            "The invocation type must be RequestResponse, Event or DryRun.",
        )),
    }
}

/// Reads an event, which must be JSON; an empty body is an empty object.
async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let payload = Limited::new(body, limit).collect().await;
    let payload = payload.map_err(|_| InvokeError::TooLarge { limit })?.to_bytes();
    if payload.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(&payload).map_err(|error| {
        let message = format!("Could not parse request body into json: {error}");
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidRequestContentException", message)
    })?;
    Ok(payload)
}

fn result_response(invocation: Invocation) -> Response {
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("x-amz-executed-version", "$LATEST".to_owned()),
        ("x-amzn-requestid", invocation.request_id),
    ];
    let error = invocation.function_error.map(|error| [("x-amz-function-error", error)]);
    match error {
        Some(error) => (headers, error, invocation.payload).into_response(),
        None => (headers, invocation.payload).into_response(),
    }
}

async fn run_event(functions: &Functions, arn: &str, payload: Bytes) {
    match functions.invoke(arn, payload).await {
        Ok(Invocation { function_error: None, .. }) => {}
        Ok(failed) => tracing::error!(
            function = arn,
            request_id = failed.request_id,
            error = %String::from_utf8_lossy(&failed.payload),
            "asynchronous invocation failed"
        ),
        Err(error) => tracing::error!(function = arn, %error, "asynchronous invocation was dropped"),
    }
}
