//! Rows of the contact table.

use erp_aws::list;
use erp_domain::{EmailAddress, PartyId, PartyKind, Timestamp};
use serde::{Deserialize, Serialize};

use super::keys;
use crate::domain::{Contact, ContactDetails};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ContactRow {
    pk: String,
    sk: String,
    list_pk: String,
    list_sk: PartyId,
    id: PartyId,
    name: String,
    email: EmailAddress,
    phone: String,
    address: String,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<&Contact> for ContactRow {
    fn from(contact: &Contact) -> Self {
        let id = contact.id();
        let key = keys::contact(contact.kind(), id);
        let ContactDetails { name, email, phone, address } = contact.details().clone();
        Self {
            pk: key.pk,
            sk: key.sk,
            list_pk: list::shard(keys::list(contact.kind()), id.uuid()),
            list_sk: id,
            id,
            name,
            email,
            phone,
            address,
            version: contact.version(),
            created_at: contact.created_at(),
            updated_at: contact.updated_at(),
        }
    }
}

impl ContactRow {
    pub(super) fn into_contact(self, kind: PartyKind) -> Contact {
        let Self { id, name, email, phone, address, version, created_at, updated_at, .. } = self;
        let details = ContactDetails { name, email, phone, address };
        Contact::restore(id, kind, details, version, [created_at, updated_at])
    }
}

/// Reserves an e-mail address for one contact of a kind.
#[derive(Debug, Serialize)]
pub(super) struct EmailGuardRow {
    pub(super) pk: String,
    pub(super) sk: String,
    pub(super) id: PartyId,
}
