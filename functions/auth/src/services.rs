//! Other programs, by their names and secrets.

use std::collections::BTreeMap;
use std::fmt;

use erp_domain::Invalid;
use subtle::{Choice, ConstantTimeEq};

use crate::secret::Secret;

/// The shortest secret accepted: it is not typed by people, so it need not be short.
const MIN_SECRET_BYTES: usize = 16;
/// The longest name of a service, in characters.
pub const MAX_NAME_CHARACTERS: usize = 100;

/// The services that get tokens. Only digests are kept, of names and secrets alike: they all have one length, so
/// that comparing tells nothing by its time.
#[derive(Clone)]
pub struct ServiceCredentials(Vec<([u8; 32], [u8; 32])>);

impl ServiceCredentials {
    /// Reads a JSON object of names and secrets.
    ///
    /// # Errors
    /// When it is none, or a secret is too short. Tells names, never secrets.
    pub fn from_json(json: &str) -> Result<Self, Invalid> {
        // The parser's own words could quote the text.
        let services: BTreeMap<String, Secret> = serde_json::from_str(json)
            .map_err(|_| Invalid::new("must be a JSON object of service names and secrets"))?;
        let digests = services.into_iter().map(|(name, secret)| {
            if name.is_empty() || name.chars().count() > MAX_NAME_CHARACTERS {
                return Err(Invalid::new(format!(
                    "has a service name that is empty or longer than {MAX_NAME_CHARACTERS} characters"
                )));
            }
            if secret.expose().len() < MIN_SECRET_BYTES {
                let reason = format!("has a secret of less than {MIN_SECRET_BYTES} bytes, for {name}");
                return Err(Invalid::new(reason));
            }
            Ok((Secret::new(name).digest(), secret.digest()))
        });
        Ok(Self(digests.collect::<Result<_, _>>()?))
    }

    /// Whether this is the secret of that service. Every service is looked at, whatever is found.
    pub fn verify(&self, name: &str, secret: &Secret) -> bool {
        let given = (Secret::new(name).digest(), secret.digest());
        let fits = |(name, secret): &([u8; 32], [u8; 32])| name.ct_eq(&given.0) & secret.ct_eq(&given.1);
        self.0.iter().map(fits).fold(Choice::from(0), |found, fits| found | fits).into()
    }
}

impl fmt::Debug for ServiceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceCredentials({} services)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_known_by_its_own_secret_only() {
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
            ("nobody", "0123456789abcdef"),
            ("", ""),
        ] {
            assert!(!verify(name, secret), "{name} {secret}");
        }
        let nobody = ServiceCredentials::from_json("{}").unwrap();
        assert!(!nobody.verify("", &Secret::new("")));
    }

    #[test]
    fn a_refusal_never_shows_a_secret() {
        for json in
            ["hunter2", r#"["hunter2"]"#, r#"{"a":"hunter2"}"#, r#"{"a":["hunter2"]}"#, r#"{"":"hunter2"}"#]
        {
            let reason = ServiceCredentials::from_json(json).unwrap_err().to_string();
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }
}
