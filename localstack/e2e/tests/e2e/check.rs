//! What is true of every answer.

use erp_client::Response;
use serde_json::Value;

use crate::site::elsewhere;

/// Words that would tell a client how the platform is made.
const INTERNALS: &[&str] = &[
    ".rs:",
    "panicked",
    "backtrace",
    "stack trace",
    "src/",
    "thread '",
    "serde",
    "axum",
    "tokio",
    "dynamodb",
    "sqlite",
    "arn:aws",
    "127.0.0.1",
    "conditionalcheck",
    "lambda",
    "runtime.",
    "/tmp/",
    "/target/",
    "argon2",
];

/// The path of an answer's request.
fn path(answer: &Response) -> &str {
    let target = answer.request.split_once(' ').map_or("", |(_, target)| target);
    target.split('?').next().unwrap_or_default()
}

/// What every answer has, whoever gave it, but the preflights: those API Gateway answers by itself, and SAM has no
/// place to say that they should name their request.
#[track_caller]
pub(crate) fn common(answer: &Response) {
    let request_id = answer.header("x-request-id").unwrap_or_default();
    assert!(!request_id.is_empty(), "{}: no X-Request-Id", answer.request);
    open(answer);
}

/// The configured origin may read the response: on this machine the API's own, on AWS any by default. None may send
/// credentials.
#[track_caller]
pub(crate) fn open(answer: &Response) {
    let origin = answer.header("access-control-allow-origin").unwrap_or_default();
    if elsewhere().is_some() {
        assert_eq!(origin, "*", "{}", answer.request);
    } else {
        assert!(origin.starts_with("http://localhost:"), "{}: {origin}", answer.request);
    }
    assert_eq!(answer.header("access-control-allow-credentials"), None, "{}", answer.request);
}

/// A problem of this status and code; gives its body.
#[track_caller]
pub(crate) fn problem(answer: &Response, status: u16, code: &str) -> Value {
    let (request, text) = (&answer.request, &answer.text);
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{request}: {text}");
    refusal(answer);
    let body = answer.json();
    let challenge = answer.header("www-authenticate");
    assert_eq!(challenge.is_some(), code == "unauthorized", "{request}: {challenge:?}");
    assert!(challenge.is_none_or(|challenge| challenge == "Bearer"), "{request}: {challenge:?}");
    assert_eq!(answer.header("allow").is_some(), status == 405, "{request}: Allow");
    let again: Option<u64> = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
    assert_eq!(
        again.is_some_and(|seconds| seconds > 0),
        matches!(status, 429 | 503),
        "{request}: Retry-After {again:?}"
    );
    body
}

/// A problem of whatever kind: its shape.
#[track_caller]
pub(crate) fn refusal(answer: &Response) {
    common(answer);
    let (request, text) = (&answer.request, &answer.text);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{request}: {text}");
    let body = answer.json();
    let field = |name: &str| body[name].as_str().unwrap_or_default();
    assert_eq!(body["status"], answer.status, "{request}: {text}");
    assert_eq!(field("type"), format!("urn:erp:problem:{}", field("code")), "{request}: {text}");
    assert!(!field("title").is_empty() && !field("detail").is_empty(), "{request}: {text}");
    // On AWS the stage stands before it.
    let instance = field("instance").trim_end_matches('/');
    assert!(instance.ends_with(path(answer).trim_end_matches('/')), "{request}: {text}");
    assert_eq!(Some(field("request_id")), answer.header("x-request-id"), "{request}: {text}");
    let told = text.to_lowercase();
    let internal = INTERNALS.iter().find(|word| told.contains(**word));
    assert_eq!(internal, None, "{request} tells how the platform is made: {text}");
}

/// A problem that points at exactly these fields of the body, or names these parameters.
#[track_caller]
pub(crate) fn faults(answer: &Response, expected: &[&str]) {
    let body = problem(answer, 400, "validation_failed");
    let errors = body["errors"].as_array().unwrap_or_else(|| panic!("{}: {}", answer.request, answer.text));
    let named = |error: &Value| {
        assert!(error["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{}", answer.text);
        error["pointer"].as_str().or(error["parameter"].as_str()).unwrap_or_default().to_owned()
    };
    let mut found: Vec<_> = errors.iter().map(named).collect();
    let mut expected: Vec<_> = expected.iter().map(|pointer| (*pointer).to_owned()).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{}: {}", answer.request, answer.text);
}

/// A success of this status, in the envelope; gives its data.
#[track_caller]
pub(crate) fn success(answer: &Response, status: u16) -> Value {
    let (request, text) = (&answer.request, &answer.text);
    assert_eq!(answer.status, status, "{request}: {text}");
    common(answer);
    assert_eq!(answer.header("content-type"), Some("application/json"), "{request}");
    let body = answer.json();
    assert_eq!(body["status"], status, "{request}: {text}");
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{request}: {text}");
    assert!(body.get("data").is_some(), "{request}: {text}");
    body["data"].clone()
}
