//! What is bought, kept and sold.

use crate::text::bounded;
use crate::{Id, Invalid, Money, Sku, Timestamp};

/// What a client says of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemDetails {
    /// 1 to 255 characters.
    pub name: String,
    /// At most 2,000 characters; may be empty.
    pub description: String,
    /// Unique among items.
    pub sku: Sku,
    /// What a sales order charges when it says nothing else.
    pub unit_price: Money,
}

impl ItemDetails {
    /// Reads a name.
    ///
    /// # Errors
    /// When it is empty or longer than 255 characters.
    pub fn name(text: &str) -> Result<String, Invalid> {
        bounded(text, 1, 255)
    }

    /// Reads a description.
    ///
    /// # Errors
    /// When it is longer than 2,000 characters.
    pub fn description(text: &str) -> Result<String, Invalid> {
        bounded(text, 0, 2000)
    }
}

/// An item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The item's id.
    pub id: Id<Item>,
    /// What the client said.
    pub details: ItemDetails,
    /// 1 when created, one more with each change.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Item {
    /// A new item.
    pub fn create(id: Id<Self>, details: ItemDetails, now: Timestamp) -> Self {
        Self { id, details, version: 1, created_at: now, updated_at: now }
    }

    /// The same item with other details.
    #[must_use]
    pub fn update(&self, details: ItemDetails, now: Timestamp) -> Self {
        Self { details, version: self.version + 1, updated_at: now.max(self.updated_at), ..self.clone() }
    }
}
