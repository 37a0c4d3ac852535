//! Access tokens: JWT (RFC 7519) signed with HS256.

use erp_domain::identity::{Caller, Role};
use erp_domain::{Email, Id, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Keyring;

/// Seconds that a user's token is good for.
pub const USER_TOKEN_SECONDS: i64 = 86_400;
/// Seconds that a service's token is good for.
pub const SERVICE_TOKEN_SECONDS: i64 = 3_600;
/// A token from further in the future than this, in seconds, was not made by a clock we trust.
pub const CLOCK_SKEW_SECONDS: i64 = 60;
/// Longer than any token we make; what is longer is not looked at.
const MAX_TOKEN_BYTES: usize = 4096;

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<Email>,
    role: String,
    #[serde(rename = "type")]
    kind: Kind,
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    jti: Uuid,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    User,
    Service,
}

/// Makes and reads the tokens of one platform.
#[derive(Debug, Clone)]
pub struct Tokens {
    keyring: Keyring,
    issuer: String,
    audience: String,
}

/// A token that is good now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose it is.
    pub caller: Caller,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Why a token is not good. For logs: a client only hears "unauthorized".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of ours: its form, key, signature, issuer or audience.
    #[error("not a token of this platform: {0}")]
    Invalid(String),
    /// It was one.
    #[error("expired at {0}")]
    Expired(Timestamp),
    /// It will be one, which no honest clock would say.
    #[error("issued in the future, at {0}")]
    Early(Timestamp),
}

/// The token of an `Authorization` header: `Bearer <token>`, the scheme in any letter case (RFC 9110 section 11.1,
/// RFC 6750 section 2.1).
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

impl Tokens {
    /// Tokens signed with this keyring, for this issuer (`iss`) and audience (`aud`).
    pub fn new(keyring: Keyring, issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self { keyring, issuer: issuer.into(), audience: audience.into() }
    }

    /// A token for a caller; users' and services' tokens differ in how long they last. Gives the seconds too.
    ///
    /// # Errors
    /// When the signature cannot be made.
    pub fn sign(&self, caller: &Caller, id: Uuid, now: Timestamp) -> Result<(String, i64), TokenError> {
        let (kind, email, role, seconds) = match caller {
            Caller::User { email, role, .. } => {
                (Kind::User, Some(email.clone()), role.as_str(), USER_TOKEN_SECONDS)
            }
            Caller::Service { .. } => (Kind::Service, None, "service", SERVICE_TOKEN_SECONDS),
        };
        let sub = match caller {
            Caller::User { id, .. } => id.to_string(),
            Caller::Service { name } => name.clone(),
        };
        let claims = Claims {
            sub,
            email,
            role: role.to_owned(),
            kind,
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            iat: now.as_seconds(),
            exp: now.as_seconds() + seconds,
            jti: id,
        };
        let header = Header { kid: Some(self.keyring.current.kid.clone()), ..Header::new(Algorithm::HS256) };
        let key = EncodingKey::from_secret(self.keyring.current.secret.as_bytes());
        let token =
            jsonwebtoken::encode(&header, &claims, &key).map_err(|e| TokenError::Invalid(e.to_string()))?;
        Ok((token, seconds))
    }

    /// Reads a token.
    ///
    /// # Errors
    /// When it is not one of ours, or not good at this moment.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, TokenError> {
        let invalid = |reason: &str| TokenError::Invalid(reason.to_owned());
        if token.len() > MAX_TOKEN_BYTES {
            return Err(invalid("too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|e| invalid(&e.to_string()))?;
        let kid = header.kid.ok_or_else(|| invalid("no kid"))?;
        let key = self.keyring.find(&kid).ok_or_else(|| invalid("unknown kid"))?;

        // The algorithm is ours to say, never the token's. Times are checked below, against the clock we are given.
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
        if claims.iat > now.as_seconds().saturating_add(CLOCK_SKEW_SECONDS) {
            return Err(TokenError::Early(seconds(claims.iat)));
        }
        let caller = match (claims.kind, claims.email) {
            (Kind::User, Some(email)) => {
                let id: Id<_> = claims.sub.parse().map_err(|_| invalid("sub is no user"))?;
                let role: Role = claims.role.parse().map_err(|_| invalid("unknown role"))?;
                Caller::User { id, email, role }
            }
            (Kind::Service, None) if claims.role == "service" => Caller::Service { name: claims.sub },
            (Kind::User | Kind::Service, _) => return Err(invalid("claims do not fit together")),
        };
        Ok(Verified { caller, expires_at: seconds(claims.exp) })
    }
}

#[cfg(test)]
mod tests {
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
            email: Email::parse("a@b.c").unwrap(),
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
    fn a_token_tells_who_it_was_made_for() {
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
    fn a_rotated_key_still_verifies_and_a_forgotten_one_does_not() {
        let now = Timestamp::from_millis(NOW);
        let (token, _) = Tokens::new(keyring("a", ""), "erp", "api").sign(&user(), Uuid::nil(), now).unwrap();
        assert!(Tokens::new(keyring("b", "a"), "erp", "api").verify(&token, now).is_ok());
        assert!(Tokens::new(keyring("c", "b"), "erp", "api").verify(&token, now).is_err());
    }

    #[test]
    fn a_token_of_somebody_else_is_refused() {
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

    #[test]
    fn a_weak_key_is_refused_and_no_key_is_shown() {
        assert!(Keyring::from_json(r#"{"kid":"a","key":"short"}"#).is_err());
        assert!(Keyring::from_json("secret").is_err());
        assert!(Keyring::from_json(&serde_json::json!({"kid":"a","key":"x".repeat(40),"previous_kid":"a","previous_key":"y".repeat(40)}).to_string()).is_err());
        assert!(!format!("{:?}", keyring("k", "p")).contains("kkkk"));
    }
}
