//! The Lambda Runtime API of one environment.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
//!
//! A loopback port is open to every process of the machine, and events carry passwords. So the API is below a
//! random path segment, which only the environment variables of the function's process hold:
//! `AWS_LAMBDA_RUNTIME_API` is `http://127.0.0.1:PORT/SECRET`. On AWS it is `HOST:PORT`; the Rust runtime client
//! takes a base URL with a path as well (`lambda_runtime_api_client::Client`).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use tower::ServiceExt as _;
use uuid::Uuid;

use super::clock::{unix_millis, unix_time};
use super::exchange::{Exchange, Reply};
use super::invocation::PAYLOAD_LIMIT;
use crate::secrets::random_alphanumeric;

/// The trailer of a streamed response that failed.
const STREAM_ERROR_TYPE: HeaderName = HeaderName::from_static("lambda-runtime-function-error-type");

/// The path segment that authenticates the process of an environment.
#[derive(Clone)]
pub(super) struct Secret(Arc<str>);

impl Secret {
    /// Characters, of 62 possible ones each: 190 bits.
    const LENGTH: usize = 32;

    /// A new random secret.
    pub(super) fn generate() -> Result<Self, getrandom::Error> {
        Ok(Self(random_alphanumeric(Self::LENGTH)?.into()))
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API` for an API at this address.
    pub(super) fn url(&self, address: SocketAddr) -> String {
        let Self(secret) = self;
        format!("http://{address}/{secret}")
    }

    /// The rest of a path below the secret, compared in constant time.
    fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        let Self(secret) = self;
        let path = path.strip_prefix('/')?;
        let (given, rest) = path.split_at(path.find('/')?);
        bool::from(given.as_bytes().ct_eq(secret.as_bytes())).then_some(rest)
    }
}

/// The state of the handlers.
#[derive(Clone)]
struct Api {
    exchange: Arc<Exchange>,
    arn: Arc<str>,
}

/// The Runtime API of one environment of the function `arn`, below the path `/SECRET`.
pub(super) fn router(exchange: Arc<Exchange>, arn: &str, secret: Secret) -> Router {
    let api = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .with_state(Api { exchange, arn: arn.into() });
    Router::new().fallback(move |request| authenticate(api.clone(), secret.clone(), request))
}

async fn authenticate(api: Router, secret: Secret, mut request: Request) -> Response {
    let path = secret.strip(request.uri().path()).map(str::parse);
    let Some(Ok(path)) = path else {
        let body = json!({ "errorMessage": "The path has no valid secret", "errorType": "AccessDenied" });
        return (StatusCode::FORBIDDEN, axum::Json(body)).into_response();
    };
    *request.uri_mut() = path;
    match api.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
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
    let (status, reply) = match read(body).await {
        Read::Whole(payload) => (StatusCode::ACCEPTED, Reply::Response(payload)),
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
    finish(&api, &id, status, reply)
}

async fn error(State(api): State<Api>, Path(id): Path<String>, body: Body) -> Response {
    let reply = match read(body).await {
        Read::Whole(payload) => Reply::Error(payload),
        Read::TooLarge => failure("Runtime.Unknown", "the error was too large to report"),
        Read::Broken(reason) => failure("Runtime.Unknown", &reason),
    };
    finish(&api, &id, StatusCode::ACCEPTED, reply)
}

async fn init_error(State(api): State<Api>, body: Body) -> Response {
    if let Read::Whole(payload) = read(body).await {
        api.exchange.fail_init(payload);
    }
    (StatusCode::ACCEPTED, axum::Json(json!({ "status": "OK" }))).into_response()
}

/// Passes a reply on, and acknowledges it to the runtime.
fn finish(api: &Api, id: &str, status: StatusCode, reply: Reply) -> Response {
    if !api.exchange.reply(id, reply) {
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

/// A function error of the platform, in the shape of a runtime's own errors.
pub(super) fn failure(kind: &str, message: &str) -> Reply {
    Reply::Error(Bytes::from(json!({ "errorType": kind, "errorMessage": message }).to_string()))
}

enum Read {
    Whole(Bytes),
    TooLarge,
    Broken(String),
}

/// Reads a response. A streamed response is collected, as for a `RequestResponse` invocation on AWS, and its
/// trailers report a failure.
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

/// A trace id, not sampled: functions log it, and there is no X-Ray to send it to.
fn trace_id() -> String {
    let root = Uuid::new_v4().simple().to_string();
    let parent = Uuid::new_v4().simple().to_string();
    format!("Root=1-{:08x}-{};Parent={};Sampled=0", unix_time().as_secs(), &root[..24], &parent[..16])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::exchange;
    use super::*;

    #[tokio::test]
    async fn another_process_gets_no_event_without_the_secret() {
        let exchange = Arc::new(Exchange::new());
        let event = exchange::Request {
            id: "1".to_owned(),
            payload: Bytes::from_static(br#"{"password":"hunter2"}"#),
            timeout: Duration::from_secs(1),
        };
        let _reply = exchange.offer(event);
        let secret = Secret::generate().unwrap();
        let other = Secret::generate().unwrap();
        let api = router(Arc::clone(&exchange), "arn", secret.clone());
        let get = async |path: String| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            api.clone().oneshot(request).await.unwrap()
        };
        let next = "2018-06-01/runtime/invocation/next";
        let Secret(right) = &secret;
        let Secret(wrong) = &other;
        for path in [format!("/{next}"), format!("/{wrong}/{next}"), format!("//{next}"), "/".to_owned()] {
            assert_eq!(get(path.clone()).await.status(), StatusCode::FORBIDDEN, "{path}");
        }
        assert_eq!(get(format!("/{right}/{next}")).await.status(), StatusCode::OK);
    }

    #[test]
    fn a_secret_has_at_least_128_bits_and_is_part_of_the_url() {
        let secret = Secret::generate().unwrap();
        let Secret(text) = &secret;
        assert!(text.len() * 5 >= 128, "{text}");
        assert_eq!(secret.url(([127, 0, 0, 1], 80).into()), format!("http://127.0.0.1:80/{text}"));
    }
}
