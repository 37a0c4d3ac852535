//! The read model of the reconciliation: every order of the table, read-only.

use erp_aws::table::{Scanned, read};
use erp_aws::transaction::text;
use erp_aws::{Key, ScanCursor, StoreError, Table};
use erp_domain::{Demand, OrderId, Timestamp};
use serde::Deserialize;

use crate::domain::{PurchaseOrder, PurchaseStatus};
use crate::store::keys;
use crate::store::row::OrderRow;

/// Filter: rows of orders, without events and idempotency records.
const ORDERS: &str = "#sk = :order";

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

/// Read-only access to every order of the purchase table.
#[derive(Debug, Clone)]
pub struct OrderReader {
    table: Table,
}

/// A valid row, or at least the id in it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OrderOrId {
    Order(Box<OrderRow>),
    Id { id: OrderId },
}

impl TryFrom<OrderRow> for OrderRecord {
    type Error = StoreError;
    fn try_from(row: OrderRow) -> Result<Self, StoreError> {
        let order = PurchaseOrder::try_from(row)?;
        let summary = order.summary();
        Ok(Self {
            id: summary.id,
            status: summary.status,
            demand: order.lines().demand(),
            updated_at: summary.updated_at,
        })
    }
}

impl OrderReader {
    /// Creates a reader of the purchase table.
    pub fn new(table: Table) -> Self {
        Self { table }
    }

    /// Reads a page of the orders and returns the cursor of the next page, if there may be one. The read is
    /// eventually consistent: a suspicious order must be read again with [`OrderReader::find_all`].
    ///
    /// # Errors
    /// If the table is unavailable.
    pub async fn page(&self, after: Option<&ScanCursor>) -> Result<Scanned<OrderRecord>, StoreError> {
        let values = [(":order", text("ORDER"))];
        let decode = |row| read::<OrderRow>(row).and_then(OrderRecord::try_from);
        self.table.scan(ORDERS, &values, after, decode).await
    }

    /// Reads orders by id, strongly consistent. Orders that do not exist are left out; a row that cannot be
    /// decoded is `None`.
    ///
    /// # Errors
    /// If the table is unavailable.
    pub async fn find_all(&self, ids: &[OrderId]) -> Result<Vec<(OrderId, Option<OrderRecord>)>, StoreError> {
        let keys: Vec<Key> = ids.iter().map(|id| keys::order(*id)).collect();
        let rows: Vec<OrderOrId> = self.table.get_all(&keys).await?;
        let record = |row| match row {
            OrderOrId::Order(row) => (row.id(), OrderRecord::try_from(*row).ok()),
            OrderOrId::Id { id } => (id, None),
        };
        Ok(rows.into_iter().map(record).collect())
    }
}
