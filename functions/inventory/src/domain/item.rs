//! Items that are bought, stocked and sold.

use erp_contracts::data::ItemChanged;
use erp_domain::text::{multi_line, single_line};
use erp_domain::{ItemId, Money, Sku, StockLevel, Timestamp, ValidationError};

use super::AdjustmentError;

/// The data of an item that a client enters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemDetails {
    /// One line of 1 to 255 characters.
    pub name: String,
    /// At most 2,000 characters; may be empty.
    pub description: String,
    /// Unique among items.
    pub sku: Sku,
    /// The price that a sales order charges by default.
    pub unit_price: Money,
}

impl ItemDetails {
    /// Parses a name.
    ///
    /// # Errors
    /// If it is empty, longer than 255 characters, or contains control or format characters.
    pub fn name(text: &str) -> Result<String, ValidationError> {
        single_line(text, 1, 255)
    }

    /// Parses a description.
    ///
    /// # Errors
    /// If it is longer than 2,000 characters, or contains control characters other than line breaks.
    pub fn description(text: &str) -> Result<String, ValidationError> {
        multi_line(text, 0, 2000)
    }
}

/// An item. Only its own methods change its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    id: ItemId,
    details: ItemDetails,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Item {
    /// Creates an item of version 1.
    pub fn create(id: ItemId, details: ItemDetails, now: Timestamp) -> Self {
        Self { id, details, version: 1, created_at: now, updated_at: now }
    }

    /// Restores an item from its row.
    pub(crate) fn restore(
        id: ItemId,
        details: ItemDetails,
        version: u64,
        created_at: Timestamp,
        updated_at: Timestamp,
    ) -> Self {
        Self { id, details, version, created_at, updated_at }
    }

    /// Returns the next version of the item, with other details.
    #[must_use]
    pub fn update(&self, details: ItemDetails, now: Timestamp) -> Self {
        Self { details, version: self.version + 1, updated_at: now.max(self.updated_at), ..self.clone() }
    }

    /// Returns the id.
    pub fn id(&self) -> ItemId {
        self.id
    }

    /// Returns the data that a client entered.
    pub fn details(&self) -> &ItemDetails {
        &self.details
    }

    /// Returns the version: 1 when created, incremented by each change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the time of creation.
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// Returns the time of the last change.
    pub fn updated_at(&self) -> Timestamp {
        self.updated_at
    }
}

impl From<&Item> for ItemChanged {
    fn from(item: &Item) -> Self {
        let ItemDetails { name, sku, unit_price, .. } = item.details.clone();
        Self { id: item.id, name, sku, unit_price, version: item.version }
    }
}

/// The reason why a use case of items rejects a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemError {
    /// The item does not exist.
    NotFound,
    /// Another item has the SKU.
    SkuTaken,
    /// The client expects another version than this one.
    VersionMismatch(u64),
    /// The item has stock, or orders need it.
    InUse {
        /// The available quantity.
        available: StockLevel,
        /// The quantity that is allocated to orders.
        allocated: i64,
        /// The quantity that orders in the back-order queue need.
        backordered: i64,
    },
    /// The stock cannot be adjusted as requested.
    Adjustment(AdjustmentError),
}
