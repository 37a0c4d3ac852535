//! The variables for `sam local`, in `localstack/sam-local/env.json`: what the template gives a function out of its
//! resources, of which there are none then. Everything else `sam local` reads from the template itself.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::none;
use crate::samples::SECRETS;
use crate::world::{Resource, STACK, function, workspace, world};

/// Where a container finds this machine, and what the deployment of the tests calls it.
const HOSTS: (&str, &str) = ("host.docker.internal", "127.0.0.1");

type Variables = BTreeMap<String, String>;

/// The file: the variables for all functions under `Parameters`, and each function's own under its logical id.
fn file() -> BTreeMap<String, Variables> {
    let path = workspace().join("localstack/sam-local/env.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Whether `sam local` cannot know the value: it knows parameters, and no resource.
fn is_of_a_resource(value: &Value) -> bool {
    match value.get("Ref").and_then(Value::as_str) {
        Some(name) => world().document["Parameters"].get(name).is_none(),
        None => value.is_object(),
    }
}

/// The variables of a function that the file must have, with the values that they have in the deployment; secrets
/// are the samples', so that the tokens in `events/` are good.
fn wanted(resource: &Resource) -> Variables {
    let written = resource.property("/Environment/Variables").as_object();
    let names = written.into_iter().flatten().filter(|(_, value)| is_of_a_resource(value));
    let value = |(name, written): (&String, &Value)| {
        let secret = |id: &str| id.strip_prefix(STACK).and_then(|id| id.strip_prefix('-')).map(str::to_owned);
        let text = written.to_string();
        let of_secret = SECRETS
            .iter()
            .find(|(id, _)| secret(id).is_some_and(|id| text.contains(&format!("secretsmanager:${{{id}}}"))));
        let resolved = || function(&resource.id).environment[name].clone();
        (name.clone(), of_secret.map_or_else(resolved, |(_, secret)| (*secret).to_owned()))
    };
    names.map(value).collect()
}

#[test]
fn the_variables_for_sam_local_are_those_that_it_cannot_know() {
    let mut file = file();
    let shared = file.remove("Parameters").unwrap_or_default();
    let mut unused: Vec<&String> = shared.keys().collect();
    let mut faults = Vec::new();
    for resource in world().of_type("AWS::Serverless::Function") {
        let own = file.remove(&resource.id).unwrap_or_default();
        let wanted = wanted(resource);
        unused.retain(|name| !wanted.contains_key(*name));
        for (name, value) in &wanted {
            let found = own.get(name).or_else(|| shared.get(name)).map(|text| text.replace(HOSTS.0, HOSTS.1));
            if found.as_ref() != Some(value) {
                faults.push(format!("{}: {name} must be {value}, not {found:?}", resource.id));
            }
        }
        let unknown = own.keys().filter(|name| !wanted.contains_key(*name));
        faults.extend(unknown.map(|name| format!("{}: take {name} out, sam local knows it", resource.id)));
    }
    faults.extend(unused.into_iter().map(|name| format!("Parameters: take {name} out, nobody needs it")));
    faults.extend(file.keys().map(|id| format!("take {id} out, the template has no such function")));
    none(faults.into_iter().map(|fault| format!("localstack/sam-local/env.json: {fault}")));
}
