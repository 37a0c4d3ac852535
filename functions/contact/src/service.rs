//! Use cases: load, decide, return a change.

use std::sync::Arc;

use erp_aws::{Page, PageRequest, StoreError};
use erp_contracts::data::ContactChanged;
use erp_contracts::{Cause, Event, EventError, EventKind};
use erp_domain::{Clock, Ids, PartyId, PartyKind, Timestamp};
use erp_service::{Change, Precondition, ServiceError};

use crate::domain::{Contact, ContactDetails, ContactError};
use crate::store::ContactStore;

/// A change of a contact that is not saved yet.
pub type ContactChange = Change<Contact, ContactError>;
/// The error of a use case.
pub type Error = ServiceError<ContactError>;

/// The use cases of customers and vendors.
#[derive(Clone)]
pub struct Contacts {
    store: ContactStore,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl Contacts {
    /// Creates the use cases over a store.
    pub fn new(store: ContactStore, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self { store, clock, ids }
    }

    /// Returns one contact.
    ///
    /// # Errors
    /// [`ContactError::NotFound`].
    pub async fn get(&self, kind: PartyKind, id: PartyId) -> Result<Contact, Error> {
        let contact = self.store.find(kind, id).await?;
        contact.ok_or(ServiceError::Rejected(ContactError::NotFound(kind)))
    }

    /// Returns a page of the contacts of a kind, newest first.
    ///
    /// # Errors
    /// If the table is unavailable.
    pub async fn list(&self, kind: PartyKind, page: PageRequest) -> Result<Page<Contact>, StoreError> {
        self.store.list(kind, page).await
    }

    /// Creates a contact.
    ///
    /// # Errors
    /// Saving the change fails with [`ContactError::EmailTaken`].
    pub async fn create(
        &self,
        kind: PartyKind,
        details: ContactDetails,
        cause: &Cause,
    ) -> Result<ContactChange, Error> {
        let now = self.clock.now();
        let contact = Contact::create(self.ids.make(), kind, details, now);
        let event_kind = match kind {
            PartyKind::Customer => EventKind::CustomerCreated,
            PartyKind::Vendor => EventKind::VendorCreated,
        };
        Ok(self.store.insert(&contact, &self.event(event_kind, &contact, now, cause)?)?)
    }

    /// Replaces the details of a contact.
    ///
    /// # Errors
    /// [`ContactError::NotFound`], [`ContactError::VersionMismatch`]; saving the change fails with
    /// [`ContactError::EmailTaken`].
    pub async fn update(
        &self,
        kind: PartyKind,
        id: PartyId,
        details: ContactDetails,
        precondition: &Precondition,
        cause: &Cause,
    ) -> Result<ContactChange, Error> {
        let old = self.load_expected(kind, id, precondition).await?;
        let now = self.clock.now();
        let new = old.update(details, now);
        let event_kind = match kind {
            PartyKind::Customer => EventKind::CustomerUpdated,
            PartyKind::Vendor => EventKind::VendorUpdated,
        };
        Ok(self.store.replace(&old, &new, &self.event(event_kind, &new, now, cause)?)?)
    }

    /// Deletes a contact. Its e-mail address can be used again; orders keep their reference to it.
    ///
    /// # Errors
    /// [`ContactError::NotFound`], [`ContactError::VersionMismatch`].
    pub async fn delete(
        &self,
        kind: PartyKind,
        id: PartyId,
        precondition: &Precondition,
        cause: &Cause,
    ) -> Result<ContactChange, Error> {
        let contact = self.load_expected(kind, id, precondition).await?;
        let event_kind = match kind {
            PartyKind::Customer => EventKind::CustomerDeleted,
            PartyKind::Vendor => EventKind::VendorDeleted,
        };
        let event = self.event(event_kind, &contact, self.clock.now(), cause)?;
        Ok(self.store.delete(&contact, &event)?)
    }

    async fn load_expected(
        &self,
        kind: PartyKind,
        id: PartyId,
        precondition: &Precondition,
    ) -> Result<Contact, Error> {
        let contact = self.get(kind, id).await?;
        match precondition.check(contact.version()) {
            Ok(()) => Ok(contact),
            Err(version) => Err(ServiceError::Rejected(ContactError::VersionMismatch(version))),
        }
    }

    fn event(
        &self,
        kind: EventKind,
        contact: &Contact,
        now: Timestamp,
        cause: &Cause,
    ) -> Result<Event, EventError> {
        Event::new(self.ids.next(), kind, contact.id(), now, cause, &ContactChanged::from(contact))
    }
}
