//! Settings and wiring.
//!
//! ```text
//! TABLE_NAME           the auth table
//! JWT_KEYS             {"kid", "key", "previous_kid", "previous_key"}
//! JWT_ISSUER           `iss` of tokens
//! JWT_AUDIENCE         `aud` of tokens
//! REGISTRATION         open or closed
//! RESET_TOKENS         expose or hide
//! SERVICE_CREDENTIALS  JSON object of service names and secrets
//! ```

use std::sync::Arc;

use erp_auth::{Keyring, Tokens};
use erp_aws::answers::Answers;
use erp_aws::{ConfigError, Table, clients};
use erp_domain::ports::{RandomIds, SystemClock};
use erp_domain::{Clock, Ids};
use erp_http::{App, idempotency};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::access::{Registration, ResetTokens};
use crate::api::{self, Wiring};
use crate::password::Passwords;
use crate::ports::{OsRandomness, Randomness};
use crate::registrar::Registrars;
use crate::service::Auth;
use crate::services::ServiceCredentials;
use crate::store::DynamoStore;
use crate::throttle::Throttle;

/// The settings. No `Debug`: they hold secrets.
#[derive(Clone)]
pub struct Config {
    /// The auth table.
    pub table_name: String,
    /// Signs and reads tokens.
    pub tokens: Tokens,
    /// Who may register.
    pub registration: Registration,
    /// Whether answers hold reset tokens.
    pub reset_tokens: ResetTokens,
    /// The services that get tokens.
    pub services: ServiceCredentials,
    /// Mixed into the fingerprints of bodies, since these hold passwords.
    pub pepper: Arc<[u8]>,
}

impl Config {
    /// Reads the settings. `variable` looks one up.
    ///
    /// # Errors
    /// When one is missing or makes no sense; the error names it and does not show it.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let required = |name: &'static str| {
            variable(name).filter(|value| !value.is_empty()).ok_or(ConfigError::Missing(name))
        };
        let keys = required("JWT_KEYS")?;
        let keyring = Keyring::from_json(&keys).map_err(|error| invalid("JWT_KEYS", &error))?;
        let registration = required("REGISTRATION")?;
        let reset_tokens = required("RESET_TOKENS")?;
        let services = required("SERVICE_CREDENTIALS")?;
        Ok(Self {
            table_name: required("TABLE_NAME")?,
            tokens: Tokens::new(keyring, required("JWT_ISSUER")?, required("JWT_AUDIENCE")?),
            registration: registration.parse().map_err(|error| invalid("REGISTRATION", &error))?,
            reset_tokens: reset_tokens.parse().map_err(|error| invalid("RESET_TOKENS", &error))?,
            services: ServiceCredentials::from_json(&services)
                .map_err(|error| invalid("SERVICE_CREDENTIALS", &error))?,
            pepper: pepper(&keys)?,
        })
    }
}

fn invalid(name: &'static str, reason: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::Invalid { name, reason: reason.to_string() }
}

/// A key of its own for fingerprints, out of the signing keys: whoever reads the table cannot try passwords against
/// a fingerprint. When the keys are rotated, answers kept before are not found again; what they answered for is
/// safe to ask twice all the same, an address is taken and a reset token is used up.
fn pepper(keys: &str) -> Result<Arc<[u8]>, ConfigError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(keys.as_bytes()).map_err(|e| invalid("JWT_KEYS", &e))?;
    mac.update(b"erp/auth/idempotency-fingerprint");
    Ok(Arc::from(mac.finalize().into_bytes().as_slice()))
}

/// Time, ids and randomness.
#[derive(Clone)]
pub struct World {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn Ids>,
    /// Randomness.
    pub randomness: Arc<dyn Randomness>,
}

/// The service, ready to run.
///
/// # Errors
/// When a setting is missing or makes no sense.
pub async fn app() -> Result<App, ConfigError> {
    let config = Config::read(|name| std::env::var(name).ok())?;
    let client = aws_sdk_dynamodb::Client::new(&clients::sdk_config().await);
    let table = Table::new(client, &config.table_name);
    clients::warm(&table).await;
    let world =
        World { clock: Arc::new(SystemClock), ids: Arc::new(RandomIds), randomness: Arc::new(OsRandomness) };
    Ok(assemble(config, DynamoStore::new(table), world))
}

/// The service over a store.
pub fn assemble(config: Config, store: DynamoStore, world: World) -> App {
    let World { clock, ids, randomness } = world;
    let answers = Arc::new(Answers { table: store.table().clone(), clock: clock.clone() });
    let registrars = Registrars { tokens: config.tokens.clone(), clock: clock.clone() };
    let store = Arc::new(store);
    let auth = Auth {
        users: store.clone(),
        resets: store.clone(),
        throttle: Throttle { store, clock: clock.clone() },
        passwords: Passwords::new(randomness.clone()),
        tokens: config.tokens,
        services: config.services,
        registration: config.registration,
        clock: clock.clone(),
        ids,
        randomness,
    };
    let wiring = Wiring {
        reset_tokens: config.reset_tokens,
        registrars: (config.registration == Registration::Closed).then_some(registrars),
        idempotency: idempotency::Layer { answers, clock: clock.clone(), pepper: config.pepper },
    };
    let (routes, _) = api::router(auth, wiring).split_for_parts();
    App::new(routes, clock)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = r#"{"kid":"k1","key":"0123456789012345678901234567890123456789"}"#;

    fn with(name: &str, value: &str) -> Result<Config, ConfigError> {
        Config::read(|wanted| {
            Some(match wanted {
                other if other == name => value.to_owned(),
                "JWT_KEYS" => KEYS.to_owned(),
                "REGISTRATION" => "closed".to_owned(),
                "RESET_TOKENS" => "hide".to_owned(),
                "SERVICE_CREDENTIALS" => "{}".to_owned(),
                other => other.to_owned(),
            })
        })
    }

    #[test]
    fn every_setting_is_needed_and_named_when_it_is_missing() {
        assert!(with("-", "").is_ok());
        for name in [
            "TABLE_NAME",
            "JWT_KEYS",
            "JWT_ISSUER",
            "JWT_AUDIENCE",
            "REGISTRATION",
            "RESET_TOKENS",
            "SERVICE_CREDENTIALS",
        ] {
            assert_eq!(with(name, "").err(), Some(ConfigError::Missing(name)));
        }
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_named_and_not_shown() {
        for name in ["JWT_KEYS", "REGISTRATION", "RESET_TOKENS", "SERVICE_CREDENTIALS"] {
            let error = with(name, "hunter2").err().unwrap();
            for text in [error.to_string(), format!("{error:?}")] {
                assert!(text.contains(name) && !text.contains("hunter2"), "{text}");
            }
        }
    }

    #[test]
    fn the_pepper_is_not_the_key_and_follows_it() {
        let one = with("-", "").unwrap().pepper;
        let other = with("JWT_KEYS", &KEYS.replace("k1", "k2")).unwrap().pepper;
        assert_ne!(one, other);
        assert_eq!(one.len(), 32);
    }
}
