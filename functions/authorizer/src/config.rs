//! Settings from the environment. Read here and not with the other services' reader, which would bring the SDK in.

use erp_auth::{Keyring, Tokens};

/// A setting that is missing or makes no sense. Names the variable, never what it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {name} {reason}")]
pub struct ConfigError {
    name: &'static str,
    reason: String,
}

/// The reader of the platform's tokens. `variable` looks one up.
///
/// # Errors
/// When `JWT_KEYS`, `JWT_ISSUER` or `JWT_AUDIENCE` is not there or cannot be used.
pub fn tokens(variable: impl Fn(&str) -> Option<String>) -> Result<Tokens, ConfigError> {
    let required = |name: &'static str| {
        let value = variable(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| ConfigError { name, reason: "must be set".to_owned() })
    };
    let keyring = Keyring::from_json(&required("JWT_KEYS")?)
        .map_err(|error| ConfigError { name: "JWT_KEYS", reason: format!("cannot be used: {error}") })?;
    Ok(Tokens::new(keyring, required("JWT_ISSUER")?, required("JWT_AUDIENCE")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = r#"{"kid":"k1","key":"0123456789012345678901234567890123456789"}"#;

    fn with(name: &str, value: &str) -> Result<Tokens, ConfigError> {
        tokens(|wanted| {
            Some(match wanted {
                other if other == name => value.to_owned(),
                "JWT_KEYS" => KEYS.to_owned(),
                other => other.to_owned(),
            })
        })
    }

    #[test]
    fn every_setting_is_needed_and_named_when_it_is_missing() {
        assert!(with("-", "").is_ok());
        for name in ["JWT_KEYS", "JWT_ISSUER", "JWT_AUDIENCE"] {
            let error = with(name, "").unwrap_err().to_string();
            assert_eq!(error, format!("the environment variable {name} must be set"));
        }
    }

    #[test]
    fn an_unusable_key_is_named_and_not_shown() {
        for keys in ["hunter2", r#"{"kid":"k1","key":"hunter2"}"#] {
            let error = with("JWT_KEYS", keys).unwrap_err().to_string();
            assert!(error.contains("JWT_KEYS") && !error.contains("hunter2"), "{error}");
        }
    }
}
