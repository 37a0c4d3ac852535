//! The optional parts of the template, which a parameter switches on: a key, a firewall, a domain, an e-mail
//! address, backups. The emulator accepts them without effect, so they are compared with their reviewed form.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use crate::template::{Template, to_json};

pub(crate) mod checks {
    crate::template_checks::register!(optional_parts_have_their_reviewed_form);
}

/// The sections that contain optional parts.
const SECTIONS: [&str; 4] = ["Parameters", "Conditions", "Resources", "Outputs"];

fn reviewed() -> &'static Value {
    static REVIEWED: OnceLock<Value> = OnceLock::new();
    REVIEWED.get_or_init(|| to_json(yaml_serde::from_str(include_str!("optional_resources.yaml")).unwrap()))
}

fn entries<'v>(document: &'v Value, section: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    document[section].as_object().into_iter().flat_map(Map::iter)
}

fn optional_parts_have_their_reviewed_form(template: &Template) -> Vec<String> {
    let reviewed = reviewed();
    let mut violations = Vec::new();
    for section in SECTIONS {
        for (name, expected) in entries(reviewed, section) {
            if template.document[section][name] != *expected {
                violations.push(format!("{section}.{name}: change optional_resources.yaml with it"));
            }
        }
    }
    let secret = json!({"If": [
        "HasBootstrapSecret",
        {"Sub": "{{resolve:secretsmanager:${BootstrapSecret}:SecretString}}"},
        {"Ref": "AWS::NoValue"},
    ]});
    let variable = "/Resources/AuthApiFunction/Properties/Environment/Variables/BOOTSTRAP_SECRET";
    if template.document.pointer(variable) != Some(&secret) {
        violations.push(format!("AuthApiFunction: BOOTSTRAP_SECRET must be {secret}"));
    }
    for (name, resource) in entries(&template.document, "Resources") {
        let condition = resource["Condition"].as_str().unwrap_or_default();
        if condition.starts_with("Has") && reviewed["Resources"][name].is_null() {
            violations.push(format!("Resources.{name}: add it to optional_resources.yaml"));
        }
    }
    violations
}
