//! Use cases: load, decide, save.

use std::sync::Arc;

use erp_contracts::data::{Change, ContactChanged};
use erp_contracts::{Answer, Cause, Event, Expect, Page, Rows, StoreError, Write};
use erp_domain::contact::{Contact, ContactDetails, ContactKind, Party};
use erp_domain::{Clock, Id, Ids, Timestamp};

use crate::ports::{Conflict, ContactStore};

/// How often a change is decided anew because somebody else was faster.
const ROUNDS: usize = 5;

/// Why a use case refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such contact.
    NotFound(ContactKind),
    /// Another contact of the kind has the address.
    EmailTaken(ContactKind),
    /// The client means another version than this one.
    VersionMismatch(u64),
    /// Others change it so fast that this change does not get in.
    Busy,
}

/// Customers and vendors.
#[derive(Clone)]
pub struct Contacts {
    /// Where they are.
    pub store: Arc<dyn ContactStore>,
    /// When things happen.
    pub clock: Arc<dyn Clock>,
    /// What they are called.
    pub ids: Arc<dyn Ids>,
}

impl Contacts {
    /// One contact.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn get(&self, kind: ContactKind, id: Id<Party>) -> Result<Contact, StoreError<Refusal>> {
        let found = self.store.find(kind, id).await.map_err(StoreError::widen)?;
        found.ok_or(StoreError::Conflict(Refusal::NotFound(kind)))
    }

    /// A page of contacts.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn list(&self, kind: ContactKind, page: Page) -> Result<Rows<Contact>, StoreError> {
        self.store.list(kind, page).await
    }

    /// A new contact.
    ///
    /// # Errors
    /// [`Refusal::EmailTaken`].
    pub async fn create(
        &self,
        kind: ContactKind,
        details: ContactDetails,
        write: Write<Contact>,
    ) -> Result<Answer, StoreError<Refusal>> {
        let now = self.clock.now();
        let contact = Contact::create(self.ids.make(), kind, details, now);
        let event = self.event(Change::Created, &contact, now, &write.cause)?;
        let (answer, along) = write.along(&contact, Some(event), now)?;
        self.store
            .insert(&contact, &along)
            .await
            .map_err(|error| error.map(|conflict| refusal(kind, conflict)))?;
        Ok(answer)
    }

    /// Other details for a contact.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::VersionMismatch`], [`Refusal::EmailTaken`].
    pub async fn update(
        &self,
        kind: ContactKind,
        id: Id<Party>,
        details: ContactDetails,
        expect: &Expect,
        write: Write<Contact>,
    ) -> Result<Answer, StoreError<Refusal>> {
        for _ in 0..ROUNDS {
            let old = self.expected(kind, id, expect).await?;
            let now = self.clock.now();
            let new = old.update(details.clone(), now);
            let event = self.event(Change::Updated, &new, now, &write.cause)?;
            let (answer, along) = write.along(&new, Some(event), now)?;
            match self.store.replace(&old, &new, &along).await {
                Ok(()) => return Ok(answer),
                Err(StoreError::Conflict(Conflict::Stale)) => {}
                Err(error) => return Err(error.map(|conflict| refusal(kind, conflict))),
            }
        }
        Err(StoreError::Conflict(Refusal::Busy))
    }

    /// No such contact any more. Its address is free again; orders that name it keep their data.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::VersionMismatch`].
    pub async fn delete(
        &self,
        kind: ContactKind,
        id: Id<Party>,
        expect: &Expect,
        write: Write<Contact>,
    ) -> Result<Answer, StoreError<Refusal>> {
        for _ in 0..ROUNDS {
            let contact = self.expected(kind, id, expect).await?;
            let now = self.clock.now();
            let event = self.event(Change::Deleted, &contact, now, &write.cause)?;
            let (answer, along) = write.along(&contact, Some(event), now)?;
            match self.store.delete(&contact, &along).await {
                Ok(()) => return Ok(answer),
                Err(StoreError::Conflict(Conflict::Stale)) => {}
                Err(error) => return Err(error.map(|conflict| refusal(kind, conflict))),
            }
        }
        Err(StoreError::Conflict(Refusal::Busy))
    }

    async fn expected(
        &self,
        kind: ContactKind,
        id: Id<Party>,
        expect: &Expect,
    ) -> Result<Contact, StoreError<Refusal>> {
        let contact = self.get(kind, id).await?;
        if expect.accepts(contact.version) {
            Ok(contact)
        } else {
            Err(StoreError::Conflict(Refusal::VersionMismatch(contact.version)))
        }
    }

    fn event(
        &self,
        change: Change,
        contact: &Contact,
        now: Timestamp,
        cause: &Cause,
    ) -> Result<Event, StoreError<Refusal>> {
        let kind = change.of_contact(contact.kind);
        Ok(Event::new(self.ids.next(), kind, contact.id, now, cause, &ContactChanged::from(contact))?)
    }
}

fn refusal(kind: ContactKind, conflict: Conflict) -> Refusal {
    match conflict {
        Conflict::EmailTaken => Refusal::EmailTaken(kind),
        Conflict::Stale => Refusal::Busy,
    }
}
