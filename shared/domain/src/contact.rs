//! Customers and vendors: the people and firms that orders name.

use crate::text::bounded;
use crate::{Email, Id, Invalid, Timestamp};

/// Marks the id of a customer.
pub enum Customer {}
/// Marks the id of a vendor.
pub enum Vendor {}
/// Marks the id of a contact of either kind.
pub enum Party {}

/// Which book a contact stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContactKind {
    /// Who buys from us.
    Customer,
    /// Who we buy from.
    Vendor,
}

impl ContactKind {
    /// The word for it in names of events, keys and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Vendor => "vendor",
        }
    }

    /// The word at the start of a sentence.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Customer => "Customer",
            Self::Vendor => "Vendor",
        }
    }
}

/// What a client says of a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactDetails {
    /// 1 to 255 characters.
    pub name: String,
    /// Unique among contacts of the kind.
    pub email: Email,
    /// At most 50 characters; may be empty.
    pub phone: String,
    /// At most 500 characters; may be empty.
    pub address: String,
}

impl ContactDetails {
    /// Reads a name.
    ///
    /// # Errors
    /// When it is empty or longer than 255 characters.
    pub fn name(text: &str) -> Result<String, Invalid> {
        bounded(text, 1, 255)
    }

    /// Reads a phone number, as free text: the world writes them in too many ways.
    ///
    /// # Errors
    /// When it is longer than 50 characters.
    pub fn phone(text: &str) -> Result<String, Invalid> {
        bounded(text, 0, 50)
    }

    /// Reads an address.
    ///
    /// # Errors
    /// When it is longer than 500 characters.
    pub fn address(text: &str) -> Result<String, Invalid> {
        bounded(text, 0, 500)
    }
}

/// A customer or vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The contact's id.
    pub id: Id<Party>,
    /// The book it stands in.
    pub kind: ContactKind,
    /// What the client said.
    pub details: ContactDetails,
    /// 1 when created, one more with each change.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Contact {
    /// A new contact.
    pub fn create(id: Id<Party>, kind: ContactKind, details: ContactDetails, now: Timestamp) -> Self {
        Self { id, kind, details, version: 1, created_at: now, updated_at: now }
    }

    /// The same contact with other details.
    #[must_use]
    pub fn update(&self, details: ContactDetails, now: Timestamp) -> Self {
        Self { details, version: self.version + 1, updated_at: now.max(self.updated_at), ..self.clone() }
    }
}
