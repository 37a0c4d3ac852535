//! The read model of the reconciliation: every order of the table, read-only.

use erp_aws::StoreError;
use erp_domain::{Demand, OrderId, Timestamp};

use crate::domain::{OrderSummary, PurchaseOrder, PurchaseStatus};
use crate::store::row::{OrderRow, SummaryRow};

/// Read-only access to every order of the purchase table.
pub type OrderReader = erp_orders::ledger::OrderReader<SummaryRow, OrderRecord>;

/// A purchase order as the reconciliation compares it with its receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRecord {
    /// The order.
    pub id: OrderId,
    /// Its status.
    pub status: PurchaseStatus,
    /// The ordered quantity per item.
    pub demand: Demand,
    /// When the order was last changed.
    pub updated_at: Timestamp,
}

impl TryFrom<OrderRow> for OrderRecord {
    type Error = StoreError;
    fn try_from(row: OrderRow) -> Result<Self, StoreError> {
        let order = PurchaseOrder::try_from(row)?;
        let &OrderSummary { id, status, updated_at, .. } = order.summary();
        Ok(Self { id, status, demand: order.lines().demand(), updated_at })
    }
}
