//! The answers that API Gateway makes by itself look like the answers of the services.

use erp_http::Kind;
use erp_local::deployment::GatewayResponse;
use serde_json::Value;

use crate::world::World;

pub(crate) mod holds {
    crate::checks::checks!(
        what_the_gateway_refuses_is_a_problem_like_any_other,
        every_gateway_response_is_looked_at,
    );
}

/// What API Gateway answers with by itself in this API. Its own status is often another than ours, so each says one.
const TYPES: [&str; 13] = [
    "ACCESS_DENIED",
    "AUTHORIZER_CONFIGURATION_ERROR",
    "AUTHORIZER_FAILURE",
    "DEFAULT_4XX",
    "DEFAULT_5XX",
    "INTEGRATION_FAILURE",
    "INTEGRATION_TIMEOUT",
    "MISSING_AUTHENTICATION_TOKEN",
    "REQUEST_TOO_LARGE",
    "RESOURCE_NOT_FOUND",
    "THROTTLED",
    "UNAUTHORIZED",
    "UNSUPPORTED_MEDIA_TYPE",
];

/// The members of every problem.
const MEMBERS: [&str; 7] = ["type", "title", "status", "detail", "instance", "code", "request_id"];

/// A template with its variables filled in; any other variable stays, and is found.
fn render(template: &str) -> String {
    template
        .replace("$context.error.messageString", "\"why\"")
        .replace("$context.path", "/where")
        .replace("$context.requestId", "which")
}

fn faults(name: &str, response: &GatewayResponse) -> Vec<String> {
    let mut faults = Vec::new();
    let body = render(response.template.as_deref().unwrap_or_default());
    let problem: Value = match serde_json::from_str(&body) {
        Ok(problem) => problem,
        Err(error) => return vec![format!("{name}: the template makes no JSON ({error}): {body}")],
    };
    if body.contains("$context") {
        faults.push(format!("{name}: only error.messageString, path and requestId are filled in: {body}"));
    }
    let members: Vec<&str> =
        problem.as_object().into_iter().flat_map(|object| object.keys().map(String::as_str)).collect();
    if MEMBERS.iter().any(|member| !members.contains(member)) || members.len() != MEMBERS.len() {
        faults.push(format!("{name}: the members must be {MEMBERS:?}, not {members:?}"));
    }
    let Some(kind) = Kind::ALL.iter().find(|kind| problem["code"] == kind.code()) else {
        faults.push(format!("{name}: {} is the code of no erp_http::Kind", problem["code"]));
        return faults;
    };
    let wanted = format!("urn:erp:problem:{}", kind.code());
    if problem["type"] != wanted || problem["title"] != kind.title() || problem["status"] != kind.status() {
        faults.push(format!(
            "{name}: type, title and status must be {wanted}, {}, {}",
            kind.title(),
            kind.status()
        ));
    }
    if response.status != Some(kind.status()) {
        faults.push(format!("{name}: add StatusCode: {}, as its body says", kind.status()));
    }
    let retry = matches!(kind, Kind::TooManyRequests | Kind::ServiceUnavailable);
    for (header, wanted) in [
        ("Content-Type", Some("'application/problem+json'")),
        ("X-Request-Id", Some("context.requestId")),
        ("Access-Control-Allow-Origin", Some("'*'")),
        ("WWW-Authenticate", (*kind == Kind::Unauthorized).then_some("'Bearer'")),
        ("Retry-After", retry.then_some("'1'")),
    ] {
        if response.headers.get(header).map(String::as_str) != wanted {
            faults.push(format!("{name}: the header {header} must be {}", wanted.unwrap_or("left out")));
        }
    }
    faults
}

fn what_the_gateway_refuses_is_a_problem_like_any_other(world: &World) -> Vec<String> {
    let responses = &world.deployment.api.gateway_responses;
    let faults = TYPES.iter().flat_map(|name| match responses.get(*name) {
        Some(response) => faults(name, response),
        None => vec![format!("add {name} to the GatewayResponses of template.yaml")],
    });
    faults.collect()
}

fn every_gateway_response_is_looked_at(world: &World) -> Vec<String> {
    let responses = world.deployment.api.gateway_responses.keys();
    let unknown = responses.filter(|name| !TYPES.contains(&name.as_str()));
    unknown.map(|name| format!("add {name} to TYPES")).collect()
}
