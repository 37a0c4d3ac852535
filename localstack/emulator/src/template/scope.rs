//! What a reference may name - parameters, resources, the stack itself - and the functions of the template
//! language. Only the branch of an `If` that is chosen is looked at; the linter of the build looks at both.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::deployment::{ACCOUNT, REGION};

use super::dynamic;
use super::problems::{At, Problems};
use super::properties::scalar;

/// What `Ref` and `GetAtt` give for a resource.
#[derive(Debug, Clone)]
pub(crate) struct Physical {
    /// The value of `Ref`.
    pub(crate) reference: String,
    /// The value of `Ref` to `<id>.Alias`, of a function that has one.
    pub(crate) alias: Option<String>,
    /// The values of `GetAtt`; none for a resource that is accepted and not run, whose attributes are opaque.
    pub(crate) attributes: Option<BTreeMap<&'static str, String>>,
}

/// Everything that a value in the template can be made of.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) problems: &'a Problems,
    pub(crate) stack_name: &'a str,
    /// By name.
    pub(crate) parameters: BTreeMap<String, Value>,
    /// `Mappings`, as it stands.
    pub(crate) mappings: Map<String, Value>,
    /// By name, evaluated.
    pub(crate) conditions: BTreeMap<String, bool>,
    /// By logical id.
    pub(crate) resources: BTreeMap<String, Physical>,
    /// Logical ids whose condition is false.
    pub(crate) absent: BTreeSet<String>,
    /// Secret values, by name and by ARN.
    pub(crate) secrets: BTreeMap<String, String>,
}

impl<'a> Scope<'a> {
    /// A scope in which nothing but the stack is known.
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

    /// The value with every function in it carried out; none for `AWS::NoValue`, and null where a problem was
    /// reported.
    pub(crate) fn resolve(&self, value: &Value, at: &At) -> Option<Value> {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Some(value.clone()),
            Value::String(text) => Some(self.finished(text, at)),
            Value::Array(list) => Some(Value::Array(self.resolve_list(list, at))),
            Value::Object(map) => match intrinsic(map) {
                Some((name, argument)) => match self.call(name, argument, &at.key(name))? {
                    Value::String(text) => Some(self.finished(&text, at)),
                    other => Some(other),
                },
                None => Some(Value::Object(self.resolve_map(map, at))),
            },
        }
    }

    /// The value as a text; none where a problem was reported.
    pub(crate) fn resolve_text(&self, value: &Value, at: &At) -> Option<String> {
        let resolved = self.resolve(value, at).unwrap_or(Value::Null);
        let text = scalar(&resolved);
        if text.is_none() && !resolved.is_null() {
            self.problems.report(at, format!("must be a text, and is {resolved}"));
        }
        text
    }

    /// A condition: the name of one, or a function that makes one.
    pub(crate) fn condition(&self, value: &Value, at: &At) -> bool {
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
                    arguments.iter().enumerate().map(|(i, v)| self.resolve_text(v, &at.index(i))).collect();
                texts.len() == 2 && texts[0].is_some() && texts[0] == texts[1]
            }
            "Fn::And" => self.arguments(argument, 2..=10, &at).iter().all(|v| self.condition(v, &at)),
            "Fn::Or" => self.arguments(argument, 2..=10, &at).iter().any(|v| self.condition(v, &at)),
            "Fn::Not" => match self.arguments(argument, 1..=1, &at) {
                [inner] => !self.condition(inner, &at),
                _ => false,
            },
            other => {
                self.problems.report(&at, format!("{other} is not a condition function that is known here"));
                false
            }
        }
    }

    fn named_condition(&self, name: &Value, at: &At) -> bool {
        match name.as_str().and_then(|name| self.conditions.get(name)) {
            Some(value) => *value,
            None => {
                self.problems.report(at, format!("there is no condition {name}"));
                false
            }
        }
    }

    fn resolve_list(&self, list: &[Value], at: &At) -> Vec<Value> {
        list.iter().enumerate().filter_map(|(i, item)| self.resolve(item, &at.index(i))).collect()
    }

    fn resolve_map(&self, map: &Map<String, Value>, at: &At) -> Map<String, Value> {
        if let Some(name) = map.keys().find(|key| is_function(key)) {
            self.problems.report(&at.key(name), "a function must stand alone in its object");
        }
        map.iter()
            .filter_map(|(key, value)| Some((key.clone(), self.resolve(value, &at.key(key))?)))
            .collect()
    }

    /// Carries out one function.
    fn call(&self, name: &str, argument: &Value, at: &At) -> Option<Value> {
        match name {
            "Ref" => match argument.as_str() {
                Some("AWS::NoValue") => None,
                Some(name) => Some(self.reference(name, at)),
                None => Some(self.refuse(at, "Ref takes a name")),
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
            other => Some(self.refuse(at, &format!("{other} is not a function that is known here"))),
        }
    }

    /// The value of `Ref`.
    fn reference(&self, name: &str, at: &At) -> Value {
        if let Some(value) = self.pseudo(name) {
            return Value::String(value);
        }
        if let Some(value) = self.parameters.get(name) {
            return value.clone();
        }
        let (id, part) = name.split_once('.').map_or((name, None), |(id, part)| (id, Some(part)));
        match (self.resources.get(id), part) {
            (Some(physical), None) => Value::String(physical.reference.clone()),
            // What SAM makes beside a function.
            (Some(Physical { alias: Some(alias), .. }), Some("Alias")) => Value::String(alias.clone()),
            (Some(_), Some(part)) => self.refuse(at, &format!("{id} has no {part} here")),
            (None, _) => self.dangling(id, at),
        }
    }

    fn attribute(&self, id: &str, attribute: &str, at: &At) -> Value {
        let Some(physical) = self.resources.get(id) else {
            return self.dangling(id, at);
        };
        let Some(attributes) = &physical.attributes else {
            return Value::String(format!("{}.{attribute}", physical.reference));
        };
        match attributes.get(attribute) {
            Some(value) => Value::String(value.clone()),
            None => {
                let known: Vec<_> = attributes.keys().copied().collect();
                let known = known.join(", ");
                self.refuse(at, &format!("{id} has no attribute {attribute} here (known: {known})"))
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

    fn get_att(&self, argument: &Value, at: &At) -> Value {
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
            None => self.refuse(at, "GetAtt takes a logical id and an attribute"),
        }
    }

    fn substitute(&self, argument: &Value, at: &At) -> Value {
        let none = Map::new();
        let (text, variables) = match argument {
            Value::String(text) => (text, &none),
            Value::Array(list) => match list.as_slice() {
                [Value::String(text), Value::Object(variables)] => (text, variables),
                _ => return self.refuse(at, "Sub takes a text, or a text and an object of variables"),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                return self.refuse(at, "Sub takes a text, or a text and an object of variables");
            }
        };
        let mut result = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else {
                return self.refuse(at, "a ${ is never closed");
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

    /// The text that one `${…}` stands for; empty where a problem was reported.
    fn substituted(&self, name: &str, variables: &Map<String, Value>, at: &At) -> String {
        let value = match (variables.get(name), name.split_once('.')) {
            (Some(variable), _) => self.resolve(variable, &at.key(name)).unwrap_or(Value::Null),
            (None, Some((id, attribute))) => self.attribute(id, attribute, at),
            (None, None) => self.reference(name, at),
        };
        match scalar(&value) {
            Some(text) => text,
            None => {
                if !value.is_null() {
                    self.problems.report(at, format!("${{{name}}} is not a text"));
                }
                String::new()
            }
        }
    }

    fn join(&self, argument: &Value, at: &At) -> Value {
        let [Value::String(delimiter), list] = self.arguments(argument, 2..=2, at) else {
            return self.refuse(at, "Join takes a delimiter and a list");
        };
        match self.resolve(list, &at.index(1)) {
            Some(Value::Array(items)) => {
                let texts: Option<Vec<String>> = items.iter().map(scalar).collect();
                match texts {
                    Some(texts) => Value::String(texts.join(delimiter)),
                    None if items.iter().any(Value::is_null) => Value::Null,
                    None => self.refuse(at, "Join takes a list of texts"),
                }
            }
            _ => self.refuse(at, "Join takes a delimiter and a list"),
        }
    }

    fn split(&self, argument: &Value, at: &At) -> Value {
        let [Value::String(delimiter), text] = self.arguments(argument, 2..=2, at) else {
            return self.refuse(at, "Split takes a delimiter and a text");
        };
        match self.resolve_text(text, &at.index(1)) {
            Some(text) => text.split(delimiter.as_str()).collect(),
            None => Value::Null,
        }
    }

    fn select(&self, argument: &Value, at: &At) -> Value {
        let [index, list] = self.arguments(argument, 2..=2, at) else {
            return Value::Null;
        };
        let index = self.resolve_text(index, &at.index(0)).and_then(|text| text.parse::<usize>().ok());
        match (index, self.resolve(list, &at.index(1))) {
            (Some(index), Some(Value::Array(items))) => match items.into_iter().nth(index) {
                Some(item) => item,
                None => self.refuse(at, &format!("Select: the list has no element {index}")),
            },
            _ => self.refuse(at, "Select takes an index and a list"),
        }
    }

    fn find_in_map(&self, argument: &Value, at: &At) -> Value {
        let keys: Vec<String> = self
            .arguments(argument, 3..=3, at)
            .iter()
            .enumerate()
            .filter_map(|(i, key)| self.resolve_text(key, &at.index(i)))
            .collect();
        let [map, first, second] = keys.as_slice() else {
            return Value::Null;
        };
        match self.mappings.get(map).and_then(|map| map.get(first)?.get(second)) {
            Some(value) => value.clone(),
            None => self.refuse(at, &format!("there is no {map}.{first}.{second} in Mappings")),
        }
    }

    /// The arguments of a function that takes a list; none, and reported, when their number is wrong.
    fn arguments<'v>(
        &self,
        argument: &'v Value,
        count: std::ops::RangeInclusive<usize>,
        at: &At,
    ) -> &'v [Value] {
        match argument.as_array() {
            Some(list) if count.contains(&list.len()) => list,
            Some(_) | None => {
                let (low, high) = (count.start(), count.end());
                let wanted = if low == high { low.to_string() } else { format!("{low} to {high}") };
                self.problems.report(at, format!("takes a list of {wanted}"));
                &[]
            }
        }
    }

    fn dangling(&self, name: &str, at: &At) -> Value {
        if self.absent.contains(name) {
            return self.refuse(at, &format!("{name} is not there: its condition is false"));
        }
        self.refuse(at, &format!("there is no parameter or resource {name}"))
    }

    fn refuse(&self, at: &At, what: &str) -> Value {
        self.problems.report(at, what);
        Value::Null
    }

    /// A text with its `{{resolve:…}}` references replaced.
    fn finished(&self, text: &str, at: &At) -> Value {
        match dynamic::replaced(text, &self.secrets) {
            Ok(text) => Value::String(text),
            Err(what) => self.refuse(at, &what),
        }
    }
}

/// The name and argument of a function, when the object is one.
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
