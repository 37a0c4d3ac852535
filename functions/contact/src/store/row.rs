//! Rows of the contact table.

use erp_aws::{Key, list};
use erp_domain::PartyId;
use serde::{Deserialize, Serialize};

use super::keys;
use crate::domain::{Contact, ContactData};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ContactRow {
    #[serde(flatten)]
    key: Key,
    list_pk: String,
    list_sk: PartyId,
    #[serde(flatten)]
    pub(super) data: ContactData,
}

impl From<&Contact> for ContactRow {
    fn from(contact: &Contact) -> Self {
        let id = contact.id();
        let key = keys::contact(contact.kind(), id);
        let list_pk = list::shard(&keys::list(contact.kind()), id.uuid());
        Self { key, list_pk, list_sk: id, data: contact.data().clone() }
    }
}

/// Reserves an e-mail address for one contact of a kind.
#[derive(Debug, Serialize)]
pub(super) struct EmailGuardRow {
    #[serde(flatten)]
    pub(super) key: Key,
    pub(super) id: PartyId,
}
