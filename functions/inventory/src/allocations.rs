//! Use cases of orders: what they take out of stock, wait for, bring and give back.
//!
//! Everything here may be done again from the start, at any time, by anyone, any number of times: events come twice,
//! late and out of order, and a function may end between any two writes. What decides is the allocation, which
//! changes together with the stock, in one transaction. What follows from a decision (movements, places in lines,
//! others being served) is done when the decision's own event comes back through the queue, derived from the
//! allocation, and so as surely as no event is lost. A receipt tells nobody; what follows from it is done with it.
//!
//! An order that finds too little waits. It first stands in line, then says that it waits, then looks at the stock
//! once more. Stock that arrives is first added, then looks at the line. So whichever of the two comes second sees
//! the other, and nobody waits beside stock that would do.

use std::sync::Arc;

use erp_aws::metric::{self, Metric};
use erp_contracts::data::{ItemQuantity, StockDecided};
use erp_contracts::{Cause, Event, EventKind, StoreError};
use erp_domain::item::Item;
use erp_domain::order::Order;
use erp_domain::stock::{Allocation, AllocationState, Demand, Fact, Move, MovementKind, Step, decide};
use erp_domain::{Clock, Id, Ids, Timestamp};

use crate::ports::{AllocationConflict, AllocationStore};

/// How often an order is decided anew because somebody else was faster, before the message is left for later.
const ROUNDS: usize = 10;
/// How many that wait are read at once.
const LINE_PAGE: usize = 50;

/// Allocations and the stock they move.
#[derive(Clone)]
pub struct Allocations {
    /// Where they are.
    pub store: Arc<dyn AllocationStore>,
    /// When things happen.
    pub clock: Arc<dyn Clock>,
    /// What they are called.
    pub ids: Arc<dyn Ids>,
}

/// Something that happened to an order.
#[derive(Debug, Clone)]
pub struct OrderFact {
    /// The order.
    pub order_id: Id<Order>,
    /// What happened.
    pub fact: Fact,
    /// What it orders.
    pub demand: Demand,
    /// When it happened.
    pub at: Timestamp,
    /// Who and what caused it.
    pub cause: Cause,
}

impl Allocations {
    /// Makes what happened to an order true of the stock.
    ///
    /// # Errors
    /// When the store does not answer, or others are faster every time: it can all be done again.
    pub async fn settle(&self, fact: &OrderFact) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            let old = self.store.find(fact.order_id).await?;
            let state = match decide(old.as_ref().map(|old| old.state), fact.fact) {
                Step::Allocate => {
                    if old.is_none() {
                        // Whoever waited before this order came has the first choice of what there is.
                        self.serve(fact.demand.keys().copied(), &fact.cause).await?;
                    }
                    AllocationState::Allocated
                }
                Step::Receive => AllocationState::Received,
                Step::Release | Step::GiveBack => AllocationState::Released,
                Step::Settled => {
                    metric::count(Metric::EventsDeduplicated);
                    if fact.fact == Fact::Confirmed {
                        // Of two deliveries at once, the slower may have put the order into the line after what the
                        // faster decided had taken it out; whoever finds nothing left to do takes it out again.
                        let place = self.advance(None, fact, AllocationState::Backordered);
                        self.store.leave_lines(&place).await?;
                    }
                    return self.follow_receipt(old.as_ref(), &fact.cause).await;
                }
            };
            let new = self.advance(old.as_ref(), fact, state);
            match self.save(old.as_ref(), &new, &fact.cause).await {
                Ok(()) => return self.follow_receipt(Some(&new), &fact.cause).await,
                Err(StoreError::Conflict(AllocationConflict::Stale)) => {}
                Err(StoreError::Conflict(AllocationConflict::Short)) if old.is_some() => return Ok(()),
                Err(StoreError::Conflict(AllocationConflict::Short)) => {
                    let waiting = self.advance(None, fact, AllocationState::Backordered);
                    self.store.join_lines(&waiting).await?;
                    match self.save(None, &waiting, &fact.cause).await {
                        // Either way the next round looks at the stock again, or at what somebody else decided.
                        Ok(()) | Err(StoreError::Conflict(AllocationConflict::Stale)) => {}
                        Err(error) => return Err(unexpected(error)),
                    }
                }
                Err(error) => return Err(unexpected(error)),
            }
        }
        Err(StoreError::unavailable("others changed the order every time"))
    }

    /// Does what follows from inventory's own decision about an order.
    ///
    /// # Errors
    /// When the store does not answer: it can be done again.
    pub async fn follow(&self, order_id: Id<Order>, cause: &Cause) -> Result<(), StoreError> {
        match self.store.find(order_id).await? {
            Some(allocation) => self.follow_allocation(&allocation, cause).await,
            None => Err(StoreError::unavailable("there is no allocation for a decision")),
        }
    }

    /// Lets stock that arrived for these items serve those that wait for them: oldest first, each with all its
    /// lines or not at all. One that cannot be served holds nothing and does not hold up those behind it.
    ///
    /// # Errors
    /// When the store does not answer: it can be done again.
    pub async fn serve(
        &self,
        items: impl Iterator<Item = Id<Item>> + Send,
        cause: &Cause,
    ) -> Result<(), StoreError> {
        for item_id in items {
            let mut available = self.store.stock(item_id).await?.get();
            let mut last = None;
            while available > 0 {
                let line = self.store.line(item_id, last, LINE_PAGE).await?;
                for waiting in &line {
                    if waiting.quantity <= available && self.serve_one(waiting.order_id, cause).await? {
                        available -= waiting.quantity;
                    }
                }
                last = line.last().copied();
                if line.len() < LINE_PAGE {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether the order that waits got all it waits for.
    async fn serve_one(&self, order_id: Id<Order>, cause: &Cause) -> Result<bool, StoreError> {
        let old = match self.store.find(order_id).await? {
            Some(old) if old.state == AllocationState::Backordered => old,
            // Not yet saying that it waits, and then it looks at the stock itself; or not waiting any more.
            _ => return Ok(false),
        };
        let now = self.clock.now();
        let step = Move { id: self.ids.next(), kind: MovementKind::Allocated, at: now };
        let new = next(&old, AllocationState::Allocated, Some(step));
        match self.save(Some(&old), &new, cause).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict(_)) => Ok(false),
            Err(error) => Err(unexpected(error)),
        }
    }

    async fn follow_receipt(&self, allocation: Option<&Allocation>, cause: &Cause) -> Result<(), StoreError> {
        match allocation {
            Some(allocation) if allocation.state == AllocationState::Received => {
                self.follow_allocation(allocation, cause).await
            }
            _ => Ok(()),
        }
    }

    async fn follow_allocation(&self, allocation: &Allocation, cause: &Cause) -> Result<(), StoreError> {
        self.store.write_movements(allocation).await?;
        tracing::info!(
            order_id = %allocation.order_id,
            movements = allocation.moves.len() * allocation.demand.len(),
            request_id = cause.request_id.as_deref().unwrap_or("-"),
            "movements written"
        );
        if allocation.state != AllocationState::Backordered {
            self.store.leave_lines(allocation).await?;
        }
        if allocation.brought() {
            self.serve(allocation.demand.keys().copied(), cause).await?;
        }
        Ok(())
    }

    /// The allocation as it is once it has this state.
    fn advance(&self, old: Option<&Allocation>, fact: &OrderFact, state: AllocationState) -> Allocation {
        let kind = match (old.map(|old| old.state), state) {
            (_, AllocationState::Allocated) => Some(MovementKind::Allocated),
            (_, AllocationState::Received) => Some(MovementKind::Received),
            (Some(AllocationState::Allocated), AllocationState::Released) => Some(MovementKind::Released),
            (_, AllocationState::Released | AllocationState::Backordered) => None,
        };
        let step = kind.map(|kind| Move { id: self.ids.next(), kind, at: self.clock.now() });
        match old {
            Some(old) => next(old, state, step),
            None => Allocation {
                order_id: fact.order_id,
                state,
                demand: fact.demand.clone(),
                sequence: 1,
                since: fact.at,
                moves: step.into_iter().collect(),
            },
        }
    }

    async fn save(
        &self,
        old: Option<&Allocation>,
        new: &Allocation,
        cause: &Cause,
    ) -> Result<(), StoreError<AllocationConflict>> {
        let event = self.event(new, cause)?;
        self.store.save(old, new, event.as_ref()).await?;
        tracing::info!(
            order_id = %new.order_id,
            state = new.state.as_str(),
            request_id = cause.request_id.as_deref().unwrap_or("-"),
            "allocation saved"
        );
        Ok(())
    }

    /// What the order is told; a purchase is told nothing.
    fn event<C>(&self, allocation: &Allocation, cause: &Cause) -> Result<Option<Event>, StoreError<C>> {
        let kind = match allocation.state {
            AllocationState::Allocated => EventKind::OrderAllocated,
            AllocationState::Backordered => EventKind::OrderBackordered,
            AllocationState::Released => EventKind::OrderReleased,
            AllocationState::Received => return Ok(None),
        };
        let Some(stock_status) = allocation.state.stock_status() else { return Ok(None) };
        let items = allocation.demand.iter();
        let data = StockDecided {
            order_id: allocation.order_id,
            stock_status,
            sequence: allocation.sequence,
            items: items.map(|(&item_id, &quantity)| ItemQuantity { item_id, quantity }).collect(),
        };
        let event = Event::new(self.ids.next(), kind, allocation.order_id, self.clock.now(), cause, &data)?;
        Ok(Some(event))
    }
}

fn next(old: &Allocation, state: AllocationState, step: Option<Move>) -> Allocation {
    let moves = old.moves.iter().copied().chain(step).collect();
    Allocation { state, sequence: old.sequence + 1, moves, ..old.clone() }
}

/// A conflict where there can be none.
fn unexpected(error: StoreError<AllocationConflict>) -> StoreError {
    match error {
        StoreError::Conflict(conflict) => {
            StoreError::unavailable(format!("unexpected conflict: {conflict:?}"))
        }
        StoreError::Answered => StoreError::Answered,
        StoreError::Unavailable(cause) => StoreError::Unavailable(cause),
    }
}
