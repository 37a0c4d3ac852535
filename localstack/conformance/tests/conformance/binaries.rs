//! Functions of the template and binaries of the workspace: one of each for each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::assert_none;
use crate::dependencies::metadata;
use crate::template::{Template, workspace};

pub(crate) mod checks {
    crate::template_checks::register!(
        every_function_has_a_binary_in_its_folder_and_every_binary_a_function,
        every_function_has_a_log_group_with_a_retention,
    );
}

/// Programs that are not Lambda functions.
const NOT_DEPLOYED: [&str; 4] = ["erp", "erp-local", "promises", "simulate"];

/// Returns the folder of the package of each binary, relative to the workspace.
fn binaries() -> &'static BTreeMap<String, String> {
    static BINARIES: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    BINARIES.get_or_init(|| all_binaries().into_iter().collect())
}

fn all_binaries() -> Vec<(String, String)> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let binaries = packages.iter().flat_map(|package| {
        let manifest = package["manifest_path"].as_str().unwrap();
        let folder =
            manifest.trim_end_matches("/Cargo.toml").trim_start_matches(workspace().to_str().unwrap());
        let targets = package["targets"].as_array().unwrap().iter();
        let binaries =
            targets.filter(|target| target["kind"].as_array().unwrap().iter().any(|kind| kind == "bin"));
        binaries.map(|target| {
            (target["name"].as_str().unwrap().to_owned(), folder.trim_start_matches('/').to_owned())
        })
    });
    binaries.collect()
}

#[test]
fn binary_names_are_unique() {
    let mut seen = BTreeMap::new();
    assert_none(all_binaries().into_iter().filter_map(|(name, folder)| {
        let first = seen.insert(name.clone(), folder.clone())?;
        Some(format!("rename the binary {name} of {folder}: it would overwrite that of {first}"))
    }));
}

fn every_function_has_a_binary_in_its_folder_and_every_binary_a_function(template: &Template) -> Vec<String> {
    let known = binaries();
    let mut deployed = BTreeSet::new();
    let mut violations = Vec::new();
    for function in template.of_type("AWS::Serverless::Function") {
        let id = &function.id;
        let binary = function.body.pointer("/Metadata/BuildProperties/Binary").and_then(|name| name.as_str());
        let binary = binary.unwrap_or_default();
        let uri = function.property("/CodeUri").as_str().unwrap_or_default();
        match known.get(binary) {
            None => violations.push(format!("{id}: no package has the binary {binary}")),
            Some(folder) if folder != uri => {
                violations.push(format!("{id}: CodeUri must be {folder}, the folder of {binary}, not {uri}"));
            }
            Some(_) => {}
        }
        if !deployed.insert(binary.to_owned()) {
            violations.push(format!("{id}: another function has the binary {binary}"));
        }
        let name = function.property("/FunctionName/Sub").as_str().unwrap_or_default();
        if name != format!("${{AWS::StackName}}-{binary}") {
            violations.push(format!("{id}: FunctionName must be !Sub '${{AWS::StackName}}-{binary}'"));
        }
    }
    for name in
        known.keys().filter(|name| !deployed.contains(*name) && !NOT_DEPLOYED.contains(&name.as_str()))
    {
        violations
            .push(format!("add a function for the binary {name} to template.yaml, or delete the binary"));
    }
    violations
}

fn every_function_has_a_log_group_with_a_retention(template: &Template) -> Vec<String> {
    let without = template.of_type("AWS::Serverless::Function").filter_map(|function| {
        let name = function.property("/FunctionName/Sub").as_str().unwrap_or_default();
        let expected = format!("/aws/lambda/{name}");
        let group = template
            .of_type("AWS::Logs::LogGroup")
            .find(|group| group.property("/LogGroupName/Sub").as_str() == Some(expected.as_str()));
        let has_retention = group.is_some_and(|group| !group.property("/RetentionInDays").is_null());
        (!has_retention)
            .then(|| format!("{}: add an AWS::Logs::LogGroup {expected} with RetentionInDays", function.id))
    });
    without.collect()
}

#[test]
fn sam_does_not_reuse_cached_builds() {
    let config = std::fs::read_to_string(workspace().join("samconfig.toml")).unwrap();
    let cached = config.lines().filter(|line| line.trim() == "cached = true");
    assert_none(cached.map(|_| {
        "samconfig.toml: set `cached = false`; SAM's cache does not detect changes in shared/".to_owned()
    }));
}
