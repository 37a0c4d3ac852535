//! Use cases of orders: allocate stock, wait for stock, add received goods, return stock.
//!
//! Everything here is idempotent: events are delivered at least once and in any order, and a function may end between
//! any two writes. The allocation changes together with the stock, in one transaction. Its side effects (movements,
//! removal from back-order queues, fulfilment of other back-orders) are derived from the allocation when its own event
//! comes back through the queue, so they are as reliable as the outbox. A receipt publishes no event; its side effects
//! are applied at once.
//!
//! No order waits although stock is sufficient, because the later of the two, order or stock, sees the other:
//!
//! ```text
//! order that waits   put into the queues   then saved: bounds lowered   then reads the stock of its items
//! arriving stock     added                 then reads stock and bound   then reads the queue
//! ```
//!
//! Both write the stock row of the item, so one is first. If the order is first, the arrival reads a bound that is not
//! more than the order needs, and a queue that contains it. If the arrival is first, the order reads the stock that
//! arrived. `backorders` is about the queue itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use erp_aws::metric::{self, Metric};
use erp_contracts::data::{ItemQuantity, StockDecided, StockDecision};
use erp_contracts::{Cause, Event, EventError, EventKind};
use erp_domain::{Clock, Ids, ItemId, OrderId};
use erp_service::{SaveError, ServiceError, retry_stale};

use crate::domain::{
    Allocation, AllocationState, ChangeStamp, InsufficientStock, OrderDemand, OrderFact, Step, Stock,
    StockSnapshot, decide,
};
use crate::store::InventoryStore;

pub(super) type Result<T> = std::result::Result<T, ServiceError<InsufficientStock>>;
type Saved<T> = std::result::Result<T, SaveError<InsufficientStock>>;

/// Allocations, and the stock they change.
#[derive(Clone)]
pub struct Allocations {
    /// The inventory table.
    pub store: InventoryStore,
    /// The source of times.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub ids: Arc<dyn Ids>,
    /// Calls to DynamoDB that one event may make to fulfil back-orders: [`BACKORDER_CALLS`], fewer in tests.
    ///
    /// [`BACKORDER_CALLS`]: super::BACKORDER_CALLS
    pub backorder_calls: usize,
}

/// An event of an order.
#[derive(Debug, Clone)]
pub struct OrderEvent {
    /// The order's quantities.
    pub order: OrderDemand,
    /// The fact.
    pub fact: OrderFact,
    /// The actor and the request that caused it.
    pub cause: Cause,
}

impl Allocations {
    /// Applies an event of an order to its allocation and to the stock.
    pub async fn apply_event(&self, event: &OrderEvent) -> Result<()> {
        retry_stale(|| self.apply_once(event)).await
    }

    async fn apply_once(&self, OrderEvent { order, fact, cause }: &OrderEvent) -> Saved<()> {
        let old = self.store.allocation(order.order_id).await?;
        match decide(old.as_ref().map(Allocation::state), *fact) {
            Step::Allocate => match old {
                Some(backordered) => self.fulfil_if_sufficient(&backordered, cause).await?,
                None => self.allocate(order, cause).await?,
            },
            Step::Receive => {
                let missing = self.missing_items(order).await?;
                if !missing.is_empty() {
                    let order_id = order.order_id;
                    tracing::warn!(%order_id, ?missing, "goods received for deleted items are not stocked");
                }
                let received = Allocation::received(order, self.stamp(), missing);
                self.save(None, &received, cause).await?;
                self.apply_side_effects_of(&received, cause).await?;
            }
            Step::RecordCancellation | Step::ReturnStock => {
                let released = match &old {
                    Some(old) => old.release(self.stamp(), self.missing_items(old.order()).await?),
                    None => Some(Allocation::cancelled(order)),
                };
                if let Some(released) = released {
                    self.save(old.as_ref(), &released, cause).await?;
                }
            }
            Step::AlreadyApplied => {
                metric::count(Metric::EventsDeduplicated);
                let Some(old) = old else { return Ok(()) };
                if *fact == OrderFact::Confirmed {
                    // Of two concurrent deliveries, the slower one may have queued the order after the side effects of
                    // the faster one had removed it.
                    self.store.dequeue_backorder(order).await?;
                }
                if old.state() == AllocationState::Received {
                    self.apply_side_effects_of(&old, cause).await?;
                }
            }
        }
        Ok(())
    }

    /// Returns the items of an order that were deleted.
    async fn missing_items(&self, order: &OrderDemand) -> Result<BTreeSet<ItemId>> {
        Ok(self.store.stock(order.demand.items()).await?.missing(&order.demand))
    }

    /// Allocates a new order, or puts it into the back-order queues.
    async fn allocate(&self, order: &OrderDemand, cause: &Cause) -> Saved<()> {
        let mut stock = self.store.stock(order.demand.items()).await?;
        if stock.iter().any(Stock::may_fulfil_backorder) {
            // Orders that have been waiting go first.
            self.fulfil_oldest(&stock, cause).await?;
            stock = self.store.stock(order.demand.items()).await?;
        }
        let allocated = Allocation::allocated(order, self.stamp());
        match self.save(None, &allocated, cause).await {
            Err(SaveError::Failed(ServiceError::Rejected(InsufficientStock))) => {}
            saved => return saved,
        }
        let backordered = Allocation::backordered(order, stock.missing(&order.demand));
        self.store.enqueue_backorder(order).await?;
        self.save_based_on(&stock, None, &backordered, cause).await?;
        // Stock that arrived before the order was saved has not fulfilled it.
        Ok(self.fulfil_if_sufficient(&backordered, cause).await?)
    }

    /// Applies the side effects of a decision about an order.
    pub async fn apply_side_effects(&self, order_id: OrderId, cause: &Cause) -> Result<()> {
        match self.store.allocation(order_id).await? {
            Some(allocation) => self.apply_side_effects_of(&allocation, cause).await,
            None => Err(ServiceError::unavailable("there is no allocation for a decision")),
        }
    }

    async fn apply_side_effects_of(&self, allocation: &Allocation, cause: &Cause) -> Result<()> {
        self.store.write_movements(allocation).await?;
        tracing::info!(
            order_id = %allocation.order_id(),
            movements = allocation.movements().len(),
            request_id = cause.request_id.as_deref().unwrap_or("-"),
            "movements written"
        );
        match allocation.state() {
            // It waits, or is a purchase order, which never waits.
            AllocationState::Backordered | AllocationState::Received => {}
            AllocationState::Allocated | AllocationState::Released => {
                self.store.dequeue_backorder(allocation.order()).await?;
            }
        }
        if let Some(change) = allocation.returned_stock() {
            self.fulfil_backorders(allocation.demand().items(), change.id, cause).await?;
        }
        Ok(())
    }

    /// Allocates a back-ordered order if the stock of its items is sufficient.
    async fn fulfil_if_sufficient(&self, old: &Allocation, cause: &Cause) -> Result<()> {
        if self.store.stock(old.demand().items()).await?.suffices(old.demand()) {
            self.fulfil(old, cause).await?;
        }
        Ok(())
    }

    /// Allocates a back-ordered order if stock is sufficient; returns whether it was. `false` too if the allocation
    /// changed meanwhile: the concurrent update has decided.
    pub(super) async fn fulfil(&self, old: &Allocation, cause: &Cause) -> Result<bool> {
        let Some(allocated) = old.allocate(self.stamp()) else { return Ok(false) };
        unless_lost(self.save(Some(old), &allocated, cause).await)
    }

    async fn save(&self, old: Option<&Allocation>, new: &Allocation, cause: &Cause) -> Saved<()> {
        self.save_based_on(&StockSnapshot::default(), old, new, cause).await
    }

    /// Saves a decision that is based on the stock as it was read.
    async fn save_based_on(
        &self,
        stock: &StockSnapshot,
        old: Option<&Allocation>,
        new: &Allocation,
        cause: &Cause,
    ) -> Saved<()> {
        let event = self.event(new, cause)?;
        self.store.save_allocation(old, new, event.as_ref(), stock)?.save(self.store.table()).await?;
        tracing::info!(
            order_id = %new.order_id(),
            state = %new.state(),
            request_id = cause.request_id.as_deref().unwrap_or("-"),
            "allocation saved"
        );
        Ok(())
    }

    fn stamp(&self) -> ChangeStamp {
        ChangeStamp { id: self.ids.next(), at: self.clock.now() }
    }

    /// Creates the event that publishes the decision; a received purchase order has none.
    fn event(
        &self,
        allocation: &Allocation,
        cause: &Cause,
    ) -> std::result::Result<Option<Event>, EventError> {
        let Some(stock_status) = allocation.state().decision() else { return Ok(None) };
        let kind = match stock_status {
            StockDecision::Allocated => EventKind::OrderAllocated,
            StockDecision::Backordered => EventKind::OrderBackordered,
            StockDecision::Released => EventKind::OrderReleased,
        };
        let (order_id, sequence) = (allocation.order_id(), allocation.sequence());
        let items = allocation.demand().iter();
        let items = items.map(|(item_id, quantity)| ItemQuantity { item_id, quantity }).collect();
        let data = StockDecided { order_id, stock_status, sequence, items };
        Event::new(self.ids.next(), kind, order_id, self.clock.now(), cause, &data).map(Some)
    }
}

/// Returns whether a change was saved; `false` if its condition failed, because a concurrent update has decided.
pub(super) fn unless_lost(saved: Saved<()>) -> Result<bool> {
    match saved {
        Ok(()) => Ok(true),
        Err(SaveError::Stale | SaveError::Failed(ServiceError::Rejected(InsufficientStock))) => Ok(false),
        Err(SaveError::KeyBound) => Err(ServiceError::Contended),
        Err(SaveError::Failed(error)) => Err(error),
    }
}
