//! Rows of the inventory table.

use std::collections::BTreeMap;

use erp_aws::list;
use erp_contracts::StoreError;
use erp_domain::item::{Item, ItemDetails};
use erp_domain::order::Order;
use erp_domain::stock::{Allocation, AllocationState, Move, Movement, MovementKind, Stock};
use erp_domain::{Id, Money, Sku, StockLevel, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::keys;
use crate::ports::Waiting;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ItemRow {
    pk: String,
    sk: String,
    list_pk: String,
    list_sk: Id<Item>,
    id: Id<Item>,
    name: String,
    description: String,
    sku: String,
    /// Minor units.
    unit_price: i64,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<&Item> for ItemRow {
    fn from(item: &Item) -> Self {
        let key = keys::item(item.id);
        let details = item.details.clone();
        Self {
            pk: key.pk,
            sk: key.sk,
            list_pk: list::shard(keys::ITEMS, item.id.uuid()),
            list_sk: item.id,
            id: item.id,
            name: details.name,
            description: details.description,
            sku: details.sku.into(),
            unit_price: details.unit_price.minor(),
            version: item.version,
            created_at: item.created_at,
            updated_at: item.updated_at,
        }
    }
}

impl ItemRow {
    pub(super) fn into_item(self) -> Result<Item, StoreError> {
        Ok(Item {
            id: self.id,
            details: ItemDetails {
                name: self.name,
                description: self.description,
                sku: Sku::parse(&self.sku).map_err(StoreError::unavailable)?,
                unit_price: Money::from_minor(self.unit_price).map_err(StoreError::unavailable)?,
            },
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// Holds a unique value for whoever has it.
#[derive(Debug, Serialize)]
pub(super) struct GuardRow {
    pub(super) pk: String,
    pub(super) sk: String,
    pub(super) id: Id<Item>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StockRow {
    pk: String,
    sk: String,
    item_id: Id<Item>,
    pub(super) quantity: i64,
    sequence: u64,
    updated_at: Timestamp,
}

impl From<&Stock> for StockRow {
    fn from(stock: &Stock) -> Self {
        let key = keys::stock(stock.item_id);
        Self {
            pk: key.pk,
            sk: key.sk,
            item_id: stock.item_id,
            quantity: stock.quantity.get(),
            sequence: stock.sequence,
            updated_at: stock.updated_at,
        }
    }
}

impl StockRow {
    pub(super) fn into_stock(self) -> Result<Stock, StoreError> {
        let quantity = StockLevel::new(self.quantity).map_err(StoreError::unavailable)?;
        Ok(Stock { item_id: self.item_id, quantity, sequence: self.sequence, updated_at: self.updated_at })
    }
}

/// Either row of what is read together of an item.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ItemOrStock {
    Item(ItemRow),
    Stock(StockRow),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MovementRow {
    pk: String,
    sk: String,
    id: Uuid,
    item_id: Id<Item>,
    change: i64,
    kind: MovementKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order_id: Option<Id<Order>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    at: Timestamp,
}

impl From<&Movement> for MovementRow {
    fn from(movement: &Movement) -> Self {
        let key = keys::movement(movement.item_id, movement.id);
        let Movement { id, item_id, change, kind, order_id, reason, at } = movement.clone();
        Self { pk: key.pk, sk: key.sk, id, item_id, change, kind, order_id, reason, at }
    }
}

impl MovementRow {
    pub(super) fn key(&self) -> erp_aws::Key {
        erp_aws::Key::new(&self.pk, &self.sk)
    }
}

impl From<MovementRow> for Movement {
    fn from(row: MovementRow) -> Self {
        let MovementRow { id, item_id, change, kind, order_id, reason, at, .. } = row;
        Self { id, item_id, change, kind, order_id, reason, at }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WaitingRow {
    pk: String,
    sk: String,
    order_id: Id<Order>,
    quantity: i64,
    since: Timestamp,
}

impl WaitingRow {
    /// The places of an order, one in the line of each item.
    pub(super) fn of(allocation: &Allocation) -> impl Iterator<Item = Self> + '_ {
        let &Allocation { order_id, since, .. } = allocation;
        allocation.demand.iter().map(move |(item_id, quantity)| {
            let key = keys::waiting(*item_id, since, order_id);
            Self { pk: key.pk, sk: key.sk, order_id, quantity: *quantity, since }
        })
    }

    pub(super) fn key(&self) -> erp_aws::Key {
        erp_aws::Key::new(&self.pk, &self.sk)
    }
}

impl From<WaitingRow> for Waiting {
    fn from(row: WaitingRow) -> Self {
        Self { order_id: row.order_id, quantity: row.quantity, since: row.since }
    }
}

/// An allocation. With 99 items its transaction is full, so there is no room for an event row: its events stand in
/// the row itself until they are published, more than one if it changes before the relay came by.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AllocationRow {
    pk: String,
    sk: String,
    order_id: Id<Order>,
    state: AllocationState,
    demand: BTreeMap<Id<Item>, i64>,
    sequence: u64,
    since: Timestamp,
    moves: Vec<Move>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) events: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) outbox_pk: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) outbox_sk: Option<String>,
}

impl From<&Allocation> for AllocationRow {
    fn from(allocation: &Allocation) -> Self {
        let key = keys::allocation(allocation.order_id);
        let Allocation { order_id, state, demand, sequence, since, moves } = allocation.clone();
        let (events, outbox_pk, outbox_sk) = (Vec::new(), None, None);
        Self {
            pk: key.pk,
            sk: key.sk,
            order_id,
            state,
            demand,
            sequence,
            since,
            moves,
            events,
            outbox_pk,
            outbox_sk,
        }
    }
}

impl From<AllocationRow> for Allocation {
    fn from(row: AllocationRow) -> Self {
        let AllocationRow { order_id, state, demand, sequence, since, moves, .. } = row;
        Self { order_id, state, demand, sequence, since, moves }
    }
}
