//! Access tokens: JWT (RFC 7519) signed with HS256.

use erp_domain::identity::{Caller, Role};
use erp_domain::{EmailAddress, Id, SettingError, Settings, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Keyring;

/// Lifetime of a user's token, in seconds.
pub const USER_TOKEN_SECONDS: i64 = 86_400;
/// Lifetime of a service's token, in seconds.
pub const SERVICE_TOKEN_SECONDS: i64 = 3_600;
/// Tolerated clock skew between issuer and verifier, in seconds.
pub const CLOCK_SKEW_SECONDS: i64 = 60;
/// Maximum length of a token, in bytes; longer ones are rejected without parsing.
const MAX_TOKEN_BYTES: usize = 4096;

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<EmailAddress>,
    role: String,
    #[serde(rename = "type")]
    kind: Kind,
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    jti: Uuid,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    User,
    Service,
}

impl Kind {
    /// Returns the lifetime of a token, in seconds.
    const fn lifetime(&self) -> i64 {
        match self {
            Self::User => USER_TOKEN_SECONDS,
            Self::Service => SERVICE_TOKEN_SECONDS,
        }
    }
}

/// Signs and verifies the tokens of one deployment.
#[derive(Debug, Clone)]
pub struct Tokens {
    keyring: Keyring,
    issuer: String,
    audience: String,
}

/// The content of a verified token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The caller.
    pub caller: Caller,
    /// Expiry of the token.
    pub expires_at: Timestamp,
}

/// The reason why a token is rejected, for the log; clients only get "unauthorized".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Format, key, signature, issuer, audience or lifetime are invalid.
    #[error("invalid token: {0}")]
    Invalid(String),
    /// The token has expired.
    #[error("expired at {0}")]
    Expired(Timestamp),
    /// The token is not valid yet (`iat` or `nbf`).
    #[error("not valid before {0}")]
    Early(Timestamp),
}

/// Returns the token of an `Authorization` header: `Bearer <token>`, the scheme in any letter case (RFC 9110 section 11.1,
/// RFC 6750 section 2.1).
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

impl Tokens {
    /// Creates an instance for a keyring, an issuer (`iss`) and an audience (`aud`).
    pub fn new(keyring: Keyring, issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self { keyring, issuer: issuer.into(), audience: audience.into() }
    }

    /// Reads keyring, issuer and audience from `JWT_KEYS`, `JWT_ISSUER` and `JWT_AUDIENCE`.
    pub fn from_settings(settings: &Settings<'_>) -> Result<Self, SettingError> {
        let keyring = settings.parsed("JWT_KEYS", |json| {
            Keyring::from_json(json).map_err(|error| format!("cannot be used: {error}"))
        })?;
        Ok(Self::new(keyring, settings.required("JWT_ISSUER")?, settings.required("JWT_AUDIENCE")?))
    }

    /// Signs a token for a caller and returns it with its lifetime in seconds.
    pub fn sign(&self, caller: &Caller, id: Uuid, now: Timestamp) -> Result<(String, i64), TokenError> {
        let (kind, sub, email, role) = match caller {
            Caller::User { id, email, role } => {
                (Kind::User, id.to_string(), Some(email.clone()), role.as_str())
            }
            Caller::Service { name } => (Kind::Service, name.clone(), None, "service"),
        };
        let seconds = kind.lifetime();
        let claims = Claims {
            sub,
            email,
            role: role.to_owned(),
            kind,
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            iat: now.as_seconds(),
            exp: now.as_seconds() + seconds,
            nbf: None,
            jti: id,
        };
        let header = Header { kid: Some(self.keyring.current.kid.clone()), ..Header::new(Algorithm::HS256) };
        let key = EncodingKey::from_secret(self.keyring.current.secret.as_bytes());
        let token =
            jsonwebtoken::encode(&header, &claims, &key).map_err(|e| TokenError::Invalid(e.to_string()))?;
        Ok((token, seconds))
    }

    /// Verifies the bearer token of an `Authorization` header at the time `now`.
    pub fn verify_header(&self, authorization: Option<&str>, now: Timestamp) -> Result<Verified, TokenError> {
        let token = authorization.and_then(bearer);
        let token = token.ok_or_else(|| TokenError::Invalid("no bearer token".to_owned()))?;
        self.verify(token, now)
    }

    /// Verifies a token at the time `now`.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, TokenError> {
        let invalid = |reason: &str| TokenError::Invalid(reason.to_owned());
        if token.len() > MAX_TOKEN_BYTES {
            return Err(invalid("too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|e| invalid(&e.to_string()))?;
        // RFC 7515 section 4.1.11: a token with an extension that the verifier does not understand is invalid.
        if header.crit.is_some() {
            return Err(invalid("crit names extensions that are not supported"));
        }
        let kid = header.kid.ok_or_else(|| invalid("no kid"))?;
        let key = self.keyring.find(&kid).ok_or_else(|| invalid("unknown kid"))?;

        // The algorithm is fixed, never taken from the token. Times are checked below against the injected clock.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_exp = false;
        let decoding = DecodingKey::from_secret(key.secret.as_bytes());
        let claims = jsonwebtoken::decode::<Claims>(token, &decoding, &validation)
            .map_err(|e| invalid(&e.to_string()))?
            .claims;

        let seconds = |at: i64| Timestamp::from_millis(at.saturating_mul(1000));
        if now.as_seconds() >= claims.exp {
            return Err(TokenError::Expired(seconds(claims.exp)));
        }
        let not_before = claims.nbf.unwrap_or(claims.iat).max(claims.iat);
        if not_before > now.as_seconds().saturating_add(CLOCK_SKEW_SECONDS) {
            return Err(TokenError::Early(seconds(not_before)));
        }
        if claims.exp.saturating_sub(claims.iat) > claims.kind.lifetime() {
            return Err(invalid("exp is later than the longest lifetime of a token"));
        }
        let caller = match (claims.kind, claims.email) {
            (Kind::User, Some(email)) => {
                let id: Id<_> = claims.sub.parse().map_err(|_| invalid("sub is not a user id"))?;
                let role: Role = claims.role.parse().map_err(|_| invalid("unknown role"))?;
                Caller::User { id, email, role }
            }
            (Kind::Service, None) if claims.role == "service" => Caller::Service { name: claims.sub },
            (Kind::User | Kind::Service, _) => return Err(invalid("type, role and email are inconsistent")),
        };
        Ok(Verified { caller, expires_at: seconds(claims.exp) })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn keyring(kid: &str, previous: &str) -> Keyring {
        let json = serde_json::json!({
            "kid": kid, "key": kid.repeat(40),
            "previous_kid": previous, "previous_key": previous.repeat(40),
        });
        Keyring::from_json(&json.to_string()).unwrap()
    }

    fn user() -> Caller {
        Caller::User {
            id: Id::new(Uuid::nil()),
            email: EmailAddress::parse("a@b.c").unwrap(),
            role: Role::InventoryManager,
        }
    }

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        for header in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c", " Bearer a.b.c "] {
            assert_eq!(bearer(header), Some("a.b.c"), "{header:?}");
        }
        for header in ["", "a.b.c", "Bearer", "Bearer ", "Basic a.b.c", "Bearera.b.c"] {
            assert_eq!(bearer(header), None, "{header:?}");
        }
    }

    #[test]
    fn a_token_identifies_its_caller() {
        let tokens = Tokens::new(keyring("a", ""), "erp", "api");
        let now = Timestamp::from_millis(NOW);
        for caller in [user(), Caller::Service { name: "reports".into() }] {
            let (token, seconds) = tokens.sign(&caller, Uuid::nil(), now).unwrap();
            let expires_at = now.plus_seconds(seconds);
            assert_eq!(tokens.verify(&token, now), Ok(Verified { caller, expires_at }));
            assert_eq!(tokens.verify(&token, expires_at), Err(TokenError::Expired(expires_at)));
            let early = now.plus_seconds(-CLOCK_SKEW_SECONDS - 1);
            assert_eq!(tokens.verify(&token, early), Err(TokenError::Early(now)));
            assert!(tokens.verify(&token, now.plus_seconds(-CLOCK_SKEW_SECONDS)).is_ok());
        }
    }

    #[test]
    fn a_previous_key_verifies_and_a_retired_one_does_not() {
        let now = Timestamp::from_millis(NOW);
        let (token, _) = Tokens::new(keyring("a", ""), "erp", "api").sign(&user(), Uuid::nil(), now).unwrap();
        assert!(Tokens::new(keyring("b", "a"), "erp", "api").verify(&token, now).is_ok());
        assert!(Tokens::new(keyring("c", "b"), "erp", "api").verify(&token, now).is_err());
    }

    #[test]
    fn a_token_of_another_issuer_or_key_is_rejected() {
        let now = Timestamp::from_millis(NOW);
        let tokens = Tokens::new(keyring("a", ""), "erp", "api");
        let (token, _) = tokens.sign(&user(), Uuid::nil(), now).unwrap();
        for other in [
            Tokens::new(keyring("a", ""), "other", "api"),
            Tokens::new(keyring("a", ""), "erp", "other"),
            Tokens::new(
                Keyring::from_json(r#"{"kid":"a","key":"another key that has thirty-two bytes or more"}"#)
                    .unwrap(),
                "erp",
                "api",
            ),
        ] {
            assert!(other.verify(&token, now).is_err());
        }
        let parts: Vec<_> = token.split('.').collect();
        // {"alg":"none","kid":"a"}
        let unsigned = format!("eyJhbGciOiJub25lIiwia2lkIjoiYSJ9.{}.", parts[1]);
        let cut = format!("{}.{}.", parts[0], parts[1]);
        let long = "a".repeat(10_000);
        for bad in ["", "a", "a.b.c", &unsigned, &cut, &long, &token[..token.len() - 2]] {
            assert!(tokens.verify(bad, now).is_err(), "{bad} was accepted");
        }
    }

    /// Signs claims that [`Tokens::sign`] would not make.
    fn signed(header: &serde_json::Value, change: impl Fn(&mut serde_json::Value)) -> String {
        let mut claims = serde_json::json!({
            "sub": Uuid::nil(), "email": "a@b.c", "role": "inventory_manager", "type": "user", "iss": "erp", "aud": "api",
            "iat": NOW / 1000, "exp": NOW / 1000 + USER_TOKEN_SECONDS, "jti": Uuid::nil(),
        });
        change(&mut claims);
        let encode = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(header), encode(&claims));
        let key = EncodingKey::from_secret("a".repeat(40).as_bytes());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    }

    #[test]
    fn not_before_critical_extensions_and_the_lifetime_are_checked() {
        let tokens = Tokens::new(keyring("a", ""), "erp", "api");
        let now = Timestamp::from_millis(NOW);
        let header = serde_json::json!({"alg": "HS256", "typ": "JWT", "kid": "a"});
        assert!(tokens.verify(&signed(&header, |_| {}), now).is_ok());
        let early = signed(&header, |claims| claims["nbf"] = (NOW / 1000 + 3600).into());
        assert_eq!(tokens.verify(&early, now), Err(TokenError::Early(now.plus_seconds(3600))));
        assert!(tokens.verify(&early, now.plus_seconds(3600)).is_ok());
        let long = signed(&header, |claims| claims["exp"] = (NOW / 1000 + USER_TOKEN_SECONDS + 1).into());
        assert!(matches!(tokens.verify(&long, now), Err(TokenError::Invalid(_))));
        let critical =
            serde_json::json!({"alg": "HS256", "typ": "JWT", "kid": "a", "crit": ["b64"], "b64": true});
        assert!(matches!(tokens.verify(&signed(&critical, |_| {}), now), Err(TokenError::Invalid(_))));
    }

    #[test]
    fn every_setting_is_required_and_an_unusable_key_is_not_shown() {
        let with = |name: &str, value: &str| {
            Tokens::from_settings(&Settings::new(|variable| {
                Some(match variable {
                    other if other == name => value.to_owned(),
                    "JWT_KEYS" => serde_json::json!({"kid": "k1", "key": "k".repeat(40)}).to_string(),
                    other => other.to_owned(),
                })
            }))
        };
        assert!(with("-", "").is_ok());
        for name in ["JWT_KEYS", "JWT_ISSUER", "JWT_AUDIENCE"] {
            let error = with(name, "").unwrap_err().to_string();
            assert_eq!(error, format!("the environment variable {name} must be set"));
        }
        for keys in ["hunter2", r#"{"kid":"k1","key":"hunter2"}"#] {
            let error = with("JWT_KEYS", keys).unwrap_err().to_string();
            assert!(error.contains("JWT_KEYS") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_weak_key_is_rejected_and_no_key_is_printed() {
        assert!(Keyring::from_json(r#"{"kid":"a","key":"short"}"#).is_err());
        assert!(Keyring::from_json("secret").is_err());
        assert!(Keyring::from_json(&serde_json::json!({"kid":"a","key":"x".repeat(40),"previous_kid":"a","previous_key":"y".repeat(40)}).to_string()).is_err());
        assert!(!format!("{:?}", keyring("k", "p")).contains("kkkk"));
    }
}
