//! The inventory table.

mod allocations;
mod backorders;
mod items;
pub(crate) mod keys;
pub(crate) mod row;

pub use backorders::Backorder;
use erp_aws::Table;
pub use items::ItemChange;

/// Items, stock and allocations in DynamoDB.
#[derive(Debug, Clone)]
pub struct InventoryStore {
    table: Table,
}

impl InventoryStore {
    /// Creates a store over the inventory table.
    pub fn new(table: Table) -> Self {
        Self { table }
    }

    /// Returns the table.
    pub fn table(&self) -> &Table {
        &self.table
    }
}
