//! Handles a request: route, authorizer, integration, response.

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
use super::gateway_response::GatewayError;
use super::policy::Decision;
use super::route::{Match, NoMatch, Resources};
use super::{event, integration_response};
use crate::deployment::{ACCOUNT, Api, Cors, REGION, Route};
use crate::lambda::{Invoke, InvokeError};
use crate::server::BodyTimeout;

/// Maximum size of a request body, in bytes.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html>
const BODY_LIMIT: usize = 10 * 1024 * 1024;
/// A larger body is still read up to this size, so that the client receives the response, in bytes.
const DRAIN_LIMIT: usize = 64 * 1024 * 1024;
/// Maximum duration of an invocation.
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(29);

/// A REST API in front of functions.
pub struct Gateway {
    api: Api,
    resources: Resources,
    authorizer: Option<Authorizer>,
    functions: Arc<dyn Invoke>,
    timeout: Duration,
}

/// The HTTP interface of an API. `sourceIp` is the address in `ConnectInfo`, or else `127.0.0.1`.
pub fn router(gateway: Arc<Gateway>) -> Router {
    async fn handle(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
        gateway.handle(request).await
    }
    Router::new().fallback(handle).with_state(gateway)
}

impl Gateway {
    /// An API whose routes and authorizer refer to functions by logical id.
    pub fn new(api: Api, functions: Arc<dyn Invoke>) -> Self {
        let authorizer = api.authorizer.clone();
        Self {
            resources: Resources::new(&api.routes),
            authorizer: authorizer.map(|settings| Authorizer::new(settings, Arc::clone(&functions))),
            functions,
            timeout: INTEGRATION_TIMEOUT,
            api,
        }
    }

    /// Sets another integration timeout.
    #[cfg(test)]
    pub(super) fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Handles a request. Errors become gateway responses.
    pub async fn handle(&self, request: Request) -> Response {
        let began = Instant::now();
        let (request, body) = request.into_parts();
        let mut context = Context::new(&request, &self.api.stage);
        let mut response = match self.route(&mut context, &request, body).await {
            Ok(response) => response,
            Err(error) => error.response(&self.api.gateway_responses, &context, &request.headers),
        };
        // As on AWS, only functions and the template's gateway responses set `X-Request-Id`.
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

    async fn route(
        &self,
        context: &mut Context,
        request: &Parts,
        body: Body,
    ) -> Result<Response, GatewayError> {
        let found = self.resources.find(&context.path).map_err(|reason| match reason {
            NoMatch::Unknown => GatewayError::MissingAuthenticationToken,
            NoMatch::Malformed => GatewayError::BadRequest,
        })?;
        context.resource = Some((found.resource.id.clone(), found.resource.path.clone()));
        if let Some(cors) = self.preflight(context, &found) {
            return Ok(preflight(cors));
        }
        let route = found.resource.method(&context.method).ok_or(GatewayError::MissingAuthenticationToken)?;
        let body = read(body).await?;
        if route.authorized {
            context.authorizer = Some(self.authorize(context, request).await?);
        }
        let event = event::proxy(context, &request.headers, request.uri.query(), &found.parameters, &body)
            .to_string();
        self.integrate(context, route, Bytes::from(event)).await
    }

    /// The CORS settings if the gateway itself responds to this preflight. SAM adds an `OPTIONS` method with a mock
    /// integration to each path that has none; it takes precedence over `ANY`.
    fn preflight(&self, context: &Context, found: &Match<'_>) -> Option<&Cors> {
        let is_mock = context.method == "OPTIONS" && found.resource.exact_method("OPTIONS").is_none();
        self.api.cors.as_ref().filter(|_| is_mock)
    }

    async fn authorize(&self, context: &Context, request: &Parts) -> Result<Caller, GatewayError> {
        let Some(authorizer) = &self.authorizer else {
            tracing::error!(path = context.path, "a route requires an authorizer, and the API has none");
            return Err(GatewayError::AuthorizerConfigurationError);
        };
        let token = request.headers.get(authorizer.settings.header.as_str());
        let token = token.and_then(|token| token.to_str().ok()).filter(|token| !token.trim().is_empty());
        let token = token.ok_or(GatewayError::Unauthorized)?;
        let method_arn = method_arn(context);
        let began = Instant::now();
        let authorization = authorizer.authorize(token, &method_arn).await?;
        match authorization.policy.decide(&method_arn) {
            Decision::Allowed => Ok(Caller {
                principal_id: authorization.principal_id.clone(),
                context: authorization.context.clone(),
                latency: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            }),
            Decision::Denied => Err(GatewayError::ExplicitlyDenied),
            Decision::NotAllowed => Err(GatewayError::AccessDenied),
        }
    }

    async fn integrate(
        &self,
        context: &Context,
        route: &Route,
        event: Bytes,
    ) -> Result<Response, GatewayError> {
        let request_id = &context.request_id;
        let invoked = tokio::time::timeout(self.timeout, self.functions.invoke(&route.function, event)).await;
        let invocation = invoked.map_err(|_| GatewayError::IntegrationTimeout)?.map_err(|error| {
            tracing::warn!(request_id, function = route.function, %error, "the function was not invoked");
            match error {
                InvokeError::Throttled => GatewayError::Throttled,
                InvokeError::TooLarge { .. } => GatewayError::RequestTooLarge,
                InvokeError::NotFound(_) | InvokeError::Stopping => GatewayError::IntegrationFailure,
            }
        })?;
        if invocation.function_error.is_some() {
            let error = String::from_utf8_lossy(&invocation.payload);
            tracing::error!(request_id, function = route.function, %error, "the function failed");
            return Err(GatewayError::IntegrationFailure);
        }
        integration_response::parse(&invocation.payload).map_err(|reason| {
            tracing::error!(
                request_id,
                function = route.function,
                reason,
                "the response of the function is malformed"
            );
            GatewayError::MalformedResponse
        })
    }
}

/// The ARN of the method in policies. It has no trailing slash, which could bypass a deny.
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

/// Reads a body up to the limit.
async fn read(mut body: Body) -> Result<Bytes, GatewayError> {
    let mut whole = Vec::new();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match BodyTimeout::is_source_of(&error) {
            true => GatewayError::RequestTimeout,
            // The client disconnected, or violated the protocol.
            false => GatewayError::BadRequest,
        })?;
        let Ok(data) = frame.into_data() else { continue };
        size += data.len();
        if size <= BODY_LIMIT {
            whole.extend_from_slice(&data);
        } else if size > DRAIN_LIMIT {
            break;
        }
    }
    if size > BODY_LIMIT { Err(GatewayError::RequestTooLarge) } else { Ok(Bytes::from(whole)) }
}
