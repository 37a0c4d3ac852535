//! Typed reading of an object with resolved values. A property that is neither read nor ignored explicitly is
//! reported, so that a typing error is never ignored. The methods report a value of the wrong type and return
//! `None`; the default that a caller then continues with never makes the template valid.

use std::collections::BTreeMap;

use serde_json::Value;

use super::problems::{Problems, TemplatePath};

/// The properties of a resource, an event, or an object inside of one.
pub(crate) struct Properties<'a> {
    at: TemplatePath,
    problems: &'a Problems,
    left: BTreeMap<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Properties<'a> {
    /// Starts to read `value`. A value that is not an object is reported and read as an empty one.
    pub(crate) fn new(value: Value, at: TemplatePath, problems: &'a Problems) -> Self {
        let left = match value {
            Value::Object(map) => map.into_iter().collect(),
            Value::Null => BTreeMap::new(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                problems.report(&at, "must be an object");
                BTreeMap::new()
            }
        };
        Self { at, problems, left, known: Vec::new() }
    }

    /// A reader for a value that was taken from this object.
    pub(crate) fn child(&self, value: Value, at: TemplatePath) -> Properties<'a> {
        Properties::new(value, at, self.problems)
    }

    /// The position of the object.
    pub(crate) fn at(&self) -> &TemplatePath {
        &self.at
    }

    /// Reports a problem of the object.
    pub(crate) fn report(&self, message: impl Into<String>) {
        self.problems.report(&self.at, message);
    }

    /// Reports a problem of one property.
    pub(crate) fn report_at(&self, name: &str, message: impl Into<String>) {
        self.problems.report(&self.at.key(name), message);
    }

    /// The property's value.
    pub(crate) fn value(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.left.remove(name)
    }

    /// A string; numbers and booleans are converted, as in CloudFormation.
    pub(crate) fn string(&mut self, name: &'static str) -> Option<String> {
        let value = self.value(name)?;
        match scalar(&value) {
            Some(text) => Some(text),
            None => self.wrong_type(name, &value, "a string"),
        }
    }

    /// A required string; its absence is reported.
    pub(crate) fn required_string(&mut self, name: &'static str) -> Option<String> {
        if self.check_missing(name) {
            return None;
        }
        self.string(name)
    }

    /// A whole number, not negative, or a string with one.
    pub(crate) fn number<T: TryFrom<u64>>(&mut self, name: &'static str) -> Option<T> {
        let value = self.value(name)?;
        let number = scalar(&value).and_then(|text| text.parse::<u64>().ok());
        match number.and_then(|number| T::try_from(number).ok()) {
            Some(number) => Some(number),
            None => self.wrong_type(name, &value, "a whole number"),
        }
    }

    /// A boolean, or the string `true` or `false`.
    pub(crate) fn boolean(&mut self, name: &'static str) -> Option<bool> {
        let value = self.value(name)?;
        match scalar(&value).as_deref() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) | None => self.wrong_type(name, &value, "true or false"),
        }
    }

    /// A list of strings, or one string for a list of one, as in IAM.
    pub(crate) fn strings(&mut self, name: &'static str) -> Option<Vec<String>> {
        let value = self.value(name)?;
        let strings: Option<Vec<String>> = match &value {
            Value::Array(list) => list.iter().map(scalar).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                scalar(&value).map(|text| vec![text])
            }
        };
        match strings {
            Some(strings) => Some(strings),
            None => self.wrong_type(name, &value, "a list of strings"),
        }
    }

    /// A list of objects, or one object for a list of one, as in policies.
    pub(crate) fn objects(&mut self, name: &'static str) -> Option<Vec<Properties<'a>>> {
        let value = self.value(name)?;
        let at = self.at.key(name);
        let list = match value {
            Value::Array(list) => list,
            Value::Object(_) => return Some(vec![Properties::new(value, at, self.problems)]),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                return self.wrong_type(name, &value, "a list");
            }
        };
        Some(
            list.into_iter()
                .enumerate()
                .map(|(i, item)| Properties::new(item, at.index(i), self.problems))
                .collect(),
        )
    }

    /// An object.
    pub(crate) fn object(&mut self, name: &'static str) -> Option<Properties<'a>> {
        let value = self.value(name)?;
        Some(Properties::new(value, self.at.key(name), self.problems))
    }

    /// An object whose keys are free names, as entries with their positions.
    pub(crate) fn named_entries(&mut self, name: &'static str) -> Option<Vec<(String, Value, TemplatePath)>> {
        let at = self.at.key(name);
        Some(self.object(name)?.into_entries(&at))
    }

    /// All entries of an object whose keys are free names.
    pub(crate) fn into_entries(self, at: &TemplatePath) -> Vec<(String, Value, TemplatePath)> {
        self.left
            .into_iter()
            .map(|(key, value)| {
                let at = at.key(&key);
                (key, value, at)
            })
            .collect()
    }

    /// Ignores properties that have no effect in the emulator.
    pub(crate) fn ignore(&mut self, names: &[&'static str]) {
        for name in names {
            self.known.push(name);
            self.left.remove(*name);
        }
    }

    /// Ends the reading and reports the remaining properties.
    pub(crate) fn finish(self) {
        for name in self.left.keys() {
            self.problems.report(
                &self.at.key(name),
                format!("is not a property that is supported (supported: {})", self.known.join(", ")),
            );
        }
    }

    fn check_missing(&mut self, name: &'static str) -> bool {
        let missing = !self.left.contains_key(name);
        if missing {
            self.known.push(name);
            self.report(format!("has no {name}"));
        }
        missing
    }

    /// Reports a value of the wrong type; null has been reported before.
    fn wrong_type<T>(&self, name: &str, value: &Value, expected: &str) -> Option<T> {
        if !value.is_null() {
            self.report_at(name, format!("must be {expected}, but is {value}"));
        }
        None
    }
}

/// A scalar as a string; `None` for null, lists and objects.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
