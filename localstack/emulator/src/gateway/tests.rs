//! Tests of the gateway's responses and events, with fake functions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Request, Response, StatusCode};
use futures_util::future::{BoxFuture, join_all};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::Gateway;
use crate::deployment::{Api, Authorizer, Cors, GatewayResponse, Route};
use crate::lambda::{Invocation, Invoke, InvokeError};

/// Fake functions: `Echo` returns its event as the body of a 200; the others do what their names describe.
#[derive(Default)]
struct Fake {
    authorizations: AtomicUsize,
    authorizer_gate: Option<Notify>,
}

impl Invoke for Fake {
    fn invoke<'a>(
        &'a self,
        function: &'a str,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<Invocation, InvokeError>> {
        Box::pin(async move {
            let event: Value = serde_json::from_slice(&payload).unwrap();
            let returned = |payload: Value, failed: bool| Invocation {
                request_id: "r".into(),
                payload: Bytes::from(payload.to_string()),
                function_error: failed.then(|| "Unhandled".to_owned()),
            };
            match function {
                "Echo" => Ok(returned(json!({"statusCode": 200, "body": event.to_string()}), false)),
                "Authorizer" => {
                    self.authorizations.fetch_add(1, Ordering::SeqCst);
                    if let Some(gate) = &self.authorizer_gate {
                        gate.notified().await;
                    }
                    Ok(match event["authorizationToken"].as_str().unwrap() {
                        "Bearer clerk" => returned(authorization(), false),
                        "Bearer unknown" => returned(json!({"errorMessage": "Unauthorized"}), true),
                        "Bearer malformed" => returned(json!({"principalId": "x"}), false),
                        other => returned(json!({"errorMessage": format!("Unauthorized {other}")}), true),
                    })
                }
                "Crash" => Ok(returned(json!({"errorMessage": "secret"}), true)),
                "Malformed" => Ok(returned(json!("hello"), false)),
                "Slow" => std::future::pending().await,
                "Busy" => Err(InvokeError::Throttled),
                other => Err(InvokeError::NotFound(other.to_owned())),
            }
        })
    }
}

fn authorization() -> Value {
    json!({
        "principalId": "clerk-1",
        "policyDocument": {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "execute-api:Invoke",
             "Resource": "arn:aws:execute-api:us-east-1:000000000000:local/dev/*"},
            {"Effect": "Deny", "Action": "execute-api:Invoke",
             "Resource": "arn:aws:execute-api:us-east-1:000000000000:local/dev/DELETE/items/?*"},
        ]},
        "context": {"role": "clerk", "level": 3, "active": true},
    })
}

fn api() -> Api {
    let route = |(method, path, function, authorized): (&str, &str, &str, bool)| Route {
        method: method.into(),
        path: path.into(),
        function: function.into(),
        authorized,
    };
    let template = r#"{"detail":$context.error.messageString,"instance":"$context.path"}"#;
    let response =
        GatewayResponse { status: None, headers: BTreeMap::new(), template: Some(template.into()) };
    Api {
        stage: "dev".into(),
        routes: vec![
            route(("GET", "/items", "Echo", false)),
            route(("ANY", "/items", "Echo", false)),
            route(("GET", "/items/{id}", "Echo", true)),
            route(("DELETE", "/items/{id}", "Echo", true)),
            route(("GET", "/crash", "Crash", false)),
            route(("GET", "/malformed", "Malformed", false)),
            route(("GET", "/slow", "Slow", false)),
            route(("GET", "/busy", "Busy", false)),
        ],
        authorizer: Some(Authorizer {
            function: "Authorizer".into(),
            header: "Authorization".into(),
            cache: Duration::from_secs(300),
        }),
        cors: Some(Cors {
            allow_origin: "*".into(),
            allow_methods: "GET,POST".into(),
            allow_headers: "Authorization".into(),
            max_age: Some("3600".into()),
        }),
        gateway_responses: BTreeMap::from([
            ("DEFAULT_4XX".into(), response.clone()),
            ("DEFAULT_5XX".into(), response),
        ]),
    }
}

fn gateway(fake: Fake) -> (Gateway, Arc<Fake>) {
    let fake = Arc::new(fake);
    (Gateway::new(api(), Arc::clone(&fake) as Arc<dyn Invoke>).with_timeout(Duration::from_millis(50)), fake)
}

fn request(method: &str, uri: &str, token: Option<&str>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(uri).header("host", "localhost:8000");
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    request.body(Body::empty()).unwrap()
}

async fn body(response: Response<Body>) -> Value {
    serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_function_receives_the_event_of_aws() {
    let (gateway, _) = gateway(Fake::default());
    let request = Request::builder()
        .method("POST")
        .uri("/items/?q=a%20b&q=c+d&empty")
        .header("host", "localhost:8000")
        .header("accept", "text/html")
        .header("accept", "application/json")
        .header("connection", "keep-alive")
        .header("x-forwarded-proto", "not a scheme")
        .header("x-forwarded-for", "10.0.0.1")
        .header("user-agent", "test")
        .body(Body::from(&b"{\"a\":1}"[..]))
        .unwrap();
    let response = gateway.handle(request).await;
    assert!(!response.headers().contains_key("x-request-id"), "functions set it");
    let request_id = response.headers()["x-amzn-requestid"].to_str().unwrap().to_owned();
    let event = body(response).await;
    let expected = json!({
        "resource": "/items",
        "path": "/items/",
        "httpMethod": "POST",
        "queryStringParameters": {"q": "c d", "empty": ""},
        "multiValueQueryStringParameters": {"q": ["a b", "c d"], "empty": [""]},
        "pathParameters": null,
        "stageVariables": null,
        "body": "{\"a\":1}",
        "isBase64Encoded": false,
        "headers": {
            "accept": "application/json", "host": "localhost:8000", "user-agent": "test",
            "x-forwarded-for": "10.0.0.1, 127.0.0.1", "x-forwarded-port": "8000", "x-forwarded-proto": "http",
        },
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&event[name], value, "{name}");
    }
    assert_eq!(event["multiValueHeaders"]["accept"], json!(["text/html", "application/json"]));
    let context = &event["requestContext"];
    assert_eq!(context["requestId"], request_id);
    assert_eq!(context["resourcePath"], "/items");
    assert_eq!(context["stage"], "dev");
    assert_eq!(context["protocol"], "HTTP/1.1");
    assert_eq!(context["identity"]["sourceIp"], "127.0.0.1");
    assert_eq!(context.get("authorizer"), None);
}

#[tokio::test]
async fn a_binary_body_is_sent_as_base64() {
    let (gateway, _) = gateway(Fake::default());
    let request =
        Request::builder().method("POST").uri("/items").body(Body::from(&[0xff, 0x00][..])).unwrap();
    let event = body(gateway.handle(request).await).await;
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("/wA="), &json!(true)));
}

#[tokio::test]
async fn the_authorizer_context_reaches_the_function_as_strings() {
    let (gateway, _) = gateway(Fake::default());
    let event = body(gateway.handle(request("GET", "/items/a%2Fb", Some("Bearer clerk"))).await).await;
    assert_eq!(event["path"], "/items/a%2Fb");
    assert_eq!(event["pathParameters"], json!({"id": "a/b"}));
    let mut authorizer = event["requestContext"]["authorizer"].clone();
    assert!(authorizer.as_object_mut().unwrap().remove("integrationLatency").unwrap().is_u64());
    let expected = json!({"principalId": "clerk-1", "role": "clerk", "level": "3", "active": "true"});
    assert_eq!(authorizer, expected);
}

#[tokio::test]
async fn errors_are_gateway_responses() {
    let (gateway, fake) = gateway(Fake::default());
    for (method, path, token, status, detail) in [
        ("GET", "/unknown", None, 403, "Missing Authentication Token"),
        ("PUT", "/items/1", None, 403, "Missing Authentication Token"),
        ("GET", "/items/%zz", None, 400, "Bad Request"),
        ("GET", "/items/1", None, 401, "Unauthorized"),
        ("GET", "/items/1", Some(" "), 401, "Unauthorized"),
        ("GET", "/items/1", Some("Bearer unknown"), 401, "Unauthorized"),
        ("GET", "/items/1", Some("Bearer broken"), 500, "Internal server error"),
        ("GET", "/items/1", Some("Bearer malformed"), 500, "Internal server error"),
        (
            "DELETE",
            "/items/1/",
            Some("Bearer clerk"),
            403,
            "User is not authorized to access this resource with an explicit deny",
        ),
        ("GET", "/crash", None, 502, "Internal server error"),
        ("GET", "/malformed", None, 502, "Internal server error"),
        ("GET", "/slow", None, 504, "Endpoint request timed out"),
        ("GET", "/busy", None, 429, "Too Many Requests"),
    ] {
        let response = gateway.handle(request(method, path, token)).await;
        let name = format!("{method} {path} {token:?}");
        assert_eq!(response.status().as_u16(), status, "{name}");
        assert!(response.headers().contains_key("x-amzn-requestid"), "{name}");
        assert_eq!(body(response).await, json!({"detail": detail, "instance": path}), "{name}");
    }
    assert_eq!(
        fake.authorizations.load(Ordering::SeqCst),
        4,
        "a missing token does not invoke the authorizer"
    );
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let (gateway, _) = gateway(Fake::default());
    for (size, status) in [(10 << 20, StatusCode::OK), ((10 << 20) + 1, StatusCode::PAYLOAD_TOO_LARGE)] {
        let request =
            Request::builder().method("POST").uri("/items").body(Body::from(vec![b'a'; size])).unwrap();
        assert_eq!(gateway.handle(request).await.status(), status, "{size}");
    }
}

#[tokio::test]
async fn a_preflight_needs_no_token_and_no_function() {
    let (gateway, fake) = gateway(Fake::default());
    for path in ["/items", "/items/1"] {
        let response = gateway.handle(request("OPTIONS", path, None)).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert_eq!(response.headers()["access-control-max-age"], "3600");
        assert!(to_bytes(response.into_body(), 10).await.unwrap().is_empty());
    }
    assert_eq!(gateway.handle(request("OPTIONS", "/unknown", None)).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(fake.authorizations.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn one_token_invokes_the_authorizer_once() {
    let fake = Fake { authorizer_gate: Some(Notify::new()), ..Fake::default() };
    let (gateway, fake) = gateway(fake);
    let requests =
        join_all((0..20).map(|_| gateway.handle(request("GET", "/items/1", Some("Bearer clerk")))));
    fake.authorizer_gate.as_ref().unwrap().notify_one();
    assert!(requests.await.iter().all(|response| response.status() == StatusCode::OK));
    let denied = gateway.handle(request("DELETE", "/items/1", Some("Bearer clerk"))).await;
    assert_eq!(denied.status(), StatusCode::FORBIDDEN, "the cached policy is evaluated for each method");
    assert_eq!(fake.authorizations.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_failed_authorization_is_not_cached() {
    let (gateway, fake) = gateway(Fake::default());
    for _ in 0..2 {
        let response = gateway.handle(request("GET", "/items/1", Some("Bearer unknown"))).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(fake.authorizations.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_path_that_is_not_utf_8_reaches_the_function_as_sent() {
    let (gateway, _) = gateway(Fake::default());
    let event = body(gateway.handle(request("GET", "/items/%ff", Some("Bearer clerk"))).await).await;
    assert_eq!(event["path"], "/items/%ff");
    assert_eq!(event["pathParameters"], json!({"id": "\u{fffd}"}));
}

#[tokio::test]
async fn repeated_headers_reach_the_function() {
    let (gateway, _) = gateway(Fake::default());
    let request = Request::post("/items").header("host", "localhost:8000");
    let request = request.header("idempotency-key", "first").header("idempotency-key", "second");
    let event = body(gateway.handle(request.body(Body::empty()).unwrap()).await).await;
    assert_eq!(event["multiValueHeaders"]["idempotency-key"], json!(["first", "second"]));
    assert_eq!(event["headers"]["idempotency-key"], "second", "as on AWS, the last one");
}

#[tokio::test]
async fn a_wrong_verb_reaches_the_any_route_whatever_its_headers() {
    let (gateway, _) = gateway(Fake::default());
    for (name, value) in [
        ("idempotency-key", &b""[..]),
        ("content-type", b"text/plain"),
        ("content-encoding", b"gzip"),
        ("if-match", b"not a tag"),
        ("x-binary", b"\xff\xfe"),
    ] {
        let request = Request::builder().method("BREW").uri("/items").header("host", "localhost:8000");
        let response = gateway.handle(request.header(name, value).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK, "{name}");
        assert_eq!(body(response).await["httpMethod"], "BREW", "{name}");
    }
}

#[tokio::test]
async fn every_gateway_response_has_the_headers_of_the_template() {
    let headers = [
        ("Content-Type", "'application/problem+json'"),
        ("Cache-Control", "'no-store'"),
        ("X-Content-Type-Options", "'nosniff'"),
        ("Access-Control-Expose-Headers", "'X-Request-Id'"),
        ("X-Request-Id", "context.requestId"),
    ];
    let mut api = api();
    for response in api.gateway_responses.values_mut() {
        response.headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    }
    let gateway = Gateway::new(api, Arc::new(Fake::default())).with_timeout(Duration::from_millis(50));
    for (path, token) in [
        ("/unknown", None),
        ("/items/%zz", None),
        ("/items/1", None),
        ("/items/1", Some("Bearer malformed")),
        ("/crash", None),
        ("/malformed", None),
        ("/slow", None),
        ("/busy", None),
    ] {
        let response = gateway.handle(request("GET", path, token)).await;
        for (name, value) in headers {
            let expected = match value.strip_prefix('\'') {
                Some(literal) => literal.trim_end_matches('\''),
                None => response.headers()["x-amzn-requestid"].to_str().unwrap(),
            };
            assert_eq!(response.headers()[name], expected, "{path} {name}");
        }
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_a_gateway_response() {
    let (gateway, _) = gateway(Fake::default());
    let late = futures_util::stream::once(async { Err::<Bytes, _>(crate::server::BodyTimeout) });
    let request =
        Request::post("/items").header("host", "localhost:8000").body(Body::from_stream(late)).unwrap();
    let response = gateway.handle(request).await;
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(body(response).await["detail"], "Request Timeout");
}
