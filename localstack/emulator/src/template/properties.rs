//! Typed reading of an object whose values are resolved, with nothing left over: a property that was neither
//! asked for nor named as one that changes nothing here is refused, and so is every typing error.

use std::collections::BTreeMap;

use serde_json::Value;

use super::problems::{At, Problems};

/// The properties of a resource, an event, or any object inside one.
pub(crate) struct Properties<'a> {
    at: At,
    problems: &'a Problems,
    left: BTreeMap<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Properties<'a> {
    /// Starts to read `value`; what is not an object is reported and read as an empty one.
    pub(crate) fn new(value: Value, at: At, problems: &'a Problems) -> Self {
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

    /// A reader for something inside that was taken out as a value.
    pub(crate) fn child(&self, value: Value, at: At) -> Properties<'a> {
        Properties::new(value, at, self.problems)
    }

    /// Where the object stands.
    pub(crate) fn at(&self) -> &At {
        &self.at
    }

    /// Reports something about the object as a whole.
    pub(crate) fn report(&self, what: impl Into<String>) {
        self.problems.report(&self.at, what);
    }

    /// Reports something about one property.
    pub(crate) fn report_at(&self, name: &str, what: impl Into<String>) {
        self.problems.report(&self.at.key(name), what);
    }

    /// The property as it is.
    pub(crate) fn value(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.left.remove(name)
    }

    /// A text; numbers and booleans are taken for one, as CloudFormation does.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        let value = self.value(name)?;
        match scalar(&value) {
            Some(text) => Some(text),
            None => self.wrong(name, &value, "a text"),
        }
    }

    /// A text that must be there.
    pub(crate) fn required_text(&mut self, name: &'static str) -> Option<String> {
        if self.is_missing(name) {
            return None;
        }
        self.text(name)
    }

    /// A whole number, not negative; a text that holds one is taken for it.
    pub(crate) fn number<T: TryFrom<u64>>(&mut self, name: &'static str) -> Option<T> {
        let value = self.value(name)?;
        let number = scalar(&value).and_then(|text| text.parse::<u64>().ok());
        match number.and_then(|number| T::try_from(number).ok()) {
            Some(number) => Some(number),
            None => self.wrong(name, &value, "a whole number"),
        }
    }

    /// A truth value; the texts `true` and `false` are taken for one.
    pub(crate) fn flag(&mut self, name: &'static str) -> Option<bool> {
        let value = self.value(name)?;
        match scalar(&value).as_deref() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) | None => self.wrong(name, &value, "true or false"),
        }
    }

    /// A list of texts; one text stands for a list of one, as IAM has it.
    pub(crate) fn texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        let value = self.value(name)?;
        let texts: Option<Vec<String>> = match &value {
            Value::Array(list) => list.iter().map(scalar).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                scalar(&value).map(|text| vec![text])
            }
        };
        match texts {
            Some(texts) => Some(texts),
            None => self.wrong(name, &value, "a list of texts"),
        }
    }

    /// A list of objects; one object stands for a list of one, as in policies.
    pub(crate) fn objects(&mut self, name: &'static str) -> Option<Vec<Properties<'a>>> {
        let value = self.value(name)?;
        let at = self.at.key(name);
        let list = match value {
            Value::Array(list) => list,
            Value::Object(_) => return Some(vec![Properties::new(value, at, self.problems)]),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                return self.wrong(name, &value, "a list");
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

    /// An object whose keys are names of the template's own choosing.
    pub(crate) fn named(&mut self, name: &'static str) -> Option<Vec<(String, Value, At)>> {
        let at = self.at.key(name);
        Some(self.object(name)?.into_entries(&at))
    }

    /// Every entry, for an object whose keys are names of the template's own choosing.
    pub(crate) fn into_entries(self, at: &At) -> Vec<(String, Value, At)> {
        self.left
            .into_iter()
            .map(|(key, value)| {
                let at = at.key(&key);
                (key, value, at)
            })
            .collect()
    }

    /// Names properties that AWS heeds and that change nothing here.
    pub(crate) fn ignore(&mut self, names: &[&'static str]) {
        for name in names {
            self.known.push(name);
            self.left.remove(*name);
        }
    }

    /// Ends the reading: whatever is left is refused by name.
    pub(crate) fn finish(self) {
        for name in self.left.keys() {
            self.problems.report(
                &self.at.key(name),
                format!("is not a property that is understood here (understood: {})", self.known.join(", ")),
            );
        }
    }

    fn is_missing(&mut self, name: &'static str) -> bool {
        let missing = !self.left.contains_key(name);
        if missing {
            self.known.push(name);
            self.report(format!("has no {name}"));
        }
        missing
    }

    /// Reports a value of the wrong type; null was reported when it came up.
    fn wrong<T>(&self, name: &str, value: &Value, expected: &str) -> Option<T> {
        if !value.is_null() {
            self.report_at(name, format!("must be {expected}, and is {value}"));
        }
        None
    }
}

/// The text of a scalar.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
