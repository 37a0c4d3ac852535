//! The read model of the reconciliation: every order of the table, read-only.

use erp_aws::StoreError;
use erp_domain::{Demand, OrderId, Timestamp};

use crate::domain::{OrderSummary, SalesOrder, SalesStatus, StockStatus};
use crate::store::row::{Attributes, OrderRow};

/// Read-only access to every order of the sales table.
pub type OrderReader = erp_orders::ledger::OrderReader<Attributes, OrderRecord>;

/// A sales order as the reconciliation compares it with its allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRecord {
    /// The order.
    pub id: OrderId,
    /// Its status.
    pub status: SalesStatus,
    /// Inventory's last decision.
    pub stock_status: StockStatus,
    /// The sequence of that decision; 0 before the first one.
    pub stock_sequence: u64,
    /// The ordered quantity per item.
    pub demand: Demand,
    /// When a client last changed the order.
    pub updated_at: Timestamp,
}

impl TryFrom<OrderRow> for OrderRecord {
    type Error = StoreError;
    fn try_from(row: OrderRow) -> Result<Self, StoreError> {
        let stock_sequence = row.attributes.stock_sequence;
        let order = SalesOrder::try_from(row)?;
        let &OrderSummary { id, status, stock_status, updated_at, .. } = order.summary();
        Ok(Self { id, status, stock_status, stock_sequence, demand: order.lines().demand(), updated_at })
    }
}
