//! References to parameters, resources and the stack, and the intrinsic functions of the template. Only the
//! selected branch of an `If` is evaluated; the linter of the build checks both.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::deployment::{ACCOUNT, REGION};

use super::dynamic;
use super::problems::{Problems, TemplatePath};
use super::properties::scalar;

/// The values of `Ref` and `GetAtt` for a resource.
#[derive(Debug, Clone)]
pub(crate) struct PhysicalResource {
    /// The value of `Ref`.
    pub(crate) reference: String,
    /// The value of `Ref` to `<id>.Alias`, for a function with an alias.
    pub(crate) alias: Option<String>,
    /// The values of `GetAtt`; `None` for a resource that is not emulated and whose attributes are opaque.
    pub(crate) attributes: Option<BTreeMap<&'static str, String>>,
}

/// The names that a value in the template can refer to.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) problems: &'a Problems,
    pub(crate) stack_name: &'a str,
    /// By name.
    pub(crate) parameters: BTreeMap<String, Value>,
    /// The section `Mappings`.
    pub(crate) mappings: Map<String, Value>,
    /// Values of conditions by name.
    pub(crate) conditions: BTreeMap<String, bool>,
    /// By logical id.
    pub(crate) resources: BTreeMap<String, PhysicalResource>,
    /// Logical ids whose condition is false.
    pub(crate) absent: BTreeSet<String>,
    /// Secret values, by name and by ARN.
    pub(crate) secrets: BTreeMap<String, String>,
}

impl<'a> Scope<'a> {
    /// A scope with the stack only.
    pub(crate) fn new(stack_name: &'a str, problems: &'a Problems) -> Self {
        Self {
            problems,
            stack_name,
            parameters: BTreeMap::new(),
            mappings: Map::new(),
            conditions: BTreeMap::new(),
            resources: BTreeMap::new(),
            absent: BTreeSet::new(),
            secrets: BTreeMap::new(),
        }
    }

    /// Evaluates all functions in the value; `None` for `AWS::NoValue`, and null where a problem was
    /// reported.
    pub(crate) fn resolve(&self, value: &Value, at: &TemplatePath) -> Option<Value> {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Some(value.clone()),
            Value::String(text) => Some(self.resolve_dynamic_references(text, at)),
            Value::Array(list) => Some(Value::Array(self.resolve_list(list, at))),
            Value::Object(map) => match intrinsic(map) {
                Some((name, argument)) => match self.call(name, argument, &at.key(name))? {
                    Value::String(text) => Some(self.resolve_dynamic_references(&text, at)),
                    other => Some(other),
                },
                None => Some(Value::Object(self.resolve_map(map, at))),
            },
        }
    }

    /// The value as a string; `None` where a problem was reported.
    pub(crate) fn resolve_string(&self, value: &Value, at: &TemplatePath) -> Option<String> {
        let resolved = self.resolve(value, at).unwrap_or(Value::Null);
        let text = scalar(&resolved);
        if text.is_none() && !resolved.is_null() {
            self.problems.report(at, format!("must be a string, but is {resolved}"));
        }
        text
    }

    /// Evaluates a condition: a reference to a named one, or a function.
    pub(crate) fn condition(&self, value: &Value, at: &TemplatePath) -> bool {
        let Some((name, argument)) = value.as_object().and_then(only_entry) else {
            self.problems.report(at, "must be a condition function");
            return false;
        };
        let at = at.key(name);
        match name {
            "Condition" => self.named_condition(argument, &at),
            "Fn::Equals" => {
                let arguments = self.arguments(argument, 2..=2, &at);
                let texts: Vec<_> =
                    arguments.iter().enumerate().map(|(i, v)| self.resolve_string(v, &at.index(i))).collect();
                texts.len() == 2 && texts[0].is_some() && texts[0] == texts[1]
            }
            "Fn::And" => self.arguments(argument, 2..=10, &at).iter().all(|v| self.condition(v, &at)),
            "Fn::Or" => self.arguments(argument, 2..=10, &at).iter().any(|v| self.condition(v, &at)),
            "Fn::Not" => match self.arguments(argument, 1..=1, &at) {
                [inner] => !self.condition(inner, &at),
                _ => false,
            },
            other => {
                self.problems.report(&at, format!("{other} is not a supported condition function"));
                false
            }
        }
    }

    fn named_condition(&self, name: &Value, at: &TemplatePath) -> bool {
        match name.as_str().and_then(|name| self.conditions.get(name)) {
            Some(value) => *value,
            None => {
                self.problems.report(at, format!("there is no condition {name}"));
                false
            }
        }
    }

    fn resolve_list(&self, list: &[Value], at: &TemplatePath) -> Vec<Value> {
        list.iter().enumerate().filter_map(|(i, item)| self.resolve(item, &at.index(i))).collect()
    }

    fn resolve_map(&self, map: &Map<String, Value>, at: &TemplatePath) -> Map<String, Value> {
        if let Some(name) = map.keys().find(|key| is_function(key)) {
            self.problems.report(&at.key(name), "a function must be the only key of its object");
        }
        map.iter()
            .filter_map(|(key, value)| Some((key.clone(), self.resolve(value, &at.key(key))?)))
            .collect()
    }

    /// Evaluates one function.
    fn call(&self, name: &str, argument: &Value, at: &TemplatePath) -> Option<Value> {
        match name {
            "Ref" => match argument.as_str() {
                Some("AWS::NoValue") => None,
                Some(name) => Some(self.reference(name, at)),
                None => Some(self.reject(at, "Ref takes a name")),
            },
            "Fn::GetAtt" => Some(self.get_att(argument, at)),
            "Fn::Sub" => Some(self.substitute(argument, at)),
            "Fn::Join" => Some(self.join(argument, at)),
            "Fn::Split" => Some(self.split(argument, at)),
            "Fn::Select" => Some(self.select(argument, at)),
            "Fn::FindInMap" => Some(self.find_in_map(argument, at)),
            "Fn::If" => match self.arguments(argument, 3..=3, at) {
                [condition, yes, no] => {
                    let chosen = self.named_condition(condition, &at.index(0));
                    let (branch, index) = if chosen { (yes, 1) } else { (no, 2) };
                    self.resolve(branch, &at.index(index))
                }
                _ => Some(Value::Null),
            },
            other => Some(self.reject(at, &format!("{other} is not a supported function"))),
        }
    }

    /// The value of `Ref`.
    fn reference(&self, name: &str, at: &TemplatePath) -> Value {
        if let Some(value) = self.pseudo(name) {
            return Value::String(value);
        }
        if let Some(value) = self.parameters.get(name) {
            return value.clone();
        }
        let (id, part) = name.split_once('.').map_or((name, None), |(id, part)| (id, Some(part)));
        match (self.resources.get(id), part) {
            (Some(physical), None) => Value::String(physical.reference.clone()),
            // SAM creates this resource for a function with AutoPublishAlias.
            (Some(PhysicalResource { alias: Some(alias), .. }), Some("Alias")) => {
                Value::String(alias.clone())
            }
            // SAM creates the stage of an API, too.
            (Some(PhysicalResource { attributes: Some(attributes), .. }), Some(part @ "Stage"))
                if attributes.contains_key(part) =>
            {
                Value::String(attributes[part].clone())
            }
            (Some(_), Some(part)) => self.reject(at, &format!("{id} has no {part} here")),
            (None, _) => self.unresolved_reference(id, at),
        }
    }

    fn attribute(&self, id: &str, attribute: &str, at: &TemplatePath) -> Value {
        let Some(physical) = self.resources.get(id) else {
            return self.unresolved_reference(id, at);
        };
        let Some(attributes) = &physical.attributes else {
            return Value::String(format!("{}.{attribute}", physical.reference));
        };
        match attributes.get(attribute) {
            Some(value) => Value::String(value.clone()),
            None => {
                let known: Vec<_> = attributes.keys().copied().collect();
                let known = known.join(", ");
                self.reject(at, &format!("{id} has no attribute {attribute} here (known: {known})"))
            }
        }
    }

    fn pseudo(&self, name: &str) -> Option<String> {
        let value = match name {
            "AWS::StackName" => self.stack_name,
            "AWS::Region" => REGION,
            "AWS::AccountId" => ACCOUNT,
            "AWS::Partition" => "aws",
            "AWS::URLSuffix" => "amazonaws.com",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn get_att(&self, argument: &Value, at: &TemplatePath) -> Value {
        let named = match argument {
            Value::String(dotted) => dotted.split_once('.'),
            other => match other.as_array().map(Vec::as_slice) {
                Some([Value::String(id), Value::String(attribute)]) => {
                    Some((id.as_str(), attribute.as_str()))
                }
                Some(_) | None => None,
            },
        };
        match named {
            Some((id, attribute)) => self.attribute(id, attribute, at),
            None => self.reject(at, "GetAtt takes a logical id and an attribute"),
        }
    }

    fn substitute(&self, argument: &Value, at: &TemplatePath) -> Value {
        let none = Map::new();
        let (text, variables) = match argument {
            Value::String(text) => (text, &none),
            Value::Array(list) => match list.as_slice() {
                [Value::String(text), Value::Object(variables)] => (text, variables),
                _ => return self.reject(at, "Sub takes a string, or a string and an object of variables"),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                return self.reject(at, "Sub takes a string, or a string and an object of variables");
            }
        };
        let mut result = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else {
                return self.reject(at, "a ${ is never closed");
            };
            result.push_str(before);
            if let Some(literal) = name.strip_prefix('!') {
                result.push_str(&format!("${{{literal}}}"));
            } else {
                result.push_str(&self.substituted(name.trim(), variables, at));
            }
            rest = after;
        }
        result.push_str(rest);
        Value::String(result)
    }

    /// The value of one `${…}`; empty where a problem was reported.
    fn substituted(&self, name: &str, variables: &Map<String, Value>, at: &TemplatePath) -> String {
        let value = match (variables.get(name), name.split_once('.')) {
            (Some(variable), _) => self.resolve(variable, &at.key(name)).unwrap_or(Value::Null),
            (None, Some((id, attribute))) => self.attribute(id, attribute, at),
            (None, None) => self.reference(name, at),
        };
        match scalar(&value) {
            Some(text) => text,
            None => {
                if !value.is_null() {
                    self.problems.report(at, format!("${{{name}}} is not a string"));
                }
                String::new()
            }
        }
    }

    fn join(&self, argument: &Value, at: &TemplatePath) -> Value {
        let [Value::String(delimiter), list] = self.arguments(argument, 2..=2, at) else {
            return self.reject(at, "Join takes a delimiter and a list");
        };
        match self.resolve(list, &at.index(1)) {
            Some(Value::Array(items)) => {
                let texts: Option<Vec<String>> = items.iter().map(scalar).collect();
                match texts {
                    Some(texts) => Value::String(texts.join(delimiter)),
                    None if items.iter().any(Value::is_null) => Value::Null,
                    None => self.reject(at, "Join takes a list of strings"),
                }
            }
            _ => self.reject(at, "Join takes a delimiter and a list"),
        }
    }

    fn split(&self, argument: &Value, at: &TemplatePath) -> Value {
        let [Value::String(delimiter), text] = self.arguments(argument, 2..=2, at) else {
            return self.reject(at, "Split takes a delimiter and a string");
        };
        match self.resolve_string(text, &at.index(1)) {
            Some(text) => text.split(delimiter.as_str()).collect(),
            None => Value::Null,
        }
    }

    fn select(&self, argument: &Value, at: &TemplatePath) -> Value {
        let [index, list] = self.arguments(argument, 2..=2, at) else {
            return Value::Null;
        };
        let index = self.resolve_string(index, &at.index(0)).and_then(|text| text.parse::<usize>().ok());
        match (index, self.resolve(list, &at.index(1))) {
            (Some(index), Some(Value::Array(items))) => match items.into_iter().nth(index) {
                Some(item) => item,
                None => self.reject(at, &format!("Select: the list has no element {index}")),
            },
            _ => self.reject(at, "Select takes an index and a list"),
        }
    }

    fn find_in_map(&self, argument: &Value, at: &TemplatePath) -> Value {
        let keys: Vec<String> = self
            .arguments(argument, 3..=3, at)
            .iter()
            .enumerate()
            .filter_map(|(i, key)| self.resolve_string(key, &at.index(i)))
            .collect();
        let [map, first, second] = keys.as_slice() else {
            return Value::Null;
        };
        match self.mappings.get(map).and_then(|map| map.get(first)?.get(second)) {
            Some(value) => value.clone(),
            None => self.reject(at, &format!("there is no {map}.{first}.{second} in Mappings")),
        }
    }

    /// The arguments of a function that takes a list; empty where their number is wrong, which is reported.
    fn arguments<'v>(
        &self,
        argument: &'v Value,
        count: std::ops::RangeInclusive<usize>,
        at: &TemplatePath,
    ) -> &'v [Value] {
        match argument.as_array() {
            Some(list) if count.contains(&list.len()) => list,
            Some(_) | None => {
                let (low, high) = (count.start(), count.end());
                let expected = if low == high { low.to_string() } else { format!("{low} to {high}") };
                self.problems.report(at, format!("takes a list of {expected}"));
                &[]
            }
        }
    }

    fn unresolved_reference(&self, name: &str, at: &TemplatePath) -> Value {
        if self.absent.contains(name) {
            return self.reject(at, &format!("{name} does not exist: its condition is false"));
        }
        self.reject(at, &format!("there is no parameter or resource {name}"))
    }

    fn reject(&self, at: &TemplatePath, message: &str) -> Value {
        self.problems.report(at, message);
        Value::Null
    }

    /// Replaces the `{{resolve:…}}` references in a string.
    fn resolve_dynamic_references(&self, text: &str, at: &TemplatePath) -> Value {
        match dynamic::resolve(text, &self.secrets) {
            Ok(text) => Value::String(text),
            Err(message) => self.reject(at, &message),
        }
    }
}

/// The name and argument of a function; `None` if the object is not a function.
fn intrinsic(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    only_entry(map).filter(|(name, _)| is_function(name))
}

fn is_function(key: &str) -> bool {
    key == "Ref" || key.starts_with("Fn::")
}

fn only_entry(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    match (map.len(), map.iter().next()) {
        (1, Some((key, value))) => Some((key, value)),
        _ => None,
    }
}
