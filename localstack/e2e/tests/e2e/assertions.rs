//! Assertions that hold for every response.

use erp_client::Response;
use serde_json::Value;

use crate::target::remote_url;

/// Implementation details that no response may contain.
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

/// Returns the path of the request of a response.
fn path(response: &Response) -> &str {
    let target = response.request.split_once(' ').map_or("", |(_, target)| target);
    target.split('?').next().unwrap_or_default()
}

/// Asserts what holds for every response except preflight responses. API Gateway sends those itself, and SAM
/// cannot add `X-Request-Id` to them.
#[track_caller]
pub(crate) fn common(response: &Response) {
    let request_id = response.header("x-request-id").unwrap_or_default();
    assert!(!request_id.is_empty(), "{}: no X-Request-Id", response.request);
    for (header, value) in
        [("x-content-type-options", "nosniff"), ("strict-transport-security", "max-age=31536000")]
    {
        assert_eq!(response.header(header), Some(value), "{}: {header}", response.request);
    }
    cors(response);
}

/// Asserts that the configured origin may read the response (locally the origin of the API, on AWS any by
/// default) and that none may send credentials.
#[track_caller]
pub(crate) fn cors(response: &Response) {
    let origin = response.header("access-control-allow-origin").unwrap_or_default();
    if remote_url().is_some() {
        assert_eq!(origin, "*", "{}", response.request);
    } else {
        assert!(origin.starts_with("http://localhost:"), "{}: {origin}", response.request);
    }
    assert_eq!(response.header("access-control-allow-credentials"), None, "{}", response.request);
}

/// Asserts a problem of this status and code. Returns its body.
#[track_caller]
pub(crate) fn problem(response: &Response, status: u16, code: &str) -> Value {
    let (request, text) = (&response.request, &response.text);
    assert_eq!((response.status, response.code().as_str()), (status, code), "{request}: {text}");
    any_problem(response);
    let body = response.json();
    let challenge = response.header("www-authenticate");
    assert_eq!(challenge.is_some(), code == "unauthorized", "{request}: {challenge:?}");
    assert!(challenge.is_none_or(|challenge| challenge == "Bearer"), "{request}: {challenge:?}");
    assert_eq!(response.header("allow").is_some(), status == 405, "{request}: Allow");
    let retry_after: Option<u64> = response.header("retry-after").and_then(|seconds| seconds.parse().ok());
    assert_eq!(
        retry_after.is_some_and(|seconds| seconds > 0),
        matches!(status, 429 | 503),
        "{request}: Retry-After {retry_after:?}"
    );
    body
}

/// Asserts the shape of a problem of any kind.
#[track_caller]
pub(crate) fn any_problem(response: &Response) {
    common(response);
    let (request, text) = (&response.request, &response.text);
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{request}: {text}");
    assert_eq!(response.header("cache-control"), Some("no-store"), "{request}");
    assert!(response.header("access-control-expose-headers").is_some(), "{request}: no exposed headers");
    let body = response.json();
    let field = |name: &str| body[name].as_str().unwrap_or_default();
    assert_eq!(body["status"], response.status, "{request}: {text}");
    assert_eq!(field("type"), format!("urn:erp:problem:{}", field("code")), "{request}: {text}");
    assert!(!field("title").is_empty() && !field("detail").is_empty(), "{request}: {text}");
    // On AWS the path begins with the stage.
    let instance = field("instance").trim_end_matches('/');
    assert!(instance.ends_with(path(response).trim_end_matches('/')), "{request}: {text}");
    assert_eq!(Some(field("request_id")), response.header("x-request-id"), "{request}: {text}");
    let lower_case = text.to_lowercase();
    let internal = INTERNALS.iter().find(|word| lower_case.contains(**word));
    assert_eq!(internal, None, "{request} reveals an implementation detail: {text}");
}

/// Asserts a problem with validation errors of exactly these fields of the body, or parameters.
#[track_caller]
pub(crate) fn validation_errors(response: &Response, expected: &[&str]) {
    let body = problem(response, 400, "validation_failed");
    let errors =
        body["errors"].as_array().unwrap_or_else(|| panic!("{}: {}", response.request, response.text));
    let location = |error: &Value| {
        assert!(error["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{}", response.text);
        error["pointer"].as_str().or(error["parameter"].as_str()).unwrap_or_default().to_owned()
    };
    let mut found: Vec<_> = errors.iter().map(location).collect();
    let mut expected: Vec<_> = expected.iter().map(|pointer| (*pointer).to_owned()).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{}: {}", response.request, response.text);
}

/// Asserts a success of this status, in the envelope. Returns its data.
#[track_caller]
pub(crate) fn success(response: &Response, status: u16) -> Value {
    let (request, text) = (&response.request, &response.text);
    assert_eq!(response.status, status, "{request}: {text}");
    common(response);
    assert_eq!(response.header("content-type"), Some("application/json"), "{request}");
    let body = response.json();
    assert_eq!(body["status"], status, "{request}: {text}");
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{request}: {text}");
    assert!(body.get("data").is_some(), "{request}: {text}");
    body["data"].clone()
}
