//! A request ends before the deadline of its invocation.
#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use erp_aws::deadline;
use erp_domain::Clock;
use erp_domain::time::SystemClock;
use erp_http::App;
use erp_testkit::{ApiRequest, ApiResponse};
use http_body_util::BodyExt;
use lambda_http::request::LambdaRequest;
use lambda_http::{Context, RequestExt};
use tokio::time::Instant;
use tower::ServiceExt;

/// Sends a request to `/api/items` in an invocation that ends after `time`.
async fn send(routes: Router, time: Duration) -> ApiResponse {
    let event: LambdaRequest =
        serde_json::from_str(&ApiRequest::new("GET", "/api/items").event().to_string()).unwrap();
    let mut context = Context::default();
    context.deadline = u64::try_from(SystemClock.now().as_millis()).unwrap() + time.as_millis() as u64;
    let request: lambda_http::Request = event.into();
    let (parts, body) = request.with_lambda_context(context).into_parts();
    let request = axum::http::Request::from_parts(parts, axum::body::Body::new(body));
    let router = App::new(routes, Arc::new(SystemClock)).into_router();
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    ApiResponse { status: parts.status.as_u16(), headers: parts.headers, text }
}

#[tokio::test]
async fn a_handler_that_does_not_end_is_a_503_a_second_before_the_deadline() {
    let routes = Router::new().route("/api/items", get(std::future::pending::<()>));
    let start = Instant::now();
    let response = send(routes, Duration::from_millis(1500)).await;
    let elapsed = start.elapsed().as_millis();
    assert!((400..1000).contains(&elapsed), "{elapsed} ms");
    assert_eq!(
        (response.status, response.code().as_str()),
        (503, "service_unavailable"),
        "{}",
        response.text
    );
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(response.json()["request_id"], "test-request");
}

#[tokio::test]
async fn the_code_below_a_handler_knows_the_deadline() {
    for (time, expected) in [(5000, 4000), (10_000, 8000), (900_000, 8000)] {
        let left = Arc::new(Mutex::new(Duration::ZERO));
        let seen = left.clone();
        let handler = async move || {
            let far = Instant::now() + Duration::from_secs(3600);
            *seen.lock().unwrap() = deadline::at_most(far) - Instant::now();
        };
        let routes = Router::new().route("/api/items", get(handler));
        assert_eq!(send(routes, Duration::from_millis(time)).await.status, 200);
        let left = left.lock().unwrap().as_millis();
        assert!((expected - 300..=expected).contains(&left), "{time} ms: {left} ms");
    }
}
