//! An answer as it is kept for a client that asks again with the same `Idempotency-Key`.
//!
//! The record is written in the transaction of the effect it answers for: both are there, or neither. That is why
//! an answer is made before the commit, out of what is about to be saved.

use erp_domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Cause, Event, StoreError};

/// A successful or failed answer, as it goes to the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The whole body, JSON.
    pub body: String,
    /// The `ETag` header, quotes included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The `Location` header of something created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// Seconds that an answer is kept.
pub const IDEMPOTENCY_SECONDS: i64 = 24 * 60 * 60;

/// A request's `Idempotency-Key`, in its scope, with the fingerprint of what it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Caller, method, path and key, hashed: the same key of another caller or for another route is another key.
    pub scope: String,
    /// Hash of the body.
    pub fingerprint: String,
}

impl IdempotencyKey {
    /// The record that keeps an answer under this key from now on.
    pub fn record(&self, answer: &Answer, now: Timestamp) -> IdempotencyRecord {
        IdempotencyRecord {
            key: self.clone(),
            answer: answer.clone(),
            created_at: now,
            expires_at: now.plus_seconds(IDEMPOTENCY_SECONDS),
        }
    }
}

/// An answer under its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// The key.
    pub key: IdempotencyKey,
    /// The first answer.
    pub answer: Answer,
    /// When it was given.
    pub created_at: Timestamp,
    /// From here on the key is free again, whether or not the row is gone.
    pub expires_at: Timestamp,
}

/// What a change comes with: who asks, under which key, and how the answer to it is written.
#[derive(Debug, Clone)]
pub struct Write<T> {
    /// Who asks, and by which request.
    pub cause: Cause,
    /// The request's key, if it has one.
    pub key: Option<IdempotencyKey>,
    /// Writes the answer for what is about to be saved.
    pub answer: fn(&T) -> Result<Answer, serde_json::Error>,
}

/// What is saved together with a change, in one transaction.
#[derive(Debug, Clone)]
pub struct Along {
    /// What it tells the others.
    pub event: Option<Event>,
    /// The answer, if the request has a key.
    pub record: Option<IdempotencyRecord>,
}

impl<T> Write<T> {
    /// The answer for `result`, and what is saved along with it.
    ///
    /// # Errors
    /// When the answer cannot be written as JSON, which is a fault of ours.
    pub fn along<C>(
        &self,
        result: &T,
        event: Option<Event>,
        now: Timestamp,
    ) -> Result<(Answer, Along), StoreError<C>> {
        let answer = (self.answer)(result).map_err(StoreError::unavailable)?;
        let record = self.key.as_ref().map(|key| key.record(&answer, now));
        Ok((answer, Along { event, record }))
    }
}
