//! The contact and its rules.

use erp_contracts::data::ContactChanged;
use erp_domain::text::{multi_line, single_line};
use erp_domain::{EmailAddress, PartyId, PartyKind, Timestamp, ValidationError};

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

/// The data of a contact that clients edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactDetails {
    /// The name, see [`ContactDetails::parse_name`].
    pub name: String,
    /// The e-mail address, unique among the contacts of a kind.
    pub email: EmailAddress,
    /// The phone number, see [`ContactDetails::parse_phone`].
    pub phone: String,
    /// The postal address, see [`ContactDetails::parse_address`].
    pub address: String,
}

impl ContactDetails {
    /// Normalises a name: one line of 1 to 255 characters.
    ///
    /// # Errors
    /// As [`single_line`].
    pub fn parse_name(text: &str) -> Result<String, ValidationError> {
        single_line(text, 1, 255)
    }

    /// Normalises a phone number: one line of 0 to 50 characters, in any format.
    ///
    /// # Errors
    /// As [`single_line`].
    pub fn parse_phone(text: &str) -> Result<String, ValidationError> {
        single_line(text, 0, 50)
    }

    /// Normalises a postal address: lines of 0 to 500 characters in all.
    ///
    /// # Errors
    /// As [`multi_line`].
    pub fn parse_address(text: &str) -> Result<String, ValidationError> {
        multi_line(text, 0, 500)
    }
}

/// A customer or vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    id: PartyId,
    kind: PartyKind,
    details: ContactDetails,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Contact {
    /// Creates a contact at version 1.
    pub fn create(id: PartyId, kind: PartyKind, details: ContactDetails, now: Timestamp) -> Self {
        Self { id, kind, details, version: 1, created_at: now, updated_at: now }
    }

    /// Rebuilds a contact from its stored state.
    pub(crate) fn restore(
        id: PartyId,
        kind: PartyKind,
        details: ContactDetails,
        version: u64,
        [created_at, updated_at]: [Timestamp; 2],
    ) -> Self {
        Self { id, kind, details, version, created_at, updated_at }
    }

    /// Returns the next version of the contact, with other details.
    #[must_use]
    pub fn update(&self, details: ContactDetails, now: Timestamp) -> Self {
        Self { details, version: self.version + 1, updated_at: now.max(self.updated_at), ..self.clone() }
    }

    /// Returns the id.
    pub fn id(&self) -> PartyId {
        self.id
    }

    /// Returns whether it is a customer or a vendor.
    pub fn kind(&self) -> PartyKind {
        self.kind
    }

    /// Returns the data that clients edit.
    pub fn details(&self) -> &ContactDetails {
        &self.details
    }

    /// Returns the version: 1 when created, incremented by every update.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the time of creation.
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// Returns the time of the last update.
    pub fn updated_at(&self) -> Timestamp {
        self.updated_at
    }
}

impl From<&Contact> for ContactChanged {
    fn from(contact: &Contact) -> Self {
        let ContactDetails { name, email, .. } = contact.details.clone();
        Self { id: contact.id, name, email, version: contact.version }
    }
}
