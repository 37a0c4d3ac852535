//! Rows of the inventory table.

use erp_aws::outbox::outbox_pk;
use erp_aws::{Key, StoreError, list};
use erp_contracts::Event;
use erp_contracts::data::BackordersRemaining;
use erp_domain::{ItemId, Money, Sku, Timestamp, minor_units};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Backorder, keys};
use crate::domain::{Allocation, Item, ItemData, Movement, OrderDemand, Stock};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ItemRow {
    #[serde(flatten)]
    key: Key,
    list_pk: String,
    list_sk: ItemId,
    #[serde(flatten, with = "ItemColumns")]
    pub(crate) data: ItemData,
}

/// The attributes of an item.
#[derive(Serialize, Deserialize)]
#[serde(remote = "ItemData")]
struct ItemColumns {
    id: ItemId,
    name: String,
    description: String,
    sku: Sku,
    #[serde(with = "minor_units")]
    unit_price: Money,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<&Item> for ItemRow {
    fn from(item: &Item) -> Self {
        let (id, data) = (item.id(), item.data().clone());
        Self { key: keys::item(id), list_pk: list::shard(keys::ITEMS, id.uuid()), list_sk: id, data }
    }
}

/// Reserves a unique value for one item.
#[derive(Debug, Serialize)]
pub(crate) struct GuardRow {
    #[serde(flatten)]
    pub(crate) key: Key,
    pub(crate) id: ItemId,
}

/// A value whose attributes are those of its row, with the key of the row.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeyedRow<T> {
    #[serde(flatten)]
    pub(crate) key: Key,
    #[serde(flatten)]
    pub(crate) value: T,
}

pub(crate) type StockRow = KeyedRow<Stock>;
pub(crate) type MovementRow = KeyedRow<Movement>;
pub(crate) type BackorderRow = KeyedRow<Backorder>;

impl From<Movement> for MovementRow {
    fn from(movement: Movement) -> Self {
        Self { key: keys::movement(movement.item_id, movement.id), value: movement }
    }
}

impl BackorderRow {
    /// Returns the rows of an order, one in the back-order queue of each item.
    pub(crate) fn of(order: &OrderDemand) -> impl Iterator<Item = Self> + '_ {
        let &OrderDemand { order_id, since, .. } = order;
        order.demand.iter().map(move |(item_id, quantity)| Self {
            key: keys::backorder(item_id, since, order_id),
            value: Backorder { order_id, quantity, since },
        })
    }
}

/// The event that continues a walk through a back-order queue, until it is published. The next one replaces it.
#[derive(Debug, Serialize)]
pub(crate) struct WalkRow {
    #[serde(flatten)]
    key: Key,
    step: u64,
    event: String,
    outbox_pk: String,
    outbox_sk: Uuid,
    /// Seconds since the Unix epoch.
    expires_at: i64,
}

impl WalkRow {
    pub(crate) fn new(
        walk: &BackordersRemaining,
        event: &Event,
        expires_at: i64,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            key: keys::walk(walk.item_id, walk.change_id),
            step: walk.step,
            event: event.to_json()?,
            outbox_pk: outbox_pk(event.id),
            outbox_sk: event.id,
            expires_at,
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

impl AllocationRow {
    /// Creates the row of a new allocation, with its event to be published.
    pub(crate) fn new(allocation: &Allocation, event: Option<&Event>) -> Result<Self, StoreError> {
        Ok(Self {
            allocation: KeyedRow { key: keys::allocation(allocation.order_id()), value: allocation.clone() },
            events: event.into_iter().map(Event::to_json).collect::<Result<_, _>>()?,
            outbox_pk: event.map(|event| outbox_pk(event.id)),
            outbox_sk: event.map(|event| event.id.to_string()),
        })
    }
}
