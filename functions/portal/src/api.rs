//! Routes and handlers.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use erp_http::{Kind, Problem, openapi};
use lambda_http::RequestExt;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::health::{Health, Report};
use crate::swagger::{Asset, SwaggerUi};

/// The document of the whole platform: what the services' routers say, put together.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// It changes with a deployment only.
const FOR_A_WHILE: (HeaderName, HeaderValue) =
    (CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));

#[derive(Clone)]
struct Portal {
    health: Arc<Health>,
    swagger: SwaggerUi,
}

/// The routes.
pub fn router(health: Health) -> Router {
    let (documented, _) = documented().split_for_parts();
    documented
        .route("/swagger", get(redirect_to_swagger))
        .route("/swagger/{*proxy}", get(get_swagger_asset))
        .with_state(Portal { health: Arc::new(health), swagger: SwaggerUi::default() })
}

/// The description of the routes that programs use; the pages for people are not in it.
pub fn document() -> OpenApi {
    OpenApiRouter::with_openapi(openapi::base()).merge(documented()).into_openapi()
}

fn documented() -> OpenApiRouter<Portal> {
    OpenApiRouter::new().routes(routes!(get_health)).routes(routes!(get_openapi))
}

/// Tells whether the platform is well. An answer is kept for a few seconds.
#[utoipa::path(get, path = "/health", tag = "platform", responses(
    (status = 200, body = Report, description = "It serves; `degraded` if somebody should look."),
    (status = 503, body = Report, description = "A table does not serve."),
))]
async fn get_health(State(portal): State<Portal>) -> Response {
    let report = portal.health.report().await;
    let status = StatusCode::from_u16(report.status.http()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    (status, Json(report)).into_response()
}

/// Gives this document.
#[utoipa::path(get, path = "/openapi.json", tag = "platform", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
async fn get_openapi() -> impl IntoResponse {
    ([FOR_A_WHILE, (CONTENT_TYPE, HeaderValue::from_static("application/json"))], OPENAPI)
}

/// To the page, relative to the address that the client knows: the function does not see the stage before it.
async fn redirect_to_swagger(request: Request) -> Response {
    let there = if request.raw_http_path().ends_with('/') { "index.html" } else { "swagger/index.html" };
    (StatusCode::FOUND, [(LOCATION, HeaderValue::from_static(there))]).into_response()
}

async fn get_swagger_asset(
    State(portal): State<Portal>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let found = portal.swagger.file(&name).map_err(|error| Problem::internal(error.to_string()))?;
    let Asset { bytes, content_type } =
        found.ok_or_else(|| Problem::new(Kind::NotFound, "Swagger UI has no such file."))?;
    let content_type = HeaderValue::try_from(content_type).map_err(Problem::internal)?;
    Ok(([FOR_A_WHILE, (CONTENT_TYPE, content_type)], bytes).into_response())
}
