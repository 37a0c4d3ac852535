//! Dynamic references: `{{resolve:secretsmanager:NAME-or-ARN:SecretString[:key[:stage[:version]]]}}` inside a text.

use std::collections::BTreeMap;

use serde_json::Value;

use super::properties::scalar;

const OPEN: &str = "{{resolve:";
const CLOSE: &str = "}}";

/// The text with its references replaced by the secrets, which go by name and by ARN; or what is wrong with one.
pub(super) fn replaced(text: &str, secrets: &BTreeMap<String, String>) -> Result<String, String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once(OPEN) {
        // One that is not closed is left for the text that it becomes a part of.
        let Some((reference, after)) = tail.split_once(CLOSE) else { break };
        result.push_str(before);
        result.push_str(&value(reference, secrets)?);
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

/// What stands for `secretsmanager:NAME-or-ARN:SecretString[:key]`.
fn value(reference: &str, secrets: &BTreeMap<String, String>) -> Result<String, String> {
    let shape =
        || format!("{OPEN}{reference}{CLOSE} is not of the form secretsmanager:<secret>:SecretString[:key]");
    let secret = reference.strip_prefix("secretsmanager:").ok_or_else(shape)?;
    // An ARN has colons of its own.
    let (id, rest) = secret.split_once(":SecretString").ok_or_else(shape)?;
    let mut parts = match rest {
        "" => rest.split(':'),
        rest => rest.strip_prefix(':').ok_or_else(shape)?.split(':'),
    };
    let key = parts.next().unwrap_or_default();
    if parts.any(|version| !version.is_empty()) {
        return Err(format!("{OPEN}{reference}{CLOSE} asks for a version; there is only one here"));
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
    fn a_secret_is_found_by_name_by_arn_and_by_key() {
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
            assert_eq!(replaced(&text, &secrets).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "{{resolve:ssm:erp-db}}",
            "{{resolve:secretsmanager:erp-db}}",
            "{{resolve:secretsmanager:other:SecretString}}",
            "{{resolve:secretsmanager:erp-db:SecretString:user}}",
            "{{resolve:secretsmanager:erp-db:SecretString:::some-version}}",
        ] {
            assert!(replaced(text, &secrets).is_err(), "{text}");
        }
    }
}
