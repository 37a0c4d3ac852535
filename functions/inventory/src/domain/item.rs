//! Items that are bought, stocked and sold.

use erp_contracts::data::ItemChanged;
use erp_domain::{ItemId, Money, Sku, StockLevel, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

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

/// An item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ItemData {
    pub(crate) id: ItemId,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) sku: Sku,
    pub(crate) unit_price: Money,
    pub(crate) version: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// An item. Only its own methods change its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item(ItemData);

impl Item {
    /// Creates an item of version 1.
    pub fn create(id: ItemId, details: ItemDetails, now: Timestamp) -> Self {
        let ItemDetails { name, description, sku, unit_price } = details;
        let (version, created_at, updated_at) = (1, now, now);
        Self(ItemData { id, name, description, sku, unit_price, version, created_at, updated_at })
    }

    /// Restores an item from its row.
    pub(crate) fn restore(data: ItemData) -> Self {
        Self(data)
    }

    /// Returns the next version of the item, with other details.
    #[must_use]
    pub fn update(&self, details: ItemDetails, now: Timestamp) -> Self {
        let ItemDetails { name, description, sku, unit_price } = details;
        let ItemData { id, version, created_at, updated_at, .. } = self.0;
        let (version, updated_at) = (version + 1, now.max(updated_at));
        Self(ItemData { id, name, description, sku, unit_price, version, created_at, updated_at })
    }

    /// Returns the id.
    pub fn id(&self) -> ItemId {
        self.0.id
    }

    /// Returns the version: 1 when created, incremented by each change.
    pub fn version(&self) -> u64 {
        self.0.version
    }

    /// Returns the data.
    pub(crate) fn data(&self) -> &ItemData {
        &self.0
    }
}

impl From<&Item> for ItemChanged {
    fn from(item: &Item) -> Self {
        let ItemData { id, name, sku, unit_price, version, .. } = item.0.clone();
        Self { id, name, sku, unit_price, version }
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
    /// An adjustment would make the quantity negative.
    InsufficientStock {
        /// The available quantity.
        available: StockLevel,
    },
    /// An adjustment would raise the quantity above [`StockLevel::MAX`].
    AboveMaximum,
    /// The quantity is not the one that an adjustment expects.
    UnexpectedQuantity {
        /// The available quantity.
        found: StockLevel,
    },
}
