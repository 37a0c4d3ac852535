//! The authorizer: a bearer token becomes a policy and the caller's context.
//!
//! API Gateway asks it before any route that is not public, and may use an answer again for the same token on every
//! route, so the policy names all routes of the caller (`erp_auth::policy`). It has no SDK and no router: it is on
//! the path of every request, and all it needs is a key and a clock.
//!
//! Whatever is wrong with a token, the answer is [`Unauthorized`] and nothing more; the reason is in the log.

use std::collections::BTreeMap;

use erp_auth::policy::{self, Policy};
use erp_auth::{Tokens, context, token};
use erp_domain::Clock;
use lambda_runtime::Diagnostic;
use serde::{Deserialize, Serialize};

pub mod config;
#[cfg(test)]
mod tests;

/// What API Gateway asks a `TOKEN` authorizer. Fields may be missing: that is a refusal, not a failure. It has no
/// `Debug`, since it holds a token.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The `Authorization` header, as the client sent it.
    pub authorization_token: Option<String>,
    /// The method that the client called: it tells the API and the stage.
    pub method_arn: Option<String>,
}

/// What API Gateway wants to hear
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html>).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    principal_id: String,
    policy_document: Policy,
    context: BTreeMap<&'static str, String>,
}

/// The token is not good. This one word as the error's message is what makes API Gateway answer 401; any other
/// would be a 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Unauthorized")]
pub struct Unauthorized;

impl From<Unauthorized> for Diagnostic {
    fn from(error: Unauthorized) -> Self {
        Self { error_type: error.to_string(), error_message: error.to_string() }
    }
}

/// Decides who calls and what they may do.
///
/// # Errors
/// When there is no token of this platform that is good now.
pub fn authorize(tokens: &Tokens, clock: &dyn Clock, request: &Request) -> Result<Response, Unauthorized> {
    let method_arn = request.method_arn.as_deref().unwrap_or_default();
    let authorization = request.authorization_token.as_deref().unwrap_or_default();
    let refuse = |reason: &dyn std::fmt::Display| {
        tracing::info!(method_arn, %reason, "token refused");
        Unauthorized
    };
    let token = token::bearer(authorization).ok_or_else(|| refuse(&"no bearer token"))?;
    let verified = tokens.verify(token, clock.now()).map_err(|error| refuse(&error))?;
    let policy_document = policy::for_caller(method_arn, &verified.caller)
        .ok_or_else(|| refuse(&"the method's ARN cannot be read"))?;
    Ok(Response {
        principal_id: verified.caller.subject(),
        policy_document,
        context: context::to_fields(&verified),
    })
}
