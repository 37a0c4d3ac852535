//! Allocations, and the stock they change.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::metric::Metric;
use erp_aws::outbox::outbox_pk;
use erp_aws::table::{ABSENT, EXISTS};
use erp_aws::transaction::{Change as RowChange, number, text};
use erp_aws::{Key, StoreError, Transaction};
use erp_contracts::Event;
use erp_domain::{ItemId, OrderId};
use erp_service::{Change, OnFailure};

use super::row::{AllocationRow, MovementRow, StockRow};
use super::{InventoryStore, keys};
use crate::domain::{Allocation, AllocationState, InsufficientStock, StockDelta, StockSnapshot};

/// The allocation has not changed since it was read: its sequence increases with each transition.
const SAME_SEQUENCE: &str = "#sequence = :sequence";
/// The available quantity is sufficient: no item is sold that is not in stock.
const SUFFICIENT_STOCK: &str = "#quantity >= :needed";

pub(super) type AllocationTransaction = Transaction<OnFailure<InsufficientStock>>;

impl InventoryStore {
    /// Reads the allocation of an order, strongly consistent.
    pub async fn allocation(&self, order_id: OrderId) -> Result<Option<Allocation>, StoreError> {
        let row: Option<AllocationRow> = self.table.get(&keys::allocation(order_id)).await?;
        Ok(row.map(|row| row.allocation.value))
    }

    /// Reads the allocations that exist of several orders, strongly consistent. The ids must be distinct.
    pub async fn allocations(
        &self,
        orders: impl Iterator<Item = OrderId> + Send,
    ) -> Result<HashMap<OrderId, Allocation>, StoreError> {
        let keys: Vec<Key> = orders.map(keys::allocation).collect();
        let rows: Vec<AllocationRow> = self.table.get_all(&keys).await?;
        let allocations = rows.into_iter().map(|row| row.allocation.value);
        Ok(allocations.map(|allocation| (allocation.order_id(), allocation)).collect())
    }

    /// Reads the stock of the items that exist, strongly consistent. The ids must be distinct.
    pub async fn stock(
        &self,
        items: impl Iterator<Item = ItemId> + Send,
    ) -> Result<StockSnapshot, StoreError> {
        let keys: Vec<Key> = items.map(keys::stock).collect();
        let rows: Vec<StockRow> = self.table.get_all(&keys).await?;
        Ok(rows.into_iter().map(|row| row.value).collect())
    }

    /// Saves `new` in place of `old` (`None`: there is no allocation yet), with its event and the changes of all stock
    /// rows, in one transaction. `stock` is the stock that the decision is based on; only an order that begins to wait
    /// needs it.
    pub fn save_allocation(
        &self,
        old: Option<&Allocation>,
        new: &Allocation,
        event: Option<&Event>,
        stock: &StockSnapshot,
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
            match delta.backordered > 0 {
                true => self.begin_waiting(&mut transaction, &delta, stock.get(delta.item_id))?,
                false => self.change_stock(&mut transaction, &delta, new)?,
            }
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
            sets.push(
                "#quantity = #quantity + :quantity, #sequence = #sequence + :one, #updated_at = :at, \
                 #change_id = :change",
            );
            values.extend([
                (":quantity", number(delta.quantity)),
                (":one", number(1)),
                (":at", text(change.at)),
                (":change", text(change.id)),
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
        // The item was deleted since its stock was read.
        let change = RowChange { key, update, condition: EXISTS, values };
        transaction.update(OnFailure::Stale, &self.table, change)
    }

    /// Writes every movement of the allocation; writing them again changes nothing.
    pub async fn write_movements(&self, allocation: &Allocation) -> Result<(), StoreError> {
        self.table.put_all(allocation.movements().into_iter().map(MovementRow::from)).await
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
