//! Event patterns: the language of SNS filter policies, EventBridge rules and Lambda event filters.
//!
//! A pattern is a JSON object with the shape of the documents it wants; where the document has a value, the pattern has
//! an array of matchers, one of which must fit. All keys of a pattern must fit, unless `$or` says otherwise.
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html>

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::message::MessageAttributes;

mod validate;

pub use validate::{Scope, validate, validate_policy};

/// Whether a document fits a pattern. A pattern that [`validate`] refuses fits nothing where it is malformed.
///
/// An array in the document fits when one of its elements does. `exists` asks for a value, not for an object:
/// like in AWS it works on leaves only.
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

/// Message attributes as the document that a filter policy of scope `MessageAttributes` is held against: binary values
/// are left out, numbers are numbers, a `String.Array` is an array.
#[must_use]
pub fn attributes_document(attributes: &MessageAttributes) -> Value {
    let values = attributes.iter().filter_map(|(name, attribute)| {
        let text = attribute.string_value.as_ref()?;
        let value = match attribute.data_type.split('.').next() {
            // As JSON writes it, or as a sender may: "+5", ".5".
            Some("Number") => text.trim().parse().map(Value::Number).unwrap_or_else(|_| {
                text.trim().parse::<f64>().map_or_else(|_| Value::String(text.clone()), Value::from)
            }),
            _ if attribute.data_type == "String.Array" => serde_json::from_str::<Vec<Value>>(text)
                .map_or_else(|_| Value::String(text.clone()), Value::Array),
            _ => Value::String(text.clone()),
        };
        Some((name.clone(), value))
    });
    Value::Object(values.collect())
}

/// The alternatives of a `$or`, or none where it is the plain name of a field.
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
        _ => pattern.iter().all(|(key, wanted)| {
            if key == "$or"
                && let Some(alternatives) = alternatives(wanted)
            {
                return alternatives
                    .iter()
                    .any(|one| one.as_object().is_some_and(|one| object_matches(one, doc)));
            }
            let value = doc.and_then(Value::as_object).and_then(|object| object.get(key));
            match wanted {
                Value::Object(inner) => object_matches(inner, value),
                Value::Array(matchers) => matchers.iter().any(|matcher| leaf_matches(matcher, value)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
            }
        }),
    }
}

/// One matcher against what stands at its place; an array stands for each of its elements.
fn leaf_matches(matcher: &Value, value: Option<&Value>) -> bool {
    // No value: missing, an object (which is no leaf) or an array of nothing.
    let leaf = match value {
        None | Some(Value::Object(_)) => None,
        Some(Value::Array(items)) if items.is_empty() => None,
        Some(value) => Some(value),
    };
    if let Some(wanted) = matcher.get("exists") {
        return wanted.as_bool() == Some(leaf.is_some());
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
    let Some((keyword, wanted)) = object.iter().next().filter(|_| object.len() == 1) else {
        return false;
    };
    match keyword.as_str() {
        "anything-but" => anything_but(wanted, value),
        "numeric" => numeric(wanted, value),
        "cidr" => cidr(wanted, value),
        "prefix" | "suffix" | "equals-ignore-case" | "wildcard" => text_matches(keyword, wanted, value),
        _ => false,
    }
}

fn equal(wanted: &Value, value: &Value) -> bool {
    match (wanted.as_f64(), value.as_f64()) {
        // 300, 300.0 and 3.0e2 are the same number.
        (Some(wanted), Some(value)) => wanted.partial_cmp(&value).is_some_and(std::cmp::Ordering::is_eq),
        _ => wanted == value,
    }
}

/// Not one of these, and none that one of these matchers fits.
fn anything_but(unwanted: &Value, value: &Value) -> bool {
    match unwanted {
        Value::Array(list) => !list.iter().any(|unwanted| equal(unwanted, value)),
        Value::Object(object) => object.iter().all(|(keyword, wanted)| match wanted {
            Value::Array(list) => !list.iter().any(|wanted| text_matches(keyword, wanted, value)),
            wanted => !text_matches(keyword, wanted, value),
        }),
        unwanted => !equal(unwanted, value),
    }
}

fn text_matches(keyword: &str, wanted: &Value, value: &Value) -> bool {
    let Some(value) = value.as_str() else { return false };
    match (keyword, wanted) {
        ("prefix", Value::String(wanted)) => value.starts_with(wanted),
        ("suffix", Value::String(wanted)) => value.ends_with(wanted),
        ("equals-ignore-case", Value::String(wanted)) => value.to_lowercase() == wanted.to_lowercase(),
        ("wildcard", Value::String(wanted)) => wildcard(wanted, value),
        // {"prefix": {"equals-ignore-case": "…"}}
        ("prefix" | "suffix", Value::Object(object)) => {
            let Some(wanted) = object.get("equals-ignore-case").and_then(Value::as_str) else {
                return false;
            };
            let (value, wanted) = (value.to_lowercase(), wanted.to_lowercase());
            if keyword == "prefix" { value.starts_with(&wanted) } else { value.ends_with(&wanted) }
        }
        _ => false,
    }
}

/// `*` stands for any characters, `\*` for itself.
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
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last.as_str())
}

/// `[">=", 5, "<", 10]`: every comparison holds.
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

/// A block such as `10.0.0.0/24`; a bare address is a block of one.
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
