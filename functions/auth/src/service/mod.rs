//! Use cases: load, decide, return a change.

mod reset;

use std::sync::Arc;

use erp_auth::Tokens;
use erp_contracts::data::UserRegistered;
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::identity::Caller;
use erp_domain::{Clock, EmailAddress, Ids};
use erp_service::{Change, ServiceError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{
    Account, AuthError, BootstrapSecret, NewUser, Registration, Secret, SourceNetwork, User,
};
use crate::password;
use crate::randomness::Randomness;
use crate::service_credentials::ServiceCredentials;
use crate::store::{AuthStore, Counter};
use crate::throttle::Throttle;

/// The result of a use case.
pub type AuthResult<T> = Result<T, ServiceError<AuthError>>;

/// A new access token.
#[derive(Serialize, ToSchema)]
#[schema(as = ServiceTokenData, description = "An access token of a program.")]
pub struct IssuedToken {
    /// The token.
    pub token: Secret,
    /// Lifetime in seconds.
    #[schema(example = 3600)]
    pub expires_in: i64,
}

/// The use cases of users and services.
pub struct Auth {
    pub(crate) store: AuthStore,
    pub(crate) throttle: Throttle,
    pub(crate) tokens: Tokens,
    pub(crate) services: ServiceCredentials,
    pub(crate) registration: Registration,
    /// Whether responses contain reset tokens: for demonstrations, where no mail is sent.
    pub(crate) exposes_reset_tokens: bool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    /// The source of salts and reset tokens.
    pub(crate) randomness: Arc<dyn Randomness>,
}

impl Auth {
    /// Registers a user. `caller` is the authenticated caller, where registration is closed.
    ///
    /// # Errors
    /// [`AuthError::NotLoggedIn`], [`AuthError::NotAllowed`]; [`AuthError::BootstrapSecret`],
    /// [`AuthError::TooManyAttempts`]; [`AuthError::EmailTaken`] when the change is saved.
    pub async fn register(
        &self,
        new: &NewUser,
        caller: Option<&Caller>,
        network: &SourceNetwork,
        cause: &Cause,
    ) -> AuthResult<Change<User, AuthError>> {
        let first = !self.store.has_users().await?;
        let role = self.registration.role(caller, first, new.role).map_err(ServiceError::Rejected)?;
        if let Some(required) = self.registration.required_secret(caller, first) {
            self.verify_bootstrap_secret(required, new, network).await?;
        }
        let password_hash = password::hash(new.password.clone(), &*self.randomness).await?;
        let (id, now) = (self.ids.make(), self.clock.now());
        let user = User { id, email: new.email.clone(), role, created_at: now, updated_at: now };
        let data = UserRegistered { user_id: id, email: user.email.clone(), role };
        let event = Event::new(self.ids.next(), EventKind::UserRegistered, id, now, cause, &data)?;
        Ok(self.store.insert(&Account { user, password_hash }, first, &event)?)
    }

    /// Verifies the secret of the first user. A registration without a secret is no attempt to guess it, so it
    /// is not counted.
    async fn verify_bootstrap_secret(
        &self,
        required: BootstrapSecret,
        new: &NewUser,
        network: &SourceNetwork,
    ) -> AuthResult<()> {
        let rejected = ServiceError::Rejected(AuthError::BootstrapSecret);
        let Some(secret) = &new.bootstrap_secret else { return Err(rejected) };
        let counter = Counter::Bootstrap(network.clone());
        let attempt = self.throttle.begin(new.email.as_str(), network, &[counter]).await?;
        if required.verify(secret) {
            return self.throttle.succeeded(attempt).await;
        }
        self.throttle.failed(attempt).await?;
        Err(rejected)
    }

    /// Issues a token for a user with the right password.
    ///
    /// # Errors
    /// [`AuthError::WrongPassword`], [`AuthError::TooManyAttempts`].
    pub async fn login(
        &self,
        email: &EmailAddress,
        password: Secret,
        network: &SourceNetwork,
    ) -> AuthResult<(IssuedToken, User)> {
        let account = self.store.find(email).await?;
        let attempt = self.throttle.begin_login(email, network).await?;
        let hash = account.as_ref().map(|account| &account.password_hash);
        let matches = password::verify(password, hash).await?;
        match account.filter(|_| matches) {
            Some(Account { user, .. }) => {
                self.throttle.succeeded(attempt).await?;
                let caller = Caller::User { id: user.id, email: user.email.clone(), role: user.role };
                Ok((self.issue(&caller)?, user))
            }
            None => {
                self.throttle.failed(attempt).await?;
                Err(ServiceError::Rejected(AuthError::WrongPassword))
            }
        }
    }

    /// Issues a token for a service with the right secret.
    ///
    /// # Errors
    /// [`AuthError::WrongServiceSecret`], [`AuthError::TooManyAttempts`].
    pub async fn service_token(
        &self,
        name: String,
        secret: &Secret,
        network: &SourceNetwork,
    ) -> AuthResult<IssuedToken> {
        let attempt = self.throttle.begin(&name, network, &[Counter::Service(network.clone())]).await?;
        if self.services.verify(&name, secret) {
            self.throttle.succeeded(attempt).await?;
            self.issue(&Caller::Service { name })
        } else {
            self.throttle.failed(attempt).await?;
            Err(ServiceError::Rejected(AuthError::WrongServiceSecret))
        }
    }

    fn issue(&self, caller: &Caller) -> AuthResult<IssuedToken> {
        let signed = self.tokens.sign(caller, self.ids.next(), self.clock.now());
        let (token, expires_in) = signed.map_err(ServiceError::unavailable)?;
        Ok(IssuedToken { token: Secret::new(token), expires_in })
    }
}
