//! The routes of the API: in the template, in the access rules, and in the OpenAPI document of the service
//! behind each route. A document comes from the router of its service, so a documented route is served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use erp_auth::access::{Access, RULES, Rule};
use erp_local::deployment::Route;
use serde_json::{Value, json};

use crate::assert_none;
use crate::openapi::services;
use crate::template::Template;

pub(crate) mod checks {
    crate::template_checks::register!(
        every_route_of_the_template_has_a_rule_and_every_rule_a_route,
        exactly_the_protected_routes_have_the_authorizer,
        every_path_has_an_any_route_without_authorizer,
        every_service_documents_exactly_its_routes,
    );
}

/// Routes of HTML pages, which are not in the document.
const NOT_DOCUMENTED: [(&str, &str); 2] = [("GET", "/swagger"), ("GET", "/swagger/{proxy+}")];

/// Public routes that read a token if there is one.
const OPTIONAL_TOKEN: [(&str, &str); 2] = [("POST", "/api/auth/register"), ("GET", "/health")];

fn explicit(template: &Template) -> impl Iterator<Item = &Route> {
    template.deployment.api.routes.iter().filter(|route| route.method != "ANY")
}

/// Returns the document of each service, by its binary.
fn documents() -> &'static BTreeMap<&'static str, Value> {
    static DOCUMENTS: OnceLock<BTreeMap<&str, Value>> = OnceLock::new();
    DOCUMENTS.get_or_init(|| {
        let services = services().into_iter();
        services.map(|(binary, document)| (binary, serde_json::to_value(document()).unwrap())).collect()
    })
}

fn rule(method: &str, path: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| (rule.method, rule.path) == (method, path))
}

fn every_route_of_the_template_has_a_rule_and_every_rule_a_route(template: &Template) -> Vec<String> {
    let without_rule =
        explicit(template).filter(|route| rule(&route.method, &route.path).is_none()).map(|route| {
            let Route { method, path, .. } = route;
            format!("add a rule to erp_auth::access::RULES for {method} {path}, which template.yaml routes")
        });
    let without_route = RULES.iter().filter(|rule| {
        !explicit(template)
            .any(|route| (route.method.as_str(), route.path.as_str()) == (rule.method, rule.path))
    });
    let without_route = without_route.map(|Rule { method, path, .. }| {
        format!("add an event for {method} {path} to its function in template.yaml, or remove its rule")
    });
    let violations = without_rule.chain(without_route);
    violations.collect()
}

fn exactly_the_protected_routes_have_the_authorizer(template: &Template) -> Vec<String> {
    let violations = explicit(template).filter_map(|route| {
        let Route { method, path, authorized, .. } = route;
        let public = rule(method, path)?.access == Access::Public;
        match (public, authorized) {
            (true, true) => {
                Some(format!("{method} {path} is public: add Auth: {{ Authorizer: NONE }} to its event"))
            }
            (false, false) => Some(format!(
                "{method} {path} is not public: remove Auth: {{ Authorizer: NONE }} from its event"
            )),
            (true, false) | (false, true) => None,
        }
    });
    violations.collect()
}

fn every_path_has_an_any_route_without_authorizer(template: &Template) -> Vec<String> {
    let mut paths: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for route in &template.deployment.api.routes {
        paths.entry(&route.path).or_default().insert(&route.function);
    }
    let violations = paths.into_iter().filter_map(|(path, functions)| {
        let any =
            template.deployment.api.routes.iter().find(|route| route.method == "ANY" && route.path == path);
        match any {
            None => Some(format!(
                "add an event for ANY {path} with Auth: {{ Authorizer: NONE }} to {functions:?}"
            )),
            Some(any) if any.authorized => {
                Some(format!("ANY {path} must have Auth: {{ Authorizer: NONE }}: its response is a 405"))
            }
            Some(_) if functions.len() > 1 => Some(format!(
                "{path} is served by {functions:?}: one service must serve all methods of a path"
            )),
            Some(_) => None,
        }
    });
    violations.collect()
}

fn every_service_documents_exactly_its_routes(template: &Template) -> Vec<String> {
    let documents = documents();
    let mut violations = Vec::new();
    for Route { method, path, function: id, .. } in explicit(template) {
        let binary = template.function(id).binary.as_str();
        let Some(document) = documents.get(binary) else {
            violations.push(format!("{binary} has routes: add its document() to openapi::services"));
            continue;
        };
        let documented = document["paths"][path].get(method.to_lowercase()).is_some();
        if documented == NOT_DOCUMENTED.contains(&(method.as_str(), path.as_str())) {
            violations.push(if documented {
                format!("{method} {path} is documented: remove it from NOT_DOCUMENTED")
            } else {
                format!("{method} {path} invokes {binary}, whose router has no such route")
            });
        }
    }
    for (binary, document) in documents {
        for (path, operations) in document["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
                let routed = explicit(template).any(|route| {
                    (&route.method, &route.path) == (&method, path)
                        && template.function(&route.function).binary == *binary
                });
                if !routed {
                    violations.push(format!(
                        "add an event for {method} {path} to the function of {binary} in template.yaml"
                    ));
                }
            }
        }
    }
    violations
}

#[test]
fn exactly_the_protected_operations_of_the_document_require_a_token() {
    let document = serde_json::to_value(crate::openapi::document()).unwrap();
    assert_none(RULES.iter().filter(|rule| !NOT_DOCUMENTED.contains(&(rule.method, rule.path))).filter_map(
        |rule| {
            let Rule { method, path, access } = rule;
            let security = &document["paths"][path][method.to_lowercase()]["security"];
            let expected = match access {
                Access::Public if OPTIONAL_TOKEN.contains(&(*method, *path)) => json!([{}, {"bearer": []}]),
                Access::Public => json!([]),
                Access::Reader | Access::Manager | Access::FinanceManager => json!([{"bearer": []}]),
            };
            (*security != expected).then(|| {
                format!(
                    "{method} {path}: security must be {expected}, not {security} (erp_http::openapi::finish)"
                )
            })
        },
    ));
}
