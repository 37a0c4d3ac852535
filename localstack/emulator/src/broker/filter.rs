//! Event patterns: the language of SNS filter policies, EventBridge rules and Lambda event filters.
//!
//! A pattern is a JSON object with the same structure as the documents. Where the document has a value, the
//! pattern has an array of matchers, one of which must match. All keys of a pattern must match, except under
//! `$or`.
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html>

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::message::MessageAttributes;

mod validate;

pub use validate::{Scope, validate, validate_policy};

/// Returns `true` if a document matches a pattern. The malformed part of a pattern that [`validate`] rejects
/// matches nothing.
///
/// An array in the document matches when one of its elements does. `exists` matches values and not objects,
/// as on AWS.
///
/// ```
/// use serde_json::json;
/// let pattern = json!({ "eventName": ["INSERT"], "dynamodb": { "NewImage": { "outbox_pk": { "S": [{ "exists": true }] } } } });
/// let record = json!({ "eventName": "INSERT", "dynamodb": { "NewImage": { "outbox_pk": { "S": "OUTBOX#3" } } } });
/// assert!(erp_local::broker::filter::matches(&pattern, &record));
/// ```
#[must_use]
pub fn matches(pattern: &Value, doc: &Value) -> bool {
    pattern.as_object().is_some_and(|pattern| object_matches(pattern, Some(doc)))
}

/// Message attributes as the document for a filter policy of scope `MessageAttributes`: without binary
/// values, with numbers as numbers and a `String.Array` as an array.
#[must_use]
pub fn attributes_document(attributes: &MessageAttributes) -> Value {
    let values = attributes.iter().filter_map(|(name, attribute)| {
        let text = attribute.string_value.as_ref()?;
        let value = match attribute.data_type.split('.').next() {
            // As JSON, or in another notation such as "+5" or ".5". Publishing rejects a text that is no
            // number.
            Some("Number") => text.trim().parse().map(Value::Number).unwrap_or_else(|_| {
                text.trim().parse::<f64>().map_or_else(|_| Value::String(text.clone()), Value::from)
            }),
            // As in SNS, a malformed array counts as a plain string, which no pattern for its elements
            // matches.
            _ if attribute.data_type == "String.Array" => serde_json::from_str::<Vec<Value>>(text)
                .map_or_else(|_| Value::String(text.clone()), Value::Array),
            _ => Value::String(text.clone()),
        };
        Some((name.clone(), value))
    });
    Value::Object(values.collect())
}

/// The alternatives of a `$or`; `None` where it is the name of a field.
fn alternatives(value: &Value) -> Option<&Vec<Value>> {
    let list = value.as_array()?;
    let names_fields = |alternative: &Value| {
        alternative.as_object().is_some_and(|object| object.keys().all(|key| !validate::is_matcher(key)))
    };
    (list.len() >= 2 && list.iter().all(names_fields)).then_some(list)
}

fn object_matches(pattern: &Map<String, Value>, doc: Option<&Value>) -> bool {
    match doc {
        Some(Value::Array(items)) if !items.is_empty() => {
            items.iter().any(|item| object_matches(pattern, Some(item)))
        }
        _ => pattern.iter().all(|(key, expected)| {
            if key == "$or"
                && let Some(alternatives) = alternatives(expected)
            {
                return alternatives
                    .iter()
                    .any(|one| one.as_object().is_some_and(|one| object_matches(one, doc)));
            }
            let value = doc.and_then(Value::as_object).and_then(|object| object.get(key));
            match expected {
                Value::Object(inner) => object_matches(inner, value),
                Value::Array(matchers) => matchers.iter().any(|matcher| leaf_matches(matcher, value)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
            }
        }),
    }
}

/// Returns `true` if one matcher matches a value, or an element of an array.
fn leaf_matches(matcher: &Value, value: Option<&Value>) -> bool {
    // No leaf: a missing value, an object or an empty array.
    let leaf = match value {
        None | Some(Value::Object(_)) => None,
        Some(Value::Array(items)) if items.is_empty() => None,
        Some(value) => Some(value),
    };
    if let Some(expected) = matcher.get("exists") {
        return expected.as_bool() == Some(leaf.is_some());
    }
    match leaf {
        None => false,
        Some(Value::Array(items)) => items.iter().any(|item| leaf_matches(matcher, Some(item))),
        Some(value) => value_matches(matcher, value),
    }
}

fn value_matches(matcher: &Value, value: &Value) -> bool {
    let Value::Object(object) = matcher else {
        return equal(matcher, value);
    };
    let Some((keyword, expected)) = object.iter().next().filter(|_| object.len() == 1) else {
        return false;
    };
    match keyword.as_str() {
        "anything-but" => anything_but(expected, value),
        "numeric" => numeric(expected, value),
        "cidr" => cidr(expected, value),
        "prefix" | "suffix" | "equals-ignore-case" | "wildcard" => text_matches(keyword, expected, value),
        _ => false,
    }
}

fn equal(expected: &Value, value: &Value) -> bool {
    match (expected.as_f64(), value.as_f64()) {
        // 300, 300.0 and 3.0e2 are the same number.
        (Some(expected), Some(value)) => expected.partial_cmp(&value).is_some_and(std::cmp::Ordering::is_eq),
        _ => expected == value,
    }
}

/// Returns `true` if the value is none of these and matches none of these matchers.
fn anything_but(excluded: &Value, value: &Value) -> bool {
    match excluded {
        Value::Array(list) => !list.iter().any(|excluded| equal(excluded, value)),
        Value::Object(object) => object.iter().all(|(keyword, expected)| match expected {
            Value::Array(list) => !list.iter().any(|expected| text_matches(keyword, expected, value)),
            expected => !text_matches(keyword, expected, value),
        }),
        excluded => !equal(excluded, value),
    }
}

fn text_matches(keyword: &str, expected: &Value, value: &Value) -> bool {
    let Some(value) = value.as_str() else { return false };
    match (keyword, expected) {
        ("prefix", Value::String(expected)) => value.starts_with(expected),
        ("suffix", Value::String(expected)) => value.ends_with(expected),
        ("equals-ignore-case", Value::String(expected)) => value.to_lowercase() == expected.to_lowercase(),
        ("wildcard", Value::String(expected)) => wildcard(expected, value),
        // {"prefix": {"equals-ignore-case": "…"}}
        ("prefix" | "suffix", Value::Object(object)) => {
            let Some(expected) = object.get("equals-ignore-case").and_then(Value::as_str) else {
                return false;
            };
            let (value, expected) = (value.to_lowercase(), expected.to_lowercase());
            if keyword == "prefix" { value.starts_with(&expected) } else { value.ends_with(&expected) }
        }
        _ => false,
    }
}

/// Matches `*` with any characters and `\*` with an asterisk.
fn wildcard(pattern: &str, value: &str) -> bool {
    let mut parts = vec![String::new()];
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let literal = match c {
            '*' => {
                parts.push(String::new());
                continue;
            }
            '\\' => chars.next().unwrap_or('\\'),
            other => other,
        };
        if let Some(part) = parts.last_mut() {
            part.push(literal);
        }
    }
    let [first, middle @ .., last] = parts.as_slice() else {
        return parts.iter().any(|only| only == value);
    };
    let Some(mut rest) = value.strip_prefix(first.as_str()) else {
        return false;
    };
    for part in middle {
        let Some(at) = rest.find(part.as_str()) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last.as_str())
}

/// Returns `true` if all comparisons of a list such as `[">=", 5, "<", 10]` hold.
fn numeric(comparisons: &Value, value: &Value) -> bool {
    let (Some(value), Some(list)) = (value.as_f64(), comparisons.as_array()) else {
        return false;
    };
    !list.is_empty()
        && list.chunks(2).all(|pair| match pair {
            [Value::String(operator), Value::Number(limit)] => limit
                .as_f64()
                .and_then(|limit| value.partial_cmp(&limit))
                .is_some_and(|order| match operator.as_str() {
                    "=" => order.is_eq(),
                    "<" => order.is_lt(),
                    "<=" => order.is_le(),
                    ">" => order.is_gt(),
                    ">=" => order.is_ge(),
                    _ => false,
                }),
            _ => false,
        })
}

fn cidr(block: &Value, value: &Value) -> bool {
    let address = value.as_str().and_then(|text| text.parse::<IpAddr>().ok());
    match (block.as_str().and_then(parse_cidr), address) {
        (Some((IpAddr::V4(network), bits)), Some(IpAddr::V4(address))) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        (Some((IpAddr::V6(network), bits)), Some(IpAddr::V6(address))) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        _ => false,
    }
}

/// Parses a block such as `10.0.0.0/24` or a single address; `None` if malformed.
fn parse_cidr(block: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match block.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse().ok()?)),
        None => (block, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(width);
    (bits <= width).then_some((address, bits))
}
