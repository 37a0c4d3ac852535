//! One request, from its route to its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt as _;

use super::authorizer::Authorizer;
use super::context::{API_ID, Caller, Context};
use super::policy::Decision;
use super::refusal::Refusal;
use super::route::{Match, NoMatch, Resources};
use super::{answer, event};
use crate::deployment::{ACCOUNT, Api, Cors, REGION, Route};
use crate::lambda::{Invoke, InvokeError};

/// Most bytes of a request's body.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html>
const BODY_LIMIT: usize = 10 * 1024 * 1024;
/// Up to here a body that is too large is read to its end, so that the client gets to hear the answer.
const DRAIN_LIMIT: usize = 64 * 1024 * 1024;
/// How long a function may take before the gateway stops waiting.
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(29);

/// A REST API in front of functions.
pub struct Gateway {
    api: Api,
    resources: Resources,
    authorizer: Option<Authorizer>,
    functions: Arc<dyn Invoke>,
    patience: Duration,
}

/// Serves an API over HTTP. For the address of the client in `sourceIp`, serve the router with
/// `into_make_service_with_connect_info::<SocketAddr>()`; without, everybody is `127.0.0.1`.
pub fn router(gateway: Arc<Gateway>) -> Router {
    async fn handle(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
        gateway.handle(request).await
    }
    Router::new().fallback(handle).with_state(gateway)
}

impl Gateway {
    /// An API whose routes and authorizer name functions by logical id.
    pub fn new(api: Api, functions: Arc<dyn Invoke>) -> Self {
        let authorizer = api.authorizer.clone();
        Self {
            resources: Resources::new(&api.routes),
            authorizer: authorizer.map(|settings| Authorizer::new(settings, Arc::clone(&functions))),
            functions,
            patience: INTEGRATION_TIMEOUT,
            api,
        }
    }

    /// As [`new`](Self::new), with another limit to how long a function may take.
    #[cfg(test)]
    pub(super) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Answers a request. Whatever goes wrong is an answer too.
    pub async fn handle(&self, request: Request) -> Response {
        let began = Instant::now();
        let (request, body) = request.into_parts();
        let mut context = Context::new(&request, &self.api.stage);
        let mut response = match self.route(&mut context, &request, body).await {
            Ok(response) => response,
            Err(refusal) => refusal.answer(&self.api.gateway_responses, &context, &request.headers),
        };
        // As on AWS: `X-Request-Id` is there if a function or the template's gateway response says so.
        if let Ok(id) = HeaderValue::from_str(&context.request_id) {
            response.headers_mut().insert(HeaderName::from_static("x-amzn-requestid"), id);
        }
        tracing::info!(
            request_id = context.request_id,
            method = context.method,
            path = context.path,
            status = response.status().as_u16(),
            milliseconds = began.elapsed().as_millis(),
            "request"
        );
        response
    }

    async fn route(&self, context: &mut Context, request: &Parts, body: Body) -> Result<Response, Refusal> {
        let found = self.resources.find(&context.path).map_err(|reason| match reason {
            NoMatch::Unknown => Refusal::MissingAuthenticationToken,
            NoMatch::Malformed => Refusal::BadRequest,
        })?;
        context.resource = Some((found.resource.id.clone(), found.resource.path.clone()));
        if let Some(cors) = self.preflight(context, &found) {
            return Ok(preflight(cors));
        }
        let route = found.resource.method(&context.method).ok_or(Refusal::MissingAuthenticationToken)?;
        let body = read(body).await?;
        if route.authorized {
            context.authorizer = Some(self.authorize(context, request).await?);
        }
        let event = event::proxy(context, &request.headers, request.uri.query(), &found.parameters, &body)
            .to_string();
        self.integrate(context, route, Bytes::from(event)).await
    }

    /// A preflight of a path whose functions did not ask for it: SAM gives each path an `OPTIONS` method that
    /// answers by itself, which as the method's own name wins over `ANY`.
    fn preflight(&self, context: &Context, found: &Match<'_>) -> Option<&Cors> {
        let asked = context.method == "OPTIONS" && found.resource.exact_method("OPTIONS").is_none();
        self.api.cors.as_ref().filter(|_| asked)
    }

    async fn authorize(&self, context: &Context, request: &Parts) -> Result<Caller, Refusal> {
        let Some(authorizer) = &self.authorizer else {
            tracing::error!(path = context.path, "a route wants an authorizer, and the API has none");
            return Err(Refusal::AuthorizerConfigurationError);
        };
        let token = request.headers.get(authorizer.settings.header.as_str());
        let token = token.and_then(|token| token.to_str().ok()).filter(|token| !token.trim().is_empty());
        let token = token.ok_or(Refusal::Unauthorized)?;
        let method_arn = method_arn(context);
        let asked = Instant::now();
        let grant = authorizer.ask(token, &method_arn).await?;
        match grant.policy.decide(&method_arn) {
            Decision::Allowed => Ok(Caller {
                principal_id: grant.principal_id.clone(),
                context: grant.context.clone(),
                latency: u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX),
            }),
            Decision::Denied => Err(Refusal::ExplicitlyDenied),
            Decision::NotAllowed => Err(Refusal::AccessDenied),
        }
    }

    async fn integrate(&self, context: &Context, route: &Route, event: Bytes) -> Result<Response, Refusal> {
        let request_id = &context.request_id;
        let invoked =
            tokio::time::timeout(self.patience, self.functions.invoke(&route.function, event)).await;
        let invocation = invoked.map_err(|_| Refusal::IntegrationTimeout)?.map_err(|error| {
            tracing::warn!(request_id, function = route.function, %error, "a function was not invoked");
            match error {
                InvokeError::Throttled => Refusal::Throttled,
                InvokeError::TooLarge { .. } => Refusal::RequestTooLarge,
                InvokeError::NotFound(_) | InvokeError::Stopping => Refusal::IntegrationFailure,
            }
        })?;
        if invocation.function_error.is_some() {
            let error = String::from_utf8_lossy(&invocation.payload);
            tracing::error!(request_id, function = route.function, %error, "a function failed");
            return Err(Refusal::IntegrationFailure);
        }
        answer::parse(&invocation.payload).map_err(|reason| {
            tracing::error!(request_id, function = route.function, reason, "a malformed answer");
            Refusal::MalformedAnswer
        })
    }
}

/// The ARN that policies speak of; a trailing slash is no part of it, or it would be a way around a deny.
fn method_arn(context: &Context) -> String {
    let path = context.path.trim_matches('/');
    format!("arn:aws:execute-api:{REGION}:{ACCOUNT}:{API_ID}/{}/{}/{path}", context.stage, context.method)
}

fn preflight(cors: &Cors) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::OK;
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, Some(&cors.allow_origin)),
        (header::ACCESS_CONTROL_ALLOW_METHODS, Some(&cors.allow_methods)),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, Some(&cors.allow_headers)),
        (header::ACCESS_CONTROL_MAX_AGE, cors.max_age.as_ref()),
    ] {
        let value = value.filter(|value| !value.is_empty()).map(|value| HeaderValue::from_str(value));
        if let Some(Ok(value)) = value {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Reads a body, up to its limit.
async fn read(mut body: Body) -> Result<Bytes, Refusal> {
    let mut whole = Vec::new();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        // The client has gone, or breaks the protocol: nobody will read what it is told.
        let frame = frame.map_err(|_| Refusal::BadRequest)?;
        let Ok(data) = frame.into_data() else { continue };
        size += data.len();
        if size <= BODY_LIMIT {
            whole.extend_from_slice(&data);
        } else if size > DRAIN_LIMIT {
            break;
        }
    }
    if size > BODY_LIMIT { Err(Refusal::RequestTooLarge) } else { Ok(Bytes::from(whole)) }
}
