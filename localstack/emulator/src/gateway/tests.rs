//! The gateway as a client sees it, with functions that are closures.

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

/// Functions that a test makes up: `Echo` returns its event as the body of a 200, the others what they are named for.
#[derive(Default)]
struct Fake {
    authorizations: AtomicUsize,
    authorizer_may_answer: Option<Notify>,
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
                    if let Some(gate) = &self.authorizer_may_answer {
                        gate.notified().await;
                    }
                    Ok(match event["authorizationToken"].as_str().unwrap() {
                        "Bearer clerk" => returned(grant(), false),
                        "Bearer nobody" => returned(json!({"errorMessage": "Unauthorized"}), true),
                        "Bearer nonsense" => returned(json!({"principalId": "x"}), false),
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

fn grant() -> Value {
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
    (Gateway::new(api(), Arc::clone(&fake) as Arc<dyn Invoke>).with_patience(Duration::from_millis(50)), fake)
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
async fn a_function_gets_the_event_that_aws_would_send() {
    let (gateway, _) = gateway(Fake::default());
    let request = Request::builder()
        .method("POST")
        .uri("/items/?q=a%20b&q=c+d&empty")
        .header("host", "localhost:8000")
        .header("accept", "text/html")
        .header("accept", "application/json")
        .header("connection", "keep-alive")
        .header("x-forwarded-proto", "no scheme at all")
        .header("x-forwarded-for", "10.0.0.1")
        .header("user-agent", "test")
        .body(Body::from(&b"{\"a\":1}"[..]))
        .unwrap();
    let response = gateway.handle(request).await;
    assert!(!response.headers().contains_key("x-request-id"), "that is the functions' to say");
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
async fn bytes_that_are_no_text_travel_as_base64() {
    let (gateway, _) = gateway(Fake::default());
    let request =
        Request::builder().method("POST").uri("/items").body(Body::from(&[0xff, 0x00][..])).unwrap();
    let event = body(gateway.handle(request).await).await;
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("/wA="), &json!(true)));
}

#[tokio::test]
async fn the_caller_reaches_the_function_as_text() {
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
async fn everything_else_is_a_gateway_response() {
    let (gateway, fake) = gateway(Fake::default());
    for (method, path, token, status, detail) in [
        ("GET", "/nothing", None, 403, "Missing Authentication Token"),
        ("PUT", "/items/1", None, 403, "Missing Authentication Token"),
        ("GET", "/items/%zz", None, 400, "Bad Request"),
        ("GET", "/items/1", None, 401, "Unauthorized"),
        ("GET", "/items/1", Some(" "), 401, "Unauthorized"),
        ("GET", "/items/1", Some("Bearer nobody"), 401, "Unauthorized"),
        ("GET", "/items/1", Some("Bearer broken"), 500, "Internal server error"),
        ("GET", "/items/1", Some("Bearer nonsense"), 500, "Internal server error"),
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
    assert_eq!(fake.authorizations.load(Ordering::SeqCst), 4, "a missing token is not asked about");
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
async fn a_preflight_is_answered_without_a_token_or_a_function() {
    let (gateway, fake) = gateway(Fake::default());
    for path in ["/items", "/items/1"] {
        let response = gateway.handle(request("OPTIONS", path, None)).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert_eq!(response.headers()["access-control-max-age"], "3600");
        assert!(to_bytes(response.into_body(), 10).await.unwrap().is_empty());
    }
    assert_eq!(gateway.handle(request("OPTIONS", "/nothing", None)).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(fake.authorizations.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn one_token_is_asked_about_once() {
    let fake = Fake { authorizer_may_answer: Some(Notify::new()), ..Fake::default() };
    let (gateway, fake) = gateway(fake);
    let requests =
        join_all((0..20).map(|_| gateway.handle(request("GET", "/items/1", Some("Bearer clerk")))));
    fake.authorizer_may_answer.as_ref().unwrap().notify_one();
    assert!(requests.await.iter().all(|response| response.status() == StatusCode::OK));
    let denied = gateway.handle(request("DELETE", "/items/1", Some("Bearer clerk"))).await;
    assert_eq!(denied.status(), StatusCode::FORBIDDEN, "the policy kept is judged for each method");
    assert_eq!(fake.authorizations.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_refusal_is_not_kept() {
    let (gateway, fake) = gateway(Fake::default());
    for _ in 0..2 {
        let response = gateway.handle(request("GET", "/items/1", Some("Bearer nobody"))).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(fake.authorizations.load(Ordering::SeqCst), 2);
}
