//! Routes and handlers.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use erp_domain::EmailAddress;
use erp_domain::text::single_line;
use erp_http::{
    FieldError, Fields, FromBody, JsonRequest, OptionalCaller, Problem, ProblemKind, Reply, RequestInfo,
    openapi, reply,
};
use erp_service::{Committer, StoredResponse};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::domain::{AuthError, NewPassword, NewUser, Secret, SourceNetwork, User};
use crate::registration_auth;
use crate::service::{Auth, IssuedToken};
use crate::service_credentials::MAX_NAME_CHARACTERS;

impl FromBody for NewUser {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let email = fields.text("email", EmailAddress::parse);
        let password = fields.text("password", NewPassword::parse);
        let role = fields.text("role", str::parse);
        let bootstrap_secret = fields.optional_text("bootstrap_secret", |text| Ok(Secret::new(text)));
        Some(Self { email: email?, password: password?, role: role?, bootstrap_secret: bootstrap_secret? })
    }
}

/// The credentials of a user.
#[derive(ToSchema)]
struct LoginRequest {
    email: EmailAddress,
    /// Any text: bounds would only reveal which passwords are possible.
    #[schema(example = "correct horse battery")]
    password: Secret,
}

impl FromBody for LoginRequest {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let email = fields.text("email", EmailAddress::parse);
        let password = fields.text("password", |text| Ok(Secret::password(text)));
        Some(Self { email: email?, password: password? })
    }
}

/// The address of a user who forgot the password.
#[derive(ToSchema)]
struct ForgotPasswordRequest {
    email: EmailAddress,
}

impl FromBody for ForgotPasswordRequest {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        fields.text("email", EmailAddress::parse).map(|email| Self { email })
    }
}

/// A reset token with the new password.
#[derive(ToSchema)]
struct ResetPasswordRequest {
    /// Valid for one hour, and once.
    reset_token: Secret,
    /// As for registration.
    new_password: NewPassword,
}

impl FromBody for ResetPasswordRequest {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let reset_token = fields.text("reset_token", |text| Ok(Secret::new(text)));
        let new_password = fields.text("new_password", NewPassword::parse);
        Some(Self { reset_token: reset_token?, new_password: new_password? })
    }
}

/// The credentials of a program.
#[derive(ToSchema)]
struct ServiceTokenRequest {
    #[schema(min_length = 1, max_length = 100, example = "integration")]
    service_name: String,
    service_secret: Secret,
}

impl FromBody for ServiceTokenRequest {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let service_name = fields.text("service_name", |text| single_line(text, 1, MAX_NAME_CHARACTERS));
        let service_secret = fields.text("service_secret", |text| Ok(Secret::new(text)));
        Some(Self { service_name: service_name?, service_secret: service_secret? })
    }
}

/// Renders a registered user. There is no route of a single user, and so no `Location` and no `ETag`.
fn registered(user: &User) -> Result<StoredResponse, serde_json::Error> {
    let response = reply::created("User registered successfully", user, 1, String::new())?;
    Ok(StoredResponse { location: None, etag: None, ..response })
}

/// An access token and its user.
#[derive(Serialize, ToSchema)]
struct LoginData {
    access_token: Secret,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Lifetime in seconds.
    #[schema(example = 86400)]
    expires_in: i64,
    user: User,
}

/// The reset token, if the deployment exposes it.
#[derive(Serialize, ToSchema)]
struct ForgotPasswordData {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reset_token: Option<Secret>,
}

/// An empty object.
#[derive(Serialize, ToSchema)]
struct ResetPasswordData {}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let (kind, detail) = match error {
            AuthError::EmailTaken => {
                let detail = "Another user has this e-mail address.";
                return Self::new(ProblemKind::DuplicateEmail, detail).at("/email", "is taken");
            }
            AuthError::TooManyAttempts(seconds) => {
                let detail = "Too many failed attempts: try again later.";
                return Self::new(ProblemKind::TooManyRequests, detail).retry_after(seconds);
            }
            AuthError::ResetToken => {
                return Self::invalid(vec![FieldError::body("/reset_token", "is invalid, expired or used")]);
            }
            AuthError::NotLoggedIn => (ProblemKind::Unauthorized, "A valid bearer token is required."),
            AuthError::NotAllowed => (ProblemKind::Forbidden, "Only a finance manager may register users."),
            AuthError::WrongPassword => {
                (ProblemKind::InvalidCredentials, "The e-mail address or the password is wrong.")
            }
            AuthError::BootstrapSecret => (
                ProblemKind::InvalidCredentials,
                "The first user needs the bootstrap secret: bootstrap_secret is missing or wrong.",
            ),
            AuthError::WrongServiceSecret => {
                (ProblemKind::InvalidCredentials, "The service name or the service secret is wrong.")
            }
        };
        Self::new(kind, detail)
    }
}

/// The state of the handlers.
#[derive(Clone)]
pub struct Api {
    pub(crate) auth: Arc<Auth>,
    pub(crate) committer: Committer,
}

/// Returns the OpenAPI document of the routes.
pub fn document() -> OpenApi {
    other_routes().routes(routes!(register)).into_openapi()
}

/// Returns the routes.
pub fn router(api: Api) -> Router {
    let authenticate = from_fn_with_state(api.auth.clone(), registration_auth::layer);
    let registration = OpenApiRouter::new().routes(routes!(register)).layer(authenticate);
    other_routes().merge(registration).with_state(api).split_for_parts().0
}

/// Login, forgot-password and service-token honour no `Idempotency-Key`: repeating them does no harm, and their
/// responses contain tokens, which are not stored.
fn other_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(login))
        .routes(routes!(forgot_password))
        .routes(routes!(reset_password))
        .routes(routes!(issue_service_token))
}

fn source_network(info: &RequestInfo) -> SourceNetwork {
    SourceNetwork::of(info.source_ip.as_deref())
}

/// Register a user.
///
/// Where registration is closed, the first user becomes a finance manager, whatever role is requested, and
/// needs the bootstrap secret if the deployment has one; after that the token of a finance manager is required.
#[utoipa::path(post, path = "/api/auth/register", tag = "auth", request_body = NewUser, responses(
    (status = 201, body = User),
    (status = 401, description = "unauthorized, or invalid_credentials for a missing or wrong bootstrap secret, where registration is closed", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
    (status = 403, description = "forbidden, where registration is closed", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
async fn register(
    State(api): State<Api>,
    OptionalCaller(caller): OptionalCaller,
    info: RequestInfo,
    request: JsonRequest,
) -> Result<Reply, Problem> {
    let new = request.read::<NewUser>()?;
    let network = source_network(&info);
    let decide = || api.auth.register(&new, caller.as_ref(), &network, &request.write.cause);
    Ok(api.committer.commit(&request.write, decide, registered).await?.into())
}

/// Log in.
///
/// Failed logins are counted per account and source network; after five of them the response is 429 with
/// `Retry-After`.
#[utoipa::path(post, path = "/api/auth/login", tag = "auth", request_body = LoginRequest, responses(
    (status = 200, body = LoginData),
    (status = 401, description = "invalid_credentials", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
async fn login(State(api): State<Api>, info: RequestInfo, request: JsonRequest) -> Result<Reply, Problem> {
    let LoginRequest { email, password } = request.read()?;
    let (IssuedToken { token, expires_in }, user) =
        api.auth.login(&email, password, &source_network(&info)).await?;
    let data = LoginData { access_token: token, token_type: "Bearer", expires_in, user };
    Ok(reply::ok("Login successful", &data)?.into())
}

/// Request a password reset.
///
/// The response is the same whether or not there is such a user.
#[utoipa::path(post, path = "/api/auth/forgot-password", tag = "auth", request_body = ForgotPasswordRequest, responses((status = 200, body = ForgotPasswordData)))]
async fn forgot_password(
    State(api): State<Api>,
    info: RequestInfo,
    request: JsonRequest,
) -> Result<Reply, Problem> {
    let ForgotPasswordRequest { email } = request.read()?;
    let reset_token = api.auth.forgot_password(&email, &source_network(&info), &request.write.cause).await?;
    Ok(reply::ok("Password reset requested successfully", &ForgotPasswordData { reset_token })?.into())
}

/// Reset a password.
#[utoipa::path(post, path = "/api/auth/reset-password", tag = "auth", request_body = ResetPasswordRequest, responses((status = 200, body = ResetPasswordData)))]
async fn reset_password(
    State(api): State<Api>,
    info: RequestInfo,
    request: JsonRequest,
) -> Result<Reply, Problem> {
    let ResetPasswordRequest { reset_token, new_password } = request.read()?;
    let network = source_network(&info);
    let decide = || api.auth.reset_password(&reset_token, &new_password, &network);
    let render = |(): &()| reply::ok("Password reset successfully", &ResetPasswordData {});
    Ok(api.committer.commit(&request.write, decide, render).await?.into())
}

/// Get an access token for a program.
///
/// It permits reading customers, vendors, items and stock.
#[utoipa::path(post, path = "/api/auth/service-token", tag = "auth", request_body = ServiceTokenRequest, responses(
    (status = 200, body = IssuedToken),
    (status = 401, description = "invalid_credentials", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
async fn issue_service_token(
    State(api): State<Api>,
    info: RequestInfo,
    request: JsonRequest,
) -> Result<Reply, Problem> {
    let ServiceTokenRequest { service_name, service_secret } = request.read()?;
    let network = source_network(&info);
    let token = api.auth.service_token(service_name, &service_secret, &network).await?;
    Ok(reply::ok("Service token issued successfully", &token)?.into())
}

#[cfg(test)]
mod tests {
    use erp_auth::access::{Access, RULES};

    #[test]
    fn every_route_is_documented_has_a_rule_and_only_references_that_resolve() {
        let document = serde_json::to_value(super::openapi::finish(super::document())).unwrap();
        let rules = RULES.iter().filter(|rule| rule.path.starts_with("/api/auth/"));
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(rules.clone().count(), paths.len());
        for rule in rules {
            assert_eq!(rule.access, Access::Public);
            // A token is optional at most.
            let security = &paths[rule.path]["post"]["security"];
            assert!(*security == serde_json::json!([]) || security[0] == serde_json::json!({}), "{security}");
        }
        for reference in document.to_string().split("\"$ref\":\"").skip(1) {
            let pointer = reference.split('"').next().unwrap().trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{pointer} does not resolve");
        }
    }
}
