//! The keys that sign and verify tokens.

use std::fmt;

use serde::Deserialize;

/// Minimum length of a key, in bytes: RFC 7518 section 3.2 requires the length of the hash.
pub const MIN_KEY_BYTES: usize = 32;

/// A current key that signs, and optionally a previous key that only verifies.
///
/// Parsed from the JSON of the secret: `{"kid", "key", "previous_kid", "previous_key"}`, of which the last two may be
/// empty. A token names its key (`kid`, RFC 7515 section 4.1.4), so a key can be rotated without logging users out: see
/// [`crate::rotation`]. The previous pair is the one that does not sign; in the first step of a rotation it is the newer
/// of the two.
#[derive(Clone)]
pub struct Keyring {
    pub(crate) current: Key,
    pub(crate) previous: Option<Key>,
}

#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) kid: String,
    pub(crate) secret: String,
}

/// The reason why a secret is not a keyring. Never contains a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// It is not JSON of the expected shape.
    #[error("the keys must be a JSON object with kid, key, previous_kid and previous_key")]
    Shape,
    /// A key id is missing, or both are equal.
    #[error("kid must not be empty, and previous_kid must be another")]
    KeyId,
    /// The key with this id is too short.
    #[error("the key {0} must have at least {MIN_KEY_BYTES} bytes")]
    Short(String),
}

impl Keyring {
    /// Parses the secret.
    pub fn from_json(json: &str) -> Result<Self, KeyringError> {
        #[derive(Deserialize)]
        struct Secret {
            kid: String,
            key: String,
            #[serde(default)]
            previous_kid: String,
            #[serde(default)]
            previous_key: String,
        }
        let secret: Secret = serde_json::from_str(json).map_err(|_| KeyringError::Shape)?;
        if secret.kid.is_empty() || secret.kid == secret.previous_kid {
            return Err(KeyringError::KeyId);
        }
        let current = Key::new(secret.kid, secret.key)?;
        let previous = match (secret.previous_kid, secret.previous_key) {
            (kid, key) if kid.is_empty() && key.is_empty() => None,
            (kid, key) => Some(Key::new(kid, key)?),
        };
        Ok(Self { current, previous })
    }

    pub(crate) fn find(&self, kid: &str) -> Option<&Key> {
        [Some(&self.current), self.previous.as_ref()].into_iter().flatten().find(|key| key.kid == kid)
    }
}

impl Key {
    fn new(kid: String, secret: String) -> Result<Self, KeyringError> {
        if secret.len() < MIN_KEY_BYTES {
            return Err(KeyringError::Short(kid));
        }
        Ok(Self { kid, secret })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let previous = self.previous.as_ref().map(|key| &key.kid);
        f.debug_struct("Keyring").field("current", &self.current.kid).field("previous", &previous).finish()
    }
}
