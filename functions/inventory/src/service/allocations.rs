//! Use cases of orders: allocate stock, queue back-orders, add received goods, return stock.
//!
//! Everything here is idempotent: events are delivered at least once and in any order, and a function may end between
//! any two writes. The allocation changes together with the stock, in one transaction. Its side effects (movements,
//! removal from back-order queues, fulfilment of other back-orders) are derived from the allocation when its own event
//! comes back through the queue, so they are as reliable as the outbox. A receipt publishes no event; its side effects
//! are applied at once.
//!
//! An order whose stock is short is first queued, then saved as back-ordered, then tries to allocate once more. Arriving
//! stock is first added, then the queue is read. So the later of the two sees the other, and no order waits although
//! stock is sufficient.

use std::sync::Arc;

use erp_aws::metric::{self, Metric};
use erp_contracts::data::{ItemQuantity, StockDecided, StockDecision};
use erp_contracts::{Cause, Event, EventError, EventKind};
use erp_domain::{Clock, Ids, ItemId, OrderId};
use erp_service::{SaveError, ServiceError, retry_stale};

use crate::domain::{
    Allocation, AllocationState, ChangeStamp, InsufficientStock, OrderDemand, OrderFact, Step, decide,
};
use crate::store::InventoryStore;

/// Back-orders read at once.
const QUEUE_PAGE: usize = 50;

type Result<T> = std::result::Result<T, ServiceError<InsufficientStock>>;
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
                Some(backordered) => self.fulfil(&backordered, cause).await.map(drop)?,
                None => self.allocate(order, cause).await?,
            },
            Step::Receive => {
                let missing = self.store.missing_items(&order.demand).await?;
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
                    Some(old) => old.release(self.stamp(), self.store.missing_items(old.demand()).await?),
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

    /// Allocates a new order, or puts it into the back-order queue.
    async fn allocate(&self, order: &OrderDemand, cause: &Cause) -> Saved<()> {
        // Orders that have been waiting go first.
        self.fulfil_backorders(order.demand.items(), cause).await?;
        let allocated = Allocation::allocated(order, self.stamp());
        match self.save(None, &allocated, cause).await {
            Err(SaveError::Failed(ServiceError::Rejected(InsufficientStock))) => {}
            saved => return saved,
        }
        let missing = self.store.missing_items(&order.demand).await?;
        let backordered = Allocation::backordered(order, missing);
        self.store.enqueue_backorder(order).await?;
        self.save(None, &backordered, cause).await?;
        // Stock that arrived before the order was queued has not fulfilled it.
        self.fulfil(&backordered, cause).await?;
        Ok(())
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
        if allocation.state() != AllocationState::Backordered {
            self.store.dequeue_backorder(allocation.order()).await?;
        }
        if allocation.returned_stock() {
            self.fulfil_backorders(allocation.demand().items(), cause).await?;
        }
        Ok(())
    }

    /// Fulfils the back-orders of items from their stock: oldest first, each order with all its lines or not at all. An
    /// order that cannot be fulfilled takes nothing and does not block the orders behind it.
    pub async fn fulfil_backorders(
        &self,
        items: impl Iterator<Item = ItemId> + Send,
        cause: &Cause,
    ) -> Result<()> {
        for item_id in items {
            let mut available = self.store.available(item_id).await?.get();
            let mut last = None;
            while available > 0 {
                let queue = self.store.backorders(item_id, last, QUEUE_PAGE).await?;
                for backorder in &queue {
                    let needed = backorder.quantity.get();
                    // An order without an allocation is not saved yet: it tries to allocate itself.
                    if needed <= available
                        && let Some(allocation) = self.store.allocation(backorder.order_id).await?
                        && self.fulfil(&allocation, cause).await?
                    {
                        available -= needed;
                    }
                }
                last = queue.last().copied();
                if queue.len() < QUEUE_PAGE {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Allocates a back-ordered order if stock is sufficient; returns whether it was. `false` too if the allocation
    /// changed meanwhile: the concurrent update has decided.
    async fn fulfil(&self, old: &Allocation, cause: &Cause) -> Result<bool> {
        let Some(allocated) = old.allocate(self.stamp()) else { return Ok(false) };
        match self.save(Some(old), &allocated, cause).await {
            Ok(()) => Ok(true),
            Err(SaveError::Stale | SaveError::Failed(ServiceError::Rejected(InsufficientStock))) => Ok(false),
            Err(SaveError::KeyBound) => Err(ServiceError::Contended),
            Err(SaveError::Failed(error)) => Err(error),
        }
    }

    async fn save(&self, old: Option<&Allocation>, new: &Allocation, cause: &Cause) -> Saved<()> {
        let event = self.event(new, cause)?;
        self.store.save_allocation(old, new, event.as_ref())?.save(self.store.table()).await?;
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
