//! The Lambda authorizer: turns a bearer token into a policy and the caller's context.
//!
//! API Gateway invokes it for every route that is not public and caches the response by token, so the policy covers all
//! routes of the caller (`erp_auth::policy`). It has no SDK and no router: it is part of every request, and needs only
//! keys and a clock.
//!
//! The response to an invalid token is [`Unauthorized`], whatever is wrong with it; the reason is in the log.

use std::collections::BTreeMap;

use erp_auth::policy::{self, Policy};
use erp_auth::{Tokens, context};
use erp_domain::Clock;
use lambda_runtime::Diagnostic;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// The event of a `TOKEN` authorizer. A missing field makes the token invalid, it is not a failure. There is no `Debug`,
/// because it contains a token.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The `Authorization` header, as the client sent it.
    pub authorization_token: Option<String>,
    /// The ARN of the called method, which contains API and stage.
    pub method_arn: Option<String>,
}

/// The output of a Lambda authorizer
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html>).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    principal_id: String,
    policy_document: Policy,
    context: BTreeMap<&'static str, String>,
}

/// The token is invalid. API Gateway responds with 401 to exactly this error message, and with 500 to any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Unauthorized")]
pub struct Unauthorized;

impl From<Unauthorized> for Diagnostic {
    fn from(error: Unauthorized) -> Self {
        Self { error_type: error.to_string(), error_message: error.to_string() }
    }
}

/// Verifies the token and returns the caller's policy.
pub fn authorize(tokens: &Tokens, clock: &dyn Clock, request: &Request) -> Result<Response, Unauthorized> {
    let method_arn = request.method_arn.as_deref().unwrap_or_default();
    let reject = |reason: &dyn std::fmt::Display| {
        tracing::info!(method_arn, %reason, "token rejected");
        Unauthorized
    };
    let verified = tokens
        .verify_header(request.authorization_token.as_deref(), clock.now())
        .map_err(|error| reject(&error))?;
    let policy_document = policy::for_caller(method_arn, &verified.caller)
        .ok_or_else(|| reject(&"the method's ARN is invalid"))?;
    Ok(Response {
        principal_id: verified.caller.subject(),
        policy_document,
        context: context::to_fields(&verified),
    })
}
