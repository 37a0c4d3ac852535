//! Routes and handlers.

use std::sync::Arc;

use axum::extract::State;
use axum::middleware::from_fn_with_state;
use erp_contracts::Answer;
use erp_domain::identity::{self, Role};
use erp_domain::{Email, Id, Invalid, Timestamp};
use erp_http::{
    AnyCaller, Body, FieldError, Fields, FromBody, Idempotency, Kind, Problem, Reply, RequestInfo,
    idempotency, openapi,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::ResetTokens;
use crate::registrar::{self, Registrars};
use crate::secret::{NewPassword, Secret};
use crate::service::{Auth, Issued, NewUser, Refusal};
use crate::services::MAX_NAME_CHARACTERS;
use crate::user::User;

/// Who a user shall be.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what NewUser is read from")]
struct RegisterRequest {
    /// Unique, whatever the letter case.
    #[schema(example = "ann@example.com")]
    email: String,
    #[schema(min_length = 8, max_length = 128, format = Password, example = "correct horse battery")]
    password: String,
    #[schema(value_type = RoleName)]
    role: Role,
}

/// What a user may do.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes Role")]
enum RoleName {
    InventoryManager,
    FinanceManager,
}

/// Who logs in.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what Credentials are read from")]
struct LoginRequest {
    #[schema(example = "ann@example.com")]
    email: String,
    #[schema(format = Password, example = "correct horse battery")]
    password: String,
}

/// Who forgot their password.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what Forgotten is read from")]
struct ForgotPasswordRequest {
    #[schema(example = "ann@example.com")]
    email: String,
}

/// A new password.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what Reset is read from")]
struct ResetPasswordRequest {
    /// Good for an hour, and once.
    reset_token: String,
    #[schema(min_length = 8, max_length = 128, format = Password)]
    new_password: String,
}

/// A program that wants to read.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what ServiceCredentials are read from")]
struct ServiceTokenRequest {
    #[schema(example = "integration")]
    service_name: String,
    #[schema(format = Password)]
    service_secret: String,
}

/// A user.
#[derive(Serialize, ToSchema)]
struct UserData {
    #[schema(value_type = uuid::Uuid)]
    id: Id<identity::User>,
    #[schema(value_type = String)]
    email: Email,
    #[schema(value_type = RoleName)]
    role: Role,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<&User> for UserData {
    fn from(user: &User) -> Self {
        let User { id, email, role, created_at, updated_at } = user.clone();
        Self { id, email, role, created_at, updated_at }
    }
}

/// A token, and whose it is.
#[derive(Serialize, ToSchema)]
struct LoginData {
    #[schema(value_type = String)]
    access_token: Secret,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds.
    #[schema(example = 86400)]
    expires_in: i64,
    user: UserData,
}

/// The token, where the deployment says that answers hold it.
#[derive(Serialize, ToSchema)]
struct ForgotPasswordData {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reset_token: Option<Secret>,
}

/// Nothing more to say.
#[derive(Serialize, ToSchema)]
struct ResetPasswordData {}

/// A token for a program.
#[derive(Serialize, ToSchema)]
struct ServiceTokenData {
    #[schema(value_type = String)]
    token: Secret,
    /// Seconds.
    #[schema(example = 3600)]
    expires_in: i64,
}

impl FromBody for NewUser {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let email = fields.text("email", Email::parse);
        let password = fields.text("password", NewPassword::parse);
        let role = fields.text("role", str::parse);
        Some(Self { email: email?, password: password?, role: role? })
    }
}

/// What is compared is taken as it comes: bounds would only tell what passwords there can be.
fn secret(text: &str) -> Result<Secret, Invalid> {
    Ok(Secret::new(text))
}

struct Credentials {
    email: Email,
    password: Secret,
}

impl FromBody for Credentials {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let email = fields.text("email", Email::parse);
        let password = fields.text("password", secret);
        Some(Self { email: email?, password: password? })
    }
}

struct Forgotten(Email);

impl FromBody for Forgotten {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        fields.text("email", Email::parse).map(Self)
    }
}

struct Reset {
    token: Secret,
    password: NewPassword,
}

impl FromBody for Reset {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let token = fields.text("reset_token", secret);
        let password = fields.text("new_password", NewPassword::parse);
        Some(Self { token: token?, password: password? })
    }
}

struct Service {
    name: String,
    secret: Secret,
}

impl FromBody for Service {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let name =
            fields.text("service_name", |text| erp_domain::text::bounded(text, 1, MAX_NAME_CHARACTERS));
        let secret = fields.text("service_secret", secret);
        Some(Self { name: name?, secret: secret? })
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::EmailTaken => Self::new(Kind::DuplicateEmail, "Another user has this e-mail address.")
                .at("/email", "is taken"),
            Refusal::NotLoggedIn => Self::new(Kind::Unauthorized, "A valid bearer token is required."),
            Refusal::NotAllowed => Self::new(Kind::Forbidden, "Only a finance manager registers users."),
            Refusal::WrongPassword => {
                Self::new(Kind::InvalidCredentials, "The e-mail address or the password is wrong.")
            }
            Refusal::WrongServiceSecret => {
                Self::new(Kind::InvalidCredentials, "The service name or the service secret is wrong.")
            }
            Refusal::Locked(seconds) => {
                Self::new(Kind::TooManyRequests, "Too many failed attempts; try again later.")
                    .retry_after(seconds)
            }
            Refusal::ResetToken => {
                Self::invalid(vec![FieldError::body("/reset_token", "is not valid, or not any more")])
            }
        }
    }
}

/// What stands around the handlers.
#[derive(Clone)]
pub struct Wiring {
    /// Whether answers hold reset tokens.
    pub reset_tokens: ResetTokens,
    /// Knows who registers others, where registration is closed.
    pub registrars: Option<Registrars>,
    /// Honours `Idempotency-Key`.
    pub idempotency: idempotency::Layer,
}

#[derive(Clone)]
struct Api {
    auth: Arc<Auth>,
    reset_tokens: ResetTokens,
}

/// The description of the routes.
pub fn document() -> OpenApi {
    let routes = registering().merge(resetting()).merge(issuing());
    OpenApiRouter::with_openapi(openapi::base()).merge(routes).into_openapi()
}

/// The routes, with their description.
pub fn router(auth: Auth, wiring: Wiring) -> OpenApiRouter {
    let Wiring { reset_tokens, registrars, idempotency } = wiring;
    let once = from_fn_with_state(idempotency, idempotency::layer);
    let registering = registering().layer(once.clone());
    // Outside, so that a kept answer is only given to the caller it was kept for.
    let registering = match registrars {
        Some(registrars) => registering.layer(from_fn_with_state(registrars, registrar::layer)),
        None => registering,
    };
    OpenApiRouter::with_openapi(openapi::base())
        .merge(registering)
        .merge(resetting().layer(once))
        .merge(issuing())
        .with_state(Api { auth: Arc::new(auth), reset_tokens })
}

fn registering() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(register))
}

fn resetting() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(reset_password))
}

/// These do nothing that matters when it is done twice, and their answers hold tokens, which are kept nowhere: no
/// `Idempotency-Key` for them.
fn issuing() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(login))
        .routes(routes!(forgot_password))
        .routes(routes!(issue_service_token))
}

/// Registers a user. Where registration is closed, the first user becomes a finance manager whatever role is asked
/// for, and after that only a finance manager may do this.
#[utoipa::path(post, path = "/api/auth/register", tag = "auth", request_body = RegisterRequest, responses(
    (status = 201, body = UserData),
    (status = 401, description = "unauthorized, where registration is closed", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
    (status = 403, description = "forbidden, where registration is closed", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
async fn register(
    State(api): State<Api>,
    AnyCaller(registrar): AnyCaller,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let write = info.write(key, registered);
    Ok(api.auth.register(body.read()?, registrar.as_ref(), write).await?.into())
}

/// Logs in.
#[utoipa::path(post, path = "/api/auth/login", tag = "auth", request_body = LoginRequest, responses(
    (status = 200, body = LoginData),
    (status = 401, description = "invalid_credentials", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
async fn login(State(api): State<Api>, body: Body) -> Result<Reply, Problem> {
    let Credentials { email, password } = body.read()?;
    let (Issued { token, expires_in }, user) = api.auth.login(email, password).await?;
    let user = UserData::from(&user);
    let data = LoginData { access_token: token, token_type: "Bearer", expires_in, user };
    Ok(Reply::ok("Login successful", &data)?)
}

/// Asks for a token that resets a password. The answer is the same whether or not there is such a user.
#[utoipa::path(post, path = "/api/auth/forgot-password", tag = "auth", request_body = ForgotPasswordRequest, responses((status = 200, body = ForgotPasswordData)))]
async fn forgot_password(State(api): State<Api>, info: RequestInfo, body: Body) -> Result<Reply, Problem> {
    let Forgotten(email) = body.read()?;
    let token = api.auth.forgot_password(email, &info.cause()).await?;
    let reset_token = match api.reset_tokens {
        ResetTokens::Expose => Some(token),
        ResetTokens::Hide => None,
    };
    Ok(Reply::ok("Password reset requested successfully", &ForgotPasswordData { reset_token })?)
}

/// Sets a new password.
#[utoipa::path(post, path = "/api/auth/reset-password", tag = "auth", request_body = ResetPasswordRequest, responses((status = 200, body = ResetPasswordData)))]
async fn reset_password(
    State(api): State<Api>,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let Reset { token, password } = body.read()?;
    let write = info.write(key, reset);
    Ok(api.auth.reset_password(&token, password, write).await?.into())
}

/// Gives a program a token: it reads customers, vendors, items and stock.
#[utoipa::path(post, path = "/api/auth/service-token", tag = "auth", request_body = ServiceTokenRequest, responses(
    (status = 200, body = ServiceTokenData),
    (status = 401, description = "invalid_credentials", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
async fn issue_service_token(State(api): State<Api>, body: Body) -> Result<Reply, Problem> {
    let Service { name, secret } = body.read()?;
    let Issued { token, expires_in } = api.auth.service_token(name, &secret).await?;
    Ok(Reply::ok("Service token issued successfully", &ServiceTokenData { token, expires_in })?)
}

fn registered(user: &User) -> Result<Answer, serde_json::Error> {
    let Reply(answer) = Reply::created("User registered successfully", &UserData::from(user), String::new())?;
    // There is no route that a user could be read at.
    Ok(Answer { location: None, ..answer })
}

fn reset((): &()) -> Result<Answer, serde_json::Error> {
    Ok(Reply::ok("Password reset successfully", &ResetPasswordData {})?.0)
}

#[cfg(test)]
mod tests {
    use erp_auth::access::{Access, RULES};

    #[test]
    fn every_route_is_described_has_a_rule_and_points_at_what_is_there() {
        let document = serde_json::to_value(super::openapi::finish(super::document())).unwrap();
        let rules = RULES.iter().filter(|rule| rule.path.starts_with("/api/auth/"));
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(rules.clone().count(), paths.len());
        for rule in rules {
            assert_eq!(rule.access, Access::Public);
            let operation = &paths[rule.path]["post"];
            assert_eq!(operation.get("security"), None, "{}", rule.path);
        }
        for reference in document.to_string().split("\"$ref\":\"").skip(1) {
            let pointer = reference.split('"').next().unwrap().trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{pointer} points nowhere");
        }
    }
}
