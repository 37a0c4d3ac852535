//! Forgotten passwords.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use erp_contracts::data::PasswordResetRequested;
use erp_contracts::{Along, Answer, Cause, Event, EventKind, StoreError, Write};
use erp_domain::Email;

use super::{Auth, Refusal};
use crate::access::{REQUESTS, RESET_SECONDS, Requests};
use crate::ports::{Moved, ResetRequest, Spent, Versioned};
use crate::secret::{NewPassword, Secret, TokenHash};

/// Bytes of a reset token.
const TOKEN_BYTES: usize = 32;

impl Auth {
    /// A token that resets the password of the user with this address. If there is no such user, or too much was
    /// asked for, it is good for nothing, and nothing tells: the same is read and written.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn forgot_password(&self, email: Email, cause: &Cause) -> Result<Secret, StoreError<Refusal>> {
        let mut bytes = [0; TOKEN_BYTES];
        self.randomness.fill(&mut bytes)?;
        let token = Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let account = self.users.find(&email).await.map_err(StoreError::widen)?;
        let user = account.map(|account| account.user.id);
        // Each round that is lost is a request that was granted, and of those there are only so many.
        for _ in 0..=REQUESTS {
            let now = self.clock.now();
            let known = self.resets.requests(&email).await.map_err(StoreError::widen)?;
            let known = known.unwrap_or(Versioned { value: Requests::none(now), version: 0 });
            let Some(requests) = known.value.one_more(now) else {
                tracing::warn!("too many password resets asked for, not granted");
                return Ok(token);
            };
            let expires_at = now.plus_seconds(RESET_SECONDS);
            let event = user
                .map(|user_id| {
                    let data = PasswordResetRequested { user_id, email: email.clone(), expires_at };
                    let kind = EventKind::PasswordResetRequested;
                    Event::new(self.ids.next(), kind, user_id, now, cause, &data)
                })
                .transpose()?;
            let request = ResetRequest {
                email: email.clone(),
                user,
                token: TokenHash::of(&token),
                expires_at,
                requests,
            };
            let along = Along { event, record: None };
            match self.resets.save_request(&request, known.version, &along).await {
                Ok(()) => return Ok(token),
                Err(StoreError::Conflict(Moved)) => {}
                Err(error) => return Err(error.map(|Moved| Refusal::Locked(1))),
            }
        }
        Ok(token)
    }

    /// Sets a new password for whoever the token was made for.
    ///
    /// # Errors
    /// [`Refusal::ResetToken`].
    pub async fn reset_password(
        &self,
        token: &Secret,
        password: NewPassword,
        write: Write<()>,
    ) -> Result<Answer, StoreError<Refusal>> {
        let now = self.clock.now();
        let found = self.resets.find_token(&TokenHash::of(token)).await.map_err(StoreError::widen)?;
        let good = found.filter(|token| token.expires_at > now);
        let Some((token, user)) = good.and_then(|token| token.user.map(|user| (token, user))) else {
            return Err(StoreError::Conflict(Refusal::ResetToken));
        };
        let password_hash = self.passwords.hash(password).await?;
        let (answer, along) = write.along(&(), None, now)?;
        self.resets
            .reset_password(&token, user, &password_hash, now, &along)
            .await
            .map_err(|error| error.map(|Spent| Refusal::ResetToken))?;
        Ok(answer)
    }
}
