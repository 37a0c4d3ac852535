//! The back-order queues, and the lower bounds in the stock rows that tell when reading a queue is pointless.
//!
//! `smallest_backorder` of an item is never more than what an order in its queue needs. The transaction that saves an
//! order as back-ordered lowers it. A walk through the whole queue raises it, on condition that no order has begun to
//! wait since the walk began: the walk has seen every order that waits.

use erp_aws::transaction::{Change as RowChange, number};
use erp_aws::{StoreError, Transaction};
use erp_contracts::Event;
use erp_contracts::data::{BackorderPosition, BackordersRemaining};
use erp_domain::{ItemId, OrderId, Quantity, Timestamp};
use erp_service::{Change, OnFailure};
use serde::{Deserialize, Serialize};

use super::allocations::AllocationTransaction;
use super::row::{BackorderRow, WalkRow};
use super::{InventoryStore, keys};
use crate::domain::{InsufficientStock, OrderDemand, Stock, StockDelta};

/// The order needs no less than the lower bound, which stays as it is. Rows without it have the bound 1.
const BOUND_HOLDS: &str = "attribute_exists(pk) AND (attribute_not_exists(#smallest_backorder) OR #smallest_backorder <= :backordered)";
/// The order needs less than the lower bound, which is lowered.
const BOUND_TOO_HIGH: &str = "#smallest_backorder > :backordered";
/// No order has begun to wait since the walk began. Rows that no order has waited for may not have the counter.
const NONE_BEGAN_TO_WAIT: &str =
    "attribute_exists(pk) AND (attribute_not_exists(#backorder_sequence) OR #backorder_sequence = :sequence)";
/// The walk has not got further. A walk that has not continued for an hour may be repeated: by a replay of the event
/// that started it, for example.
const NOT_CONTINUED: &str = "attribute_not_exists(pk) OR #step < :step OR #expires_at < :an_hour_ago";

/// Seconds that the row of a walk is kept.
const WALK_SECONDS: i64 = 7 * 24 * 60 * 60;
/// Seconds after which a walk may be repeated.
const REPEAT_SECONDS: i64 = 60 * 60;

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

impl From<Backorder> for BackorderPosition {
    fn from(Backorder { order_id, since, .. }: Backorder) -> Self {
        Self { since, order_id }
    }
}

impl InventoryStore {
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
        after: Option<BackorderPosition>,
        limit: usize,
    ) -> Result<Vec<Backorder>, StoreError> {
        let after = after.map(|last| keys::backorder(item_id, last.since, last.order_id).sk);
        let partition = keys::partition(item_id);
        let rows: Vec<BackorderRow> =
            self.table.query_prefix(&partition, keys::BACKORDER_PREFIX, after, limit).await?;
        Ok(rows.into_iter().map(|row| row.value).collect())
    }

    /// Counts an order that begins to wait for an item, and lowers the bound if the order needs less. `stock` is the
    /// stock of the item as it was read; if it does not exist any more, the condition fails.
    pub(super) fn begin_waiting(
        &self,
        transaction: &mut AllocationTransaction,
        delta: &StockDelta,
        stock: Option<&Stock>,
    ) -> Result<(), StoreError> {
        let mut update = "SET #backordered = if_not_exists(#backordered, :zero) + :backordered, \
             #backorder_sequence = if_not_exists(#backorder_sequence, :zero) + :one"
            .to_owned();
        let is_too_high = stock.is_some_and(|stock| stock.smallest_backorder() > delta.backordered);
        if is_too_high {
            update.push_str(", #smallest_backorder = :backordered");
        }
        let change = RowChange {
            key: keys::stock(delta.item_id),
            update,
            condition: if is_too_high { BOUND_TOO_HIGH } else { BOUND_HOLDS },
            values: vec![
                (":backordered", number(delta.backordered)),
                (":zero", number(0)),
                (":one", number(1)),
            ],
        };
        transaction.update(OnFailure::Stale, &self.table, change)
    }

    /// Raises the lower bound of an item to the smallest quantity that a walk through its whole queue has seen.
    pub fn raise_bound(
        &self,
        item_id: ItemId,
        smallest: i64,
        backorder_sequence: u64,
    ) -> Result<Change<(), InsufficientStock>, StoreError> {
        let mut transaction = Transaction::new();
        let change = RowChange {
            key: keys::stock(item_id),
            update: "SET #smallest_backorder = :smallest".into(),
            condition: NONE_BEGAN_TO_WAIT,
            values: vec![(":smallest", number(smallest)), (":sequence", number(backorder_sequence))],
        };
        transaction.update(OnFailure::Stale, &self.table, change)?;
        Ok(Change::new((), transaction))
    }

    /// Saves the event that continues a walk, unless the walk has got further: however often a message is delivered, a
    /// walk is continued once.
    pub fn save_walk(
        &self,
        walk: &BackordersRemaining,
        event: &Event,
    ) -> Result<Change<(), InsufficientStock>, StoreError> {
        let expires_at = event.time.plus_seconds(WALK_SECONDS).as_seconds();
        let row = WalkRow::new(walk, event, expires_at)?;
        let values =
            vec![(":step", number(walk.step)), (":an_hour_ago", number(expires_at - REPEAT_SECONDS))];
        let mut transaction = Transaction::new();
        transaction.put_with(OnFailure::Stale, &self.table, &row, NOT_CONTINUED, values)?;
        Ok(Change::new((), transaction))
    }
}
