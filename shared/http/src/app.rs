//! The layers around a service's router, and the Lambda runtime.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::header::{ALLOW, CONTENT_LENGTH, HOST, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use erp_auth::access::{Access, RULES};
use erp_auth::{Verified, context};
use erp_aws::{deadline, error_chain};
use erp_contracts::Cause;
use erp_domain::{Clock, Settings};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{LambdaEvent, RequestExt};
use tokio::time::Instant;
use tower::util::MapRequest;
use tracing::Instrument;

use crate::body::{MAX_BODY_BYTES, too_large};
use crate::{Problem, ProblemKind};

/// Longest duration of a request.
const MAX_DURATION: Duration = Duration::from_secs(8);
/// Time before the deadline of the invocation at which a request ends, so that the response is in time.
const RESERVE: Duration = Duration::from_secs(1);

/// Headers of every response that a handler has not set. Responses of API Gateway itself have them, too.
pub const DEFAULT_HEADERS: [(&str, &str); 4] = [
    ("content-type", "application/json"),
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    // Browsers ignore it over plain HTTP (RFC 6797 section 8.1), as on one machine.
    ("strict-transport-security", "max-age=31536000"),
];
/// Response headers that scripts of the allowed origin may read (`Access-Control-Expose-Headers`).
pub const EXPOSED_HEADERS: &str = "ETag, Location, Retry-After, X-Request-Id, Idempotent-Replayed";

/// Metadata of a request, available to every handler.
#[derive(Debug, Clone, Default)]
pub struct RequestInfo {
    /// API Gateway's request id: in every response, log line and event.
    pub request_id: String,
    /// The path without stage and base path.
    pub path: String,
    /// The source IP address, as API Gateway saw it.
    pub source_ip: Option<String>,
    /// The authorizer's context.
    pub verified: Option<Verified>,
    /// What precedes [`RequestInfo::path`] in the client's URL: a stage or a base path, or nothing.
    base_path: String,
}

impl RequestInfo {
    /// Returns the cause of the events of this request.
    pub fn cause(&self) -> Cause {
        Cause {
            actor: self.verified.as_ref().map(|verified| verified.caller.subject()),
            request_id: Some(self.request_id.clone()).filter(|id| !id.is_empty()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestInfo {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// A service's router with the layers that all services share.
pub struct App(Router);

#[derive(Clone)]
struct HttpContext {
    clock: Arc<dyn Clock>,
    allow_origin: Option<HeaderValue>,
}

impl App {
    /// Wraps the routes. With a proxy integration the service itself sends the CORS header: `ALLOW_ORIGIN` is the
    /// origin that browsers may call from, `*` by default; `none` sends no header.
    pub fn new(routes: Router, clock: Arc<dyn Clock>) -> Self {
        let origin = Settings::from_env().optional("ALLOW_ORIGIN").unwrap_or_else(|| "*".to_owned());
        let allow_origin = HeaderValue::try_from(origin).ok().filter(|origin| origin != "none");
        let router = routes
            .fallback(|| async { Problem::new(ProblemKind::NotFound, "There is no such route.") })
            .layer(middleware::from_fn_with_state(HttpContext { clock, allow_origin }, request_layer));
        // Around the router, so that the path is rewritten before routing.
        Self(Router::new().fallback_service(MapRequest::new(router, without_trailing_slash)))
    }

    /// Returns the complete router.
    pub fn into_router(self) -> Router {
        self.0
    }

    /// Serves in Lambda until the environment ends.
    pub async fn run(self) -> Result<(), lambda_http::Error> {
        let service = lambda_http::Adapter::from(self.0);
        let service = MapRequest::new(service, |event: LambdaEvent<LambdaRequest>| LambdaEvent {
            payload: keep_repeated_headers(event.payload),
            ..event
        });
        lambda_http::lambda_runtime::run(service).await
    }
}

/// Keeps all values of a repeated request header, so that the service sees what the client sent. `lambda_http` merges
/// `headers`, which has only the last value, over `multiValueHeaders`.
pub fn keep_repeated_headers(mut event: LambdaRequest) -> LambdaRequest {
    if let LambdaRequest::ApiGatewayV1(request) = &mut event {
        // `lambda_http` reads the host from `headers`.
        for name in request.multi_value_headers.keys().filter(|name| **name != HOST) {
            request.headers.remove(name);
        }
    }
    event
}

/// Routes `/api/items/` as `/api/items`.
fn without_trailing_slash(mut request: Request) -> Request {
    let path = request.uri().path();
    if path.len() > 1 && path.ends_with('/') {
        let trimmed = path.trim_end_matches('/');
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        if let Ok(uri) = format!("{}{query}", if trimmed.is_empty() { "/" } else { trimmed }).parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// Returns the deadline of a request: a second before that of its invocation, at most 8 s from now.
fn deadline_of(request: &Request) -> Instant {
    let longest = Instant::now() + MAX_DURATION;
    let invocation = request.lambda_context_ref().map(|context| deadline::of_invocation(context.deadline));
    // Without an invocation, as in a test of the router alone, only the longest duration applies.
    let end = invocation.map(|end| deadline::earlier(end, RESERVE));
    end.map_or(longest, |end| end.min(longest))
}

/// The layer around all routes: request metadata, limits, the log line, error documents and common headers.
///
/// The handler ends at the deadline of the request, with a 503. The outcome of a write in progress is unknown then, and
/// the client repeats the request with the same `Idempotency-Key`.
async fn request_layer(State(context): State<HttpContext>, mut request: Request, next: Next) -> Response {
    let deadline = deadline_of(&request);
    let (info, expired) = read_context(&request, context.clock.as_ref());
    let method = request.method().clone();
    let route =
        request.extensions().get::<MatchedPath>().map_or("-".to_owned(), |path| path.as_str().to_owned());
    let protected_methods = methods_of_protected(&route);
    let started = std::time::Instant::now();
    let span = tracing::info_span!(
        "request",
        request_id = %info.request_id,
        %method,
        %route,
        // Contains the id of the order, item or contact.
        path = info.path,
        caller = info.cause().actor.as_deref().unwrap_or("-")
    );
    let too_long = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok())
        .is_some_and(|length| length > MAX_BODY_BYTES);
    request.extensions_mut().insert(info.clone());

    let mut response = if expired {
        Problem::new(ProblemKind::Unauthorized, "The token has expired.").into_response()
    } else if too_long {
        too_large().into_response()
    } else if method == Method::HEAD && protected_methods.is_some() {
        StatusCode::METHOD_NOT_ALLOWED.into_response()
    } else {
        let handled = deadline::within(deadline, next.run(request)).instrument(span.clone()).await;
        handled.unwrap_or_else(|_| Problem::unavailable("the deadline of the request passed").into_response())
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && response.extensions().get::<Arc<Problem>>().is_none()
    {
        let allow = protected_methods.or_else(|| response.headers().get(ALLOW).cloned());
        let detail = format!("{method} is not allowed on this path; see Allow.");
        let mut problem = Problem::new(ProblemKind::MethodNotAllowed, detail);
        problem.headers.extend(allow.map(|allow| (ALLOW, allow)));
        response = problem.into_response();
    }
    let _entered = span.enter();
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
        let code = problem.kind.code();
        match &problem.cause {
            Some(cause) => {
                tracing::error!(status, code, milliseconds, cause = %error_chain(cause.as_ref()), "request failed");
            }
            None => tracing::info!(status, code, milliseconds, "request rejected"),
        }
        response = problem.document(response.status(), &info.path, &info.request_id);
    } else {
        tracing::info!(status, milliseconds, "request completed");
    }
    finish_headers(response.headers_mut(), &info, context.allow_origin);
    response
}

fn finish_headers(headers: &mut HeaderMap, info: &RequestInfo, allow_origin: Option<HeaderValue>) {
    if let Ok(id) = HeaderValue::try_from(&info.request_id) {
        headers.insert("x-request-id", id);
    }
    // A handler names a path below `/api`; the client's URL has a stage or a base path before it.
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    if let Some(path) = location.filter(|path| path.starts_with("/api/"))
        && let Ok(location) = HeaderValue::try_from(format!("{}{path}", info.base_path))
    {
        headers.insert(LOCATION, location);
    }
    for (name, value) in DEFAULT_HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Some(origin) = allow_origin {
        headers.entry("access-control-allow-origin").or_insert(origin);
        headers.insert("access-control-expose-headers", HeaderValue::from_static(EXPOSED_HEADERS));
    }
}

/// Returns the methods of a route with a protected GET, for `Allow`; `None` for any other route.
///
/// axum answers HEAD wherever there is a GET, but no access rule names HEAD: API Gateway sends it to the `ANY` route,
/// which has no authorizer, so the caller is unknown and HEAD must not be offered.
fn methods_of_protected(route: &str) -> Option<HeaderValue> {
    let rules = || RULES.iter().filter(|rule| rule.path == route);
    if !rules().any(|rule| rule.method == "GET" && rule.access != Access::Public) {
        return None;
    }
    let methods: Vec<_> = rules().map(|rule| rule.method).collect();
    HeaderValue::try_from(methods.join(",")).ok()
}

/// Reads API Gateway's request context. The second value tells whether the token has expired: API Gateway caches the
/// authorizer's response for minutes, so the service compares the expiry itself.
fn read_context(request: &Request, clock: &dyn Clock) -> (RequestInfo, bool) {
    let path = request.uri().path().to_owned();
    let Some(RequestContext::ApiGatewayV1(context)) = request.extensions().get::<RequestContext>() else {
        return (RequestInfo { path, ..RequestInfo::default() }, false);
    };
    let fields = &context.authorizer.fields;
    let verified = context::from_fields(|name| fields.get(name).and_then(serde_json::Value::as_str));
    let expired = verified.as_ref().is_some_and(|verified| verified.expires_at <= clock.now());
    let full_path = context.path.as_deref().unwrap_or_default().trim_end_matches('/');
    let info = RequestInfo {
        request_id: context.request_id.clone().unwrap_or_default(),
        source_ip: context.identity.source_ip.clone(),
        verified: verified.filter(|_| !expired),
        base_path: full_path.strip_suffix(&path).unwrap_or_default().to_owned(),
        path,
    };
    (info, expired)
}
