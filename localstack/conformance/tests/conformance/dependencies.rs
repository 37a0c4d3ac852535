//! Which package may know which, asked from cargo.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::none;
use crate::world::workspace;

/// The shared packages, and the packages of the workspace that each may use. What is not here is a function.
const SHARED: [(&str, &[&str]); 12] = [
    ("erp-domain", &[]),
    ("erp-contracts", &["erp-domain"]),
    ("erp-auth", &["erp-domain"]),
    ("erp-aws", &["erp-contracts", "erp-domain"]),
    ("erp-http", &["erp-auth", "erp-contracts", "erp-domain"]),
    // What sales and purchase orders share: it joins the two halves, as a function does.
    ("erp-orders", &["erp-aws", "erp-contracts", "erp-domain", "erp-http"]),
    // Of the tests: nothing that is deployed may use these.
    ("erp-testkit", &["erp-auth", "erp-aws", "erp-domain"]),
    ("erp-client", &[]),
    ("erp-e2e", &[]),
    ("erp-conformance", &[]),
    // It runs the functions in one process, as their programs assemble them.
    (
        "erp-simulation",
        &[
            "auth",
            "authorizer",
            "contact",
            "erp-auth",
            "erp-aws",
            "erp-contracts",
            "erp-domain",
            "erp-http",
            "erp-orders",
            "erp-testkit",
            "inventory",
            "erp-local",
            "operator",
            "purchase",
            "relay",
            "sales",
        ],
    ),
    // It runs the functions as programs, so it knows none of them; the walk is what `demo` plays.
    ("erp-local", &["erp-client"]),
];

/// What functions may use.
const FOR_FUNCTIONS: [&str; 6] =
    ["erp-auth", "erp-aws", "erp-contracts", "erp-domain", "erp-http", "erp-orders"];

/// A function that may use other functions, and which. The operator checks what these remember through the read-only
/// ports that they have for it, and reads a dead letter as their workers would.
const EXCEPTIONS: [(&str, &[&str]); 1] = [("operator", &["inventory", "sales"])];

/// Packages, and the beginnings of names that nothing they are built from may have.
const FREE_OF: [(&str, &[&str]); 4] = [
    ("erp-domain", &["aws-", "axum", "http", "hyper", "lambda_", "tokio", "utoipa"]),
    ("erp-contracts", &["aws-", "axum", "http", "hyper", "lambda_", "tokio", "utoipa"]),
    ("erp-http", &["aws-sdk-", "aws-config", "erp-aws"]),
    // The smallest binary on the hottest path.
    ("authorizer", &["aws-sdk-", "aws-config", "axum", "utoipa", "erp-http", "erp-aws"]),
];

/// What cargo says of the packages of the workspace.
pub(crate) fn metadata() -> &'static Value {
    static METADATA: OnceLock<Value> = OnceLock::new();
    METADATA.get_or_init(|| {
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version=1"])).unwrap()
    })
}

fn cargo(arguments: &[&str]) -> String {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(program).args(arguments).current_dir(workspace()).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The packages of the workspace, each with those of the workspace that it is built from, tests left out.
fn packages() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let packages = metadata()["packages"].as_array().unwrap();
    let name = |value: &'static Value| value["name"].as_str().unwrap();
    let members: BTreeSet<_> = packages.iter().map(name).collect();
    let of = |package: &'static Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let normal = dependencies.filter(|dependency| dependency["kind"] != "dev").map(name);
        (name(package), normal.filter(|name| members.contains(name)).collect())
    };
    packages.iter().map(of).collect()
}

#[test]
fn packages_know_only_what_stands_below_them() {
    let shared: BTreeMap<_, _> = SHARED.into_iter().collect();
    none(packages().into_iter().flat_map(|(package, uses)| {
        let allowed = shared.get(package).copied().unwrap_or(&FOR_FUNCTIONS);
        let exceptions: &[&str] =
            EXCEPTIONS.iter().find(|(function, _)| *function == package).map_or(&[], |(_, uses)| uses);
        let is_wrong = |used: &&str| !allowed.contains(used) && !exceptions.contains(used);
        uses.into_iter().filter(is_wrong).map(move |used| {
            format!("{package} must not depend on {used}: {allowed:?} is what it may; move what both need further down")
        })
    }));
}

#[test]
fn what_is_no_function_is_known_here() {
    let metadata = metadata()["packages"].as_array().unwrap();
    none(metadata.iter().filter_map(|package| {
        let (name, manifest) = (package["name"].as_str()?, package["manifest_path"].as_str()?);
        let is_function = manifest.contains("/functions/");
        let is_known = SHARED.iter().any(|(known, _)| *known == name);
        (is_function == is_known)
            .then(|| format!("say in SHARED what {name} may depend on; functions do not stand there"))
    }));
}

#[test]
fn the_core_and_the_authorizer_are_built_without_what_they_do_not_need() {
    none(FREE_OF.into_iter().flat_map(|(package, unwanted)| {
        let tree = cargo(&[
            "tree",
            "--package",
            package,
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{lib}",
        ]);
        let built: BTreeSet<String> = tree
            .lines()
            .map(|line| line.trim_end_matches(" (*)").replace('_', "-"))
            .filter(|name| !name.is_empty())
            .collect();
        let is_unwanted =
            |name: &str| unwanted.iter().any(|start| name.starts_with(&start.replace('_', "-")));
        let found: Vec<_> = built.into_iter().filter(|name| is_unwanted(name)).collect();
        (!found.is_empty()).then(|| {
            format!("{package} is built with {found:?}; `cargo tree -p {package} -i <name>` tells why")
        })
    }));
}
