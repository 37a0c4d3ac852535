//! Secret text: passwords, tokens, hashes of passwords.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use erp_domain::ValidationError;
use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;
use utoipa::ToSchema;

use super::common_passwords;

/// Text that `Debug` does not print. Serialising writes it: only into rows and responses that are meant to contain it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(value_type = String, format = Password)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Wraps a password as it is hashed and compared: in NFC, so that equal-looking input is equal on every keyboard.
    pub fn password(text: &str) -> Self {
        Self(text.nfc().collect())
    }

    /// Returns the text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the SHA-256 of the text.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Minimum and maximum length of a password, in characters of its NFC. The maximum only bounds the work.
pub const PASSWORD_CHARACTERS: std::ops::RangeInclusive<usize> = 8..=128;

/// A password that a user chose: in NFC, long enough, and not a common one. White space is part of it.
#[derive(Debug, Clone, ToSchema)]
#[schema(value_type = String, min_length = 8, max_length = 128, format = Password)]
pub struct NewPassword(Secret);

impl NewPassword {
    /// Parses a password.
    ///
    /// # Errors
    /// If it has fewer than 8 or more than 128 characters, or is one of the 10,000 most common passwords.
    pub fn parse(text: &str) -> Result<Self, ValidationError> {
        let password = Secret::password(text);
        let (min, max) = (PASSWORD_CHARACTERS.start(), PASSWORD_CHARACTERS.end());
        let reason = match password.expose().chars().count() {
            length if length < *min => format!("must have at least {min} characters"),
            length if length > *max => format!("must have at most {max} characters"),
            _ if common_passwords::contains(password.expose()) => "must not be a common password".to_owned(),
            _ => return Ok(Self(password)),
        };
        Err(ValidationError::new(reason))
    }

    /// Returns the text.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// Minimum length of a configured secret, in bytes. Such secrets are random and not typed by people.
pub const MIN_CONFIGURED_BYTES: usize = 16;

/// The SHA-256 of a reset token, as it is stored: enough to recognise the token, not enough to use it. A token has 256
/// random bits, so a plain hash cannot be inverted by guessing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(String);

impl TokenHash {
    /// Hashes a token.
    pub fn of(token: &Secret) -> Self {
        Self(BASE64_URL_SAFE_NO_PAD.encode(token.digest()))
    }

    /// Returns the hash in base64url.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Derives pseudonyms of accounts for the log: HMAC-SHA-256 with a secret key, so that lines about one account can be
/// correlated and addresses cannot be recovered by guessing.
#[derive(Clone)]
pub struct Pseudonyms(Hmac<Sha256>);

impl Pseudonyms {
    /// Creates an instance with a secret key.
    pub fn new(key: &[u8]) -> Result<Self, InvalidLength> {
        Hmac::new_from_slice(key).map(Self)
    }

    /// Returns the pseudonym of an e-mail address or service name: 16 hexadecimal digits.
    pub fn of(&self, name: &str) -> String {
        let hash = self.0.clone().chain_update(name).finalize().into_bytes();
        hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let password = NewPassword::parse("correct horse").unwrap();
        assert_eq!(format!("{password:?}"), "NewPassword(Secret(…))");
        assert_eq!(password.expose(), "correct horse");
    }

    #[test]
    fn a_password_has_8_to_128_characters_not_bytes() {
        for (text, good) in [
            ("a".repeat(7), false),
            ("ax".repeat(4), true),
            ("é".repeat(7), false),
            ("🔑".repeat(8), true),
            ("é".repeat(128), true),
            ("a".repeat(129), false),
            (" ".repeat(8), true),
            // Eight characters on input, four in NFC.
            ("e\u{301}".repeat(4), false),
            ("e\u{301}".repeat(128), true),
        ] {
            assert_eq!(NewPassword::parse(&text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn a_password_is_compared_in_nfc() {
        let (composed, decomposed) = ("caf\u{e9} au lait", "cafe\u{301} au lait");
        assert_eq!(Secret::password(composed), Secret::password(decomposed));
        assert_eq!(NewPassword::parse(decomposed).unwrap().expose(), composed);
    }

    #[test]
    fn a_common_password_is_rejected_in_any_letter_case() {
        for text in ["password", "Password1", "12345678", "QWERTYUIOP", "1q2w3e4r", "iloveyou", "11111111"] {
            let error = NewPassword::parse(text).unwrap_err().to_string();
            assert_eq!(error, "must not be a common password", "{text}");
        }
        for text in ["securepassword123", "correct horse", "correct horse battery", "password password"] {
            assert!(NewPassword::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_pseudonym_depends_on_key_and_name_and_contains_neither() {
        let pseudonyms = |key: u8| Pseudonyms::new(&[key; 32]).unwrap();
        let ann = pseudonyms(1).of("ann@example.com");
        assert_eq!((ann.len(), &ann), (16, &pseudonyms(1).of("ann@example.com")));
        assert_ne!(ann, pseudonyms(1).of("bob@example.com"));
        assert_ne!(ann, pseudonyms(2).of("ann@example.com"));
    }
}
