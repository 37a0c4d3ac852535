//! Password hashing: Argon2id with the parameters that OWASP recommends
//! (<https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>).
//!
//! A hash takes tens of milliseconds of processor time by design, so it is computed off the thread that serves requests.

use std::sync::Arc;

use argon2::password_hash::{self, phc};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::task::{JoinError, spawn_blocking};

use crate::domain::{NewPassword, Secret};
use crate::randomness::{Randomness, RandomnessError};

/// 19 MiB, two passes, one lane. Invalid parameters do not compile.
const PARAMS: Params = match Params::new(19 * 1024, 2, 1, None) {
    Ok(params) => params,
    Err(_) => panic!("invalid parameters of Argon2"),
};
/// The hash that a password is compared with if there is no account: the same work, and no password matches.
const DUMMY_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const SALT_BYTES: usize = 16;

/// Hashes and verifies passwords.
#[derive(Clone)]
pub struct Passwords {
    randomness: Arc<dyn Randomness>,
}

/// A password could not be hashed or verified.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Argon2 failed.
    #[error("Argon2: {0}")]
    Hash(password_hash::Error),
    /// A stored hash cannot be parsed.
    #[error("a stored hash of a password cannot be parsed: {0}")]
    StoredHash(phc::Error),
    /// There is no salt.
    #[error(transparent)]
    Salt(#[from] RandomnessError),
    /// The hashing thread panicked.
    #[error(transparent)]
    Thread(#[from] JoinError),
}

impl Passwords {
    /// Takes salts from this source.
    pub fn new(randomness: Arc<dyn Randomness>) -> Self {
        Self { randomness }
    }

    /// Hashes a password. Returns a PHC string, which names algorithm, parameters and salt.
    ///
    /// # Errors
    /// If the source of randomness or Argon2 fails.
    pub async fn hash(&self, password: NewPassword) -> Result<Secret, PasswordError> {
        let mut salt = [0; SALT_BYTES];
        self.randomness.fill(&mut salt)?;
        let hashed: Result<phc::PasswordHash, _> =
            spawn_blocking(move || argon2().hash_password_with_salt(password.expose().as_bytes(), &salt))
                .await?;
        Ok(Secret::new(hashed.map_err(PasswordError::Hash)?.to_string()))
    }

    /// Returns whether a password is the hashed one. Without a hash it is not, after the same work.
    ///
    /// # Errors
    /// If the hash cannot be parsed or Argon2 fails.
    pub async fn verify(&self, password: Secret, hash: Option<&Secret>) -> Result<bool, PasswordError> {
        let has_account = hash.is_some();
        let hash = hash.map_or(DUMMY_HASH, Secret::expose);
        let hash = phc::PasswordHash::new(hash).map_err(PasswordError::StoredHash)?;
        let verified =
            spawn_blocking(move || argon2().verify_password(password.expose().as_bytes(), &hash)).await?;
        match verified {
            Ok(()) => Ok(has_account),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(PasswordError::Hash(error)),
        }
    }
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::randomness::OsRandomness;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let passwords = Passwords::new(Arc::new(OsRandomness));
        let password = NewPassword::parse("correct horse").unwrap();
        let hash = passwords.hash(password.clone()).await.unwrap();
        assert_ne!(hash, passwords.hash(password).await.unwrap(), "salted");
        assert!(passwords.verify(Secret::new("correct horse"), Some(&hash)).await.unwrap());
        assert!(!passwords.verify(Secret::new("correct horse "), Some(&hash)).await.unwrap());
        assert!(!passwords.verify(Secret::new("correct horse"), None).await.unwrap());
        assert!(passwords.verify(Secret::new(""), Some(&Secret::new("nonsense"))).await.is_err());
    }

    #[tokio::test]
    async fn verifying_without_an_account_is_the_same_work_as_with_one() {
        let passwords = Passwords::new(Arc::new(OsRandomness));
        let hash = passwords.hash(NewPassword::parse("correct horse").unwrap()).await.unwrap();
        let cost = |phc: &str| phc.rsplitn(3, '$').last().map(str::to_owned);
        assert_eq!(cost(hash.expose()).as_deref(), Some("$argon2id$v=19$m=19456,t=2,p=1"));
        assert_eq!(cost(hash.expose()), cost(DUMMY_HASH));
        assert_eq!(hash.expose().len(), DUMMY_HASH.len());
    }
}
