//! Routes and authorizer in front of the functions.

use authorizer::authorize;
use axum::http::HeaderMap;
use erp_auth::{Tokens, Verified, context};
use erp_domain::Clock;
use erp_local::deployment::Deployment;
use erp_testkit::{ApiRequest, ApiResponse};
use serde_json::{Value, json};

use crate::invocation::Function;

const STAGE_ARN: &str = "arn:aws:execute-api:us-east-1:000000000000:local/dev";

/// A request of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// The path, with the query.
    pub path: String,
    /// The bearer token.
    pub token: Option<String>,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The JSON body.
    pub body: Option<Value>,
}

/// The path of a request to the function.
#[derive(Debug, Clone, PartialEq)]
pub enum AuthPath {
    /// Through the gateway, which verifies the token.
    Gateway,
    /// Directly to the function with this authorizer context: each service checks the role again.
    Function(Option<Verified>),
}

/// Routes a request and adds the authorizer context, or returns the response of the gateway.
pub(crate) fn admit(
    deployment: &Deployment,
    tokens: &Tokens,
    clock: &dyn Clock,
    request: &Request,
    auth_path: &AuthPath,
) -> Result<(Function, ApiRequest), ApiResponse> {
    let path = request.path.split('?').next().unwrap_or_default();
    let matching = deployment.api.routes.iter().filter(|route| fits(&route.path, path));
    let route = matching
        .clone()
        .find(|route| route.method == request.method)
        .or_else(|| matching.clone().find(|route| route.method == "ANY"))
        .ok_or_else(|| rejection(404, "not_found"))?;
    let driven = deployment.functions.iter().find(|function| function.logical_id == route.function);
    let function = driven.and_then(|driven| Function::ALL.into_iter().find(|f| f.binary() == driven.binary));
    let function = function.ok_or_else(|| rejection(404, "not_found"))?;
    let mut sent = ApiRequest::new(request.method, &request.path);
    for (name, value) in &request.headers {
        sent = sent.header(name, value);
    }
    if let Some(token) = &request.token {
        sent = sent.header("Authorization", format!("Bearer {token}"));
    }
    if let Some(body) = &request.body {
        sent = sent.json(body);
    }
    let verified = match auth_path {
        AuthPath::Gateway if route.authorized => Some(verify(tokens, clock, request, path)?),
        AuthPath::Gateway => None,
        AuthPath::Function(verified) => verified.clone(),
    };
    if let Some(Verified { caller, expires_at }) = verified {
        sent = sent.caller(caller).expires(expires_at);
    }
    Ok((function, sent))
}

/// Invokes the authorizer and evaluates its policy as API Gateway does.
fn verify(
    tokens: &Tokens,
    clock: &dyn Clock,
    request: &Request,
    path: &str,
) -> Result<Verified, ApiResponse> {
    let unauthorized = || rejection(401, "unauthorized");
    let token = request.token.as_ref().ok_or_else(unauthorized)?;
    let method_arn = format!("{STAGE_ARN}/{}{path}", request.method);
    let request = authorizer::Request {
        authorization_token: Some(format!("Bearer {token}")),
        method_arn: Some(method_arn.clone()),
    };
    let response = authorize(tokens, clock, &request).map_err(|_| unauthorized())?;
    let response = serde_json::to_value(response).unwrap();
    let statements = response["policyDocument"]["Statement"].as_array().cloned().unwrap_or_default();
    let matches_arn = |statement: &Value, effect: &str| {
        let resources = statement["Resource"].as_array().cloned().unwrap_or_default();
        statement["Effect"] == effect
            && resources.iter().filter_map(Value::as_str).any(|pattern| wildcard(pattern, &method_arn))
    };
    if statements.iter().any(|statement| matches_arn(statement, "Deny"))
        || !statements.iter().any(|statement| matches_arn(statement, "Allow"))
    {
        return Err(rejection(403, "forbidden"));
    }
    let context = &response["context"];
    context::from_fields(|name| context[name].as_str()).ok_or_else(unauthorized)
}

/// Returns a response of the gateway itself.
pub(crate) fn rejection(status: u16, code: &str) -> ApiResponse {
    ApiResponse {
        status,
        headers: HeaderMap::new(),
        text: json!({"status": status, "code": code}).to_string(),
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one == other || (one.starts_with('{') && !other.is_empty()) => {}
            _ => return false,
        }
    }
}

/// Matches a text with a pattern in which `*` matches any characters.
fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<_> = parts.collect();
    for (index, part) in parts.iter().enumerate() {
        if index + 1 == parts.len() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}
