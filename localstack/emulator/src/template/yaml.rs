//! Converts YAML with CloudFormation's tags to JSON in the long form: `!Sub x` becomes `{"Fn::Sub": x}`.

use serde_json::{Map, Value};
use yaml_serde::Value as Yaml;

use super::problems::{Problems, TemplatePath};

/// A section's entries, in the order of the file.
pub(crate) type Entries = Vec<(String, Value)>;

/// The entries of the mapping at `at`, each value converted.
pub(crate) fn entries(value: Yaml, at: &TemplatePath, problems: &Problems) -> Entries {
    let Yaml::Mapping(mapping) = value else {
        problems.report(at, "must be a mapping");
        return Vec::new();
    };
    let mut entries = Vec::with_capacity(mapping.len());
    for (key, value) in mapping {
        if let Some(key) = key_string(&key, at, problems) {
            let value = to_json(value, &at.key(&key), problems);
            entries.push((key, value));
        }
    }
    entries
}

/// Converts a value and its tags. A value that JSON cannot represent is reported and becomes null.
pub(crate) fn to_json(value: Yaml, at: &TemplatePath, problems: &Problems) -> Value {
    match value {
        Yaml::Null => {
            // CloudFormation rejects null as well. From here on, null means "already reported".
            problems.report(at, "is empty; CloudFormation allows no null values");
            Value::Null
        }
        Yaml::Bool(value) => Value::Bool(value),
        Yaml::Number(number) => number_to_json(&number, at, problems),
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(list) => Value::Array(
            list.into_iter().enumerate().map(|(i, item)| to_json(item, &at.index(i), problems)).collect(),
        ),
        Yaml::Mapping(_) => Value::Object(entries(value, at, problems).into_iter().collect()),
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = tag.trim_start_matches('!');
            let argument = to_json(tagged.value, at, problems);
            let key = match name {
                "Ref" | "Condition" => name.to_owned(),
                name => format!("Fn::{name}"),
            };
            Value::Object(Map::from_iter([(key, argument)]))
        }
    }
}

fn number_to_json(number: &yaml_serde::Number, at: &TemplatePath, problems: &Problems) -> Value {
    if let Some(whole) = number.as_i64() {
        return Value::from(whole);
    }
    if let Some(whole) = number.as_u64() {
        return Value::from(whole);
    }
    match number.as_f64().and_then(serde_json::Number::from_f64) {
        Some(number) => Value::Number(number),
        None => {
            problems.report(at, format!("{number} is not a number that JSON can represent"));
            Value::Null
        }
    }
}

fn key_string(key: &Yaml, at: &TemplatePath, problems: &Problems) -> Option<String> {
    match key {
        Yaml::String(text) => Some(text.clone()),
        Yaml::Number(number) => Some(number.to_string()),
        Yaml::Bool(value) => Some(value.to_string()),
        Yaml::Null | Yaml::Sequence(_) | Yaml::Mapping(_) | Yaml::Tagged(_) => {
            problems.report(at, "has a key that is not a string");
            None
        }
    }
}
