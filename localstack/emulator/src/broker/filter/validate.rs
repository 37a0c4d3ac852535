//! Validation of patterns when they are set, so that a typing error is reported instead of matching nothing.

use serde_json::{Map, Value};

use super::{alternatives, parse_cidr};

/// The part of a message that a filter policy matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The message's attributes; the policy must be flat.
    MessageAttributes,
    /// The message's body, a JSON object.
    MessageBody,
}

/// Maximum number of combinations of values and of keys in a filter policy.
/// <https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html>
const MAX_COMBINATIONS: usize = 150;
const MAX_KEYS: usize = 5;

/// The keywords of matchers.
const MATCHERS: [&str; 8] =
    ["anything-but", "cidr", "equals-ignore-case", "exists", "numeric", "prefix", "suffix", "wildcard"];

pub(super) fn is_matcher(keyword: &str) -> bool {
    MATCHERS.contains(&keyword)
}

/// Validates a pattern of any depth.
///
/// # Errors
/// The reason and the key.
pub fn validate(pattern: &Value) -> Result<(), String> {
    let object = pattern.as_object().ok_or("Filter policy must be a JSON object")?;
    check_object(object, "", true)
}

/// Validates a subscription's filter policy: a pattern within the limits of SNS, and flat for message
/// attributes.
///
/// # Errors
/// The reason and the key.
pub fn validate_policy(policy: &Value, scope: Scope) -> Result<(), String> {
    let object = policy.as_object().ok_or("Filter policy must be a JSON object")?;
    check_object(object, "", scope == Scope::MessageBody)?;
    let (keys, combinations) = size(object, 1);
    if keys > MAX_KEYS {
        return Err("Filter policy can not have more than 5 keys".to_owned());
    }
    if combinations > MAX_COMBINATIONS {
        return Err(format!("Filter policy is too complex: {combinations} combinations, at most 150"));
    }
    Ok(())
}

/// The number of leaf keys, and the product over them of values and depth.
fn size(object: &Map<String, Value>, depth: usize) -> (usize, usize) {
    object.iter().fold((0, 1), |(keys, product), (key, value)| {
        let (more, factor) = match value {
            Value::Object(inner) => size(inner, depth + 1),
            Value::Array(_) if key == "$or" && alternatives(value).is_some() => alternatives(value)
                .into_iter()
                .flatten()
                .filter_map(Value::as_object)
                .map(|one| size(one, depth))
                .fold((0, 0_usize), |(k, p), (keys, product)| (k.max(keys), p.saturating_add(product))),
            Value::Array(list) => (1, list.len().saturating_mul(depth)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (1, 1),
        };
        (keys + more, product.saturating_mul(factor))
    })
}

fn check_object(object: &Map<String, Value>, path: &str, nested: bool) -> Result<(), String> {
    for (key, value) in object {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Value::Array(_) if key == "$or" && alternatives(value).is_some() => {
                for one in alternatives(value).into_iter().flatten() {
                    let one = one.as_object().ok_or_else(|| format!("{path} must hold objects"))?;
                    if one.is_empty() {
                        return Err(format!("{path} must not hold an empty object"));
                    }
                    check_object(one, &path, nested)?;
                }
            }
            Value::Array(matchers) if matchers.is_empty() => {
                return Err(format!("Empty arrays are not allowed at {path}"));
            }
            Value::Array(matchers) => {
                for matcher in matchers {
                    check_matcher(matcher).map_err(|reason| format!("{reason} at {path}"))?;
                }
            }
            Value::Object(_) if !nested => {
                return Err(format!(
                    "Filter policy scope MessageAttributes does not support nested filter policy: {path}"
                ));
            }
            Value::Object(inner) if inner.is_empty() => {
                return Err(format!("Empty objects are not allowed at {path}"));
            }
            Value::Object(inner) => check_object(inner, &path, nested)?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                return Err(format!("\"{path}\" must be an object or an array"));
            }
        }
    }
    Ok(())
}

fn check_matcher(matcher: &Value) -> Result<(), String> {
    let object = match matcher {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Ok(()),
        Value::Array(_) => return Err("Match value must be String, number, true, false, or null".to_owned()),
        Value::Object(object) => object,
    };
    let Some((keyword, expected)) = object.iter().next().filter(|_| object.len() == 1) else {
        return Err("Only one key allowed in match expression".to_owned());
    };
    match keyword.as_str() {
        "exists" => expected
            .is_boolean()
            .then_some(())
            .ok_or("exists match pattern must be either true or false".to_owned()),
        "prefix" | "suffix" => check_affix(keyword, expected),
        "equals-ignore-case" | "wildcard" => check_text(keyword, expected),
        "cidr" => expected
            .as_str()
            .and_then(parse_cidr)
            .map(|_| ())
            .ok_or("cidr must be an address block such as 10.0.0.0/24".to_owned()),
        "numeric" => check_numeric(expected),
        "anything-but" => check_anything_but(expected),
        other => Err(format!("Unrecognized match type {other}")),
    }
}

fn check_text(keyword: &str, expected: &Value) -> Result<(), String> {
    expected
        .as_str()
        .filter(|text| !text.is_empty())
        .map(|_| ())
        .ok_or_else(|| format!("{keyword} match pattern must be a non-empty string"))
}

/// Accepts a string or `{"equals-ignore-case": string}`.
fn check_affix(keyword: &str, expected: &Value) -> Result<(), String> {
    match expected.as_object() {
        Some(object) if object.len() == 1 => {
            check_text(keyword, object.get("equals-ignore-case").unwrap_or(&Value::Null))
        }
        Some(_) | None => check_text(keyword, expected),
    }
}

fn check_anything_but(excluded: &Value) -> Result<(), String> {
    match excluded {
        Value::String(_) | Value::Number(_) => Ok(()),
        Value::Array(list) => {
            let fits = list.iter().all(Value::is_string) || list.iter().all(Value::is_number);
            (fits && !list.is_empty()).then_some(()).ok_or_else(|| {
                "anything-but list must hold only strings or only numbers, and at least one".to_owned()
            })
        }
        Value::Object(object) => match object.iter().next().filter(|_| object.len() == 1) {
            Some((keyword, expected))
                if ["prefix", "suffix", "equals-ignore-case", "wildcard"].contains(&keyword.as_str()) =>
            {
                match expected {
                    Value::Array(list) if !list.is_empty() => {
                        list.iter().try_for_each(|expected| check_text(keyword, expected))
                    }
                    expected => check_text(keyword, expected),
                }
            }
            Some(_) | None => Err("Unsupported anything-but pattern".to_owned()),
        },
        Value::Null | Value::Bool(_) => {
            Err("Value of anything-but must be a string, number, list or matcher".to_owned())
        }
    }
}

fn check_numeric(comparisons: &Value) -> Result<(), String> {
    let list = comparisons.as_array().ok_or("Value of numeric must be an array")?;
    let pair = |operator: &Value, limit: &Value| -> Result<(String, f64), String> {
        let operator = operator
            .as_str()
            .filter(|operator| ["=", "<", "<=", ">", ">="].contains(operator))
            .ok_or_else(|| format!("Unrecognized numeric range operator: {operator}"))?;
        let limit = limit.as_f64().ok_or_else(|| format!("Value of {operator} must be numeric"))?;
        if limit.abs() > 1e9 {
            return Err(format!("Value of {operator} must be between -1.0E9 and 1.0E9"));
        }
        Ok((operator.to_owned(), limit))
    };
    match list.as_slice() {
        [operator, limit] => pair(operator, limit).map(|_| ()),
        [lower, from, upper, to] => {
            let ((lower, from), (upper, to)) = (pair(lower, from)?, pair(upper, to)?);
            if !lower.starts_with('>') || !upper.starts_with('<') {
                return Err(
                    "A numeric range is a lower limit (>, >=) and then an upper one (<, <=)".to_owned()
                );
            }
            if from < to { Ok(()) } else { Err("Bottom must be less than top".to_owned()) }
        }
        _ => Err("A numeric match is one comparison, or a lower and an upper limit".to_owned()),
    }
}
