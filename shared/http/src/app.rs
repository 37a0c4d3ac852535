//! The layers around a service's router, and running it in Lambda.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use erp_auth::access::{Access, RULES};
use erp_auth::{Verified, context};
use erp_contracts::{Answer, Cause, Write};
use erp_domain::Clock;
use lambda_http::request::RequestContext;
use tracing::Instrument;

use crate::body::{MAX_BODY_BYTES, too_large};
use crate::problem::Pending;
use crate::{Idempotency, Kind, Problem, idempotency};

/// The header that carries the request id on every answer.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is known of a request before any handler sees it.
#[derive(Debug, Clone, Default)]
pub struct RequestInfo {
    /// API Gateway's id of the request: the one in every answer, log line and event.
    pub request_id: String,
    /// The path, without the stage.
    pub path: String,
    /// What the authorizer said.
    pub verified: Option<Verified>,
}

impl RequestInfo {
    /// Who and what to name as the cause of what this request brings about.
    pub fn cause(&self) -> Cause {
        Cause {
            actor: self.verified.as_ref().map(|verified| verified.caller.subject()),
            request_id: Some(self.request_id.clone()).filter(|id| !id.is_empty()),
        }
    }

    /// What goes with a change that this request makes: its cause, its key, and how its answer is written.
    pub fn write<T>(
        &self,
        Idempotency(key): Idempotency,
        answer: fn(&T) -> Result<Answer, serde_json::Error>,
    ) -> Write<T> {
        Write { cause: self.cause(), key, answer }
    }
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for RequestInfo {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// A service's router with everything around it that all services share.
pub struct App {
    routes: Router,
    surroundings: Surroundings,
}

#[derive(Clone)]
struct Surroundings {
    clock: Arc<dyn Clock>,
    allow_origin: HeaderValue,
}

impl App {
    /// Wraps the routes. `ALLOW_ORIGIN` in the environment is the origin that browsers may call from, any if it is
    /// not set: with a proxy integration the service says so itself.
    pub fn new(routes: Router, clock: Arc<dyn Clock>) -> Self {
        let allow_origin = std::env::var("ALLOW_ORIGIN").ok().and_then(|origin| origin.parse().ok());
        let allow_origin = allow_origin.unwrap_or(HeaderValue::from_static("*"));
        Self { routes, surroundings: Surroundings { clock, allow_origin } }
    }

    /// Honours `Idempotency-Key` on what has been added so far.
    #[must_use]
    pub fn idempotent(mut self, layer: idempotency::Layer) -> Self {
        self.routes = self.routes.layer(middleware::from_fn_with_state(layer, idempotency::layer));
        self
    }

    /// The finished router.
    pub fn into_router(self) -> Router {
        let router = self
            .routes
            .fallback(|| async { Problem::new(Kind::NotFound, "There is no such route.") })
            .layer(middleware::from_fn_with_state(self.surroundings, outermost));
        // Around the router, so that the path is rewritten before a route is looked for.
        Router::new().fallback_service(tower::util::MapRequest::new(router, without_trailing_slash))
    }

    /// Serves in Lambda until the environment ends.
    ///
    /// # Errors
    /// When the runtime cannot go on.
    pub async fn run(self) -> Result<(), lambda_http::Error> {
        lambda_http::run(self.into_router()).await
    }
}

/// `/api/items/` means `/api/items`.
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

async fn outermost(State(surroundings): State<Surroundings>, mut request: Request, next: Next) -> Response {
    let (mut info, expired) = read_context(&request, surroundings.clock.as_ref());
    info.path = request.uri().path().to_owned();
    let method = request.method().clone();
    let route =
        request.extensions().get::<MatchedPath>().map_or("-".to_owned(), |path| path.as_str().to_owned());
    let without_head = verbs_without_head(&route);
    let subject = info.verified.as_ref().map(|verified| verified.caller.subject());
    let started = std::time::Instant::now();
    let span = tracing::info_span!(
        "request",
        request_id = %info.request_id,
        %method,
        %route,
        // It names the order, the item, the contact.
        path = info.path,
        caller = subject.as_deref().unwrap_or("-")
    );
    let too_long = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok())
        .is_some_and(|length| length > MAX_BODY_BYTES);
    request.extensions_mut().insert(info.clone());

    let mut response = if expired {
        Problem::new(Kind::Unauthorized, "The token has expired.").into_response()
    } else if too_long {
        too_large().into_response()
    } else if method == Method::HEAD && without_head.is_some() {
        StatusCode::METHOD_NOT_ALLOWED.into_response()
    } else {
        next.run(request).instrument(span.clone()).await
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED && response.extensions().get::<Pending>().is_none()
    {
        let allow = without_head.or_else(|| response.headers().get(axum::http::header::ALLOW).cloned());
        let problem =
            Problem::new(Kind::MethodNotAllowed, format!("{method} is not possible here; see Allow."));
        // Mostly it is not there yet: axum names the verbs further out, where nobody has named them.
        response = match allow {
            Some(allow) => problem.allow(allow).into_response(),
            None => problem.into_response(),
        };
    }
    let problem =
        response.extensions_mut().remove::<Pending>().and_then(|Pending(slot)| slot.lock().ok()?.take());
    let _entered = span.enter();
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    if let Some(problem) = problem {
        let code = problem.kind.code();
        match &problem.cause {
            Some(cause) => {
                tracing::error!(status, code, milliseconds, cause = %erp_contracts::chain(cause.as_ref()), "request failed");
            }
            None => tracing::info!(status, code, milliseconds, "request refused"),
        }
        response = problem.finish(&info.path, &info.request_id);
    } else {
        tracing::info!(status, milliseconds, "request answered");
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(&info.request_id) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.entry("cache-control").or_insert(HeaderValue::from_static("no-store"));
    headers.entry("access-control-allow-origin").or_insert(surroundings.allow_origin);
    headers.insert(
        "access-control-expose-headers",
        HeaderValue::from_static("ETag, Location, Retry-After, X-Request-Id, Idempotent-Replayed"),
    );
    response
}

/// The verbs of a route that only a known caller may read, for `Allow`; none for any other route.
///
/// The gateway asks the authorizer about the verbs that have a rule, and `HEAD` has none. So nobody is known who asks
/// with it, and it cannot be answered; then it must not be promised either, as axum does wherever there is a `GET`.
fn verbs_without_head(route: &str) -> Option<HeaderValue> {
    let rules = || RULES.iter().filter(|rule| rule.path == route);
    if !rules().any(|rule| rule.method == "GET" && rule.access != Access::Public) {
        return None;
    }
    let verbs: Vec<_> = rules().map(|rule| rule.method).collect();
    HeaderValue::try_from(verbs.join(",")).ok()
}

/// What API Gateway says of the request, and whether its token has ended: the gateway may use an authorizer's word
/// again for minutes, so the service looks at the clock itself.
fn read_context(request: &Request, clock: &dyn Clock) -> (RequestInfo, bool) {
    let Some(RequestContext::ApiGatewayV1(context)) = request.extensions().get::<RequestContext>() else {
        return (RequestInfo::default(), false);
    };
    let fields = &context.authorizer.fields;
    let verified = context::from_fields(|name| fields.get(name).and_then(serde_json::Value::as_str));
    let expired = verified.as_ref().is_some_and(|verified| verified.expires_at <= clock.now());
    let info = RequestInfo {
        request_id: context.request_id.clone().unwrap_or_default(),
        path: String::new(),
        verified: verified.filter(|_| !expired),
    };
    (info, expired)
}
