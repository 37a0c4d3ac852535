//! What whoever is on call reads and sets: the runbook, and the environments of samconfig.toml.

use std::collections::BTreeSet;

use erp_local::samconfig;
use serde_json::Value;

use crate::world::{World, workspace, world};

pub(crate) mod holds {
    crate::checks::checks!(every_alarm_is_explained, every_parameter_that_a_function_gets_makes_a_version);
}

const ENVIRONMENTS: [&str; 5] = ["default", "dev", "staging", "prod", "local"];
/// What of a function's properties is no part of a published version, or changes with the code.
const OUTSIDE_OF_VERSIONS: [&str; 10] = [
    "Architectures",
    "AutoPublishAlias",
    "CodeUri",
    "DeploymentPreference",
    "Events",
    "FunctionName",
    "Policies",
    "ReservedConcurrentExecutions",
    "Tags",
    "VersionDescription",
];

fn read(path: &str) -> String {
    std::fs::read_to_string(workspace().join(path)).unwrap()
}

/// Every alarm has a row in the runbook's table of alarms, and every row has its alarm.
fn every_alarm_is_explained(world: &World) -> Vec<String> {
    let page = read("docs/runbook.md");
    let table = page.split("\n## ").find(|section| section.starts_with("Alarms")).unwrap_or_default();
    let rows: BTreeSet<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |").map(|(name, _)| name))
        .collect();
    let alarms: BTreeSet<&str> =
        world.of_type("AWS::CloudWatch::Alarm").map(|alarm| alarm.id.as_str()).collect();
    let missing = alarms.difference(&rows).map(|alarm| {
        format!("docs/runbook.md, section Alarms, has no row for {alarm}: say what it means and what to do")
    });
    let left = rows.difference(&alarms).map(|row| {
        format!("docs/runbook.md explains the alarm {row}, and template.yaml has none of that name")
    });
    missing.chain(left).collect()
}

/// SAM publishes a version when the text of the template changes, and a parameter's value is not in the text: an alias
/// would go on with the old value. CloudFormation publishes one when `VersionDescription` comes to something else.
fn every_parameter_that_a_function_gets_makes_a_version(world: &World) -> Vec<String> {
    let parameters: BTreeSet<&str> = world.document["Parameters"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let global = &world.document["Globals"]["Function"];
    let mut faults = Vec::new();
    for function in world.of_type("AWS::Serverless::Function") {
        let mut given = BTreeSet::new();
        for properties in [global, function.property("")] {
            for (name, value) in properties.as_object().into_iter().flatten() {
                if !OUTSIDE_OF_VERSIONS.contains(&name.as_str()) {
                    referred(value, &mut given);
                }
            }
        }
        let mut described = BTreeSet::new();
        referred(function.property("/VersionDescription"), &mut described);
        for parameter in given.iter().map(String::as_str).filter(|name| parameters.contains(name)) {
            if !described.contains(parameter) {
                let id = &function.id;
                faults.push(format!(
                    "{id} is given the parameter {parameter}: name it in its VersionDescription"
                ));
            }
        }
    }
    faults
}

/// Names that a value refers to, by `Ref` or inside a `Sub`.
fn referred(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("Ref", Value::String(name)) => drop(names.insert(name.clone())),
                    ("Sub", Value::String(text)) => {
                        let inside = text.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
                        names.extend(inside.map(|(name, _)| name.to_owned()));
                    }
                    _ => referred(value, names),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| referred(value, names)),
        _ => {}
    }
}

#[test]
fn every_environment_sets_parameters_that_there_are() {
    let parameters = world().document["Parameters"].as_object().unwrap();
    let path = workspace().join("samconfig.toml");
    let stacks: BTreeSet<_> = ENVIRONMENTS
        .into_iter()
        .map(|environment| {
            let settings = samconfig::read(&path, environment).unwrap_or_else(|error| panic!("{error}"));
            assert!(
                settings.parameters.contains_key("Stage"),
                "{environment} sets no Stage in samconfig.toml"
            );
            for (name, value) in &settings.parameters {
                let parameter = parameters.get(name).unwrap_or_else(|| {
                    panic!("samconfig.toml, {environment}: template.yaml has no parameter {name}")
                });
                let allowed = parameter["AllowedValues"].as_array();
                assert!(
                    allowed.is_none_or(|allowed| allowed.iter().any(|allowed| allowed == value.as_str())),
                    "samconfig.toml, {environment}: {name} cannot be {value}"
                );
            }
            settings.stack_name
        })
        .collect();
    // `default` and `local` share a name: one machine is no stack of the account.
    assert_eq!(stacks.len(), ENVIRONMENTS.len() - 1, "each environment has a stack of its own: {stacks:?}");
}

#[test]
fn every_parameter_is_explained_where_it_is_made_and_where_it_is_set() {
    let file = read("samconfig.toml");
    for (name, parameter) in world().document["Parameters"].as_object().unwrap() {
        let description = parameter["Description"].as_str().unwrap_or_default();
        assert!(description.len() > 10, "template.yaml: the parameter {name} has no Description");
        assert!(
            file.lines().any(|line| line.starts_with(&format!("#   {name} "))),
            "samconfig.toml does not explain {name}: add a line `#   {name} …` at its top"
        );
    }
}
