//! Password resets.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use erp_contracts::data::PasswordResetRequested;
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::EmailAddress;
use erp_service::{Change, ServiceError, retry_stale};

use super::{Auth, AuthResult};
use crate::domain::{
    Allowance, AuthError, NewPassword, RESET_SECONDS, RESETS_PER_ADDRESS, RESETS_PER_NETWORK, Secret,
    SourceNetwork, TokenHash,
};
use crate::password;
use crate::store::{Counter, ResetRequest, Versioned};

/// Length of a reset token, in bytes.
const TOKEN_BYTES: usize = 32;

impl Auth {
    /// Makes a token that resets the password of the user with this address. If there is no such user, or the allowance
    /// is used up, the token is worthless, and the result does not reveal it: the reads and writes are the same. Returns
    /// the token if responses contain it.
    pub async fn forgot_password(
        &self,
        email: &EmailAddress,
        network: &SourceNetwork,
        cause: &Cause,
    ) -> AuthResult<Option<Secret>> {
        let mut bytes = [0; TOKEN_BYTES];
        self.randomness.fill(&mut bytes).map_err(ServiceError::unavailable)?;
        let token = Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let user = self.store.find(email).await?.map(|account| account.user);
        let login = Counter::Login(email.clone(), network.clone());
        let attempt = async || {
            let now = self.clock.now();
            // Like the throttle: strangers elsewhere do not use up the allowance of a network that the owner uses.
            let is_known = self.store.attempts(&login, now).await?.value.is_known(now);
            let of_network = self.store.allowance(email, Some(network), now).await?;
            let of_address = self.store.allowance(email, None, now).await?;
            let more = |Versioned { value, version }: Versioned<Allowance>, limit| {
                value.take(limit, now).map(|value| Versioned { value, version })
            };
            let of_address =
                if is_known { Some(None) } else { more(of_address, RESETS_PER_ADDRESS).map(Some) };
            let (Some(of_network), Some(of_address)) = (more(of_network, RESETS_PER_NETWORK), of_address)
            else {
                let account = self.throttle.pseudonyms.of(email.as_str());
                tracing::warn!(account, %network, "too many password resets requested, not granted");
                return Ok(());
            };
            // Clocks differ: a token made after the last change of the password must not be older than the change.
            let created_at = user.as_ref().map_or(now, |user| user.updated_at.max(now));
            let expires_at = now.plus_seconds(RESET_SECONDS);
            let event = user.as_ref().map(|user| {
                let data = PasswordResetRequested { user_id: user.id, email: email.clone(), expires_at };
                Event::new(self.ids.next(), EventKind::PasswordResetRequested, user.id, now, cause, &data)
            });
            let request = ResetRequest {
                email: email.clone(),
                network: network.clone(),
                user: user.as_ref().map(|user| user.id),
                token: TokenHash::of(&token),
                created_at,
                expires_at,
            };
            let event = event.transpose()?;
            let change =
                self.store.save_request(&request, &of_network, of_address.as_ref(), event.as_ref())?;
            change.save(self.store.table()).await
        };
        retry_stale(attempt).await?;
        Ok(self.exposes_reset_tokens.then_some(token))
    }

    /// Sets a new password for the user of a reset token. A token is never throttled: it cannot be guessed.
    ///
    /// # Errors
    /// [`AuthError::ResetToken`], from here or when the change is saved.
    pub async fn reset_password(
        &self,
        token: &Secret,
        new_password: &NewPassword,
        network: &SourceNetwork,
    ) -> AuthResult<Change<(), AuthError>> {
        let now = self.clock.now();
        let found = self.store.find_request(&TokenHash::of(token)).await?;
        let valid = found.filter(|request| request.expires_at > now);
        let Some((request, user)) = valid.and_then(|request| request.user.map(|user| (request, user))) else {
            return Err(ServiceError::Rejected(AuthError::ResetToken));
        };
        let password_hash = password::hash(new_password.clone(), &*self.randomness).await?;
        Ok(self.store.reset_password(&request, user, &password_hash, network, now)?)
    }
}
