//! The contact table. Every write is a transaction of the contact, its e-mail guard and its event.

mod keys;
mod row;

use erp_aws::list::List;
use erp_aws::table::ABSENT;
use erp_aws::transaction::{number, text};
use erp_aws::{Change as RowChange, Page, PageRequest, StoreError, Table, Transaction};
use erp_contracts::Event;
use erp_domain::{PartyId, PartyKind};
use erp_service::{Change, OnFailure};

use crate::domain::{Contact, ContactError};
use row::{ContactRow, EmailGuardRow};

/// The contact has the version that was loaded.
const SAME_VERSION: &str = "#version = :version";
/// The e-mail address belongs to this contact.
const HELD_BY: &str = "#id = :id";

/// A change of a contact that is not saved yet.
pub type ContactChange = Change<Contact, ContactError>;

type Actions = Transaction<OnFailure<ContactError>>;

/// Contacts in DynamoDB.
#[derive(Debug, Clone)]
pub struct ContactStore {
    table: Table,
}

impl ContactStore {
    /// Creates a store over the contact table.
    pub fn new(table: Table) -> Self {
        Self { table }
    }

    /// Returns the table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Reads a contact, strongly consistent.
    pub async fn find(&self, kind: PartyKind, id: PartyId) -> Result<Option<Contact>, StoreError> {
        let row: Option<ContactRow> = self.table.get(&keys::contact(kind, id)).await?;
        Ok(row.map(|row| Contact::restore(kind, row.data)))
    }

    /// Reads a page of the contacts of a kind, newest first.
    pub async fn list(&self, kind: PartyKind, page: PageRequest) -> Result<Page<Contact>, StoreError> {
        let list = List::sharded(&self.table, "list", &keys::list(kind));
        list.page::<ContactRow>(page).await?.try_map(|row| Ok(Contact::restore(kind, row.data)))
    }

    /// Inserts a new contact. Rejected with [`ContactError::EmailTaken`] if another has its e-mail address.
    pub fn insert(&self, contact: &Contact, event: &Event) -> Result<ContactChange, StoreError> {
        let mut actions = Actions::new();
        actions.put(OnFailure::Bug, &self.table, &ContactRow::from(contact), ABSENT)?;
        self.take_email(&mut actions, contact)?;
        self.change(contact, actions, event)
    }

    /// Replaces `old` by `new`. Stale if `old` is no longer the current version; rejected with
    /// [`ContactError::EmailTaken`] if another contact has the new e-mail address.
    pub fn replace(&self, old: &Contact, new: &Contact, event: &Event) -> Result<ContactChange, StoreError> {
        let mut actions = Actions::new();
        let values = vec![(":version", number(old.version()))];
        let row = ContactRow::from(new);
        actions.put_with(OnFailure::Stale, &self.table, &row, SAME_VERSION, values)?;
        if old.data().email != new.data().email {
            self.take_email(&mut actions, new)?;
            self.free_email(&mut actions, old)?;
        }
        self.change(new, actions, event)
    }

    /// Deletes a contact and frees its e-mail address. Stale if it is no longer the current version.
    pub fn delete(&self, contact: &Contact, event: &Event) -> Result<ContactChange, StoreError> {
        let mut actions = Actions::new();
        let delete = RowChange {
            key: keys::contact(contact.kind(), contact.id()),
            update: String::new(),
            condition: SAME_VERSION,
            values: vec![(":version", number(contact.version()))],
        };
        actions.delete(OnFailure::Stale, &self.table, delete)?;
        self.free_email(&mut actions, contact)?;
        self.change(contact, actions, event)
    }

    fn take_email(&self, actions: &mut Actions, contact: &Contact) -> Result<(), StoreError> {
        let key = keys::email(contact.kind(), &contact.data().email);
        let guard = EmailGuardRow { key, id: contact.id() };
        let taken = ContactError::EmailTaken(contact.kind());
        actions.put(OnFailure::Rejected(taken), &self.table, &guard, ABSENT)
    }

    fn free_email(&self, actions: &mut Actions, contact: &Contact) -> Result<(), StoreError> {
        let delete = RowChange {
            key: keys::email(contact.kind(), &contact.data().email),
            update: String::new(),
            condition: HELD_BY,
            values: vec![(":id", text(contact.id()))],
        };
        actions.delete(OnFailure::Bug, &self.table, delete)
    }

    fn change(
        &self,
        contact: &Contact,
        actions: Actions,
        event: &Event,
    ) -> Result<ContactChange, StoreError> {
        let partition = keys::contact(contact.kind(), contact.id()).pk;
        Change::new(contact.clone(), actions).with_event(&self.table, &partition, event)
    }
}
