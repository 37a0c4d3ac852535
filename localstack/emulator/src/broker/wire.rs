//! Requests and answers between forms, JSON and XML.
//!
//! Both query protocols become the JSON shape of their operation, so that each operation is written once. What SQS
//! flattens (`Attribute.1.Name`) and what SNS wraps (`Attributes.entry.1.key`) is undone here by the names alone.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::error::{BrokerError, ErrorCode};

pub(crate) mod xml;

/// Deeper than any parameter of the two services; a form could otherwise nest as deep as its size allows.
const MAX_DEPTH: usize = 8;

/// Parameters of SQS's query protocol whose lists are flattened, and what the JSON protocol calls them.
const FLATTENED: [(&str, &str, bool); 11] = [
    ("Attribute", "Attributes", true),
    ("MessageAttribute", "MessageAttributes", true),
    ("MessageSystemAttribute", "MessageSystemAttributes", true),
    ("Tag", "Tags", true),
    ("AttributeName", "AttributeNames", false),
    ("MessageAttributeName", "MessageAttributeNames", false),
    ("MessageSystemAttributeName", "MessageSystemAttributeNames", false),
    ("TagKey", "TagKeys", false),
    ("SendMessageBatchRequestEntry", "Entries", false),
    ("DeleteMessageBatchRequestEntry", "Entries", false),
    ("ChangeMessageVisibilityBatchRequestEntry", "Entries", false),
];

#[derive(Default)]
struct Tree {
    text: Option<String>,
    children: BTreeMap<String, Tree>,
}

/// Reads a form into the JSON shape of its operation: an object.
pub(crate) fn form_to_json(form: &[(String, String)]) -> Result<Value, BrokerError> {
    let mut root = Tree::default();
    for (key, value) in form {
        if key.split('.').count() > MAX_DEPTH {
            return Err(BrokerError::refused(
                ErrorCode::InvalidParameterValue,
                "A parameter's name has too many parts.",
            ));
        }
        let leaf =
            key.split('.').fold(&mut root, |tree, part| tree.children.entry(part.to_owned()).or_default());
        leaf.text = Some(value.clone());
    }
    Ok(root.into_json())
}

impl Tree {
    fn into_json(mut self) -> Value {
        if self.children.is_empty() {
            return Value::String(self.text.unwrap_or_default());
        }
        if self.children.len() == 1 {
            if let Some(list) = self.children.remove("member") {
                return list.into_json();
            }
            if let Some(list) = self.children.remove("entry") {
                return pairs_to_object(list.into_json());
            }
        }
        if self.children.keys().all(|key| key.parse::<u32>().is_ok()) {
            let mut items: Vec<(u32, Tree)> = self
                .children
                .into_iter()
                .map(|(key, item)| (key.parse().unwrap_or(u32::MAX), item))
                .collect();
            items.sort_by_key(|(index, _)| *index);
            return Value::Array(items.into_iter().map(|(_, item)| item.into_json()).collect());
        }
        let mut object = Map::new();
        for (key, child) in self.children {
            let value = child.into_json();
            match FLATTENED.iter().find(|(flat, ..)| *flat == key).filter(|_| value.is_array()) {
                Some((_, name, true)) => object.insert((*name).to_owned(), pairs_to_object(value)),
                Some((_, name, false)) => object.insert((*name).to_owned(), value),
                None => object.insert(key, value),
            };
        }
        Value::Object(object)
    }
}

/// `[{"Name": n, "Value": v}]`, in the spellings of both services, as `{n: v}`.
fn pairs_to_object(list: Value) -> Value {
    let Value::Array(pairs) = list else { return list };
    let of = |pair: &Value, names: [&str; 3]| names.iter().find_map(|name| pair.get(name)).cloned();
    let object = pairs.iter().filter_map(|pair| match of(pair, ["Name", "key", "Key"]) {
        Some(Value::String(name)) => Some((
            name,
            of(pair, ["Value", "value", "value"]).unwrap_or_else(|| Value::String(String::new())),
        )),
        _ => None,
    });
    Value::Object(object.collect())
}

/// Reads an operation's input; what does not fit is refused with the code that the service uses for it.
pub(crate) fn input<T: DeserializeOwned>(input: Value, invalid: ErrorCode) -> Result<T, BrokerError> {
    serde_json::from_value(input).map_err(|error| {
        let text = error.to_string();
        match text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            Some(field) if invalid == ErrorCode::InvalidParameterValue => BrokerError::refused(
                ErrorCode::MissingParameter,
                format!("The request must contain the parameter {field}."),
            ),
            Some(field) => BrokerError::refused(invalid, format!("Invalid parameter: {field} is missing")),
            None => BrokerError::refused(invalid, format!("Invalid parameter: {text}")),
        }
    })
}

/// A whole number, written as one or as text: forms have only text.
pub(crate) fn integer<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    match Option::<Value>::deserialize(from)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => number
            .as_i64()
            .map(Some)
            .ok_or_else(|| D::Error::custom(format!("{number} is not a whole number"))),
        Some(Value::String(text)) => {
            text.parse().map(Some).map_err(|_| D::Error::custom(format!("'{text}' is not a whole number")))
        }
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
            Err(D::Error::custom("expected a whole number"))
        }
    }
}

/// One page of a sorted list, and the token for the next: the key of the page's last item.
pub(crate) fn page<T>(
    items: Vec<T>,
    key: impl Fn(&T) -> &str,
    after: Option<&str>,
    max: usize,
) -> (Vec<T>, Option<String>) {
    let mut rest = items.into_iter().filter(|item| after.is_none_or(|after| key(item) > after));
    let page: Vec<T> = rest.by_ref().take(max).collect();
    let next = rest.next().and_then(|_| page.last()).map(|last| key(last).to_owned());
    (page, next)
}

/// The checks that every batch goes through before its entries are looked at.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
pub(crate) fn check_batch<'a>(ids: impl ExactSizeIterator<Item = &'a str>) -> Result<(), BrokerError> {
    if ids.len() == 0 {
        return Err(BrokerError::refused(
            ErrorCode::EmptyBatchRequest,
            "There should be at least one batch request entry in the request.",
        ));
    }
    if ids.len() > 10 {
        return Err(BrokerError::refused(
            ErrorCode::TooManyEntriesInBatchRequest,
            format!("Maximum number of entries per request are 10. You have sent {}.", ids.len()),
        ));
    }
    let mut seen = Vec::new();
    for id in ids {
        let fits = (1..=80).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if !fits {
            return Err(BrokerError::refused(
                ErrorCode::InvalidBatchEntryId,
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.",
            ));
        }
        if seen.contains(&id) {
            return Err(BrokerError::refused(
                ErrorCode::BatchEntryIdsNotDistinct,
                format!("Id {id} repeated."),
            ));
        }
        seen.push(id);
    }
    Ok(())
}

/// An entry of a batch that failed, in the words of both services.
pub(crate) fn failed_entry(id: &str, error: &BrokerError) -> Value {
    let (code, message) = error.public();
    serde_json::json!({
        "Id": id,
        "Code": code.sqs_query_code(),
        "Message": message,
        "SenderFault": code.is_senders_fault(),
    })
}
