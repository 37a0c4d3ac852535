//! Text that is never shown: passwords, tokens, hashes of passwords.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use erp_domain::Invalid;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Text that whoever prints it does not see. It is written to a table or an answer only where its content is meant
/// to go there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Its SHA-256.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The fewest and the most characters of a password. The most is there only to bound the work.
pub const PASSWORD_CHARACTERS: std::ops::RangeInclusive<usize> = 8..=128;

/// A password that somebody chooses. It is taken as it is typed: a space at its end is part of it.
#[derive(Debug, Clone)]
pub struct NewPassword(pub(crate) Secret);

impl NewPassword {
    /// Reads one.
    ///
    /// # Errors
    /// When it has fewer than 8 or more than 128 characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let (least, most) = (PASSWORD_CHARACTERS.start(), PASSWORD_CHARACTERS.end());
        match text.chars().count() {
            n if n < *least => Err(Invalid::new(format!("must have at least {least} characters"))),
            n if n > *most => Err(Invalid::new(format!("must have at most {most} characters"))),
            _ => Ok(Self(Secret::new(text))),
        }
    }
}

/// What is kept of a reset token: enough to know it again, not enough to use it. A token has 256 random bits, so a
/// plain hash cannot be guessed backwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(String);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &Secret) -> Self {
        Self(BASE64_URL_SAFE_NO_PAD.encode(token.digest()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let password = NewPassword::parse("correct horse").unwrap();
        assert_eq!(format!("{password:?}"), "NewPassword(Secret(…))");
        assert_eq!(password.0.expose(), "correct horse");
    }

    #[test]
    fn a_password_has_8_to_128_characters_not_bytes() {
        for (text, good) in [
            ("a".repeat(7), false),
            ("a".repeat(8), true),
            ("é".repeat(7), false),
            ("🔑".repeat(8), true),
            ("é".repeat(128), true),
            ("a".repeat(129), false),
            (" ".repeat(8), true),
        ] {
            assert_eq!(NewPassword::parse(&text).is_ok(), good, "{text}");
        }
    }
}
