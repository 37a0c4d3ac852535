//! The routes of the API: what the template sends where, what the access rules say of it, what the service behind
//! it describes. A service's description is made by its router, so what is described is served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use erp_auth::access::{Access, RULES, Rule};
use erp_local::deployment::Route;
use serde_json::Value;

use crate::none;
use crate::openapi::services;
use crate::world::World;

pub(crate) mod holds {
    crate::checks::checks!(
        every_route_of_the_template_has_a_rule_and_every_rule_a_route,
        the_authorizer_stands_before_what_is_not_public_and_nothing_else,
        a_wrong_verb_reaches_the_service_that_knows_the_right_ones,
        the_service_behind_a_route_describes_it_and_nothing_else,
    );
}

/// Routes for people, who read no OpenAPI.
const NOT_DESCRIBED: [(&str, &str); 2] = [("GET", "/swagger"), ("GET", "/swagger/{proxy+}")];

fn explicit(world: &World) -> impl Iterator<Item = &Route> {
    world.deployment.api.routes.iter().filter(|route| route.method != "ANY")
}

/// What each service describes, by its binary.
fn documents() -> &'static BTreeMap<&'static str, Value> {
    static DOCUMENTS: OnceLock<BTreeMap<&str, Value>> = OnceLock::new();
    DOCUMENTS.get_or_init(|| {
        let described = services().into_iter();
        described.map(|(binary, document)| (binary, serde_json::to_value(document()).unwrap())).collect()
    })
}

fn rule(method: &str, path: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| (rule.method, rule.path) == (method, path))
}

fn every_route_of_the_template_has_a_rule_and_every_rule_a_route(world: &World) -> Vec<String> {
    let without_rule =
        explicit(world).filter(|route| rule(&route.method, &route.path).is_none()).map(|route| {
            let Route { method, path, .. } = route;
            format!("add a rule to erp_auth::access::RULES for {method} {path}, which template.yaml routes")
        });
    let without_route = RULES.iter().filter(|rule| {
        !explicit(world).any(|route| (route.method.as_str(), route.path.as_str()) == (rule.method, rule.path))
    });
    let without_route = without_route.map(|Rule { method, path, .. }| {
        format!("add an event for {method} {path} to its function in template.yaml, or take its rule out")
    });
    let faults = without_rule.chain(without_route);
    faults.collect()
}

fn the_authorizer_stands_before_what_is_not_public_and_nothing_else(world: &World) -> Vec<String> {
    let faults = explicit(world).filter_map(|route| {
        let Route { method, path, authorized, .. } = route;
        let public = rule(method, path)?.access == Access::Public;
        match (public, authorized) {
            (true, true) => Some(format!(
                "{method} {path} is public by its rule: give its event Auth: {{ Authorizer: NONE }}"
            )),
            (false, false) => Some(format!(
                "{method} {path} is not public by its rule: take Auth: {{ Authorizer: NONE }} from its event"
            )),
            (true, false) | (false, true) => None,
        }
    });
    faults.collect()
}

fn a_wrong_verb_reaches_the_service_that_knows_the_right_ones(world: &World) -> Vec<String> {
    let mut paths: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for route in &world.deployment.api.routes {
        paths.entry(&route.path).or_default().insert(&route.function);
    }
    let faults = paths.into_iter().filter_map(|(path, functions)| {
        let any =
            world.deployment.api.routes.iter().find(|route| route.method == "ANY" && route.path == path);
        match any {
            None => Some(format!(
                "add an event for ANY {path} with Auth: {{ Authorizer: NONE }} to {functions:?}"
            )),
            Some(any) if any.authorized => {
                Some(format!("ANY {path} must have Auth: {{ Authorizer: NONE }}: it only leads to a 405"))
            }
            Some(_) if functions.len() > 1 => {
                Some(format!("{path} is split among {functions:?}: one service has to know all of its verbs"))
            }
            Some(_) => None,
        }
    });
    faults.collect()
}

fn the_service_behind_a_route_describes_it_and_nothing_else(world: &World) -> Vec<String> {
    let documents = documents();
    let mut faults = Vec::new();
    for Route { method, path, function: id, .. } in explicit(world) {
        let binary = world.function(id).binary.as_str();
        let Some(document) = documents.get(binary) else {
            faults
                .push(format!("{binary} has routes: give it a document() and name it in openapi::services"));
            continue;
        };
        let described = document["paths"][path].get(method.to_lowercase()).is_some();
        if described == NOT_DESCRIBED.contains(&(method.as_str(), path.as_str())) {
            faults.push(if described {
                format!("{method} {path} is described by now: take it out of NOT_DESCRIBED")
            } else {
                format!("{method} {path} goes to {binary}, which has no such route in its router")
            });
        }
    }
    for (binary, document) in documents {
        for (path, operations) in document["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
                let routed = explicit(world).any(|route| {
                    (&route.method, &route.path) == (&method, path)
                        && world.function(&route.function).binary == *binary
                });
                if !routed {
                    faults.push(format!(
                        "add an event for {method} {path} to the function of {binary} in template.yaml"
                    ));
                }
            }
        }
    }
    faults
}

#[test]
fn what_is_not_public_asks_for_a_token_in_the_document() {
    let document = serde_json::to_value(crate::openapi::document()).unwrap();
    none(RULES.iter().filter(|rule| !NOT_DESCRIBED.contains(&(rule.method, rule.path))).filter_map(|rule| {
        let Rule { method, path, access } = rule;
        let asks = document["paths"][path][method.to_lowercase()].get("security").is_some();
        (asks == (*access == Access::Public)).then(|| {
            format!("{method} {path} is {access:?}: its security in the document must say so (erp_http::openapi::finish)")
        })
    }));
}
