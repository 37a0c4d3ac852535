//! Fulfilment of back-orders: walks through the back-order queue of an item, oldest order first.
//!
//! ```text
//! new order       the first page of the queue of an item, if its stock may be sufficient for an order that waits
//! arriving stock  the whole queue: as far as the calls of one event go, then continued by an event
//! ```
//!
//! One page takes three reads: the queue, the allocations of the orders that need no more than there is, and the stock
//! of all their items. Only an order whose whole demand fits is tried, in a transaction; the stock that it takes is
//! deducted from the snapshot, and after a failure it is read again. An order that does not fit was short of stock when
//! that was read, which was after the queue: what arrives later starts a walk of its own.
//!
//! A walk is repeated or continued at any time without harm, since each order is allocated once, and the orders behind
//! it are not affected. It ends, because its position only moves forward. A walk stops early if less is left than any
//! order needs. One that has reached the end of the queue raises the lower bound in the stock row to the smallest
//! quantity it has seen, unless an order has begun to wait since the walk began: the walk may not have seen that order.
//!
//! The event that continues a walk goes through the outbox. It survives a crash, and it needs no permission to send
//! messages. Recursive-loop detection, which stops a chain of invocations after 16, does not follow a chain through a
//! DynamoDB stream (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html>).

use std::collections::BTreeSet;

use erp_contracts::data::BackordersRemaining;
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::{ItemId, OrderId};
use uuid::Uuid;

use super::allocations::{Allocations, Result, unless_lost};
use crate::domain::{AllocationState, Stock, StockSnapshot};

/// Calls to DynamoDB that one event may make to fulfil back-orders: a few seconds.
pub const BACKORDER_CALLS: usize = 100;
/// Back-orders read at once.
const PAGE: usize = 50;
/// Calls that reading a page takes.
const CALLS_PER_PAGE: usize = 3;

/// The result of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// No order behind it can be fulfilled.
    Finished,
    /// More orders wait.
    More,
    /// The calls of the event are used up.
    OutOfCalls,
}

/// Begins a walk through the queue of an item.
fn begin(stock: &Stock, change_id: Uuid) -> BackordersRemaining {
    BackordersRemaining {
        item_id: stock.item_id(),
        change_id,
        step: 0,
        after: None,
        backorder_sequence: stock.backorder_sequence(),
        smallest: None,
    }
}

impl Allocations {
    /// Fulfils the back-orders of items whose stock the change `change_id` increased. Each order gets all its lines or
    /// none, and one that cannot be fulfilled does not block the orders behind it.
    pub async fn fulfil_backorders(
        &self,
        items: impl Iterator<Item = ItemId> + Send,
        change_id: Uuid,
        cause: &Cause,
    ) -> Result<()> {
        let mut calls = self.backorder_calls;
        for stock in self.store.stock(items).await?.iter() {
            self.walk(begin(stock, change_id), *stock, &mut calls, cause).await?;
        }
        Ok(())
    }

    /// Continues a walk.
    pub async fn continue_backorders(&self, walk: BackordersRemaining, cause: &Cause) -> Result<()> {
        let stock = self.store.stock(std::iter::once(walk.item_id)).await?;
        // The item may have been deleted.
        let Some(stock) = stock.get(walk.item_id) else { return Ok(()) };
        let walk = match walk.after {
            Some(_) => walk,
            None => BackordersRemaining { step: walk.step, ..begin(stock, walk.change_id) },
        };
        let mut calls = self.backorder_calls;
        self.walk(walk, *stock, &mut calls, cause).await
    }

    /// Fulfils the oldest back-orders of the items of a new order, which was about to overtake them. The rest is left to
    /// the walk that the arrival of the stock has started.
    pub(super) async fn fulfil_oldest(&self, stock: &StockSnapshot, cause: &Cause) -> Result<()> {
        let mut calls = self.backorder_calls;
        for stock in stock.iter() {
            // It is not continued, so it needs no id.
            let mut walk = begin(stock, Uuid::nil());
            self.walk_page(&mut walk, &mut stock.clone(), &mut calls, cause).await?;
        }
        Ok(())
    }

    async fn walk(
        &self,
        mut walk: BackordersRemaining,
        mut stock: Stock,
        calls: &mut usize,
        cause: &Cause,
    ) -> Result<()> {
        loop {
            match self.walk_page(&mut walk, &mut stock, calls, cause).await? {
                Progress::Finished => return Ok(()),
                Progress::More => {}
                Progress::OutOfCalls => return self.continue_later(walk, cause).await,
            }
        }
    }

    /// Tries the next orders of the queue and moves the position of the walk behind them.
    async fn walk_page(
        &self,
        walk: &mut BackordersRemaining,
        stock: &mut Stock,
        calls: &mut usize,
        cause: &Cause,
    ) -> Result<Progress> {
        if !stock.may_fulfil_backorder() {
            return Ok(Progress::Finished);
        }
        let Some(left) = calls.checked_sub(CALLS_PER_PAGE) else { return Ok(Progress::OutOfCalls) };
        *calls = left;
        let page = self.store.backorders(walk.item_id, walk.after, PAGE).await?;
        let available = stock.quantity().get();
        let small = page.iter().filter(|backorder| backorder.quantity.get() <= available);
        let small: BTreeSet<OrderId> = small.map(|backorder| backorder.order_id).collect();
        let allocations = self.store.allocations(small.into_iter()).await?;
        let items: BTreeSet<ItemId> =
            allocations.values().flat_map(|allocation| allocation.demand().items()).collect();
        let mut snapshot = self.store.stock(items.into_iter()).await?;
        for backorder in &page {
            let is_left = match allocations.get(&backorder.order_id) {
                Some(allocation) if allocation.state() != AllocationState::Backordered => false,
                Some(allocation) if snapshot.suffices(allocation.demand()) => {
                    let Some(left) = calls.checked_sub(1) else { return Ok(Progress::OutOfCalls) };
                    *calls = left;
                    let is_fulfilled = self.fulfil(allocation, cause).await?;
                    if is_fulfilled {
                        snapshot.take(allocation.demand());
                    } else {
                        *calls = calls.saturating_sub(1);
                        snapshot.update(self.store.stock(allocation.demand().items()).await?);
                    }
                    !is_fulfilled
                }
                // It needs more than there is; or it is not saved yet, and will try itself.
                _ => true,
            };
            if is_left {
                walk.smallest = walk.smallest.into_iter().chain([backorder.quantity]).min();
            }
            walk.after = Some((*backorder).into());
        }
        *stock = snapshot.get(walk.item_id).copied().unwrap_or(*stock);
        if page.len() == PAGE {
            return Ok(Progress::More);
        }
        self.raise_bound(walk, stock).await?;
        Ok(Progress::Finished)
    }

    /// Raises the lower bound after a walk through the whole queue.
    async fn raise_bound(&self, walk: &BackordersRemaining, stock: &Stock) -> Result<()> {
        let smallest = walk.smallest.map_or(Stock::NO_BACKORDER, |quantity| quantity.get());
        if smallest > stock.smallest_backorder() {
            let change = self.store.raise_bound(walk.item_id, smallest, walk.backorder_sequence)?;
            unless_lost(change.save(self.store.table()).await)?;
        }
        Ok(())
    }

    /// Publishes the event that continues a walk.
    async fn continue_later(&self, walk: BackordersRemaining, cause: &Cause) -> Result<()> {
        let walk = BackordersRemaining { step: walk.step + 1, ..walk };
        let (kind, item_id) = (EventKind::BackordersRemaining, walk.item_id);
        let event = Event::new(self.ids.next(), kind, item_id, self.clock.now(), cause, &walk)?;
        let is_saved = unless_lost(self.store.save_walk(&walk, &event)?.save(self.store.table()).await)?;
        let request_id = cause.request_id.as_deref().unwrap_or("-");
        tracing::info!(%item_id, step = walk.step, is_saved, request_id, "back-orders remain");
        Ok(())
    }
}
