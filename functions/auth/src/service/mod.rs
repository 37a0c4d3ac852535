//! Use cases: load, decide, save.

mod reset;

use std::sync::Arc;

use erp_auth::Tokens;
use erp_contracts::data::UserRegistered;
use erp_contracts::{Answer, Event, EventKind, StoreError, Write};
use erp_domain::identity::{Caller, Role};
use erp_domain::{Clock, Email, Ids};

use crate::access::{NotAllowed, Registration};
use crate::password::{PasswordError, Passwords};
use crate::ports::{InsertConflict, NoRandomness, Randomness, ResetStore, Target, UserStore};
use crate::secret::{NewPassword, Secret};
use crate::services::ServiceCredentials;
use crate::throttle::{Locked, Throttle};
use crate::user::{Account, User};

/// Why a use case refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Another user has the address.
    EmailTaken,
    /// Registration is closed, and nobody knows who asks.
    NotLoggedIn,
    /// Registration is closed to the one who asks.
    NotAllowed,
    /// No such user, or not their password: which of the two is not told.
    WrongPassword,
    /// No such service, or not its secret: which of the two is not told.
    WrongServiceSecret,
    /// Too many attempts; come back after so many seconds.
    Locked(i64),
    /// The reset token is not one, or not any more.
    ResetToken,
}

/// Who somebody wants to be.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The address.
    pub email: Email,
    /// The password.
    pub password: NewPassword,
    /// The role.
    pub role: Role,
}

/// A token that was just made.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The token.
    pub token: Secret,
    /// Seconds that it is good for.
    pub expires_in: i64,
}

/// Users and services.
#[derive(Clone)]
pub struct Auth {
    /// Where users are.
    pub users: Arc<dyn UserStore>,
    /// Where forgotten passwords are.
    pub resets: Arc<dyn ResetStore>,
    /// Counts attempts.
    pub throttle: Throttle,
    /// Hashes passwords.
    pub passwords: Passwords,
    /// Signs tokens.
    pub tokens: Tokens,
    /// The services there are.
    pub services: ServiceCredentials,
    /// Who may register.
    pub registration: Registration,
    /// When things happen.
    pub clock: Arc<dyn Clock>,
    /// What they are called.
    pub ids: Arc<dyn Ids>,
    /// What nobody can guess.
    pub randomness: Arc<dyn Randomness>,
}

impl Auth {
    /// A new user. `registrar` is who asks, where registration is closed.
    ///
    /// # Errors
    /// [`Refusal::NotLoggedIn`], [`Refusal::NotAllowed`], [`Refusal::EmailTaken`].
    pub async fn register(
        &self,
        new: NewUser,
        registrar: Option<&Caller>,
        write: Write<User>,
    ) -> Result<Answer, StoreError<Refusal>> {
        let mut first = !self.users.has_users().await.map_err(StoreError::widen)?;
        loop {
            let role = self.registration.role(registrar, first, new.role).map_err(|reason| match reason {
                NotAllowed::Unknown => StoreError::Conflict(Refusal::NotLoggedIn),
                NotAllowed::Role => StoreError::Conflict(Refusal::NotAllowed),
            })?;
            let password_hash = self.passwords.hash(new.password.clone()).await?;
            let now = self.clock.now();
            let user = User {
                id: self.ids.make(),
                email: new.email.clone(),
                role,
                created_at: now,
                updated_at: now,
            };
            let data = UserRegistered { user_id: user.id, email: user.email.clone(), role };
            let kind = EventKind::UserRegistered;
            let event = Event::new(self.ids.next(), kind, user.id, now, &write.cause, &data)?;
            let (answer, along) = write.along(&user, Some(event), now)?;
            match self.users.insert(&Account { user, password_hash }, first, &along).await {
                Ok(()) => return Ok(answer),
                // Somebody else was the first in the meantime: it is decided anew, once, as nobody can be first now.
                Err(StoreError::Conflict(InsertConflict::NotFirst)) if first => first = false,
                Err(error) => return Err(error.map(|_| Refusal::EmailTaken)),
            }
        }
    }

    /// A token for a user who knows their password.
    ///
    /// # Errors
    /// [`Refusal::WrongPassword`], [`Refusal::Locked`].
    pub async fn login(&self, email: Email, password: Secret) -> Result<(Issued, User), StoreError<Refusal>> {
        let account = self.users.find(&email).await.map_err(StoreError::widen)?;
        let target = Target::User(email);
        self.throttle.begin(&target).await.map_err(locked)?;
        let hash = account.as_ref().map(|account| &account.password_hash);
        let right = self.passwords.verify(password, hash).await?;
        match account.filter(|_| right) {
            Some(Account { user, .. }) => {
                self.throttle.succeeded(&target).await.map_err(StoreError::widen)?;
                Ok((self.issue(&user.caller())?, user))
            }
            None => {
                self.throttle.failed(&target).await.map_err(StoreError::widen)?;
                Err(StoreError::Conflict(Refusal::WrongPassword))
            }
        }
    }

    /// A token for a service that knows its secret.
    ///
    /// # Errors
    /// [`Refusal::WrongServiceSecret`], [`Refusal::Locked`].
    pub async fn service_token(&self, name: String, secret: &Secret) -> Result<Issued, StoreError<Refusal>> {
        let target = Target::Service(name.clone());
        self.throttle.begin(&target).await.map_err(locked)?;
        if self.services.verify(&name, secret) {
            self.throttle.succeeded(&target).await.map_err(StoreError::widen)?;
            self.issue(&Caller::Service { name })
        } else {
            self.throttle.failed(&target).await.map_err(StoreError::widen)?;
            Err(StoreError::Conflict(Refusal::WrongServiceSecret))
        }
    }

    fn issue(&self, caller: &Caller) -> Result<Issued, StoreError<Refusal>> {
        let signed = self.tokens.sign(caller, self.ids.next(), self.clock.now());
        let (token, expires_in) = signed.map_err(StoreError::unavailable)?;
        Ok(Issued { token: Secret::new(token), expires_in })
    }
}

fn locked(error: StoreError<Locked>) -> StoreError<Refusal> {
    error.map(|Locked(seconds)| Refusal::Locked(seconds))
}

impl From<PasswordError> for StoreError<Refusal> {
    fn from(error: PasswordError) -> Self {
        Self::unavailable(error)
    }
}

impl From<NoRandomness> for StoreError<Refusal> {
    fn from(error: NoRandomness) -> Self {
        Self::unavailable(error)
    }
}
