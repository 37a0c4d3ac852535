//! Passwords: Argon2id, as OWASP recommends it
//! (<https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>).
//!
//! A hash takes tens of milliseconds of a processor by design, so it is made off the thread that serves requests.

use std::sync::Arc;

use argon2::password_hash::{self, phc};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::task::{JoinError, spawn_blocking};

use crate::ports::{NoRandomness, Randomness};
use crate::secret::{NewPassword, Secret};

/// 19 MiB, two passes, one lane. A wrong number does not compile.
const PARAMS: Params = match Params::new(19 * 1024, 2, 1, None) {
    Ok(params) => params,
    Err(_) => panic!("no parameters of Argon2"),
};
/// What a password is compared with where there is no account: as much work, and no password fits it.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const SALT_BYTES: usize = 16;

/// Hashes and compares passwords.
#[derive(Clone)]
pub struct Passwords {
    randomness: Arc<dyn Randomness>,
}

/// A password could not be hashed or compared, which is a fault of ours.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Argon2 refused, or a kept hash is none.
    #[error("Argon2: {0}")]
    Hash(password_hash::Error),
    /// A kept hash cannot be read.
    #[error("a kept hash of a password cannot be read: {0}")]
    Kept(phc::Error),
    /// No salt.
    #[error(transparent)]
    Salt(#[from] NoRandomness),
    /// The thread that did it died.
    #[error(transparent)]
    Thread(#[from] JoinError),
}

impl Passwords {
    /// Salts come from this source.
    pub fn new(randomness: Arc<dyn Randomness>) -> Self {
        Self { randomness }
    }

    /// The hash of a password, as a PHC string: it names its algorithm, parameters and salt.
    ///
    /// # Errors
    /// When there is no salt to be had.
    pub async fn hash(&self, NewPassword(password): NewPassword) -> Result<Secret, PasswordError> {
        let mut salt = [0; SALT_BYTES];
        self.randomness.fill(&mut salt)?;
        let hashed: Result<phc::PasswordHash, _> =
            spawn_blocking(move || argon2().hash_password_with_salt(password.expose().as_bytes(), &salt))
                .await?;
        Ok(Secret::new(hashed.map_err(PasswordError::Hash)?.to_string()))
    }

    /// Whether a password is the one that was hashed. Without a hash it is not, and that takes as long to find out.
    ///
    /// # Errors
    /// When the hash is none.
    pub async fn verify(&self, password: Secret, hash: Option<&Secret>) -> Result<bool, PasswordError> {
        let known = hash.is_some();
        let hash = hash.map_or(NOBODY, Secret::expose);
        let hash = phc::PasswordHash::new(hash).map_err(PasswordError::Kept)?;
        let verified =
            spawn_blocking(move || argon2().verify_password(password.expose().as_bytes(), &hash)).await?;
        match verified {
            Ok(()) => Ok(known),
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
    use crate::ports::OsRandomness;

    #[tokio::test]
    async fn a_password_is_known_again_and_no_other() {
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
    async fn comparing_with_nobody_is_the_same_work_as_with_somebody() {
        let passwords = Passwords::new(Arc::new(OsRandomness));
        let hash = passwords.hash(NewPassword::parse("correct horse").unwrap()).await.unwrap();
        let cost = |phc: &str| phc.rsplitn(3, '$').last().map(str::to_owned);
        assert_eq!(cost(hash.expose()).as_deref(), Some("$argon2id$v=19$m=19456,t=2,p=1"));
        assert_eq!(cost(hash.expose()), cost(NOBODY));
        assert_eq!(hash.expose().len(), NOBODY.len());
    }
}
