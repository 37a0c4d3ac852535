//! The inventory table.

mod allocations;
mod audit;
mod items;
mod keys;
mod row;

use erp_aws::Table;

/// Items, stock and allocations in DynamoDB.
#[derive(Debug, Clone)]
pub struct DynamoStore {
    table: Table,
}

impl DynamoStore {
    /// Inventory in this table.
    pub fn new(table: Table) -> Self {
        Self { table }
    }

    /// The table.
    pub fn table(&self) -> &Table {
        &self.table
    }
}
