//! What a store of contacts promises.

use async_trait::async_trait;
use erp_contracts::{Along, Page, Rows, StoreError};
use erp_domain::Id;
use erp_domain::contact::{Contact, ContactKind, Party};

/// A condition of a write that did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// Another contact of the kind has the e-mail address.
    EmailTaken,
    /// The contact is not, or no longer, at the version that was read.
    Stale,
}

/// Contacts of both kinds.
///
/// Every write is one transaction with its event and, if there is one, the kept answer.
#[async_trait]
pub trait ContactStore: Send + Sync {
    /// The contact, by a consistent read.
    async fn find(&self, kind: ContactKind, id: Id<Party>) -> Result<Option<Contact>, StoreError>;

    /// A page of the contacts of a kind, newest first.
    async fn list(&self, kind: ContactKind, page: Page) -> Result<Rows<Contact>, StoreError>;

    /// Saves a new contact; [`Conflict::EmailTaken`] if its address is.
    async fn insert(&self, contact: &Contact, along: &Along) -> Result<(), StoreError<Conflict>>;

    /// Saves `new` in the place of `old`, if `old` is still what is there; else [`Conflict::Stale`]. The address
    /// that `old` had is free afterwards; [`Conflict::EmailTaken`] if the one that `new` has is not.
    async fn replace(&self, old: &Contact, new: &Contact, along: &Along) -> Result<(), StoreError<Conflict>>;

    /// Deletes the contact and frees its address, if it is still what is there; else [`Conflict::Stale`].
    async fn delete(&self, contact: &Contact, along: &Along) -> Result<(), StoreError<Conflict>>;
}
