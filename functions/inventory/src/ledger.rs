//! Read-only access to every row of the inventory table, for reconciliation. Quantities are plain numbers here, so that
//! invalid ones can be reported.

use erp_aws::table::{Row, Scanned, read};
use erp_aws::transaction::text;
use erp_aws::{Key, ScanCursor, StoreError, Table};
use erp_domain::{ItemId, OrderId, Timestamp};
use serde::Deserialize;
use serde::de::IgnoredAny;
use uuid::Uuid;

use crate::domain::{Allocation, Movement};
use crate::store::keys;
use crate::store::row::{AllocationRow, BackorderRow};

/// Filter: items, stock, allocations and movements; no events, guards, back-orders or idempotency records.
const LEDGER: &str = "#sk = :item OR #sk = :stock OR #sk = :allocation OR begins_with(#sk, :movement)";
/// Movements read at once.
const MOVEMENTS_PAGE: usize = 1000;
/// Attempts to read a balance while the stock does not change.
const ATTEMPTS: usize = 5;

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
pub enum LedgerEntry {
    /// An item that is not deleted.
    Item(ItemId),
    /// The stock of an item.
    Stock(StockRecord),
    /// A change of the stock of an item.
    Movement {
        /// The item.
        item_id: ItemId,
        /// The signed change.
        change: i64,
    },
    /// The allocation of an order.
    Allocation(Allocation),
}

/// The stock of an item, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct StockRecord {
    /// The item.
    pub item_id: ItemId,
    /// The available quantity.
    pub quantity: i64,
    /// The quantity that is allocated to orders.
    #[serde(default)]
    pub allocated: i64,
    /// The quantity that orders in the back-order queue need.
    #[serde(default)]
    pub backordered: i64,
    /// The number of changes of the quantity: each has one movement.
    pub sequence: u64,
    /// The time of the last change of the quantity.
    pub updated_at: Timestamp,
}

/// The stock of an item with the sum of its movements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Whether the item exists. A deleted item has no stock, and its movements add up to 0.
    pub item_exists: bool,
    /// The stock; `None` if there is no row.
    pub stock: Option<StockRecord>,
    /// The number of movements.
    pub movements: u64,
    /// The sum of the movements.
    pub sum: i128,
    /// The time of the newest movement.
    pub last_movement_at: Option<Timestamp>,
}

/// A reader of the inventory table.
#[derive(Debug, Clone)]
pub struct LedgerReader {
    table: Table,
}

/// A row that may be unreadable: it must not keep the others from being checked.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Readable<T> {
    Yes(T),
    /// Matches every row that a `T` does not.
    No(IgnoredAny),
}

impl<T> Readable<T> {
    fn ok(self) -> Option<T> {
        match self {
            Self::Yes(row) => Some(row),
            Self::No(_) => None,
        }
    }
}

#[derive(Debug, Deserialize)]
struct ItemIdRow {
    id: ItemId,
}

/// The part of a movement that a balance needs.
#[derive(Debug, Deserialize)]
struct ChangeRow {
    sk: String,
    item_id: ItemId,
    change: i64,
    at: Timestamp,
}

/// The identity of a movement.
#[derive(Debug, Deserialize)]
struct MovementIdRow {
    item_id: ItemId,
    id: Uuid,
}

/// An allocation, or the order of one that cannot be decoded.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum AllocationOrId {
    Allocation(Box<AllocationRow>),
    Id { order_id: OrderId },
}

fn entry(row: Row) -> Result<LedgerEntry, StoreError> {
    Ok(match Key::of(&row)?.sk.as_str() {
        "ITEM" => LedgerEntry::Item(read::<ItemIdRow>(row)?.id),
        "STOCK" => LedgerEntry::Stock(read(row)?),
        "ALLOCATION" => LedgerEntry::Allocation(read::<AllocationRow>(row)?.allocation.value),
        _ => {
            let ChangeRow { item_id, change, .. } = read(row)?;
            LedgerEntry::Movement { item_id, change }
        }
    })
}

impl LedgerReader {
    /// Creates a reader of the inventory table.
    pub fn new(table: Table) -> Self {
        Self { table }
    }

    /// Reads a page of the whole table. The rows of an item are contiguous. The reads are eventually consistent: check a
    /// suspicious entry again with the other methods, which are strongly consistent.
    pub async fn entries(&self, after: Option<&ScanCursor>) -> Result<Scanned<LedgerEntry>, StoreError> {
        let values = [
            (":item", text("ITEM")),
            (":stock", text("STOCK")),
            (":allocation", text("ALLOCATION")),
            (":movement", text(keys::MOVEMENT_PREFIX)),
        ];
        self.table.scan(LEDGER, &values, after, entry).await
    }

    /// Reads a page of the allocations, as [`LedgerReader::entries`].
    pub async fn allocation_entries(
        &self,
        after: Option<&ScanCursor>,
    ) -> Result<Scanned<LedgerEntry>, StoreError> {
        self.table.scan("#sk = :allocation", &[(":allocation", text("ALLOCATION"))], after, entry).await
    }

    /// Reads the balance of an item at one moment: the stock did not change while its movements were read. `None` if it
    /// changed during every attempt, or if one of the rows cannot be decoded, which [`LedgerReader::entries`] reports.
    pub async fn balance(&self, item_id: ItemId) -> Result<Option<Balance>, StoreError> {
        for _ in 0..ATTEMPTS {
            let Some(before) = self.stock(item_id).await? else { return Ok(None) };
            let item: Option<IgnoredAny> = self.table.get(&keys::item(item_id)).await?;
            let Some(balance) = self.sum(item_id, item.is_some(), before).await? else { return Ok(None) };
            if self.stock(item_id).await? == Some(before) {
                return Ok(Some(balance));
            }
        }
        Ok(None)
    }

    /// Adds up the movements of an item; `None` if one cannot be decoded.
    async fn sum(
        &self,
        item_id: ItemId,
        item_exists: bool,
        stock: Option<StockRecord>,
    ) -> Result<Option<Balance>, StoreError> {
        let partition = keys::partition(item_id);
        let mut balance = Balance { item_exists, stock, movements: 0, sum: 0, last_movement_at: None };
        let mut after = None;
        loop {
            let rows: Vec<Readable<ChangeRow>> =
                self.table.query_prefix(&partition, keys::MOVEMENT_PREFIX, after, MOVEMENTS_PAGE).await?;
            let full = rows.len() == MOVEMENTS_PAGE;
            after = None;
            for row in rows {
                let Readable::Yes(row) = row else { return Ok(None) };
                balance.movements += 1;
                balance.sum += i128::from(row.change);
                balance.last_movement_at = balance.last_movement_at.max(Some(row.at));
                after = Some(row.sk);
            }
            if !full {
                return Ok(Some(balance));
            }
        }
    }

    /// Reads the stock of an item, if there is one; `None` if it cannot be decoded.
    async fn stock(&self, item_id: ItemId) -> Result<Option<Option<StockRecord>>, StoreError> {
        let row: Option<Readable<StockRecord>> = self.table.get(&keys::stock(item_id)).await?;
        Ok(row.map_or(Some(None), |row| row.ok().map(Some)))
    }

    /// Reads the stock of several items; those without one, and those that cannot be decoded, are left out.
    pub async fn stock_records(&self, items: &[ItemId]) -> Result<Vec<StockRecord>, StoreError> {
        let keys: Vec<Key> = items.iter().map(|id| keys::stock(*id)).collect();
        let rows: Vec<Readable<StockRecord>> = self.table.get_all(&keys).await?;
        Ok(rows.into_iter().filter_map(Readable::ok).collect())
    }

    /// Reads the allocations of several orders; `None` beside the id of one that cannot be decoded.
    pub async fn allocations(
        &self,
        orders: &[OrderId],
    ) -> Result<Vec<(OrderId, Option<Allocation>)>, StoreError> {
        let keys: Vec<Key> = orders.iter().map(|id| keys::allocation(*id)).collect();
        let rows: Vec<AllocationOrId> = self.table.get_all(&keys).await?;
        let found = rows.into_iter().map(|row| match row {
            AllocationOrId::Allocation(row) => (row.allocation.value.order_id(), Some(row.allocation.value)),
            AllocationOrId::Id { order_id } => (order_id, None),
        });
        Ok(found.collect())
    }

    /// Returns the items and ids of those of the movements that have been written.
    pub async fn recorded_movements(
        &self,
        movements: &[Movement],
    ) -> Result<Vec<(ItemId, Uuid)>, StoreError> {
        let key = |movement: &Movement| keys::movement(movement.item_id, movement.id);
        let keys: Vec<Key> = movements.iter().map(key).collect();
        let rows: Vec<Readable<MovementIdRow>> = self.table.get_all(&keys).await?;
        Ok(rows.into_iter().filter_map(Readable::ok).map(|row| (row.item_id, row.id)).collect())
    }

    /// Returns the items in whose back-order queue the order of the allocation is.
    pub async fn queued_items(&self, allocation: &Allocation) -> Result<Vec<ItemId>, StoreError> {
        let keys: Vec<Key> = BackorderRow::of(allocation.order()).map(|row| row.key).collect();
        let queued: Vec<Key> = self.table.get_all(&keys).await?;
        let is_queued = |id: &ItemId| queued.iter().any(|key| key.pk == keys::partition(*id));
        Ok(allocation.demand().items().filter(is_queued).collect())
    }
}
