//! The application kit: what every use case that changes something has in common.
//!
//! ```text
//! error         rejections of a use case, and failures around it
//! precondition  the versions that a client expects (`If-Match`)
//! idempotency   idempotency keys and the responses stored under them
//! commit        load, decide, render, save: one transaction, one optimistic retry loop
//! ```
//!
//! A use case loads the current state, decides, and returns a [`Change`]: the new value with the transaction that saves
//! it. It knows nothing of HTTP. [`Committer::commit`] renders the response and saves everything at once, so an effect
//! and the response stored under its `Idempotency-Key` exist together or not at all.

mod commit;
mod error;
mod idempotency;
mod precondition;

pub use commit::{Change, Committed, Committer, OnFailure, SaveError, WriteRequest, retry_stale};
pub use error::ServiceError;
pub use idempotency::{IDEMPOTENCY_SECONDS, IdempotencyKey, StoredResponse};
pub use precondition::Precondition;
