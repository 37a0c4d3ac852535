//! The keys that sign and verify tokens.

use std::fmt;

use serde::Deserialize;

/// The shortest key accepted, in bytes: RFC 7518 section 3.2 asks for one as long as the hash.
pub const MIN_KEY_BYTES: usize = 32;

/// One current key that signs, and perhaps one previous key that still verifies.
///
/// Made from the JSON of the secret: `{"kid", "key", "previous_kid", "previous_key"}`, of which the last two may
/// be empty. A token names its key (`kid`, RFC 7515 section 4.1.4), so a key can be rotated and nobody is logged out:
/// [`crate::rotation`] has the steps. The previous pair is the one that does not sign; in the first of the steps it is
/// the newer of the two.
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

/// A secret that is no keyring. Says what is wrong and never what the key is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// Not the JSON it should be.
    #[error("the keys must be a JSON object with kid, key, previous_kid and previous_key")]
    Shape,
    /// A key id is missing, or both are the same.
    #[error("kid must not be empty, and previous_kid must be another")]
    KeyId,
    /// Too short.
    #[error("the key {0} must have at least {MIN_KEY_BYTES} bytes")]
    Short(String),
}

impl Keyring {
    /// Reads the secret.
    ///
    /// # Errors
    /// When it has another shape, or a key is too short to be safe.
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
