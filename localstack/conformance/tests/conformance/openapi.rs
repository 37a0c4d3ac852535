//! The OpenAPI document that the portal serves: the documents of all services, merged. It is as strict as the
//! server.

use std::collections::{BTreeMap, BTreeSet};

use erp_http::openapi;
use erp_testkit::snapshot;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use crate::assert_none;
use crate::source_files::between;
use crate::template::workspace;

/// Returns the document of a service.
type Document = fn() -> OpenApi;

/// Returns the services behind the API, by their binaries.
pub(crate) fn services() -> [(&'static str, Document); 6] {
    [
        ("auth-api", auth::api::document),
        ("contact-api", contact::api::document),
        ("inventory-api", inventory::api::document),
        ("sales-api", sales::api::document),
        ("purchase-api", purchase::api::document),
        ("portal", portal::api::document),
    ]
}

/// Returns the merged document.
pub(crate) fn document() -> OpenApi {
    let mut merged = openapi::base();
    for (_, document) in services() {
        merged.merge(document());
    }
    openapi::finish(merged)
}

fn json_document() -> Value {
    serde_json::to_value(document()).unwrap()
}

/// Returns every operation with its method and path.
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
fn the_served_document_is_up_to_date() {
    let generated = serde_json::to_string_pretty(&json_document()).unwrap() + "\n";
    snapshot::assert_file(&workspace().join("functions/portal/openapi.json"), &generated);
}

#[test]
fn every_reference_resolves_and_every_schema_is_used() {
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
    let document = json_document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let dangling =
        found.iter().filter(|reference| document.pointer(reference.trim_start_matches('#')).is_none());
    let dangling =
        dangling.map(|reference| format!("{reference} does not exist: add the type to the components"));
    let schemas = document["components"]["schemas"].as_object().unwrap().keys();
    let unused = schemas.filter(|name| !found.contains(format!("#/components/schemas/{name}").as_str()));
    assert_none(dangling.chain(unused.map(|name| format!("the schema {name} is not used"))));
}

#[test]
fn services_do_not_define_different_schemas_of_the_same_name() {
    let mut schemas: BTreeMap<String, (&str, Value)> = BTreeMap::new();
    let mut violations = Vec::new();
    for (service, document) in services() {
        let document = serde_json::to_value(document()).unwrap();
        for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
            let (first, known) = schemas.entry(name.clone()).or_insert((service, schema.clone()));
            if known != schema {
                violations.push(format!("{name} of {service} differs from that of {first}: rename one"));
            }
        }
    }
    assert_none(violations);
}

#[test]
fn every_operation_is_described() {
    let document = json_document();
    let tags: BTreeSet<&str> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|tag| tag["description"].as_str().is_some_and(|text| !text.is_empty()))
        .filter_map(|tag| tag["name"].as_str())
        .collect();
    let mut ids = BTreeMap::new();
    assert_none(operations(&document).into_iter().flat_map(|(name, operation)| {
        let mut violations = Vec::new();
        let text = |member: &str| operation.get(member).and_then(Value::as_str).unwrap_or_default();
        let id = text("operationId").to_owned();
        if let Some(first) = ids.insert(id.clone(), name.clone()) {
            violations.push(format!("{name}: {first} has the same operationId {id:?}: rename the handler"));
        }
        let own_tags: Vec<_> =
            operation.get("tags").and_then(Value::as_array).into_iter().flatten().collect();
        if own_tags.is_empty()
            || !own_tags.iter().all(|tag| tag.as_str().is_some_and(|tag| tags.contains(tag)))
        {
            violations.push(format!("{name}: its tags must be among {tags:?}"));
        }
        let summary = text("summary");
        let verb = summary.split(' ').next().unwrap_or_default();
        if !summary.ends_with('.') || summary.trim_end_matches('.').contains(". ") || verb.ends_with('s') {
            violations.push(format!("{name}: the summary must be one imperative sentence, not {summary:?}"));
        }
        if text("description").is_empty() {
            violations.push(format!("{name}: the description is empty"));
        }
        let parameters = operation.get("parameters").and_then(Value::as_array);
        let declared: BTreeSet<_> = parameters
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "path")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        let in_path: BTreeSet<_> = between(&name, "{", "}").into_iter().collect();
        if declared != in_path {
            violations.push(format!("{name}: documents the path parameters {declared:?}"));
        }
        violations
    }));
}

/// Returns the schema of a response with this status and media type, if there is one.
fn schema<'a>(operation: &'a Map<String, Value>, status: &str, media: &str) -> Option<&'a Value> {
    operation["responses"].get(status)?["content"].get(media)?.get("schema")
}

#[test]
fn successes_are_envelopes_and_errors_are_problems() {
    let document = json_document();
    assert_none(operations(&document).into_iter().flat_map(|(name, operation)| {
        let mut violations = Vec::new();
        let statuses: Vec<&String> = operation["responses"].as_object().unwrap().keys().collect();
        let successes: Vec<_> = statuses.iter().filter(|status| status.starts_with('2')).collect();
        if successes.is_empty() {
            violations.push(format!("{name}: documents no success"));
        }
        for (status, _) in operation["responses"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, response)| response["description"].as_str().is_none_or(str::is_empty))
        {
            violations.push(format!("{name}: {status} has no description, which OpenAPI requires"));
        }
        let is_api = name.contains(" /api/");
        for status in successes {
            let Some(schema) = schema(operation, status, "application/json") else {
                violations.push(format!("{name}: {status} has no body; add the type of its data"));
                continue;
            };
            let data = &schema["properties"]["data"];
            let is_list = data["type"] == "array";
            let mut required = vec!["status", "message", "data"];
            required.extend(is_list.then_some("meta"));
            if is_api && (schema["required"] != json!(required) || data.is_null()) {
                violations.push(format!(
                    "{name}: {status} must be an envelope of {required:?} (erp_http::openapi::finish)"
                ));
            }
        }
        for status in statuses.iter().filter(|status| is_api && status.as_str() >= "400") {
            let problem = schema(operation, status, "application/problem+json");
            if problem != Some(&json!({"$ref": "#/components/schemas/Problem"})) {
                violations.push(format!(
                    "{name}: {status} must be application/problem+json with the schema Problem"
                ));
            }
        }
        violations
    }));
}

#[test]
fn every_operation_documents_its_errors() {
    let document = json_document();
    assert_none(operations(&document).into_iter().filter_map(|(name, operation)| {
        let mut expected = BTreeSet::from(["429"]);
        if name.contains(" /api/") {
            expected.extend(["400", "405", "500", "503"]);
            if operation["security"] != json!([]) {
                expected.extend(["401", "403"]);
            }
            if name.contains('{') {
                expected.insert("404");
            }
            if operation.contains_key("requestBody") {
                expected.extend(["413", "415"]);
            }
            if name.starts_with("DELETE /api/items/") {
                expected.insert("409");
            }
        }
        let documented: BTreeSet<&str> =
            operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        let missing: Vec<_> = expected.difference(&documented).collect();
        (!missing.is_empty()).then(|| format!("{name}: document the responses {missing:?}"))
    }));
}

/// Returns the constraints that a schema lacks: every value that a client sends is bounded, as it is by the
/// server.
fn unbounded(document: &Value, schema: &Value, path: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).unwrap();
        return unbounded(document, target, &format!("{path} ({reference})"));
    }
    let of_all = |members: &Value| -> Vec<String> {
        let members = members.as_array().into_iter().flatten();
        members.flat_map(|member| unbounded(document, member, path)).collect()
    };
    let mut violations = Vec::new();
    for combination in ["oneOf", "anyOf", "allOf"] {
        violations.extend(of_all(&schema[combination]));
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        single => Vec::from_iter(single.as_str()),
    };
    let has = |names: &[&str]| names.iter().any(|name| !schema[*name].is_null());
    for kind in types {
        match kind {
            // Secrets may be any text: bounds would reveal which secrets are possible.
            "string"
                if !has(&["maxLength", "enum", "const", "pattern"])
                    && !["uuid", "password"].iter().any(|format| schema["format"] == *format) =>
            {
                violations.push(format!("{path}: a string needs maxLength, enum, pattern or format uuid"));
            }
            "integer" | "number" if !has(&["enum"]) => {
                let has_maximum = has(&["maximum"]) || schema["format"] == "int64";
                if !has(&["minimum"]) || !has_maximum {
                    violations.push(format!("{path}: a number needs minimum and maximum"));
                }
            }
            "array" => {
                if !has(&["maxItems"]) {
                    violations.push(format!("{path}: an array needs maxItems"));
                }
                violations.extend(unbounded(document, &schema["items"], &format!("{path}/items")));
            }
            "object" => {
                if schema["additionalProperties"] != false {
                    violations.push(format!("{path}: additionalProperties must be false"));
                }
                for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                    violations.extend(unbounded(document, property, &format!("{path}/{name}")));
                }
            }
            _ => {}
        }
        if ["double", "float"].iter().any(|format| schema["format"] == *format) {
            violations
                .push(format!("{path}: amounts are exact, so the format must not be a floating-point one"));
        }
    }
    violations
}

#[test]
fn every_request_body_and_parameter_is_constrained() {
    let document = json_document();
    assert_none(operations(&document).into_iter().flat_map(|(name, operation)| {
        let mut violations = Vec::new();
        let bodies = operation.get("requestBody").and_then(|body| body["content"].as_object());
        for content in bodies.into_iter().flat_map(Map::values) {
            violations.extend(unbounded(&document, &content["schema"], &format!("{name}: body")));
        }
        for parameter in operation.get("parameters").and_then(Value::as_array).into_iter().flatten() {
            let path = format!("{name}: {}", parameter["name"]);
            violations.extend(unbounded(&document, &parameter["schema"], &path));
        }
        violations
    }));
}

#[test]
fn the_document_is_valid_below_any_stage() {
    let document = json_document();
    assert_eq!(document["openapi"], "3.1.0");
    let servers: Vec<_> =
        document["servers"].as_array().unwrap().iter().map(|server| &server["url"]).collect();
    assert_eq!(servers, ["."], "relative to the URL of the document, which contains the stage");
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    let info = &document["info"];
    for member in ["/title", "/version", "/description", "/license/identifier", "/contact/url"] {
        assert!(info.pointer(member).is_some_and(Value::is_string), "info{member}");
    }
}
