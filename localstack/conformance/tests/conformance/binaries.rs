//! Functions and binaries: one of each for each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::dependencies::metadata;
use crate::none;
use crate::world::{World, workspace};

pub(crate) mod holds {
    crate::checks::checks!(
        every_function_has_a_binary_in_its_folder_and_every_binary_a_function,
        every_function_has_a_log_group_that_ends,
    );
}

/// What is no function.
const NOT_DEPLOYED: [&str; 4] = ["erp", "erp-local", "promises", "simulate"];

/// Names of binaries, each with the folder of its package below the workspace.
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
fn no_two_binaries_have_one_name() {
    let mut seen = BTreeMap::new();
    none(all_binaries().into_iter().filter_map(|(name, folder)| {
        let first = seen.insert(name.clone(), folder.clone())?;
        Some(format!("rename the binary {name} of {folder}: {first} has one, and they overwrite each other"))
    }));
}

fn every_function_has_a_binary_in_its_folder_and_every_binary_a_function(world: &World) -> Vec<String> {
    let known = binaries();
    let mut deployed = BTreeSet::new();
    let mut faults = Vec::new();
    for function in world.of_type("AWS::Serverless::Function") {
        let id = &function.id;
        let binary = function.body.pointer("/Metadata/BuildProperties/Binary").and_then(|name| name.as_str());
        let binary = binary.unwrap_or_default();
        let uri = function.property("/CodeUri").as_str().unwrap_or_default();
        match known.get(binary) {
            None => faults.push(format!("{id}: no package has the binary {binary}")),
            Some(folder) if folder != uri => {
                faults.push(format!("{id}: CodeUri must be {folder}, where {binary} is, not {uri}"));
            }
            Some(_) => {}
        }
        if !deployed.insert(binary.to_owned()) {
            faults.push(format!("{id}: {binary} is the binary of another function already"));
        }
        let name = function.property("/FunctionName/Sub").as_str().unwrap_or_default();
        if name != format!("${{AWS::StackName}}-{binary}") {
            faults.push(format!("{id}: FunctionName must be !Sub '${{AWS::StackName}}-{binary}'"));
        }
    }
    for name in
        known.keys().filter(|name| !deployed.contains(*name) && !NOT_DEPLOYED.contains(&name.as_str()))
    {
        faults.push(format!("add a function for the binary {name} to template.yaml, or delete the binary"));
    }
    faults
}

fn every_function_has_a_log_group_that_ends(world: &World) -> Vec<String> {
    let lacking = world.of_type("AWS::Serverless::Function").filter_map(|function| {
        let name = function.property("/FunctionName/Sub").as_str().unwrap_or_default();
        let wanted = format!("/aws/lambda/{name}");
        let group = world
            .of_type("AWS::Logs::LogGroup")
            .find(|group| group.property("/LogGroupName/Sub").as_str() == Some(wanted.as_str()));
        let ends = group.is_some_and(|group| !group.property("/RetentionInDays").is_null());
        (!ends).then(|| format!("{}: add an AWS::Logs::LogGroup {wanted} with RetentionInDays", function.id))
    });
    lacking.collect()
}

#[test]
fn no_environment_takes_what_sam_built_before() {
    let config = std::fs::read_to_string(workspace().join("samconfig.toml")).unwrap();
    let cached = config.lines().filter(|line| line.trim() == "cached = true");
    none(cached.map(|_| {
        "samconfig.toml: say `cached = false`; SAM's cache does not see changes in shared/".to_owned()
    }));
}
