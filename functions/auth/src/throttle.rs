//! Attempts to guess a secret, counted before they are made: see [`Attempts`](crate::domain::Attempts) for the rules.

use std::sync::Arc;

use erp_aws::{StoreError, Transaction};
use erp_domain::{Clock, EmailAddress};
use erp_service::{Change, SaveError, ServiceError, retry_stale};

use crate::domain::{Admission, AuthError, Pseudonyms, SourceNetwork};
use crate::service::AuthResult;
use crate::store::{AuthStore, Counter};

/// Decides whether a secret may be tried.
#[derive(Clone)]
pub struct Throttle {
    /// Stores the counters.
    pub store: AuthStore,
    /// Time of the attempts.
    pub clock: Arc<dyn Clock>,
    /// Names accounts in the log.
    pub pseudonyms: Pseudonyms,
}

/// An attempt that was admitted. [`Throttle::failed`] or [`Throttle::succeeded`] must settle it.
#[derive(Debug)]
#[must_use]
pub struct Attempt {
    account: String,
    network: SourceNetwork,
    counters: Vec<Counter>,
}

impl Throttle {
    /// Begins a login: see [`Throttle::begin`].
    pub async fn begin_login(&self, email: &EmailAddress, network: &SourceNetwork) -> AuthResult<Attempt> {
        let counters = [Counter::Login(email.clone(), network.clone()), Counter::Account(email.clone())];
        self.begin(email.as_str(), network, &counters).await
    }

    /// Counts an attempt with a secret of the account or service `name`, unless
    /// [`AuthError::TooManyAttempts`] rejects it. While the budget is spent on attempts in flight, it waits for
    /// them with back-off: a user who logs in from ten browsers at once knows the password.
    pub async fn begin(
        &self,
        name: &str,
        network: &SourceNetwork,
        counters: &[Counter],
    ) -> AuthResult<Attempt> {
        let attempt = async || {
            let now = self.clock.now();
            let mut transaction = Transaction::new();
            let mut counted = Vec::new();
            let mut is_known = false;
            for counter in counters {
                let found = self.store.attempts(counter, now).await?;
                if is_known {
                    // The owner's network is not affected by what strangers do elsewhere.
                    continue;
                }
                is_known = found.value.is_known(now);
                match found.value.begin(counter.limits(), now) {
                    Admission::Admitted(begun) => {
                        self.store.save_attempts(&mut transaction, counter, found.version, &begun)?;
                        counted.push(counter.clone());
                    }
                    Admission::Wait => return Err(SaveError::Stale),
                    Admission::Locked(seconds) => {
                        return Err(ServiceError::Rejected(AuthError::TooManyAttempts(seconds)).into());
                    }
                }
            }
            Change::new(counted, transaction).save(self.store.table()).await
        };
        let mut admitted = retry_stale(&attempt).await;
        if matches!(admitted, Err(ServiceError::Contended)) {
            // A second time, because hashing a password takes longer than a concurrent update.
            admitted = retry_stale(&attempt).await;
        }
        let counters = admitted.map_err(|error| match error {
            ServiceError::Contended => ServiceError::Rejected(AuthError::TooManyAttempts(1)),
            other => other,
        })?;
        Ok(Attempt { account: self.pseudonyms.of(name), network: network.clone(), counters })
    }

    /// Settles an attempt as failed. If that is impossible, the attempt counts as failed all the same, some seconds later.
    pub async fn failed(&self, attempt: Attempt) -> AuthResult<()> {
        let Attempt { account, network, counters } = attempt;
        let credential = counters.first().map(Counter::credential);
        let settle = async || {
            let now = self.clock.now();
            let mut transaction = Transaction::new();
            let mut locked = false;
            for counter in &counters {
                let found = self.store.attempts(counter, now).await?;
                let failed = found.value.fail(counter.limits(), now);
                locked |= failed.is_locked(counter.limits(), now);
                self.store.save_attempts(&mut transaction, counter, found.version, &failed)?;
            }
            Change::<_, AuthError>::new(locked, transaction).save(self.store.table()).await
        };
        match retry_stale(settle).await {
            Ok(false) => tracing::info!(account, credential, %network, "login failed"),
            Ok(true) => tracing::warn!(account, credential, %network, "too many failed logins, locked"),
            Err(ServiceError::Contended) => {
                tracing::warn!(account, credential, %network, "login failed; contended, so it is counted later");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Settles an attempt as succeeded: earlier failures from its source network no longer count.
    pub async fn succeeded(&self, attempt: Attempt) -> AuthResult<()> {
        let mut transaction = Transaction::new();
        for counter in &attempt.counters {
            self.store.settle_success(&mut transaction, counter, self.clock.now())?;
        }
        Ok(transaction.commit(self.store.table()).await.map_err(StoreError::from)?)
    }
}
