//! Password hashing: Argon2id with the parameters that OWASP recommends
//! (<https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>).
//!
//! A hash takes tens of milliseconds of processor time by design, so it is computed off the thread that serves requests.

use argon2::password_hash::{self, phc};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use erp_service::ServiceError;
use tokio::task::spawn_blocking;

use crate::domain::{AuthError, NewPassword, Secret};
use crate::randomness::Randomness;
use crate::service::AuthResult;

/// 19 MiB, two passes, one lane. Invalid parameters do not compile.
const PARAMS: Params = match Params::new(19 * 1024, 2, 1, None) {
    Ok(params) => params,
    Err(_) => panic!("invalid parameters of Argon2"),
};
/// The hash that a password is compared with if there is no account: the same work, and no password matches.
const DUMMY_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const SALT_BYTES: usize = 16;

/// Hashes a password. Returns a PHC string, which names algorithm, parameters and salt.
pub async fn hash(password: NewPassword, randomness: &dyn Randomness) -> AuthResult<Secret> {
    let mut salt = [0; SALT_BYTES];
    randomness.fill(&mut salt).map_err(ServiceError::unavailable)?;
    let hash = move || argon2().hash_password_with_salt(password.expose().as_bytes(), &salt);
    let hashed: Result<phc::PasswordHash, _> =
        spawn_blocking(hash).await.map_err(ServiceError::unavailable)?;
    Ok(Secret::new(hashed.map_err(failed)?.to_string()))
}

/// Returns whether a password is the hashed one. Without a hash it is not, after the same work.
pub async fn verify(password: Secret, hash: Option<&Secret>) -> AuthResult<bool> {
    let has_account = hash.is_some();
    let hash = phc::PasswordHash::new(hash.map_or(DUMMY_HASH, Secret::expose)).map_err(|error| {
        ServiceError::unavailable(format!("a stored hash of a password cannot be parsed: {error}"))
    })?;
    let verify = move || argon2().verify_password(password.expose().as_bytes(), &hash);
    match spawn_blocking(verify).await.map_err(ServiceError::unavailable)? {
        Ok(()) => Ok(has_account),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

fn failed(error: password_hash::Error) -> ServiceError<AuthError> {
    ServiceError::unavailable(format!("Argon2: {error}"))
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
        let password = NewPassword::parse("correct horse").unwrap();
        let hash = super::hash(password.clone(), &OsRandomness).await.unwrap();
        assert_ne!(hash, super::hash(password, &OsRandomness).await.unwrap(), "salted");
        assert!(verify(Secret::new("correct horse"), Some(&hash)).await.unwrap());
        assert!(!verify(Secret::new("correct horse "), Some(&hash)).await.unwrap());
        assert!(!verify(Secret::new("correct horse"), None).await.unwrap());
        assert!(verify(Secret::new(""), Some(&Secret::new("nonsense"))).await.is_err());
    }

    #[tokio::test]
    async fn verifying_without_an_account_is_the_same_work_as_with_one() {
        let hash = super::hash(NewPassword::parse("correct horse").unwrap(), &OsRandomness).await.unwrap();
        let cost = |phc: &str| phc.rsplitn(3, '$').last().map(str::to_owned);
        assert_eq!(cost(hash.expose()).as_deref(), Some("$argon2id$v=19$m=19456,t=2,p=1"));
        assert_eq!(cost(hash.expose()), cost(DUMMY_HASH));
        assert_eq!(hash.expose().len(), DUMMY_HASH.len());
    }
}
