//! The runbook, and the environments of samconfig.toml.

use std::collections::BTreeSet;

use erp_local::samconfig;
use serde_json::Value;

use crate::template::{Template, workspace};

pub(crate) mod checks {
    crate::template_checks::register!(
        the_runbook_explains_every_alarm,
        every_parameter_of_a_function_is_in_its_version_description
    );
}

const ENVIRONMENTS: [&str; 5] = ["default", "dev", "staging", "prod", "local"];
/// Properties that are not part of a published version, or change with the code.
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

/// The table in the section Alarms has exactly one row per alarm.
fn the_runbook_explains_every_alarm(template: &Template) -> Vec<String> {
    let page = read("docs/runbook.md");
    let table = page.split("\n## ").find(|section| section.starts_with("Alarms")).unwrap_or_default();
    let rows: BTreeSet<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |").map(|(name, _)| name))
        .collect();
    let alarms: BTreeSet<&str> =
        template.of_type("AWS::CloudWatch::Alarm").map(|alarm| alarm.id.as_str()).collect();
    let missing = alarms.difference(&rows).map(|alarm| {
        format!("docs/runbook.md, section Alarms: add a row for {alarm} with its meaning and the remedy")
    });
    let outdated = rows.difference(&alarms).map(|row| {
        format!("docs/runbook.md, section Alarms: remove {row}, which template.yaml does not have")
    });
    missing.chain(outdated).collect()
}

/// SAM publishes a version when the text of the template changes. The value of a parameter is not in the
/// text, so the alias would keep the old value. CloudFormation publishes a version when the resolved
/// `VersionDescription` changes.
fn every_parameter_of_a_function_is_in_its_version_description(template: &Template) -> Vec<String> {
    let parameters: BTreeSet<&str> = template.document["Parameters"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let global = &template.document["Globals"]["Function"];
    let mut violations = Vec::new();
    for function in template.of_type("AWS::Serverless::Function") {
        let mut used = BTreeSet::new();
        for properties in [global, function.property("")] {
            for (name, value) in properties.as_object().into_iter().flatten() {
                if !OUTSIDE_OF_VERSIONS.contains(&name.as_str()) {
                    references(value, &mut used);
                }
            }
        }
        let mut described = BTreeSet::new();
        references(function.property("/VersionDescription"), &mut described);
        for parameter in used.iter().map(String::as_str).filter(|name| parameters.contains(name)) {
            if !described.contains(parameter) {
                let id = &function.id;
                violations
                    .push(format!("{id} uses the parameter {parameter}: add it to its VersionDescription"));
            }
        }
    }
    violations
}

/// Adds the names that a value refers to, by `Ref` or in a `Sub`.
fn references(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("Ref", Value::String(name)) => drop(names.insert(name.clone())),
                    ("Sub", Value::String(text)) => {
                        let inside = text.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
                        names.extend(inside.map(|(name, _)| name.to_owned()));
                    }
                    _ => references(value, names),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, names)),
        _ => {}
    }
}

#[test]
fn every_environment_sets_existing_parameters_to_allowed_values() {
    let parameters = Template::committed().document["Parameters"].as_object().unwrap();
    let path = workspace().join("samconfig.toml");
    let stacks: BTreeSet<_> = ENVIRONMENTS
        .into_iter()
        .map(|environment| {
            let settings = samconfig::read(&path, environment).unwrap_or_else(|error| panic!("{error}"));
            assert!(settings.parameters.contains_key("Stage"), "samconfig.toml, {environment}: set Stage");
            for (name, value) in &settings.parameters {
                let parameter = parameters.get(name).unwrap_or_else(|| {
                    panic!("samconfig.toml, {environment}: template.yaml has no parameter {name}")
                });
                let allowed = parameter["AllowedValues"].as_array();
                assert!(
                    allowed.is_none_or(|allowed| allowed.iter().any(|allowed| allowed == value.as_str())),
                    "samconfig.toml, {environment}: {value} is not an allowed value of {name}"
                );
            }
            settings.stack_name
        })
        .collect();
    // `default` and `local` have the same name: `local` is not a stack of the account.
    assert_eq!(stacks.len(), ENVIRONMENTS.len() - 1, "each environment must have its own stack: {stacks:?}");
}

#[test]
fn every_parameter_is_described_in_the_template_and_in_samconfig() {
    let file = read("samconfig.toml");
    for (name, parameter) in Template::committed().document["Parameters"].as_object().unwrap() {
        let description = parameter["Description"].as_str().unwrap_or_default();
        assert!(description.len() > 10, "template.yaml: add a Description to the parameter {name}");
        assert!(
            file.lines().any(|line| line.starts_with(&format!("#   {name} "))),
            "samconfig.toml: describe {name} in a line `#   {name} …` at the top"
        );
    }
}
