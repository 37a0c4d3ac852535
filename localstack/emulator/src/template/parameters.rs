//! Parameters with their values, and conditions.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;

use super::problems::{Problems, TemplatePath};
use super::properties::Properties;
use super::scope::Scope;
use super::yaml::Entries;

/// The value of each parameter: the given one, or the default.
pub(crate) fn parameters(
    declared: Entries,
    given: &BTreeMap<String, String>,
    problems: &Problems,
) -> BTreeMap<String, Value> {
    let section = TemplatePath::top("Parameters");
    for name in given.keys().filter(|name| !declared.iter().any(|(declared, _)| declared == *name)) {
        problems.report(&section.key(name), "a value is given, but the template has no such parameter");
    }
    let mut values = BTreeMap::new();
    for (name, declaration) in declared {
        let declaration = Properties::new(declaration, section.key(&name), problems);
        if let Some(value) = parameter(declaration, given.get(&name)) {
            values.insert(name, value);
        }
    }
    values
}

fn parameter(mut declared: Properties<'_>, given: Option<&String>) -> Option<Value> {
    let default = declared.string("Default");
    let kind = declared.required_string("Type");
    let allowed = declared.strings("AllowedValues");
    let pattern = declared.string("AllowedPattern");
    let (min_length, max_length) =
        (declared.number::<usize>("MinLength"), declared.number::<usize>("MaxLength"));
    let (min, max) = (declared.number::<u64>("MinValue"), declared.number::<u64>("MaxValue"));
    let explanation = declared.string("ConstraintDescription");
    declared.ignore(&["Description", "NoEcho"]);

    let Some(text) = given.cloned().or(default) else {
        declared.report("has no default, and no value is given (--parameter NAME=VALUE, or samconfig.toml)");
        return None;
    };
    let invalid = |reason: String| {
        let description = explanation.as_deref().map(|text| format!(" ({text})")).unwrap_or_default();
        declared.report(format!("the value {text:?} {reason}{description}"));
    };
    if let Some(allowed) = &allowed
        && !allowed.contains(&text)
    {
        invalid(format!("is not one of {}", allowed.join(", ")));
    }
    if let Some(pattern) = &pattern {
        // The pattern must match the whole value, as in CloudFormation.
        match Regex::new(&format!("^(?:{pattern})$")) {
            Ok(regex) if !regex.is_match(&text) => invalid(format!("does not match {pattern}")),
            Ok(_) => {}
            Err(error) => {
                declared.report_at("AllowedPattern", format!("is not a regular expression: {error}"))
            }
        }
    }
    let length = text.chars().count();
    if min_length.is_some_and(|min| length < min) || max_length.is_some_and(|max| length > max) {
        invalid("has the wrong length".to_owned());
    }
    match kind.as_deref() {
        Some("Number") => match text.parse::<f64>() {
            #[expect(clippy::cast_precision_loss, reason = "limits in a template are small numbers")]
            Ok(number)
                if min.is_some_and(|min| number < min as f64)
                    || max.is_some_and(|max| number > max as f64) =>
            {
                invalid("is out of range".to_owned());
            }
            Ok(_) => {}
            Err(_) => invalid("is not a number".to_owned()),
        },
        Some("String") | None => {}
        Some("CommaDelimitedList") => {
            declared.finish();
            return Some(text.split(',').map(str::trim).collect());
        }
        Some(other) => declared.report_at("Type", format!("{other} is not a supported type")),
    }
    declared.finish();
    Some(Value::String(text))
}

/// Evaluates all conditions into the scope, each after those that it refers to.
pub(crate) fn conditions(declared: Entries, scope: &mut Scope<'_>) {
    let section = TemplatePath::top("Conditions");
    let mut left: BTreeMap<String, Value> = declared.into_iter().collect();
    while !left.is_empty() {
        let names: BTreeSet<&str> = left.keys().map(String::as_str).collect();
        let ready = left.iter().find(|(_, value)| !names_one_of(value, &names)).map(|(name, _)| name.clone());
        // In a cycle, one condition is evaluated anyway and reports the unknown name.
        let Some(name) = ready.or_else(|| left.keys().next().cloned()) else {
            return;
        };
        if let Some(value) = left.remove(&name) {
            let holds = scope.condition(&value, &section.key(&name));
            scope.conditions.insert(name, holds);
        }
    }
}

fn names_one_of(value: &Value, names: &BTreeSet<&str>) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(key, value)| match (key.as_str(), value) {
            ("Condition", Value::String(name)) => names.contains(name.as_str()),
            (_, value) => names_one_of(value, names),
        }),
        Value::Array(list) => list.iter().any(|value| names_one_of(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
