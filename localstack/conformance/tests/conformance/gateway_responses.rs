//! Responses of API Gateway itself have the shape (RFC 9457) and the headers of the responses of the
//! services.

use erp_http::ProblemKind;
use erp_http::app::{DEFAULT_HEADERS, EXPOSED_HEADERS};
use erp_local::deployment::GatewayResponse;
use serde_json::Value;
use strum::VariantArray;

use crate::template::Template;

pub(crate) mod checks {
    crate::template_checks::register!(
        every_gateway_response_is_a_problem_document,
        every_gateway_response_is_listed,
    );
}

/// The response types that API Gateway can return in this API. Their default statuses differ from those of
/// the services, so each sets its status.
const TYPES: [&str; 14] = [
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
    "WAF_FILTERED",
];

/// The members of every problem.
const MEMBERS: [&str; 7] = ["type", "title", "status", "detail", "instance", "code", "request_id"];

/// Fills in the known variables of a template. Another variable stays as it is, and is reported.
fn render(template: &str) -> String {
    template
        .replace("$context.error.messageString", "\"detail\"")
        .replace("$context.path", "/path")
        .replace("$context.requestId", "request-id")
}

fn compare(name: &str, response: &GatewayResponse) -> Vec<String> {
    let mut violations = Vec::new();
    let body = render(response.template.as_deref().unwrap_or_default());
    let problem: Value = match serde_json::from_str(&body) {
        Ok(problem) => problem,
        Err(error) => return vec![format!("{name}: the template does not render JSON ({error}): {body}")],
    };
    if body.contains("$context") {
        violations
            .push(format!("{name}: use only the variables error.messageString, path and requestId: {body}"));
    }
    let members: Vec<&str> =
        problem.as_object().into_iter().flat_map(|object| object.keys().map(String::as_str)).collect();
    if MEMBERS.iter().any(|member| !members.contains(member)) || members.len() != MEMBERS.len() {
        violations.push(format!("{name}: the members must be {MEMBERS:?}, not {members:?}"));
    }
    let Some(kind) = ProblemKind::VARIANTS.iter().find(|kind| problem["code"] == kind.code()) else {
        violations.push(format!("{name}: {} is not the code of an erp_http::ProblemKind", problem["code"]));
        return violations;
    };
    let expected = format!("urn:erp:problem:{}", kind.code());
    if problem["type"] != expected || problem["title"] != kind.title() || problem["status"] != kind.status() {
        violations.push(format!(
            "{name}: type, title and status must be {expected}, {}, {}",
            kind.title(),
            kind.status()
        ));
    }
    if response.status != Some(kind.status()) {
        violations.push(format!("{name}: add StatusCode: {}, as in the body", kind.status()));
    }
    let retry = matches!(kind, ProblemKind::TooManyRequests | ProblemKind::ServiceUnavailable);
    let literal = |value: &str| Some(format!("'{value}'"));
    let own = [
        ("content-type", literal("application/problem+json")),
        ("x-request-id", Some("context.requestId".to_owned())),
        ("access-control-allow-origin", literal("*")),
        ("access-control-expose-headers", literal(EXPOSED_HEADERS)),
        ("www-authenticate", (*kind == ProblemKind::Unauthorized).then(|| "'Bearer'".to_owned())),
        ("retry-after", retry.then(|| "'1'".to_owned())),
    ];
    let shared = DEFAULT_HEADERS.iter().filter(|(header, _)| *header != "content-type");
    let shared = shared.map(|(header, value)| (*header, literal(value)));
    for (header, expected) in own.into_iter().chain(shared) {
        let found = response.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(header));
        if found.map(|(_, value)| value) != expected.as_ref() {
            let expected = expected.unwrap_or_else(|| "absent".to_owned());
            violations.push(format!("{name}: the header {header} must be {expected}"));
        }
    }
    violations
}

fn every_gateway_response_is_a_problem_document(template: &Template) -> Vec<String> {
    let responses = &template.deployment.api.gateway_responses;
    let violations = TYPES.iter().flat_map(|name| match responses.get(*name) {
        Some(response) => compare(name, response),
        None => vec![format!("add {name} to the GatewayResponses of template.yaml")],
    });
    violations.collect()
}

fn every_gateway_response_is_listed(template: &Template) -> Vec<String> {
    let responses = template.deployment.api.gateway_responses.keys();
    let unknown = responses.filter(|name| !TYPES.contains(&name.as_str()));
    unknown.map(|name| format!("add {name} to TYPES")).collect()
}
