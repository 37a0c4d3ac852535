//! The variables for `sam local` (`localstack/sam-local/env.json`): those whose values come from resources,
//! which do not exist under `sam local`. It reads all others from the template.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::assert_none;
use crate::samples::SECRETS;
use crate::template::{Resource, STACK, Template, workspace};

/// The name of this machine in a container, and in the deployment of the tests.
const HOSTS: (&str, &str) = ("host.docker.internal", "127.0.0.1");

type Variables = BTreeMap<String, String>;

/// Reads the file: the variables of all functions under `Parameters`, and those of each function under its
/// logical id.
fn file() -> BTreeMap<String, Variables> {
    let path = workspace().join("localstack/sam-local/env.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Returns whether a value refers to a resource. `sam local` resolves references to parameters.
fn refers_to_resource(template: &Template, value: &Value) -> bool {
    match value.get("Ref").and_then(Value::as_str) {
        Some(name) => template.document["Parameters"].get(name).is_none(),
        None => value.is_object(),
    }
}

/// Returns the expected variables of a function, with the values that they have in the deployment. Secrets
/// are those of the samples, so that the tokens in `events/` are valid.
fn expected(template: &Template, function: &Resource) -> Variables {
    let environment = &template.function(&function.id).environment;
    let written = function.property("/Environment/Variables").as_object();
    // A variable of an optional part has no value with the default parameters.
    let names = written
        .into_iter()
        .flatten()
        .filter(|(name, value)| environment.contains_key(*name) && refers_to_resource(template, value));
    let value = |(name, written): (&String, &Value)| {
        let secret = |id: &str| id.strip_prefix(STACK).and_then(|id| id.strip_prefix('-')).map(str::to_owned);
        let text = written.to_string();
        let of_secret = SECRETS
            .iter()
            .find(|(id, _)| secret(id).is_some_and(|id| text.contains(&format!("secretsmanager:${{{id}}}"))));
        let resolved = || environment[name].clone();
        (name.clone(), of_secret.map_or_else(resolved, |(_, secret)| (*secret).to_owned()))
    };
    names.map(value).collect()
}

#[test]
fn the_file_for_sam_local_has_exactly_the_variables_that_refer_to_resources() {
    let template = Template::committed();
    let mut file = file();
    let shared = file.remove("Parameters").unwrap_or_default();
    let mut unused: Vec<&String> = shared.keys().collect();
    let mut violations = Vec::new();
    for resource in template.of_type("AWS::Serverless::Function") {
        let own = file.remove(&resource.id).unwrap_or_default();
        let expected = expected(template, resource);
        unused.retain(|name| !expected.contains_key(*name));
        for (name, value) in &expected {
            let found = own.get(name).or_else(|| shared.get(name)).map(|text| text.replace(HOSTS.0, HOSTS.1));
            if found.as_ref() != Some(value) {
                violations.push(format!("{}: {name} must be {value}, not {found:?}", resource.id));
            }
        }
        let unknown = own.keys().filter(|name| !expected.contains_key(*name));
        violations
            .extend(unknown.map(|name| format!("{}: remove {name}: it is in the template", resource.id)));
    }
    violations.extend(unused.into_iter().map(|name| format!("Parameters: remove {name}: it is not used")));
    violations.extend(file.keys().map(|id| format!("remove {id}: the template has no such function")));
    assert_none(
        violations.into_iter().map(|violation| format!("localstack/sam-local/env.json: {violation}")),
    );
}
