//! Settings and construction; README.md lists the variables.

use std::sync::Arc;

use erp_auth::Tokens;
use erp_aws::clients;
use erp_domain::time::{RandomIds, SystemClock};
use erp_domain::{Clock, Ids, SettingError, Settings};
use erp_http::App;
use erp_service::Committer;
use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::api::{self, Api};
use crate::domain::{BootstrapSecret, Pseudonyms, Registration};
use crate::randomness::{OsRandomness, Randomness};
use crate::service::Auth;
use crate::service_credentials::ServiceCredentials;
use crate::store::AuthStore;
use crate::throttle::Throttle;

/// The settings. They contain secrets, so there is no `Debug`.
#[derive(Clone)]
pub struct Config {
    /// Signs and verifies tokens.
    pub tokens: Tokens,
    registration: Registration,
    exposes_reset_tokens: bool,
    services: ServiceCredentials,
    /// Mixed into the fingerprints of requests, because these contain passwords.
    pepper: Arc<[u8]>,
    /// Names accounts in the log.
    pub pseudonyms: Pseudonyms,
}

impl Config {
    /// Reads the settings.
    pub fn read(settings: &Settings<'_>) -> Result<Self, SettingError> {
        let tokens = Tokens::from_settings(settings)?;
        // Keys of their own, derived from the signing keys: access to table and log does not suffice to guess what was
        // hashed. After a rotation, earlier idempotency records are not found again; repeating their requests is safe
        // all the same, because the address is taken and the reset token used.
        let derive = |label| settings.parsed("JWT_KEYS", |keys| derive(keys, label));
        let pseudonyms = derive("erp/auth/log-pseudonym")?;
        let bootstrap = match settings.optional("BOOTSTRAP_SECRET") {
            Some(_) => Some(settings.parsed("BOOTSTRAP_SECRET", BootstrapSecret::parse)?),
            None => None,
        };
        Ok(Self {
            tokens,
            registration: settings.parsed("REGISTRATION", |text| match text {
                "open" => Ok(Registration::Open),
                "closed" => Ok(Registration::Closed(bootstrap)),
                _ => Err("must be open or closed"),
            })?,
            exposes_reset_tokens: settings.parsed("RESET_TOKENS", |text| match text {
                "expose" => Ok(true),
                "hide" => Ok(false),
                _ => Err("must be expose or hide"),
            })?,
            services: settings.parsed("SERVICE_CREDENTIALS", ServiceCredentials::from_json)?,
            pepper: derive("erp/auth/idempotency-fingerprint")?,
            pseudonyms: settings.parsed("JWT_KEYS", |_| Pseudonyms::new(&pseudonyms))?,
        })
    }
}

/// Derives a key for one purpose.
fn derive(keys: &str, label: &str) -> Result<Arc<[u8]>, InvalidLength> {
    let mac = Hmac::<Sha256>::new_from_slice(keys.as_bytes())?.chain_update(label);
    Ok(Arc::from(mac.finalize().into_bytes().as_slice()))
}

/// Builds the service from the environment.
pub async fn app() -> Result<App, SettingError> {
    let settings = Settings::from_env();
    let config = Config::read(&settings)?;
    let table = clients::table(&settings, &clients::sdk_config().await).await?;
    let store = AuthStore::new(table);
    Ok(build(config, store, Arc::new(SystemClock), Arc::new(RandomIds), Arc::new(OsRandomness)))
}

/// Builds the service over a store.
pub fn build(
    config: Config,
    store: AuthStore,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    randomness: Arc<dyn Randomness>,
) -> App {
    let Config { tokens, registration, exposes_reset_tokens, services, pepper, pseudonyms } = config;
    let committer = Committer::new(store.table().clone(), clock.clone(), pepper);
    let auth = Arc::new(Auth {
        throttle: Throttle { store: store.clone(), clock: clock.clone(), pseudonyms },
        store,
        tokens,
        services,
        registration,
        exposes_reset_tokens,
        clock: clock.clone(),
        ids,
        randomness,
    });
    App::new(api::router(Api { auth, committer }), clock)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = r#"{"kid":"k1","key":"0123456789012345678901234567890123456789"}"#;

    fn with(name: &str, value: &str) -> Result<Config, SettingError> {
        Config::read(&Settings::new(|wanted| {
            Some(match wanted {
                other if other == name => value.to_owned(),
                "JWT_KEYS" => KEYS.to_owned(),
                "REGISTRATION" => "closed".to_owned(),
                "RESET_TOKENS" => "hide".to_owned(),
                "SERVICE_CREDENTIALS" => "{}".to_owned(),
                other => other.to_owned(),
            })
        }))
    }

    #[test]
    fn a_missing_setting_is_named() {
        assert!(with("-", "").is_ok());
        for name in
            ["JWT_KEYS", "JWT_ISSUER", "JWT_AUDIENCE", "REGISTRATION", "RESET_TOKENS", "SERVICE_CREDENTIALS"]
        {
            assert_eq!(with(name, "").err(), Some(SettingError::Missing(name)));
        }
    }

    #[test]
    fn the_bootstrap_secret_is_optional() {
        let has_secret = |config: Config| match config.registration {
            Registration::Closed(secret) => secret.is_some(),
            Registration::Open => false,
        };
        assert!(!has_secret(with("BOOTSTRAP_SECRET", "").unwrap()));
        assert!(has_secret(with("BOOTSTRAP_SECRET", "0123456789abcdef").unwrap()));
        assert!(!has_secret(with("REGISTRATION", "open").unwrap()), "open registration needs none");
    }

    #[test]
    fn an_invalid_setting_is_named_and_not_shown() {
        for name in ["JWT_KEYS", "REGISTRATION", "RESET_TOKENS", "SERVICE_CREDENTIALS", "BOOTSTRAP_SECRET"] {
            let error = with(name, "hunter2").err().unwrap();
            for text in [error.to_string(), format!("{error:?}")] {
                assert!(text.contains(name) && !text.contains("hunter2"), "{text}");
            }
        }
    }

    #[test]
    fn the_pepper_is_not_the_key_and_follows_it() {
        let one = with("-", "").unwrap();
        let other = with("JWT_KEYS", &KEYS.replace("k1", "k2")).unwrap();
        assert_ne!(one.pepper, other.pepper);
        assert_eq!(one.pepper.len(), 32);
        assert_ne!(one.pseudonyms.of("ann@example.com"), other.pseudonyms.of("ann@example.com"));
    }
}
