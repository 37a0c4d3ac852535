//! Failures of the database, and pages of lists.

use std::error::Error;

use uuid::Uuid;

/// The database could not be reached, was too busy, or returned data that cannot be decoded.
///
/// After a write the outcome is unknown. Repeating the write is safe, because its conditions are evaluated again. It
/// never means "not found".
#[derive(Debug, thiserror::Error)]
#[error("the database is unavailable")]
pub struct StoreError(#[source] Box<dyn Error + Send + Sync>);

impl StoreError {
    /// Wraps the cause.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }

    /// Returns the cause.
    pub fn into_cause(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }
}

impl From<erp_contracts::EventError> for StoreError {
    fn from(error: erp_contracts::EventError) -> Self {
        Self::new(error)
    }
}

/// Formats an error with its chain of causes on one line.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A request for a page of a list. Lists are sorted by id, newest first (UUIDs of version 7 sort by creation).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Number of rows, 1 to 100.
    pub limit: usize,
    /// First row.
    pub start: PageStart,
}

/// The first row of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStart {
    /// Skips this number of rows, 0 to 10,000.
    Offset(usize),
    /// Starts after the row with this id; correct while rows are being added.
    After(Uuid),
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, newest first.
    pub rows: Vec<T>,
    /// The id of the last row, if more rows follow.
    pub next: Option<Uuid>,
}

impl<T> Page<T> {
    /// Converts the rows; fails with the first error of `convert`.
    pub fn try_map<U, E>(self, convert: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
        let rows = self.rows.into_iter().map(convert).collect::<Result<_, _>>()?;
        Ok(Page { rows, next: self.next })
    }
}
