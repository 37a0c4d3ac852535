//! The contact and its rules.

use erp_contracts::data::ContactChanged;
use erp_domain::{EmailAddress, PartyId, PartyKind, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The reasons to reject a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactError {
    /// There is no such contact.
    NotFound(PartyKind),
    /// Another contact of the kind has the e-mail address.
    EmailTaken(PartyKind),
    /// The client expects another version than this current one.
    VersionMismatch(u64),
}

/// The editable data of a customer or vendor. An update replaces all of it.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(as = ContactRequest)]
pub struct ContactDetails {
    /// One line of text.
    #[schema(example = "Acme Ltd", min_length = 1, max_length = 255)]
    pub name: String,
    /// Unique among the customers, or among the vendors. Letter case does not count.
    pub email: EmailAddress,
    /// One line of text, empty by default.
    #[schema(value_type = Option<String>, example = "+1 555 0100", max_length = 50)]
    pub phone: String,
    /// Lines of text, empty by default.
    #[schema(value_type = Option<String>, example = "1 Main Street\nSpringfield", max_length = 500)]
    pub address: String,
}

/// A customer or vendor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContactData {
    pub(crate) id: PartyId,
    pub(crate) name: String,
    pub(crate) email: EmailAddress,
    pub(crate) phone: String,
    pub(crate) address: String,
    pub(crate) version: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A customer or vendor. Only its own methods change its data. Serialised without its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contact {
    #[serde(skip)]
    kind: PartyKind,
    #[serde(flatten)]
    data: ContactData,
}

impl Contact {
    /// Creates a contact at version 1.
    pub fn create(id: PartyId, kind: PartyKind, details: ContactDetails, now: Timestamp) -> Self {
        let ContactDetails { name, email, phone, address } = details;
        let (version, created_at, updated_at) = (1, now, now);
        Self::restore(kind, ContactData { id, name, email, phone, address, version, created_at, updated_at })
    }

    /// Rebuilds a contact from its stored data.
    pub(crate) fn restore(kind: PartyKind, data: ContactData) -> Self {
        Self { kind, data }
    }

    /// Returns the next version of the contact, with other details.
    #[must_use]
    pub fn update(&self, details: ContactDetails, now: Timestamp) -> Self {
        let ContactDetails { name, email, phone, address } = details;
        let ContactData { id, version, created_at, updated_at, .. } = self.data;
        let (version, updated_at) = (version + 1, now.max(updated_at));
        let data = ContactData { id, name, email, phone, address, version, created_at, updated_at };
        Self::restore(self.kind, data)
    }

    /// Returns the id.
    pub fn id(&self) -> PartyId {
        self.data.id
    }

    /// Returns whether it is a customer or a vendor.
    pub fn kind(&self) -> PartyKind {
        self.kind
    }

    /// Returns the version: 1 when created, incremented by every update.
    pub fn version(&self) -> u64 {
        self.data.version
    }

    /// Returns the data without the kind.
    pub(crate) fn data(&self) -> &ContactData {
        &self.data
    }
}

impl From<&Contact> for ContactChanged {
    fn from(contact: &Contact) -> Self {
        let ContactData { id, name, email, version, .. } = contact.data.clone();
        Self { id, name, email, version }
    }
}
