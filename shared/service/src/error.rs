//! Rejections of a use case, and failures around it.

use std::convert::Infallible;
use std::error::Error;

use erp_aws::StoreError;
use erp_aws::function_client::InvokeError;

/// The reason why a use case did not succeed. `R` lists the rejections of the use case; a read has none.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError<R = Infallible> {
    /// A business rule rejects the request.
    #[error("rejected")]
    Rejected(R),
    /// Concurrent updates won every attempt. Nothing was written.
    #[error("concurrent updates won every attempt")]
    Contended,
    /// The `Idempotency-Key` is bound to another request. Nothing was written.
    #[error("the idempotency key is bound to another request")]
    KeyReused,
    /// A dependency failed. After a write the outcome is unknown; repeating the request is safe.
    #[error("a dependency is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

impl<R> ServiceError<R> {
    /// Wraps the failure of a dependency.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into())
    }
}

impl<R> From<StoreError> for ServiceError<R> {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.into_cause())
    }
}

impl<R> From<InvokeError> for ServiceError<R> {
    fn from(error: InvokeError) -> Self {
        Self::unavailable(error)
    }
}

impl<R> From<erp_contracts::EventError> for ServiceError<R> {
    fn from(error: erp_contracts::EventError) -> Self {
        Self::unavailable(error)
    }
}
