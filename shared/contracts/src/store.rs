//! What every store of the platform promises, and the ways it can fail. The stores themselves are in the services.

use std::convert::Infallible;
use std::error::Error;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{IdempotencyKey, IdempotencyRecord};

/// Why a store did not do what was asked. `C` names the conditions that this one call has; a read has none.
///
/// There is no "maybe": whatever is not certain is [`StoreError::Unavailable`], never "not found".
#[derive(Debug, thiserror::Error)]
pub enum StoreError<C = Infallible> {
    /// A condition of the write did not hold; nothing was written.
    #[error("a condition did not hold")]
    Conflict(C),
    /// The same request, by its `Idempotency-Key`, was answered in the meantime; nothing was written, and the
    /// answer can be read.
    #[error("the request was answered already")]
    Answered,
    /// The store could not be reached, was too busy, or said something that makes no sense. The write may or may
    /// not have happened; doing it again is safe, since its conditions are asked again.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

impl<C> StoreError<C> {
    /// Something that is wrong with the store itself.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into())
    }

    /// The same error where the conditions have other names.
    pub fn map<D>(self, conflict: impl FnOnce(C) -> D) -> StoreError<D> {
        match self {
            Self::Conflict(condition) => StoreError::Conflict(conflict(condition)),
            Self::Answered => StoreError::Answered,
            Self::Unavailable(cause) => StoreError::Unavailable(cause),
        }
    }
}

impl StoreError<Infallible> {
    /// A failed read, as a failure of a call that has conditions.
    pub fn widen<D>(self) -> StoreError<D> {
        self.map(|never| match never {})
    }
}

/// An error with all its causes, on one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The answers already given, by `Idempotency-Key`.
#[async_trait]
pub trait AnswerStore: Send + Sync {
    /// The answer under the key's scope that has not expired, by a consistent read.
    async fn find_answer(&self, key: &IdempotencyKey) -> Result<Option<IdempotencyRecord>, StoreError>;

    /// Keeps an answer that goes with no write, which is a refusal: only if the key is free or expired, else
    /// [`StoreError::Answered`].
    async fn keep_answer(&self, record: &IdempotencyRecord) -> Result<(), StoreError>;
}

/// Which version a client says it changes (`If-Match`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Expect {
    /// Whatever is there.
    #[default]
    Any,
    /// One of these.
    OneOf(Vec<u64>),
}

impl Expect {
    /// Whether this is a version that the client meant.
    pub fn accepts(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => versions.contains(&version),
        }
    }
}

/// Which part of a list is asked for. Lists are newest first, by id (UUIDs of version 7 sort by time).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many rows, 1 to 100.
    pub limit: usize,
    /// Where to start.
    pub from: From,
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// After so many rows, 0 to 10,000.
    Offset(usize),
    /// After the row with this id: stays right while rows are being added.
    After(Uuid),
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows<T> {
    /// The rows, newest first.
    pub rows: Vec<T>,
    /// The id of the last row, if more rows follow it.
    pub next: Option<Uuid>,
}

/// Where a reading of a whole table goes on: behind this row. What it says is the store's business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The partition.
    pub partition: String,
    /// The row in it.
    pub row: String,
}
