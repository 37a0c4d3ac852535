//! Converts requests and responses between forms, JSON and XML.
//!
//! Requests of both query protocols become the JSON input of their operation, so that each operation has one
//! implementation. The names show what SQS flattens (`Attribute.1.Name`) and SNS wraps
//! (`Attributes.entry.1.key`).

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::error::{BrokerError, ErrorCode};

pub(crate) mod xml;

/// Maximum nesting of a parameter's name; no parameter of the two services is deeper.
const MAX_DEPTH: usize = 8;

/// Flattened lists of the SQS query protocol: name there, name in the JSON protocol, and whether the list is
/// a map.
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

/// Decodes the parameters of the query string and of a form body.
///
/// # Errors
/// A name or a value is not UTF-8, or a `%` is not followed by two hexadecimal digits.
pub(crate) fn parse_form(query: Option<&str>, body: &[u8]) -> Result<Vec<(String, String)>, BrokerError> {
    let parts = [query.unwrap_or_default().as_bytes(), body];
    let pairs = parts.into_iter().flat_map(|part| part.split(|byte| *byte == b'&'));
    pairs
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// Decodes `application/x-www-form-urlencoded` text. The usual decoders replace invalid bytes silently.
fn decode(text: &[u8]) -> Result<String, BrokerError> {
    let malformed = || {
        let message = "A parameter is not percent-encoded UTF-8.";
        BrokerError::rejected(ErrorCode::InvalidParameterValue, message)
    };
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).map_err(|_| malformed())?,
                _ => return Err(malformed()),
            },
            other => *other,
        });
    }
    String::from_utf8(decoded).map_err(|_| malformed())
}

/// Converts a form into the JSON input of its operation, an object.
///
/// # Errors
/// Two parameters contradict each other, an entry of a map has no name, or a name is nested too deeply.
pub(crate) fn form_to_json(form: &[(String, String)]) -> Result<Value, BrokerError> {
    let mut root = Tree::default();
    for (key, value) in form {
        if key.split('.').count() > MAX_DEPTH {
            return Err(BrokerError::rejected(
                ErrorCode::InvalidParameterValue,
                "A parameter's name has too many parts.",
            ));
        }
        let leaf =
            key.split('.').fold(&mut root, |tree, part| tree.children.entry(part.to_owned()).or_default());
        leaf.text = Some(value.clone());
    }
    match root.into_json()? {
        // An empty form.
        Value::String(_) => Ok(Value::Object(Map::new())),
        input => Ok(input),
    }
}

impl Tree {
    fn into_json(mut self) -> Result<Value, BrokerError> {
        if self.children.is_empty() {
            return Ok(Value::String(self.text.unwrap_or_default()));
        }
        if self.text.is_some() {
            let names: Vec<&str> = self.children.keys().map(String::as_str).collect();
            return Err(BrokerError::rejected(
                ErrorCode::InvalidParameterValue,
                format!("A parameter has both a value and parts ({}).", names.join(", ")),
            ));
        }
        if self.children.len() == 1 {
            if let Some(list) = self.children.remove("member") {
                return list.into_json();
            }
            if let Some(list) = self.children.remove("entry") {
                return pairs_to_object(list.into_json()?);
            }
        }
        let indices: Option<Vec<u32>> = self.children.keys().map(|key| key.parse().ok()).collect();
        if let Some(indices) = indices {
            let mut items: Vec<(u32, Tree)> = indices.into_iter().zip(self.children.into_values()).collect();
            items.sort_by_key(|(index, _)| *index);
            let items: Result<Vec<Value>, _> = items.into_iter().map(|(_, item)| item.into_json()).collect();
            return items.map(Value::Array);
        }
        let mut object = Map::new();
        for (key, child) in self.children {
            let value = child.into_json()?;
            match FLATTENED.iter().find(|(flat, ..)| *flat == key).filter(|_| value.is_array()) {
                Some((_, name, true)) => object.insert((*name).to_owned(), pairs_to_object(value)?),
                Some((_, name, false)) => object.insert((*name).to_owned(), value),
                None => object.insert(key, value),
            };
        }
        Ok(Value::Object(object))
    }
}

/// `[{"Name": n, "Value": v}]`, with the field names of either service, to `{n: v}`. A missing value is
/// empty.
fn pairs_to_object(list: Value) -> Result<Value, BrokerError> {
    let Value::Array(pairs) = list else { return Ok(list) };
    let field = |pair: &Value, names: &[&str]| names.iter().find_map(|name| pair.get(name)).cloned();
    let mut object = Map::new();
    for pair in &pairs {
        let Some(Value::String(name)) = field(pair, &["Name", "key", "Key"]) else {
            return Err(BrokerError::rejected(
                ErrorCode::InvalidParameterValue,
                format!("An entry of a map has no name: {pair}."),
            ));
        };
        let value = field(pair, &["Value", "value"]).unwrap_or_else(|| Value::String(String::new()));
        object.insert(name, value);
    }
    Ok(Value::Object(object))
}

/// Deserializes an operation's input; `invalid` is the error code of the service for invalid input.
pub(crate) fn input<T: DeserializeOwned>(input: Value, invalid: ErrorCode) -> Result<T, BrokerError> {
    serde_json::from_value(input).map_err(|error| {
        let text = error.to_string();
        match text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            Some(field) if invalid == ErrorCode::InvalidParameterValue => BrokerError::rejected(
                ErrorCode::MissingParameter,
                format!("The request must contain the parameter {field}."),
            ),
            Some(field) => BrokerError::rejected(invalid, format!("Invalid parameter: {field} is missing")),
            None => BrokerError::rejected(invalid, format!("Invalid parameter: {text}")),
        }
    })
}

/// A whole number as a JSON number or as a string, because forms have only strings.
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

/// One page of a sorted list, and the token of the next page: the key of the page's last item.
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

/// Checks the number and the ids of a batch's entries.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
pub(crate) fn check_batch<'a>(ids: impl ExactSizeIterator<Item = &'a str>) -> Result<(), BrokerError> {
    if ids.len() == 0 {
        return Err(BrokerError::rejected(
            ErrorCode::EmptyBatchRequest,
            "There should be at least one batch request entry in the request.",
        ));
    }
    if ids.len() > 10 {
        return Err(BrokerError::rejected(
            ErrorCode::TooManyEntriesInBatchRequest,
            format!("Maximum number of entries per request are 10. You have sent {}.", ids.len()),
        ));
    }
    let mut seen = Vec::new();
    for id in ids {
        let fits = (1..=80).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if !fits {
            return Err(BrokerError::rejected(
                ErrorCode::InvalidBatchEntryId,
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.",
            ));
        }
        if seen.contains(&id) {
            return Err(BrokerError::rejected(
                ErrorCode::BatchEntryIdsNotDistinct,
                format!("Id {id} repeated."),
            ));
        }
        seen.push(id);
    }
    Ok(())
}

/// A failed entry of a batch response, with the codes of SQS.
pub(crate) fn failed_entry(id: &str, error: &BrokerError) -> Value {
    let (code, message) = error.public_error();
    serde_json::json!({
        "Id": id,
        "Code": code.sqs_query_code(),
        "Message": message,
        "SenderFault": code.is_client_error(),
    })
}
