//! Use cases: load, decide, return a change.

use std::sync::Arc;

use erp_contracts::data::ContactChanged;
use erp_contracts::{Cause, Event, EventError, EventKind};
use erp_domain::{Clock, Ids, PartyId, PartyKind, Timestamp};
use erp_service::{Precondition, ServiceError};

use crate::domain::{Contact, ContactDetails, ContactError};
use crate::store::{ContactChange, ContactStore};

type Result<T> = std::result::Result<T, ServiceError<ContactError>>;

/// The use cases of customers and vendors.
#[derive(Clone)]
pub struct Contacts {
    /// The contact table.
    pub store: ContactStore,
    /// The source of times.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub ids: Arc<dyn Ids>,
}

impl Contacts {
    /// Returns one contact.
    ///
    /// # Errors
    /// [`ContactError::NotFound`].
    pub async fn get(&self, kind: PartyKind, id: PartyId) -> Result<Contact> {
        let contact = self.store.find(kind, id).await?;
        contact.ok_or(ServiceError::Rejected(ContactError::NotFound(kind)))
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
    ) -> Result<ContactChange> {
        let now = self.clock.now();
        let contact = Contact::create(self.ids.make(), kind, details, now);
        let kinds = [EventKind::CustomerCreated, EventKind::VendorCreated];
        Ok(self.store.insert(&contact, &self.event(kinds, &contact, now, cause)?)?)
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
    ) -> Result<ContactChange> {
        let old = self.expected(kind, id, precondition).await?;
        let now = self.clock.now();
        let new = old.update(details, now);
        let kinds = [EventKind::CustomerUpdated, EventKind::VendorUpdated];
        Ok(self.store.replace(&old, &new, &self.event(kinds, &new, now, cause)?)?)
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
    ) -> Result<ContactChange> {
        let contact = self.expected(kind, id, precondition).await?;
        let kinds = [EventKind::CustomerDeleted, EventKind::VendorDeleted];
        let event = self.event(kinds, &contact, self.clock.now(), cause)?;
        Ok(self.store.delete(&contact, &event)?)
    }

    async fn expected(&self, kind: PartyKind, id: PartyId, precondition: &Precondition) -> Result<Contact> {
        let contact = self.get(kind, id).await?;
        let checked = precondition.check(contact.version());
        checked.map_err(|found| ServiceError::Rejected(ContactError::VersionMismatch(found)))?;
        Ok(contact)
    }

    /// Creates the event of a change: the first kind for a customer, the second for a vendor.
    fn event(
        &self,
        [customer, vendor]: [EventKind; 2],
        contact: &Contact,
        now: Timestamp,
        cause: &Cause,
    ) -> std::result::Result<Event, EventError> {
        let kind = match contact.kind() {
            PartyKind::Customer => customer,
            PartyKind::Vendor => vendor,
        };
        Event::new(self.ids.next(), kind, contact.id(), now, cause, &ContactChanged::from(contact))
    }
}
