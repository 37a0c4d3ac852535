//! Rows of the contact table.

use erp_aws::list;
use erp_contracts::StoreError;
use erp_domain::contact::{Contact, ContactDetails, ContactKind, Party};
use erp_domain::{Email, Id, Timestamp};
use serde::{Deserialize, Serialize};

use super::keys;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ContactRow {
    pk: String,
    sk: String,
    list_pk: String,
    list_sk: Id<Party>,
    id: Id<Party>,
    name: String,
    email: String,
    phone: String,
    address: String,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<&Contact> for ContactRow {
    fn from(contact: &Contact) -> Self {
        let key = keys::contact(contact.kind, contact.id);
        let details = contact.details.clone();
        Self {
            pk: key.pk,
            sk: key.sk,
            list_pk: list::shard(keys::list(contact.kind), contact.id.uuid()),
            list_sk: contact.id,
            id: contact.id,
            name: details.name,
            email: details.email.into(),
            phone: details.phone,
            address: details.address,
            version: contact.version,
            created_at: contact.created_at,
            updated_at: contact.updated_at,
        }
    }
}

impl ContactRow {
    pub(super) fn into_contact(self, kind: ContactKind) -> Result<Contact, StoreError> {
        Ok(Contact {
            id: self.id,
            kind,
            details: ContactDetails {
                name: self.name,
                email: Email::parse(&self.email).map_err(StoreError::unavailable)?,
                phone: self.phone,
                address: self.address,
            },
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// Holds a unique value for whoever has it.
#[derive(Debug, Serialize)]
pub(super) struct GuardRow {
    pub(super) pk: String,
    pub(super) sk: String,
    pub(super) id: Id<Party>,
}
