//! Routes and handlers.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use erp_domain::ValidationError;
use erp_http::{FieldError, Problem, ProblemKind, openapi};
use lambda_http::RequestExt;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::Config;

use crate::authorizer::Authorizer;
use crate::health::{Health, HealthReport, with_timeout};

/// The OpenAPI document of the platform: the documents of all services, merged.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// The content changes with a deployment only.
const CACHEABLE: (HeaderName, HeaderValue) = (CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));

/// The policy of the HTML pages (<https://www.w3.org/TR/CSP3/>): scripts and styles are files of this origin,
/// images may be embedded in the style sheet, and requests go to this origin only. The hash admits the style
/// element of the logo, which a script of Swagger UI inserts.
pub const HTML_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

#[derive(Clone)]
struct Portal {
    health: Arc<Health>,
    authorizer: Authorizer,
    swagger: Arc<Config<'static>>,
}

/// Returns the routes.
pub fn router(health: Health, authorizer: Authorizer) -> Router {
    // All URLs are relative, because the function does not see the stage (`/dev`): the document names `.` as its
    // server, which Swagger UI resolves against the document's URL.
    let swagger = Config::from("../openapi.json")
        .try_it_out_enabled(true)
        .persist_authorization(true)
        .display_request_duration(true)
        // The default sends the document's URL to a validation service on the internet.
        .validator_url("none");
    let (documented, _) = documented().split_for_parts();
    documented
        .route("/swagger", get(redirect_to_swagger))
        .route("/swagger/{*proxy}", get(get_swagger_asset))
        .with_state(Portal { health: Arc::new(health), authorizer, swagger: Arc::new(swagger) })
}

/// Returns the document of the routes for programs; the HTML pages are not in it.
pub fn document() -> OpenApi {
    OpenApiRouter::with_openapi(openapi::base()).merge(documented()).into_openapi()
}

fn documented() -> OpenApiRouter<Portal> {
    OpenApiRouter::new().routes(routes!(get_health)).routes(routes!(get_openapi))
}

/// Get the health of the platform.
///
/// The report is at most 5 seconds old. With the token of a user it has the tables and queues, by name.
#[utoipa::path(get, path = "/health", tag = "platform", responses(
    (status = 200, body = HealthReport, description = "All routes are served; `degraded` if there are dead letters or a queue cannot be read."),
    (status = 503, body = HealthReport, description = "A table does not serve, so some routes fail."),
))]
async fn get_health(State(portal): State<Portal>, headers: HeaderMap) -> Response {
    let (report, is_user) = tokio::join!(portal.health.report(), portal.is_user(&headers));
    let report = if is_user { report } else { report.without_dependencies() };
    (report.status.http(), Json(report)).into_response()
}

impl Portal {
    /// Returns whether the request has the token of a user. The route has no authorizer at the gateway, because it is
    /// public. If the authorizer cannot be invoked, the caller is unknown.
    async fn is_user(&self, headers: &HeaderMap) -> bool {
        let Some(header) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
            return false;
        };
        with_timeout("authorizer", self.authorizer.is_user(header)).await.unwrap_or(false)
    }
}

/// Get this document.
#[utoipa::path(get, path = "/openapi.json", tag = "platform", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
async fn get_openapi() -> impl IntoResponse {
    ([CACHEABLE, (CONTENT_TYPE, HeaderValue::from_static("application/json"))], OPENAPI)
}

/// Redirects to the page, relative to the URL of the request: the function does not see the stage.
async fn redirect_to_swagger(request: Request) -> Response {
    let location = if request.raw_http_path().ends_with('/') { "index.html" } else { "swagger/index.html" };
    (StatusCode::FOUND, [(LOCATION, HeaderValue::from_static(location))]).into_response()
}

async fn get_swagger_asset(
    State(portal): State<Portal>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(name) = path.map_err(|_| {
        let reason = ValidationError::new("must be valid UTF-8 after percent-decoding");
        Problem::invalid(vec![FieldError::parameter("proxy", &reason)])
    })?;
    let file = utoipa_swagger_ui::serve(&name, portal.swagger)
        .map_err(|error| Problem::internal(error.to_string()))?
        .ok_or_else(|| Problem::new(ProblemKind::NotFound, "Swagger UI has no such file."))?;
    let content_type = HeaderValue::try_from(&file.content_type).map_err(Problem::internal)?;
    let mut response = ([CACHEABLE, (CONTENT_TYPE, content_type)], file.bytes).into_response();
    if file.content_type.starts_with("text/html") {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(HTML_POLICY));
    }
    Ok(response)
}
