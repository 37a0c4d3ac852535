//! The Lambda Runtime API of one environment.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::json;
use uuid::Uuid;

use super::clock::{unix_millis, unix_time};
use super::exchange::{Answer, Exchange};
use super::invocation::PAYLOAD_LIMIT;

/// In the trailers of a streamed answer that broke off.
const STREAM_ERROR_TYPE: HeaderName = HeaderName::from_static("lambda-runtime-function-error-type");

/// What the handlers share.
#[derive(Clone)]
struct Api {
    exchange: Arc<Exchange>,
    arn: Arc<str>,
}

/// The API through which the runtime of the function `arn` meets `exchange`.
pub(super) fn router(exchange: Arc<Exchange>, arn: &str) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .with_state(Api { exchange, arn: arn.into() })
}

async fn next(State(api): State<Api>) -> Response {
    let request = api.exchange.take().await;
    let deadline = unix_millis() + u64::try_from(request.timeout.as_millis()).unwrap_or(u64::MAX / 2);
    (
        [
            (header::CONTENT_TYPE.as_str(), "application/json"),
            ("lambda-runtime-aws-request-id", request.id.as_str()),
            ("lambda-runtime-deadline-ms", deadline.to_string().as_str()),
            ("lambda-runtime-invoked-function-arn", &api.arn),
            ("lambda-runtime-trace-id", trace_id().as_str()),
        ],
        request.payload,
    )
        .into_response()
}

async fn response(State(api): State<Api>, Path(id): Path<String>, body: Body) -> Response {
    let (status, answer) = match read(body).await {
        Read::Whole(payload) => (StatusCode::ACCEPTED, Answer::Response(payload)),
        Read::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            failure(
                "Function.ResponseSizeTooLarge",
                &format!(
                    "Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT} bytes)."
                ),
            ),
        ),
        Read::Broken(reason) => (StatusCode::ACCEPTED, failure("Runtime.TruncatedResponse", &reason)),
    };
    settle(&api, &id, status, answer)
}

async fn error(State(api): State<Api>, Path(id): Path<String>, body: Body) -> Response {
    let answer = match read(body).await {
        Read::Whole(payload) => Answer::Error(payload),
        Read::TooLarge => failure("Runtime.Unknown", "the error was too large to report"),
        Read::Broken(reason) => failure("Runtime.Unknown", &reason),
    };
    settle(&api, &id, StatusCode::ACCEPTED, answer)
}

async fn init_error(State(api): State<Api>, body: Body) -> Response {
    if let Read::Whole(payload) = read(body).await {
        api.exchange.fail_init(payload);
    }
    (StatusCode::ACCEPTED, axum::Json(json!({ "status": "OK" }))).into_response()
}

fn settle(api: &Api, id: &str, status: StatusCode, answer: Answer) -> Response {
    if !api.exchange.answer(id, answer) {
        let body = json!({ "errorMessage": "Invalid request ID", "errorType": "InvalidRequestID" });
        return (StatusCode::BAD_REQUEST, axum::Json(body)).into_response();
    }
    let body = if status == StatusCode::PAYLOAD_TOO_LARGE {
        json!({ "errorMessage": "Exceeded maximum allowed payload size", "errorType": "RequestEntityTooLarge" })
    } else {
        json!({ "status": "OK" })
    };
    (status, axum::Json(body)).into_response()
}

/// An error in the words that a runtime itself would use.
pub(super) fn failure(kind: &str, message: &str) -> Answer {
    Answer::Error(Bytes::from(json!({ "errorType": kind, "errorMessage": message }).to_string()))
}

enum Read {
    Whole(Bytes),
    TooLarge,
    Broken(String),
}

/// Reads an answer. A streamed one is gathered, as a `RequestResponse` invocation does, and its trailers tell
/// whether it came to its end.
async fn read(body: Body) -> Read {
    match Limited::new(body, PAYLOAD_LIMIT).collect().await {
        Ok(collected) => match collected.trailers().and_then(stream_error) {
            Some(kind) => Read::Broken(format!("the stream ended with {kind}")),
            None => Read::Whole(collected.to_bytes()),
        },
        Err(error) if error.is::<LengthLimitError>() => Read::TooLarge,
        Err(error) => Read::Broken(error.to_string()),
    }
}

fn stream_error(trailers: &HeaderMap) -> Option<String> {
    let kind = trailers.get(STREAM_ERROR_TYPE)?;
    Some(String::from_utf8_lossy(kind.as_bytes()).into_owned())
}

/// A trace that is not sampled: ids for the logs, and nobody to send them to.
fn trace_id() -> String {
    let root = Uuid::new_v4().simple().to_string();
    let parent = Uuid::new_v4().simple().to_string();
    format!("Root=1-{:08x}-{};Parent={};Sampled=0", unix_time().as_secs(), &root[..24], &parent[..16])
}
