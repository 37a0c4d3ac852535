//! Read-only access to every row of the inventory table, for reconciliation. Quantities are plain numbers here, so that
//! invalid ones can be reported.

use std::collections::{BTreeSet, HashMap, HashSet};

use erp_aws::outbox::event_sk;
use erp_aws::table::{Row, Scanned, read};
use erp_aws::transaction::text;
use erp_aws::{Key, ScanCursor, ScanSegment, StoreError, Table};
use erp_domain::{ItemId, OrderId, Timestamp};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
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
/// Orders at the head of a back-order queue.
const QUEUE_HEAD: usize = 50;

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
pub enum LedgerEntry {
    /// An item that is not deleted.
    Item(ItemId),
    /// The stock of an item.
    Stock(StockRecord),
    /// A change of the stock of an item.
    Movement(MovementRecord),
    /// The allocation of an order.
    Allocation(Allocation),
    /// An order in the back-order queue of an item.
    Backorder(OrderId),
}

/// A change of the stock of an item, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct MovementRecord {
    /// The item.
    pub item_id: ItemId,
    /// The id, unique among the movements of the item.
    pub id: Uuid,
    /// The signed change.
    pub change: i64,
    /// The order; `None` for an adjustment.
    #[serde(default)]
    pub order_id: Option<OrderId>,
}

/// The stock of an item, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The id of the last change of the quantity, which its movement has; `None` in rows that were last changed before
    /// there were such ids.
    #[serde(default)]
    pub change_id: Option<Uuid>,
    /// The time of the last change of the quantity.
    pub updated_at: Timestamp,
}

/// The stock of an item with the sum of its movements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

impl LedgerEntry {
    /// Decodes a row of the table; `None` if it is of another type.
    pub fn decode(row: Row) -> Result<Option<Self>, StoreError> {
        Ok(Some(match Key::of(&row)?.sk.as_str() {
            "ITEM" => Self::Item(read::<ItemIdRow>(row)?.id),
            "STOCK" => Self::Stock(read(row)?),
            "ALLOCATION" => Self::Allocation(read::<AllocationRow>(row)?.allocation.value),
            sk if sk.starts_with(keys::MOVEMENT_PREFIX) => Self::Movement(read(row)?),
            sk if sk.starts_with(keys::BACKORDER_PREFIX) => {
                Self::Backorder(read::<BackorderRow>(row)?.value.order_id)
            }
            _ => return Ok(None),
        }))
    }
}

fn entry(row: Row) -> Result<LedgerEntry, StoreError> {
    LedgerEntry::decode(row)?.ok_or_else(|| StoreError::new("the filter let a row of another type pass"))
}

impl LedgerReader {
    /// Creates a reader of the inventory table.
    pub fn new(table: Table) -> Self {
        Self { table }
    }

    /// Reads a page of a part of the table. The rows of an item are contiguous. The reads are eventually consistent: check
    /// a suspicious entry again with the other methods, which are strongly consistent.
    pub async fn entries(
        &self,
        segment: ScanSegment,
        after: Option<&ScanCursor>,
    ) -> Result<Scanned<LedgerEntry>, StoreError> {
        let values = [
            (":item", text("ITEM")),
            (":stock", text("STOCK")),
            (":allocation", text("ALLOCATION")),
            (":movement", text(keys::MOVEMENT_PREFIX)),
        ];
        self.table.scan(segment, LEDGER, &values, after, entry).await
    }

    /// Reads a page of the allocations, as [`LedgerReader::entries`].
    pub async fn allocation_entries(
        &self,
        after: Option<&ScanCursor>,
    ) -> Result<Scanned<LedgerEntry>, StoreError> {
        let values = [(":allocation", text("ALLOCATION"))];
        self.table.scan(ScanSegment::WHOLE, "#sk = :allocation", &values, after, entry).await
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

    /// Reads movements by item and id. Those that do not exist, and those that cannot be decoded, are left out.
    pub async fn movements(&self, ids: &[(ItemId, Uuid)]) -> Result<Vec<MovementRecord>, StoreError> {
        let keys: Vec<Key> = ids.iter().map(|(item_id, id)| keys::movement(*item_id, *id)).collect();
        let rows: Vec<Readable<MovementRecord>> = self.table.get_all(&keys).await?;
        Ok(rows.into_iter().filter_map(Readable::ok).collect())
    }

    /// Returns those ids of changes for which the item has an event: an adjustment and its event have one id, and are
    /// written in one transaction.
    pub async fn adjustments(&self, ids: &[(ItemId, Uuid)]) -> Result<BTreeSet<(ItemId, Uuid)>, StoreError> {
        let key = |(item_id, id): &(ItemId, Uuid)| Key::new(keys::partition(*item_id), event_sk(*id));
        let keys: Vec<Key> = ids.iter().map(key).collect();
        let found: HashSet<Key> = self.table.get_all(&keys).await?.into_iter().collect();
        Ok(ids.iter().zip(keys).filter(|(_, key)| found.contains(key)).map(|(id, _)| *id).collect())
    }

    /// Returns the orders at the head of the back-order queue of an item.
    pub async fn first_backorders(&self, item_id: ItemId) -> Result<Vec<OrderId>, StoreError> {
        let partition = keys::partition(item_id);
        let rows: Vec<Readable<BackorderRow>> =
            self.table.query_prefix(&partition, keys::BACKORDER_PREFIX, None, QUEUE_HEAD).await?;
        Ok(rows.into_iter().filter_map(Readable::ok).map(|row| row.value.order_id).collect())
    }

    /// Returns the orders of the allocations, with the items in whose back-order queues they are.
    pub async fn queued_items(
        &self,
        allocations: &[&Allocation],
    ) -> Result<BTreeSet<(OrderId, ItemId)>, StoreError> {
        let rows = |allocation: &&Allocation| {
            let order_id = allocation.order_id();
            let rows = BackorderRow::of(allocation.order()).zip(allocation.demand().items());
            rows.map(|(row, item_id)| (row.key, (order_id, item_id))).collect::<Vec<_>>()
        };
        let places: HashMap<Key, (OrderId, ItemId)> = allocations.iter().flat_map(rows).collect();
        let keys: Vec<Key> = places.keys().cloned().collect();
        let queued: Vec<Key> = self.table.get_all(&keys).await?;
        Ok(queued.iter().filter_map(|key| places.get(key).copied()).collect())
    }
}
