//! Load, decide, render, save: one transaction, one optimistic retry loop.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use backon::Retryable;
use erp_aws::metric::{self, Metric};
use erp_aws::outbox::EventRow;
use erp_aws::retry::{backoff, in_time};
use erp_aws::table::ABSENT;
use erp_aws::{StoreError, Table, Transaction, TransactionError};
use erp_contracts::{Cause, Event};
use erp_domain::Clock;

use crate::ServiceError;
use crate::idempotency::{HashedKey, IdempotencyKey, StoredResponse};

/// Attempts of a change that loses against concurrent updates, the first included: about 2 s of back-off in all.
const ATTEMPTS: usize = 8;

/// The context of a request that changes something.
#[derive(Debug, Clone, Default)]
pub struct WriteRequest {
    /// The caller and the request, for events.
    pub cause: Cause,
    /// The `Idempotency-Key`, if there is one.
    pub key: Option<IdempotencyKey>,
}

/// The meaning of a failed condition in the transaction of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure<R> {
    /// A concurrent update changed the row since it was loaded: load and decide again.
    Stale,
    /// A business rule rejects the change.
    Rejected(R),
    /// The idempotency key is bound by now.
    KeyBound,
    /// The condition can only fail because of a bug.
    Bug,
}

/// A change that a use case decided and that is not saved yet: the new value, and the transaction that saves it.
pub struct Change<T, R> {
    value: T,
    transaction: Transaction<OnFailure<R>>,
    metrics: Vec<(Metric, u64)>,
    log: Option<Box<dyn FnOnce() + Send>>,
}

impl<T: fmt::Debug, R> fmt::Debug for Change<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").field("value", &self.value).finish_non_exhaustive()
    }
}

/// The reason why a change was not saved.
#[derive(Debug)]
pub enum SaveError<R> {
    /// A concurrent update changed what was loaded. Nothing was written.
    Stale,
    /// The idempotency key is bound by now. Nothing was written.
    KeyBound,
    /// Everything else.
    Failed(ServiceError<R>),
}

impl<R, E: Into<ServiceError<R>>> From<E> for SaveError<R> {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl<R> SaveError<R> {
    /// Returns the error of the use case, whose retries are used up.
    fn after_retries(self) -> ServiceError<R> {
        match self {
            Self::Stale | Self::KeyBound => ServiceError::Contended,
            Self::Failed(error) => error,
        }
    }
}

impl<T, R: Clone + PartialEq> Change<T, R> {
    /// Creates a change. An empty transaction saves nothing but the stored response.
    pub fn new(value: T, transaction: Transaction<OnFailure<R>>) -> Self {
        Self { value, transaction, metrics: Vec::new(), log: None }
    }

    /// Adds an event of the entity in partition `pk`.
    pub fn with_event(mut self, table: &Table, pk: &str, event: &Event) -> Result<Self, StoreError> {
        let row = EventRow::to_publish(pk, event)?;
        self.transaction.put(OnFailure::Bug, table, &row, ABSENT)?;
        Ok(self)
    }

    /// Counts a metric once the change is saved.
    #[must_use]
    pub fn with_metric(mut self, metric: Metric, count: u64) -> Self {
        self.metrics.push((metric, count));
        self
    }

    /// Writes a log line once the change is saved.
    #[must_use]
    pub fn with_log(mut self, log: impl FnOnce() + Send + 'static) -> Self {
        self.log = Some(Box::new(log));
        self
    }

    /// Returns the new value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Saves the change and returns its value.
    pub async fn save(self, table: &Table) -> Result<T, SaveError<R>> {
        if !self.transaction.is_empty() {
            self.transaction.commit(table).await.map_err(save_error)?;
        }
        if !self.metrics.is_empty() {
            metric::emit(&self.metrics);
        }
        if let Some(log) = self.log {
            log();
        }
        Ok(self.value)
    }
}

/// Maps failed conditions. The idempotency record comes first: if the key is bound, this very request was committed
/// before, and that is why other conditions fail.
fn save_error<R: Clone + PartialEq>(error: TransactionError<OnFailure<R>>) -> SaveError<R> {
    if error.failed(&OnFailure::KeyBound) {
        return SaveError::KeyBound;
    }
    if error.failed(&OnFailure::Stale) {
        return SaveError::Stale;
    }
    if let TransactionError::Conditions(failed) = &error {
        for (label, _) in failed {
            if let OnFailure::Rejected(rejection) = label {
                return SaveError::Failed(ServiceError::Rejected(rejection.clone()));
            }
        }
    }
    StoreError::from(error).into()
}

/// The response to a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The response.
    pub response: StoredResponse,
    /// Whether it was stored by an earlier request with the same `Idempotency-Key`.
    pub replayed: bool,
}

/// Commits the changes of one context.
#[derive(Clone)]
pub struct Committer {
    table: Table,
    clock: Arc<dyn Clock>,
    pepper: Arc<[u8]>,
}

impl Committer {
    /// Creates a committer that stores responses in `table`, the context's own. `pepper` is mixed into fingerprints of
    /// requests; it must be secret where requests contain secrets, and may be empty otherwise.
    pub fn new(table: Table, clock: Arc<dyn Clock>, pepper: Arc<[u8]>) -> Self {
        Self { table, clock, pepper }
    }

    /// Commits a change: `decide` loads and decides, `render` makes the response from the new value, and both are saved
    /// in one transaction. If a concurrent update wins, `decide` runs again, with back-off.
    ///
    /// # Errors
    /// The error of `decide`; [`ServiceError::Contended`] after 8 lost attempts; [`ServiceError::KeyReused`];
    /// [`ServiceError::Unavailable`] if a dependency fails or the response cannot be rendered.
    ///
    /// If the request ends at its deadline while the transaction is in progress, the outcome is unknown: it may be
    /// committed, or be committed later. The `Idempotency-Key` covers that. The repeated request finds the stored
    /// response, or commits; if both transactions arrive, the second one fails because the key is bound. Without a key,
    /// only the preconditions of the change prevent a second effect.
    pub async fn commit<T, R, F>(
        &self,
        request: &WriteRequest,
        decide: impl Fn() -> F,
        render: impl Fn(&T) -> Result<StoredResponse, serde_json::Error>,
    ) -> Result<Committed, ServiceError<R>>
    where
        R: Clone + PartialEq,
        F: Future<Output = Result<Change<T, R>, ServiceError<R>>>,
    {
        let key = request.key.as_ref().map(|key| HashedKey::new(key, &self.pepper)).transpose()?;
        if let Some(replay) = self.replay(key.as_ref()).await? {
            return Ok(replay);
        }
        let attempt = async || {
            let mut change = decide().await?;
            let response = render(&change.value).map_err(ServiceError::unavailable)?;
            if let Some(key) = &key {
                key.store(&mut change.transaction, &self.table, &response, self.clock.now())?;
            }
            change.save(&self.table).await?;
            Ok(response)
        };
        let error = match retry_on_stale(attempt).await {
            Ok(response) => return Ok(Committed { response, replayed: false }),
            Err(error) => error,
        };
        // The same request, sent twice at once, was committed by the other one: `decide` may reject what the other one did.
        if matches!(error, SaveError::KeyBound | SaveError::Failed(ServiceError::Rejected(_)))
            && let Some(replay) = self.replay(key.as_ref()).await?
        {
            return Ok(replay);
        }
        Err(error.after_retries())
    }

    async fn replay<R>(&self, key: Option<&HashedKey>) -> Result<Option<Committed>, ServiceError<R>> {
        let Some(key) = key else { return Ok(None) };
        let stored = key.find(&self.table, self.clock.now()).await?;
        Ok(stored.map(|response| Committed { response, replayed: true }))
    }
}

/// Repeats an attempt, with back-off, while it fails with [`SaveError::Stale`]: the optimistic retry loop.
///
/// # Errors
/// The error of the last attempt; [`ServiceError::Contended`] after 8 lost attempts.
pub async fn retry_stale<T, R, F>(attempt: impl FnMut() -> F) -> Result<T, ServiceError<R>>
where
    F: Future<Output = Result<T, SaveError<R>>>,
{
    retry_on_stale(attempt).await.map_err(SaveError::after_retries)
}

async fn retry_on_stale<T, R, F>(attempt: impl FnMut() -> F) -> Result<T, SaveError<R>>
where
    F: Future<Output = Result<T, SaveError<R>>>,
{
    attempt
        .retry(backoff(ATTEMPTS))
        .when(|error| matches!(error, SaveError::Stale))
        .adjust(in_time)
        .notify(|_, delay| tracing::debug!(?delay, "concurrent update, retrying"))
        .await
}
