//! Rows of the inventory table.

use erp_aws::{Key, StoreError, list};
use erp_domain::{ItemId, Money, Sku, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Backorder, keys};
use crate::domain::{Allocation, Item, ItemDetails, Movement, OrderDemand, Stock};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ItemRow {
    pk: String,
    sk: String,
    list_pk: String,
    list_sk: ItemId,
    id: ItemId,
    name: String,
    description: String,
    sku: Sku,
    /// Minor units.
    unit_price: i64,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<&Item> for ItemRow {
    fn from(item: &Item) -> Self {
        let Key { pk, sk } = keys::item(item.id());
        let ItemDetails { name, description, sku, unit_price } = item.details().clone();
        Self {
            pk,
            sk,
            list_pk: list::shard(keys::ITEMS, item.id().uuid()),
            list_sk: item.id(),
            id: item.id(),
            name,
            description,
            sku,
            unit_price: unit_price.minor(),
            version: item.version(),
            created_at: item.created_at(),
            updated_at: item.updated_at(),
        }
    }
}

impl TryFrom<ItemRow> for Item {
    type Error = StoreError;
    fn try_from(row: ItemRow) -> Result<Self, StoreError> {
        let ItemRow { id, name, description, sku, version, created_at, updated_at, .. } = row;
        let unit_price = Money::from_minor(row.unit_price).map_err(StoreError::new)?;
        let details = ItemDetails { name, description, sku, unit_price };
        Ok(Self::restore(id, details, version, created_at, updated_at))
    }
}

/// Reserves a unique value for one item.
#[derive(Debug, Serialize)]
pub(crate) struct GuardRow {
    pub(crate) pk: String,
    pub(crate) sk: String,
    pub(crate) id: ItemId,
}

/// A value whose attributes are those of its row, with the key of the row.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeyedRow<T> {
    pk: String,
    sk: String,
    #[serde(flatten)]
    pub(crate) value: T,
}

impl<T> KeyedRow<T> {
    fn new(key: Key, value: T) -> Self {
        Self { pk: key.pk, sk: key.sk, value }
    }

    pub(crate) fn key(&self) -> Key {
        Key::new(&self.pk, &self.sk)
    }
}

pub(crate) type StockRow = KeyedRow<Stock>;
pub(crate) type MovementRow = KeyedRow<Movement>;
pub(crate) type BackorderRow = KeyedRow<Backorder>;

impl From<Stock> for StockRow {
    fn from(stock: Stock) -> Self {
        Self::new(keys::stock(stock.item_id()), stock)
    }
}

impl From<Movement> for MovementRow {
    fn from(movement: Movement) -> Self {
        Self::new(keys::movement(movement.item_id, movement.id), movement)
    }
}

impl BackorderRow {
    /// Returns the rows of an order, one in the back-order queue of each item.
    pub(crate) fn of(order: &OrderDemand) -> impl Iterator<Item = Self> + '_ {
        let &OrderDemand { order_id, since, .. } = order;
        order.demand.iter().map(move |(item_id, quantity)| {
            Self::new(keys::backorder(item_id, since, order_id), Backorder { order_id, quantity, since })
        })
    }
}

/// Either row that is read together of an item.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum ItemOrStock {
    Item(ItemRow),
    Stock(StockRow),
}

/// An allocation. With 99 items its transaction is full and has no room for an event row, so the row contains its
/// events until they are published: more than one if it changes again before the relay has published the first.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AllocationRow {
    #[serde(flatten)]
    pub(crate) allocation: KeyedRow<Allocation>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outbox_pk: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outbox_sk: Option<String>,
}

impl From<&Allocation> for AllocationRow {
    fn from(allocation: &Allocation) -> Self {
        let key = keys::allocation(allocation.order_id());
        let allocation = KeyedRow::new(key, allocation.clone());
        Self { allocation, events: Vec::new(), outbox_pk: None, outbox_sk: None }
    }
}
