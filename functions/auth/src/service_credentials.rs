//! Names and secrets of other programs.

use std::collections::BTreeMap;

use erp_domain::ValidationError;
use erp_domain::text::single_line;
use subtle::{Choice, ConstantTimeEq};

use crate::domain::{MIN_CONFIGURED_BYTES, Secret};

/// Maximum length of a service name, in characters.
pub const MAX_NAME_CHARACTERS: usize = 100;

/// The services that get tokens, as digests of names and secrets. All digests have one length, so the duration of a
/// comparison reveals nothing.
#[derive(Clone)]
pub struct ServiceCredentials(Vec<([u8; 32], [u8; 32])>);

impl ServiceCredentials {
    /// Parses a JSON object of names and secrets. The error may contain names, never secrets.
    pub fn from_json(json: &str) -> Result<Self, ValidationError> {
        // The parser's message could quote the text.
        let services: BTreeMap<String, Secret> = serde_json::from_str(json)
            .map_err(|_| ValidationError::new("must be a JSON object of service names and secrets"))?;
        let digests = services.into_iter().map(|(name, secret)| {
            let name = single_line(&name, 1, MAX_NAME_CHARACTERS)
                .map_err(|error| ValidationError::new(format!("has a service name that {error}")))?;
            if secret.expose().len() < MIN_CONFIGURED_BYTES {
                let reason = format!("has a secret of less than {MIN_CONFIGURED_BYTES} bytes, for {name}");
                return Err(ValidationError::new(reason));
            }
            Ok((Secret::new(name).digest(), secret.digest()))
        });
        Ok(Self(digests.collect::<Result<_, _>>()?))
    }

    /// Returns whether the secret is that of the service. Compares with every service, whatever matches.
    pub fn verify(&self, name: &str, secret: &Secret) -> bool {
        let given = (Secret::new(name).digest(), secret.digest());
        let matches = |(name, secret): &([u8; 32], [u8; 32])| name.ct_eq(&given.0) & secret.ct_eq(&given.1);
        self.0.iter().map(matches).fold(Choice::from(0), |found, matches| found | matches).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_recognised_by_its_own_secret_only() {
        let json = r#"{"reports":"0123456789abcdef","shipping":"fedcba9876543210"}"#;
        let services = ServiceCredentials::from_json(json).unwrap();
        let verify = |name: &str, secret: &str| services.verify(name, &Secret::new(secret));
        assert!(verify("reports", "0123456789abcdef"));
        assert!(verify("shipping", "fedcba9876543210"));
        for (name, secret) in [
            ("reports", "fedcba9876543210"),
            ("reports", "0123456789abcde"),
            ("reports", ""),
            ("Reports", "0123456789abcdef"),
            ("unknown", "0123456789abcdef"),
            ("", ""),
        ] {
            assert!(!verify(name, secret), "{name} {secret}");
        }
        let none = ServiceCredentials::from_json("{}").unwrap();
        assert!(!none.verify("", &Secret::new("")));
    }

    #[test]
    fn an_error_never_shows_a_secret() {
        for json in
            ["hunter2", r#"["hunter2"]"#, r#"{"a":"hunter2"}"#, r#"{"a":["hunter2"]}"#, r#"{"":"hunter2"}"#]
        {
            let reason = ServiceCredentials::from_json(json).err().unwrap().to_string();
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }
}
