//! The document that the portal serves: what the services' routers describe, put together and committed.

use std::collections::{BTreeMap, BTreeSet};

use erp_http::openapi;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use crate::none;
use crate::world::workspace;

/// Describes the routes of a service.
type Describe = fn() -> OpenApi;

/// The services behind the API, by their binaries, each with the description of its routes.
pub(crate) fn services() -> [(&'static str, Describe); 6] {
    [
        ("auth-api", auth::api::document),
        ("contact-api", contact::api::document),
        ("inventory-api", inventory::api::document),
        ("sales-api", sales::api::document),
        ("purchase-api", purchase::api::document),
        ("portal", portal::api::document),
    ]
}

/// The whole document.
pub(crate) fn document() -> OpenApi {
    let mut whole = openapi::base();
    for (_, document) in services() {
        whole.merge(document());
    }
    openapi::finish(whole)
}

fn value() -> Value {
    serde_json::to_value(document()).unwrap()
}

/// Every operation with its method and path.
fn operations(document: &Value) -> Vec<(String, &Map<String, Value>)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| {
            (format!("{} {path}", method.to_uppercase()), operation.as_object().unwrap())
        })
    });
    operations.collect()
}

#[test]
fn the_document_that_is_served_is_the_one_that_the_code_makes() {
    let path = workspace().join("functions/portal/openapi.json");
    let made = serde_json::to_string_pretty(&value()).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let served = std::fs::read_to_string(&path).unwrap();
    let difference = made.lines().zip(served.lines()).enumerate().find(|(_, (made, served))| made != served);
    assert!(
        made == served,
        "functions/portal/openapi.json is not what the routers describe; write it anew with\n  \
         UPDATE=1 cargo test -p erp-conformance openapi\nand look at what changed. The first difference: {difference:?}"
    );
}

#[test]
fn every_reference_points_at_something() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = value();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let dangling =
        found.iter().filter(|reference| document.pointer(reference.trim_start_matches('#')).is_none());
    let dangling = dangling
        .map(|reference| format!("{reference} points nowhere: list the type in the router's components"));
    let schemas = document["components"]["schemas"].as_object().unwrap().keys();
    let unused = schemas.filter(|name| !found.contains(format!("#/components/schemas/{name}").as_str()));
    none(dangling.chain(unused.map(|name| format!("the schema {name} is used nowhere"))));
}

#[test]
fn two_services_do_not_mean_two_things_by_one_name() {
    let mut schemas: BTreeMap<String, (&str, Value)> = BTreeMap::new();
    let mut faults = Vec::new();
    for (service, document) in services() {
        let document = serde_json::to_value(document()).unwrap();
        for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
            let (first, known) = schemas.entry(name.clone()).or_insert((service, schema.clone()));
            if known != schema {
                faults.push(format!("{name} of {service} is another than that of {first}: rename one"));
            }
        }
    }
    none(faults);
}

#[test]
fn every_operation_is_described() {
    let document = value();
    let mut ids = BTreeMap::new();
    none(operations(&document).into_iter().flat_map(|(name, operation)| {
        let mut faults = Vec::new();
        let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(first) = ids.insert(id.clone(), name.clone()) {
            faults.push(format!("{name}: its operationId {id:?} is that of {first} too: rename the handler"));
        }
        if operation.get("tags").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            faults.push(format!("{name}: has no tag"));
        }
        if operation.get("summary").and_then(Value::as_str).is_none_or(|summary| !summary.ends_with('.')) {
            faults.push(format!("{name}: the first line of the handler's comment must be a sentence"));
        }
        let parameters = operation.get("parameters").and_then(Value::as_array).cloned().unwrap_or_default();
        let declared: BTreeSet<_> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        let in_path: BTreeSet<_> = crate::source::between(&name, "{", "}").into_iter().collect();
        if declared != in_path {
            faults.push(format!(
                "{name}: describes the path parameters {declared:?}: add openapi::IdParam to params"
            ));
        }
        faults
    }));
}

/// The schema of an answer with this status, if it has one.
fn schema<'a>(operation: &'a Map<String, Value>, status: &str, media: &str) -> Option<&'a Value> {
    operation["responses"].get(status)?["content"].get(media)?.get("schema")
}

#[test]
fn a_success_is_an_envelope_with_data_and_a_failure_a_problem() {
    let document = value();
    none(operations(&document).into_iter().flat_map(|(name, operation)| {
        let mut faults = Vec::new();
        let statuses: Vec<&String> = operation["responses"].as_object().unwrap().keys().collect();
        let successes: Vec<_> = statuses.iter().filter(|status| status.starts_with('2')).collect();
        if successes.is_empty() {
            faults.push(format!("{name}: describes no success"));
        }
        for (status, _) in operation["responses"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, answer)| answer["description"].as_str().is_none_or(str::is_empty))
        {
            faults.push(format!("{name}: {status} has no description, which OpenAPI asks for"));
        }
        let is_api = name.contains(" /api/");
        for status in successes {
            let Some(schema) = schema(operation, status, "application/json") else {
                faults.push(format!("{name}: {status} has no body; name the type of its data"));
                continue;
            };
            let data = &schema["properties"]["data"];
            let is_list = data["type"] == "array";
            let mut wanted = vec!["status", "message", "data"];
            wanted.extend(is_list.then_some("meta"));
            if is_api && (schema["required"] != json!(wanted) || data.is_null()) {
                faults.push(format!(
                    "{name}: {status} must be an envelope of {wanted:?} (erp_http::openapi::finish)"
                ));
            }
        }
        for status in statuses.iter().filter(|status| is_api && status.as_str() >= "400") {
            let problem = schema(operation, status, "application/problem+json");
            if problem != Some(&json!({"$ref": "#/components/schemas/Problem"})) {
                faults.push(format!(
                    "{name}: {status} must be application/problem+json with the schema Problem"
                ));
            }
        }
        faults
    }));
}

#[test]
fn the_document_is_openapi_that_works_behind_a_stage() {
    let document = value();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(
        document["servers"],
        json!([{"url": "."}]),
        "relative to the document, whatever stage stands before it"
    );
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
}
