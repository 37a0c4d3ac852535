//! The template's parameters with the values given for them, and the conditions made of them.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;

use super::problems::{At, Problems};
use super::properties::Properties;
use super::scope::Scope;
use super::yaml::Entries;

/// Every parameter's value: the one given, else its default.
pub(crate) fn parameters(
    declared: Entries,
    given: &BTreeMap<String, String>,
    problems: &Problems,
) -> BTreeMap<String, Value> {
    let section = At::top("Parameters");
    for name in given.keys().filter(|name| !declared.iter().any(|(declared, _)| declared == *name)) {
        problems
            .report(&section.key(name), "a value is given for it, and the template has no such parameter");
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
    let default = declared.text("Default");
    let kind = declared.required_text("Type");
    let allowed = declared.texts("AllowedValues");
    let pattern = declared.text("AllowedPattern");
    let (min_length, max_length) =
        (declared.number::<usize>("MinLength"), declared.number::<usize>("MaxLength"));
    let (min, max) = (declared.number::<u64>("MinValue"), declared.number::<u64>("MaxValue"));
    let explanation = declared.text("ConstraintDescription");
    declared.ignore(&["Description", "NoEcho"]);

    let Some(text) = given.cloned().or(default) else {
        declared.report("has no default, and no value is given (--parameter NAME=VALUE, or samconfig.toml)");
        return None;
    };
    let refuse = |what: String| {
        let because = explanation.as_deref().map(|text| format!(" ({text})")).unwrap_or_default();
        declared.report(format!("the value {text:?} {what}{because}"));
    };
    if let Some(allowed) = &allowed
        && !allowed.contains(&text)
    {
        refuse(format!("is not one of {}", allowed.join(", ")));
    }
    if let Some(pattern) = &pattern {
        // The pattern is for the whole value, as CloudFormation has it.
        match Regex::new(&format!("^(?:{pattern})$")) {
            Ok(regex) if !regex.is_match(&text) => refuse(format!("does not match {pattern}")),
            Ok(_) => {}
            Err(error) => declared.report_at("AllowedPattern", format!("cannot be read: {error}")),
        }
    }
    let length = text.chars().count();
    if min_length.is_some_and(|min| length < min) || max_length.is_some_and(|max| length > max) {
        refuse("has the wrong length".to_owned());
    }
    match kind.as_deref() {
        Some("Number") => match text.parse::<f64>() {
            #[expect(clippy::cast_precision_loss, reason = "a limit in a template is a small number")]
            Ok(number)
                if min.is_some_and(|min| number < min as f64)
                    || max.is_some_and(|max| number > max as f64) =>
            {
                refuse("is out of range".to_owned());
            }
            Ok(_) => {}
            Err(_) => refuse("is not a number".to_owned()),
        },
        Some("String") | None => {}
        Some("CommaDelimitedList") => {
            declared.finish();
            return Some(text.split(',').map(str::trim).collect());
        }
        Some(other) => declared.report_at("Type", format!("{other} is not a type that is known here")),
    }
    declared.finish();
    Some(Value::String(text))
}

/// Evaluates every condition into the scope, each after the ones that it names.
pub(crate) fn conditions(declared: Entries, scope: &mut Scope<'_>) {
    let section = At::top("Conditions");
    let mut left: BTreeMap<String, Value> = declared.into_iter().collect();
    while !left.is_empty() {
        let names: BTreeSet<&str> = left.keys().map(String::as_str).collect();
        let ready = left.iter().find(|(_, value)| !names_one_of(value, &names)).map(|(name, _)| name.clone());
        // When each of them waits for another, one is taken anyway, and reports the name it does not find.
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
