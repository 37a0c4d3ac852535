//! The contact table.

mod keys;
mod row;

use async_trait::async_trait;
use erp_aws::list::{List, shards};
use erp_aws::outbox::EventRow;
use erp_aws::table::NOT_THERE;
use erp_aws::transaction::{number, text};
use erp_aws::{Change, Key, Table, Transaction, TransactionError, answers};
use erp_contracts::{Along, Page, Rows, StoreError};
use erp_domain::contact::{Contact, ContactKind, Party};
use erp_domain::{Email, Id};

use crate::ports::{Conflict, ContactStore};
use row::{ContactRow, GuardRow};

/// The contact is still at the version that was read.
const SAME_VERSION: &str = "#version = :version";
/// The address is held by this contact.
const HELD_BY: &str = "#id = :id";

/// Contacts in DynamoDB.
#[derive(Debug, Clone)]
pub struct DynamoStore {
    table: Table,
}

/// The actions of a write, by what their conditions are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Contact,
    TakeEmail,
    FreeEmail,
    Event,
    Answer,
}

impl DynamoStore {
    /// Contacts in this table.
    pub fn new(table: Table) -> Self {
        Self { table }
    }

    /// The table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    fn take_email(
        &self,
        transaction: &mut Transaction<Action>,
        contact: &Contact,
    ) -> Result<(), StoreError<Conflict>> {
        let Key { pk, sk } = keys::email(contact.kind, &contact.details.email);
        transaction.put(Action::TakeEmail, &self.table, &GuardRow { pk, sk, id: contact.id }, NOT_THERE)
    }

    fn free_email(
        &self,
        transaction: &mut Transaction<Action>,
        contact: &Contact,
        email: &Email,
    ) -> Result<(), StoreError<Conflict>> {
        let key = keys::email(contact.kind, email);
        let values = vec![(":id", text(contact.id))];
        transaction.delete(
            Action::FreeEmail,
            &self.table,
            Change { key, update: String::new(), condition: HELD_BY, values },
        )
    }

    async fn commit(
        &self,
        mut transaction: Transaction<Action>,
        contact: &Contact,
        along: &Along,
    ) -> Result<(), StoreError<Conflict>> {
        if let Some(event) = &along.event {
            let partition = keys::contact(contact.kind, contact.id).pk;
            let row = EventRow::to_publish::<Conflict>(&partition, event)?;
            transaction.put(Action::Event, &self.table, &row, NOT_THERE)?;
        }
        if let Some(record) = &along.record {
            answers::add(&mut transaction, Action::Answer, &self.table, record)?;
        }
        transaction.commit(&self.table).await.map_err(conflict)
    }
}

/// Which condition it was. The answer comes first: when it is there, this very request was carried out before, and
/// that is why the others do not hold.
fn conflict(error: TransactionError<Action>) -> StoreError<Conflict> {
    if error.failed(&Action::Answer) {
        StoreError::Answered
    } else if error.failed(&Action::Contact) {
        StoreError::Conflict(Conflict::Stale)
    } else if error.failed(&Action::TakeEmail) {
        StoreError::Conflict(Conflict::EmailTaken)
    } else {
        error.into()
    }
}

#[async_trait]
impl ContactStore for DynamoStore {
    async fn find(&self, kind: ContactKind, id: Id<Party>) -> Result<Option<Contact>, StoreError> {
        let row: Option<ContactRow> = self.table.get(&keys::contact(kind, id)).await?;
        row.map(|row| row.into_contact(kind)).transpose()
    }

    async fn list(&self, kind: ContactKind, page: Page) -> Result<Rows<Contact>, StoreError> {
        let list = List {
            table: &self.table,
            index: Some("list"),
            partitions: shards(keys::list(kind)),
            prefix: "",
            filter: None,
        };
        let Rows { rows, next } = list.page::<ContactRow>(page).await?;
        let rows = rows.into_iter().map(|row| row.into_contact(kind)).collect::<Result<_, _>>()?;
        Ok(Rows { rows, next })
    }

    async fn insert(&self, contact: &Contact, along: &Along) -> Result<(), StoreError<Conflict>> {
        let mut transaction = Transaction::new();
        transaction.put(Action::Contact, &self.table, &ContactRow::from(contact), NOT_THERE)?;
        self.take_email(&mut transaction, contact)?;
        self.commit(transaction, contact, along).await
    }

    async fn replace(&self, old: &Contact, new: &Contact, along: &Along) -> Result<(), StoreError<Conflict>> {
        let mut transaction = Transaction::new();
        let version = vec![(":version", number(old.version))];
        transaction.put_with(Action::Contact, &self.table, &ContactRow::from(new), SAME_VERSION, version)?;
        if old.details.email != new.details.email {
            self.take_email(&mut transaction, new)?;
            self.free_email(&mut transaction, old, &old.details.email)?;
        }
        self.commit(transaction, new, along).await
    }

    async fn delete(&self, contact: &Contact, along: &Along) -> Result<(), StoreError<Conflict>> {
        let mut transaction = Transaction::new();
        let key = keys::contact(contact.kind, contact.id);
        let values = vec![(":version", number(contact.version))];
        let gone = Change { key, update: String::new(), condition: SAME_VERSION, values };
        transaction.delete(Action::Contact, &self.table, gone)?;
        self.free_email(&mut transaction, contact, &contact.details.email)?;
        self.commit(transaction, contact, along).await
    }
}
