//! Which package may depend on which: shared ↛ functions ↛ localstack, read from Cargo's metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::assert_none;
use crate::template::workspace;

/// The floors, lowest first. A package may depend on packages of its own floor as listed below, and of lower
/// floors.
const FLOORS: [&str; 3] = ["shared", "functions", "localstack"];

/// The libraries of `shared/`, each with the libraries that it may depend on.
const SHARED: [(&str, &[&str]); 8] = [
    ("erp-domain", &[]),
    ("erp-contracts", &["erp-domain"]),
    ("erp-auth", &["erp-domain"]),
    ("erp-aws", &["erp-contracts", "erp-domain"]),
    ("erp-service", &["erp-aws", "erp-contracts", "erp-domain"]),
    ("erp-http", &["erp-auth", "erp-aws", "erp-contracts", "erp-domain", "erp-service"]),
    ("erp-orders", &["erp-aws", "erp-contracts", "erp-domain", "erp-http"]),
    // Only tests depend on it.
    ("erp-testkit", &["erp-auth", "erp-aws", "erp-domain", "erp-http"]),
];

/// Contexts do not depend on one another. The operator reads the ledgers of these, and parses messages as
/// they do.
const BETWEEN_FUNCTIONS: [(&str, &[&str]); 1] = [("operator", &["inventory", "purchase", "sales"])];

/// Packages, and prefixes of crates that must not be in their dependency tree.
const FREE_OF: [(&str, &[&str]); 3] = [
    ("erp-domain", &["aws-", "axum", "http", "hyper", "lambda_", "tokio"]),
    ("erp-contracts", &["aws-", "axum", "http", "hyper", "lambda_", "tokio"]),
    // The smallest binary on the path of every request.
    ("authorizer", &["aws-sdk-", "aws-config", "axum", "utoipa", "erp-http", "erp-aws", "erp-service"]),
];

/// Cargo's metadata of the workspace.
pub(crate) fn metadata() -> &'static Value {
    static METADATA: OnceLock<Value> = OnceLock::new();
    METADATA.get_or_init(|| {
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version=1"])).unwrap()
    })
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(workspace()).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A package of the workspace.
struct Package {
    name: &'static str,
    /// Index into [`FLOORS`].
    floor: usize,
    /// Dependencies within the workspace, by name.
    normal: BTreeSet<&'static str>,
    /// The same, of its tests.
    dev: BTreeSet<&'static str>,
}

fn packages() -> Vec<Package> {
    let packages = metadata()["packages"].as_array().unwrap();
    let name = |value: &'static Value| value["name"].as_str().unwrap();
    let members: BTreeSet<_> = packages.iter().map(name).collect();
    let package = |package: &'static Value| {
        let manifest = package["manifest_path"].as_str().unwrap();
        let folder = manifest.strip_prefix(workspace().to_str().unwrap()).unwrap();
        let floor = folder.split('/').nth(1).unwrap();
        let floor = FLOORS.iter().position(|known| *known == floor);
        let of_kind = |dev: bool| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let of_kind = dependencies.filter(move |dependency| (dependency["kind"] == "dev") == dev);
            of_kind.map(name).filter(|name| members.contains(name)).collect()
        };
        let floor = floor.unwrap_or_else(|| panic!("{manifest} is on none of the floors {FLOORS:?}"));
        Package { name: name(package), floor, normal: of_kind(false), dev: of_kind(true) }
    };
    packages.iter().map(package).collect()
}

#[test]
fn no_package_depends_on_a_higher_floor() {
    let packages = packages();
    let floors: BTreeMap<_, _> = packages.iter().map(|package| (package.name, package.floor)).collect();
    assert_none(packages.iter().flat_map(|package| {
        let higher = package.normal.union(&package.dev).filter(|used| floors[*used] > package.floor);
        higher.map(|used| {
            let (own, other) = (FLOORS[package.floor], FLOORS[floors[used]]);
            format!("{} ({own}/) must not depend on {used} ({other}/), in tests neither", package.name)
        })
    }));
}

#[test]
fn libraries_and_contexts_depend_only_on_what_is_listed() {
    let shared: BTreeMap<_, _> = SHARED.into_iter().collect();
    let contexts: BTreeMap<_, _> = BETWEEN_FUNCTIONS.into_iter().collect();
    assert_none(packages().into_iter().flat_map(|package| {
        let allowed: Vec<&str> = match FLOORS[package.floor] {
            "shared" => shared.get(package.name).copied().unwrap_or_default().to_vec(),
            "functions" => {
                let others = contexts.get(package.name).copied().unwrap_or_default();
                let libraries = shared.keys().filter(|library| **library != "erp-testkit");
                others.iter().chain(libraries).copied().collect()
            }
            _ => return Vec::new(),
        };
        let name = package.name;
        let wrong = package.normal.into_iter().filter(|used| !allowed.contains(used));
        wrong
            .map(|used| {
                format!(
                    "{name} must not depend on {used}; allowed: {allowed:?}. Move what both need further down"
                )
            })
            .collect()
    }));
}

#[test]
fn every_library_is_listed() {
    let listed: BTreeSet<_> = SHARED.into_iter().map(|(name, _)| name).collect();
    let found = packages().into_iter().filter(|package| FLOORS[package.floor] == "shared");
    assert_eq!(found.map(|package| package.name).collect::<BTreeSet<_>>(), listed);
}

#[test]
fn the_core_and_the_authorizer_are_built_without_what_they_do_not_need() {
    assert_none(FREE_OF.into_iter().flat_map(|(package, unwanted)| {
        let format = ["--prefix", "none", "--format", "{lib}"];
        let tree = cargo(&[&["tree", "--package", package, "--edges", "normal"], &format[..]].concat());
        let built: BTreeSet<String> = tree
            .lines()
            .map(|line| line.trim_end_matches(" (*)").replace('_', "-"))
            .filter(|name| !name.is_empty())
            .collect();
        let is_unwanted =
            |name: &str| unwanted.iter().any(|prefix| name.starts_with(&prefix.replace('_', "-")));
        let found: Vec<_> = built.into_iter().filter(|name| is_unwanted(name)).collect();
        (!found.is_empty()).then(|| {
            format!("{package} is built with {found:?}; `cargo tree -p {package} -i <name>` shows by what")
        })
    }));
}
