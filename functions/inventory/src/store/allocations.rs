//! Allocations, the stock they change, and the back-order queues.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::metric::Metric;
use erp_aws::outbox::outbox_pk;
use erp_aws::table::{ABSENT, EXISTS};
use erp_aws::transaction::{Change as RowChange, number, text};
use erp_aws::{Key, StoreError, Transaction};
use erp_contracts::Event;
use erp_domain::{Demand, ItemId, OrderId, Quantity, StockLevel, Timestamp};
use erp_service::{Change, OnFailure};
use serde::{Deserialize, Serialize};

use super::row::{AllocationRow, BackorderRow, MovementRow, StockRow};
use super::{InventoryStore, keys};
use crate::domain::{Allocation, AllocationState, InsufficientStock, OrderDemand, StockDelta};

/// The allocation has not changed since it was read: its sequence increases with each transition.
const SAME_SEQUENCE: &str = "#sequence = :sequence";
/// The available quantity is sufficient: no item is sold that is not in stock.
const SUFFICIENT_STOCK: &str = "#quantity >= :needed";

type AllocationTransaction = Transaction<OnFailure<InsufficientStock>>;

/// An order in the back-order queue of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backorder {
    /// The order.
    pub order_id: OrderId,
    /// The quantity that it needs.
    pub quantity: Quantity,
    /// The time by which the queue is sorted.
    pub since: Timestamp,
}

impl InventoryStore {
    /// Reads the allocation of an order, strongly consistent.
    pub async fn allocation(&self, order_id: OrderId) -> Result<Option<Allocation>, StoreError> {
        let row: Option<AllocationRow> = self.table.get(&keys::allocation(order_id)).await?;
        Ok(row.map(|row| row.allocation.value))
    }

    /// Reads the available quantity of an item, strongly consistent; 0 if the item does not exist.
    pub async fn available(&self, item_id: ItemId) -> Result<StockLevel, StoreError> {
        let row: Option<StockRow> = self.table.get(&keys::stock(item_id)).await?;
        Ok(row.map_or(StockLevel::ZERO, |row| row.value.quantity()))
    }

    /// Returns the items without a stock row: they were deleted. An id is never used again.
    pub async fn missing_items(&self, demand: &Demand) -> Result<BTreeSet<ItemId>, StoreError> {
        let keys: Vec<Key> = demand.items().map(keys::stock).collect();
        let mut missing: BTreeSet<ItemId> = demand.items().collect();
        for row in self.table.get_all::<StockRow>(&keys).await? {
            missing.remove(&row.value.item_id());
        }
        Ok(missing)
    }

    /// Saves `new` in place of `old` (`None`: there is no allocation yet), with its event and the changes of all stock
    /// rows, in one transaction.
    pub fn save_allocation(
        &self,
        old: Option<&Allocation>,
        new: &Allocation,
        event: Option<&Event>,
    ) -> Result<Change<(), InsufficientStock>, StoreError> {
        let mut transaction = Transaction::new();
        match old {
            None => {
                let row = AllocationRow::new(new, event)?;
                transaction.put(OnFailure::Stale, &self.table, &row, ABSENT)?;
            }
            Some(old) => self.update_allocation(&mut transaction, old, new, event)?,
        }
        let mut movements = 0;
        for delta in new.stock_deltas(old) {
            movements += u64::from(delta.quantity != 0);
            self.change_stock(&mut transaction, &delta, new)?;
        }
        let mut change = Change::new((), transaction);
        if let Some(metric) = metric_of(new.state()) {
            change = change.with_metric(metric, 1);
        }
        Ok(if movements > 0 { change.with_metric(Metric::StockMovements, movements) } else { change })
    }

    /// Updates the row and appends the event to those that are not published yet.
    fn update_allocation(
        &self,
        transaction: &mut AllocationTransaction,
        old: &Allocation,
        new: &Allocation,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let mut update =
            "SET #state = :state, #sequence = :next, #moves = :moves, #missing = :missing, #counted = :counted"
                .to_owned();
        let mut values = vec![
            (":state", text(new.state())),
            (":next", number(new.sequence())),
            (":moves", serde_dynamo::to_attribute_value(new.changes()).map_err(StoreError::new)?),
            (":missing", serde_dynamo::to_attribute_value(new.missing()).map_err(StoreError::new)?),
            (":counted", AttributeValue::Bool(new.counted())),
            (":sequence", number(old.sequence())),
        ];
        if let Some(event) = event {
            update.push_str(
                ", #events = list_append(if_not_exists(#events, :none), :event), #outbox_pk = :pk, #outbox_sk = :sk",
            );
            values.extend([
                (":none", AttributeValue::L(Vec::new())),
                (":event", AttributeValue::L(vec![text(event.to_json()?)])),
                (":pk", text(outbox_pk(event.id))),
                (":sk", text(event.id)),
            ]);
        }
        let key = keys::allocation(new.order_id());
        let change = RowChange { key, update, condition: SAME_SEQUENCE, values };
        transaction.update(OnFailure::Stale, &self.table, change)
    }

    fn change_stock(
        &self,
        transaction: &mut AllocationTransaction,
        delta: &StockDelta,
        new: &Allocation,
    ) -> Result<(), StoreError> {
        let mut sets = Vec::new();
        let mut values = Vec::new();
        if let (true, Some(change)) = (delta.quantity != 0, new.changes().last()) {
            sets.push("#quantity = #quantity + :quantity, #sequence = #sequence + :one, #updated_at = :at");
            values.extend([
                (":quantity", number(delta.quantity)),
                (":one", number(1)),
                (":at", text(change.at)),
            ]);
        }
        if delta.allocated != 0 {
            sets.push("#allocated = if_not_exists(#allocated, :zero) + :allocated");
            values.push((":allocated", number(delta.allocated)));
        }
        if delta.backordered != 0 {
            sets.push("#backordered = if_not_exists(#backordered, :zero) + :backordered");
            values.push((":backordered", number(delta.backordered)));
        }
        if delta.allocated != 0 || delta.backordered != 0 {
            values.push((":zero", number(0)));
        }
        let key = keys::stock(delta.item_id);
        let update = format!("SET {}", sets.join(", "));
        if delta.quantity < 0 {
            values.push((":needed", number(-delta.quantity)));
            let change = RowChange { key, update, condition: SUFFICIENT_STOCK, values };
            return transaction.update(OnFailure::Rejected(InsufficientStock), &self.table, change);
        }
        // The item was deleted since `missing_items` was read.
        let change = RowChange { key, update, condition: EXISTS, values };
        transaction.update(OnFailure::Stale, &self.table, change)
    }

    /// Writes every movement of the allocation; writing them again changes nothing.
    pub async fn write_movements(&self, allocation: &Allocation) -> Result<(), StoreError> {
        self.table.put_all(allocation.movements().into_iter().map(MovementRow::from)).await
    }

    /// Puts the order into the back-order queue of each of its items. It may be there already.
    pub async fn enqueue_backorder(&self, order: &OrderDemand) -> Result<(), StoreError> {
        self.table.put_all(BackorderRow::of(order)).await
    }

    /// Removes the order from the back-order queue of each of its items. It need not be there.
    pub async fn dequeue_backorder(&self, order: &OrderDemand) -> Result<(), StoreError> {
        self.table.delete_all(BackorderRow::of(order).map(|row| row.key)).await
    }

    /// Reads up to `limit` orders of the back-order queue of an item that come after `after`, oldest first, strongly
    /// consistent.
    pub async fn backorders(
        &self,
        item_id: ItemId,
        after: Option<Backorder>,
        limit: usize,
    ) -> Result<Vec<Backorder>, StoreError> {
        let after = after.map(|last| keys::backorder(item_id, last.since, last.order_id).sk);
        let partition = keys::partition(item_id);
        let rows: Vec<BackorderRow> =
            self.table.query_prefix(&partition, keys::BACKORDER_PREFIX, after, limit).await?;
        Ok(rows.into_iter().map(|row| row.value).collect())
    }
}

/// Returns the metric of a transition to a state. Received orders are counted by the purchase context.
fn metric_of(state: AllocationState) -> Option<Metric> {
    match state {
        AllocationState::Allocated => Some(Metric::OrdersAllocated),
        AllocationState::Backordered => Some(Metric::OrdersBackordered),
        AllocationState::Released => Some(Metric::OrdersReleased),
        AllocationState::Received => None,
    }
}
