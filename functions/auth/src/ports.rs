//! What the use cases need from outside: randomness, and stores with what they promise.

use async_trait::async_trait;
use erp_contracts::{Along, StoreError};
use erp_domain::identity::User;
use erp_domain::{Email, Id, Timestamp};

use crate::access::Requests;
use crate::attempts::Attempts;
use crate::secret::{Secret, TokenHash};
use crate::user::Account;

/// Bytes that nobody can foretell.
pub trait Randomness: Send + Sync {
    /// Fills the buffer.
    ///
    /// # Errors
    /// When there are none, and then nothing may be made up.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), NoRandomness>;
}

/// The source of randomness does not work.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the source of randomness does not work: {0}")]
pub struct NoRandomness(#[from] getrandom::Error);

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandomness;

impl Randomness for OsRandomness {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), NoRandomness> {
        Ok(getrandom::fill(buffer)?)
    }
}

/// A condition of [`UserStore::insert`] that did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertConflict {
    /// Another user has the e-mail address.
    EmailTaken,
    /// There is a first user already.
    NotFirst,
}

/// Users.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// The user with this address, by consistent reads; as many of them if there is none, so that the time does not
    /// tell.
    async fn find(&self, email: &Email) -> Result<Option<Account>, StoreError>;

    /// Whether there is a user, by a consistent read.
    async fn has_users(&self) -> Result<bool, StoreError>;

    /// Saves a new user with their event and, if there is one, the kept answer, in one transaction;
    /// [`InsertConflict::EmailTaken`] if the address is. With `first`, only if nobody was the first user before:
    /// of two at once one is saved, the other gets [`InsertConflict::NotFirst`], which is the one reported if
    /// neither condition holds.
    async fn insert(
        &self,
        account: &Account,
        first: bool,
        along: &Along,
    ) -> Result<(), StoreError<InsertConflict>>;
}

/// Somebody else was faster: what was read is not what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved;

/// Something read, with the version to save it over; 0 stands for what was never there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versioned<T> {
    /// What was read.
    pub value: T,
    /// Which version of it.
    pub version: u64,
}

/// Whose secret is being guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A user's, or nobody's.
    User(Email),
    /// A service's, or nobody's.
    Service(String),
}

/// Attempts to guess a secret.
#[async_trait]
pub trait AttemptStore: Send + Sync {
    /// The attempts so far, by a consistent read.
    async fn attempts(&self, target: &Target) -> Result<Option<Versioned<Attempts>>, StoreError>;

    /// Saves `attempts` over the version that was read; [`Moved`] if that is not what is there.
    async fn save_attempts(
        &self,
        target: &Target,
        over: u64,
        attempts: &Attempts,
    ) -> Result<(), StoreError<Moved>>;

    /// Forgets all attempts, whatever is there.
    async fn forget_attempts(&self, target: &Target) -> Result<(), StoreError>;
}

/// A reset that was asked for.
#[derive(Debug, Clone)]
pub struct ResetRequest {
    /// The address it was asked for.
    pub email: Email,
    /// The user with that address, if there is one.
    pub user: Option<Id<User>>,
    /// The token that was made.
    pub token: TokenHash,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The requests for the address, this one counted.
    pub requests: Requests,
}

/// A reset token, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetToken {
    /// Which.
    pub hash: TokenHash,
    /// The address it was asked for.
    pub email: Email,
    /// Whose password it resets; nobody's if there was no such user.
    pub user: Option<Id<User>>,
    /// From here on it is good for nothing, whether or not the row is gone.
    pub expires_at: Timestamp,
}

/// The token is used, replaced by a newer one, or has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent;

/// Forgotten passwords.
#[async_trait]
pub trait ResetStore: Send + Sync {
    /// The requests for an address, by a consistent read.
    async fn requests(&self, email: &Email) -> Result<Option<Versioned<Requests>>, StoreError>;

    /// Saves a request over the version of the address's requests that was read, its token as the only one that is
    /// good, and the event; [`Moved`] if that version is not what is there. As much is written where there is no
    /// user and so no event.
    async fn save_request(
        &self,
        request: &ResetRequest,
        over: u64,
        along: &Along,
    ) -> Result<(), StoreError<Moved>>;

    /// A token, by a consistent read, expired ones too.
    async fn find_token(&self, hash: &TokenHash) -> Result<Option<ResetToken>, StoreError>;

    /// Uses the token up and sets the user's password, forgets the failed attempts on the account, and keeps the
    /// answer if there is one, in one transaction; [`Spent`] if the token is gone, expired by `now`, or not the
    /// newest one.
    async fn reset_password(
        &self,
        token: &ResetToken,
        user: Id<User>,
        password_hash: &Secret,
        now: Timestamp,
        along: &Along,
    ) -> Result<(), StoreError<Spent>>;
}
