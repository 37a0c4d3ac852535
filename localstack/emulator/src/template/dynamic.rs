//! Dynamic references: `{{resolve:secretsmanager:NAME-or-ARN:SecretString[:key[:stage[:version]]]}}` inside a
//! string.

use std::collections::BTreeMap;

use serde_json::Value;

use super::properties::scalar;

const OPEN: &str = "{{resolve:";
const CLOSE: &str = "}}";

/// Replaces the references in a string with the values of `secrets`, whose keys are names and ARNs.
///
/// # Errors
/// A reference is malformed, or its secret or key does not exist.
pub(super) fn resolve(text: &str, secrets: &BTreeMap<String, String>) -> Result<String, String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once(OPEN) {
        // An open reference may be closed in the string that this one becomes part of.
        let Some((reference, after)) = tail.split_once(CLOSE) else { break };
        result.push_str(before);
        result.push_str(&value(reference, secrets)?);
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

/// The value of `secretsmanager:NAME-or-ARN:SecretString[:key]`.
fn value(reference: &str, secrets: &BTreeMap<String, String>) -> Result<String, String> {
    let shape =
        || format!("{OPEN}{reference}{CLOSE} is not of the form secretsmanager:<secret>:SecretString[:key]");
    let secret = reference.strip_prefix("secretsmanager:").ok_or_else(shape)?;
    // An ARN contains colons.
    let (id, rest) = secret.split_once(":SecretString").ok_or_else(shape)?;
    let mut parts = match rest {
        "" => rest.split(':'),
        rest => rest.strip_prefix(':').ok_or_else(shape)?.split(':'),
    };
    // An empty or missing key means the whole secret.
    let key = parts.next().unwrap_or_default();
    if parts.any(|version| !version.is_empty()) {
        return Err(format!("{OPEN}{reference}{CLOSE} names a version, which is not supported"));
    }
    let value = secrets.get(id).ok_or_else(|| format!("there is no secret {id}"))?;
    if key.is_empty() {
        return Ok(value.clone());
    }
    let parsed: Value =
        serde_json::from_str(value).map_err(|_| format!("the secret {id} is not a JSON object"))?;
    parsed.get(key).and_then(scalar).ok_or_else(|| format!("the secret {id} has no key {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_resolved_by_name_by_arn_and_by_key() {
        let value = r#"{"pass":"word"}"#.to_owned();
        let arn = crate::arn::secret("erp-db");
        let secrets = BTreeMap::from([("erp-db".to_owned(), value.clone()), (arn.clone(), value.clone())]);
        for (text, expected) in [
            ("{{resolve:secretsmanager:erp-db:SecretString}}".to_owned(), value.as_str()),
            (format!("{{{{resolve:secretsmanager:{arn}:SecretString:pass}}}}"), "word"),
            ("a {{resolve:secretsmanager:erp-db:SecretString:pass::}} z".to_owned(), "a word z"),
            ("{{resolve:secretsmanager:erp-db:SecretString:::}}".to_owned(), value.as_str()),
            ("{{resolve:secretsmanager:".to_owned(), "{{resolve:secretsmanager:"),
            ("no reference".to_owned(), "no reference"),
        ] {
            assert_eq!(resolve(&text, &secrets).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "{{resolve:ssm:erp-db}}",
            "{{resolve:secretsmanager:erp-db}}",
            "{{resolve:secretsmanager:other:SecretString}}",
            "{{resolve:secretsmanager:erp-db:SecretString:user}}",
            "{{resolve:secretsmanager:erp-db:SecretString:::some-version}}",
        ] {
            assert!(resolve(text, &secrets).is_err(), "{text}");
        }
    }
}
