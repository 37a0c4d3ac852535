//! The read model of the reconciliation: every order of a table, read-only.

use std::marker::PhantomData;

use erp_aws::table::{Row, Scanned, read};
use erp_aws::transaction::text;
use erp_aws::{Key, ScanCursor, ScanSegment, StoreError, Table};
use erp_domain::OrderId;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::keys;
use crate::row::OrderRow;

/// Filter: rows of orders, without events and idempotency records.
const ORDERS: &str = "#sk = :order";

/// Read-only access to every order of a table. `A` has the attributes of a row that the context defines, `T` is
/// the order as the reconciliation compares it.
#[derive(Debug, Clone)]
pub struct OrderReader<A, T> {
    table: Table,
    types: PhantomData<fn(A) -> T>,
}

/// A valid row, or at least the id in it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OrderOrId<A> {
    Order(Box<OrderRow<A>>),
    Id { id: OrderId },
}

impl<A: DeserializeOwned, T: TryFrom<OrderRow<A>, Error = StoreError>> OrderReader<A, T> {
    /// Creates a reader of a table.
    pub fn new(table: Table) -> Self {
        Self { table, types: PhantomData }
    }

    /// Reads a page of the orders of a part of the table and returns the cursor of the next page, if there may be
    /// one. The read is eventually consistent: a suspicious order must be read again with [`OrderReader::find_all`].
    pub async fn page(
        &self,
        segment: ScanSegment,
        after: Option<&ScanCursor>,
    ) -> Result<Scanned<T>, StoreError> {
        self.table.scan(segment, ORDERS, &[(":order", text(keys::ORDER))], after, Self::decode).await
    }

    /// Decodes the row of an order.
    pub fn decode(row: Row) -> Result<T, StoreError> {
        read::<OrderRow<A>>(row).and_then(T::try_from)
    }

    /// Reads orders by id, strongly consistent. Orders that do not exist are left out; a row that cannot be
    /// decoded is `None`.
    pub async fn find_all(&self, ids: &[OrderId]) -> Result<Vec<(OrderId, Option<T>)>, StoreError> {
        let keys: Vec<Key> = ids.iter().map(|id| keys::order(*id)).collect();
        let rows: Vec<OrderOrId<A>> = self.table.get_all(&keys).await?;
        let record = |row| match row {
            OrderOrId::Order(row) => (row.id(), T::try_from(*row).ok()),
            OrderOrId::Id { id } => (id, None),
        };
        Ok(rows.into_iter().map(record).collect())
    }
}
