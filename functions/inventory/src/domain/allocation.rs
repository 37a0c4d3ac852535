//! The allocation of an order: what it takes out of stock, waits for, adds and returns.
//!
//! An order has one allocation, for ever. Events are delivered at least once and in any order, so a decision depends
//! only on the state of the allocation:
//!
//! ```text
//!              confirmed                    stock arrives
//!   (none) ────────────→ backordered ───────────────────→ allocated
//!     │ └──── confirmed, sufficient stock ──────────────────↑ │
//!     │                       │ cancelled                     │ cancelled: stock is returned
//!     └──── cancelled ────→ released ←────────────────────────┘
//!
//!   (none) ── received ──→ received        (a purchase order)
//! ```

use std::collections::BTreeSet;

use erp_contracts::data::StockDecision;
use erp_domain::{Demand, ItemId, OrderId, Quantity, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Movement, MovementKind};

/// The state of an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AllocationState {
    /// Stock is short: the order is in the back-order queue and has no stock.
    Backordered,
    /// All quantities of the order are taken out of stock.
    Allocated,
    /// The order was cancelled; it has no stock.
    Released,
    /// The quantities of a purchase order were added to stock.
    Received,
}

impl AllocationState {
    /// Returns the decision that is published to the order; a purchase order gets none.
    pub const fn decision(self) -> Option<StockDecision> {
        match self {
            Self::Backordered => Some(StockDecision::Backordered),
            Self::Allocated => Some(StockDecision::Allocated),
            Self::Released => Some(StockDecision::Released),
            Self::Received => None,
        }
    }
}

/// The quantities of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderDemand {
    /// The order.
    pub order_id: OrderId,
    /// The quantity per item.
    pub demand: Demand,
    /// The time of the event; the back-order queue is sorted by it.
    pub since: Timestamp,
}

/// The identity and time of a new [`StockChangeSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeStamp {
    /// The id.
    pub id: Uuid,
    /// The time.
    pub at: Timestamp,
}

impl ChangeStamp {
    fn change(self, kind: MovementKind) -> StockChangeSet {
        StockChangeSet { id: self.id, kind, at: self.at }
    }
}

/// A change of the stock of all items of an order at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockChangeSet {
    /// The id of its movements, one per item.
    pub id: Uuid,
    /// The kind, which determines the sign.
    pub kind: MovementKind,
    /// The time.
    pub at: Timestamp,
}

/// The change of the stock row of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockDelta {
    /// The item.
    pub item_id: ItemId,
    /// Change of the available quantity.
    pub quantity: i64,
    /// Change of the quantity that is allocated to orders.
    pub allocated: i64,
    /// Change of the quantity that orders in the back-order queue need.
    pub backordered: i64,
}

/// The available quantity of an item is less than the order needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InsufficientStock;

/// The allocation of an order. Only its own methods change its state and sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    #[serde(flatten)]
    order: OrderDemand,
    state: AllocationState,
    /// Items that were deleted before the allocation reached its state: their stock is not changed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    missing: BTreeSet<ItemId>,
    sequence: u64,
    #[serde(rename = "moves")]
    changes: Vec<StockChangeSet>,
    /// Whether the counters of the stock rows include this allocation: false for rows written before the counters.
    #[serde(default)]
    counted: bool,
}

impl Allocation {
    /// Creates the allocation of an order for which stock is sufficient.
    pub fn allocated(order: &OrderDemand, stamp: ChangeStamp) -> Self {
        let change = Some(stamp.change(MovementKind::Allocated));
        Self::create(order, AllocationState::Allocated, change, BTreeSet::new())
    }

    /// Creates the allocation of an order for which stock is short. `missing` items do not exist any more.
    pub fn backordered(order: &OrderDemand, missing: BTreeSet<ItemId>) -> Self {
        Self::create(order, AllocationState::Backordered, None, missing)
    }

    /// Creates the allocation of a purchase order that was received. Goods of `missing` items, which do not exist any
    /// more, are not added to stock.
    pub fn received(order: &OrderDemand, stamp: ChangeStamp, missing: BTreeSet<ItemId>) -> Self {
        let change = Some(stamp.change(MovementKind::Received));
        Self::create(order, AllocationState::Received, change, missing)
    }

    /// Creates the allocation of an order that was cancelled before it was confirmed here.
    pub fn cancelled(order: &OrderDemand) -> Self {
        Self::create(order, AllocationState::Released, None, BTreeSet::new())
    }

    /// Allocates a back-ordered order; `None` in any other state.
    pub fn allocate(&self, stamp: ChangeStamp) -> Option<Self> {
        let change = Some(stamp.change(MovementKind::Allocated));
        let is_backordered = self.state == AllocationState::Backordered;
        is_backordered.then(|| self.next(AllocationState::Allocated, change, BTreeSet::new()))
    }

    /// Releases the allocation of a cancelled order and returns its stock, except of `missing` items; `None` if it is
    /// released already, or of a purchase order.
    pub fn release(&self, stamp: ChangeStamp, missing: BTreeSet<ItemId>) -> Option<Self> {
        let change = match self.state {
            AllocationState::Backordered => None,
            AllocationState::Allocated => Some(stamp.change(MovementKind::Released)),
            AllocationState::Released | AllocationState::Received => return None,
        };
        Some(self.next(AllocationState::Released, change, missing))
    }

    fn create(
        order: &OrderDemand,
        state: AllocationState,
        change: Option<StockChangeSet>,
        missing: BTreeSet<ItemId>,
    ) -> Self {
        let changes = change.into_iter().collect();
        Self { order: order.clone(), state, missing, sequence: 1, changes, counted: true }
    }

    fn next(
        &self,
        state: AllocationState,
        change: Option<StockChangeSet>,
        missing: BTreeSet<ItemId>,
    ) -> Self {
        let mut next = Self { state, sequence: self.sequence + 1, missing, counted: true, ..self.clone() };
        next.changes.extend(change);
        next
    }

    /// Returns the order with its quantities.
    pub fn order(&self) -> &OrderDemand {
        &self.order
    }

    /// Returns the id of the order.
    pub fn order_id(&self) -> OrderId {
        self.order.order_id
    }

    /// Returns the state.
    pub fn state(&self) -> AllocationState {
        self.state
    }

    /// Returns the quantities of the order.
    pub fn demand(&self) -> &Demand {
        &self.order.demand
    }

    /// Returns the items of the order that do not exist any more: their stock is not changed.
    pub fn missing(&self) -> &BTreeSet<ItemId> {
        &self.missing
    }

    /// Returns the number of the decision: 1 for the first state, incremented by each transition.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns the changes of stock, oldest first.
    pub fn changes(&self) -> &[StockChangeSet] {
        &self.changes
    }

    /// Returns whether the counters of the stock rows include this allocation.
    pub fn counted(&self) -> bool {
        self.counted
    }

    /// Returns every movement of the order. The result is the same each time, ids included.
    pub fn movements(&self) -> Vec<Movement> {
        let movements_of = |&StockChangeSet { id, kind, at }: &StockChangeSet| {
            self.stocked().map(move |(item_id, quantity)| Movement {
                id,
                item_id,
                change: kind.sign() * quantity.get(),
                kind,
                order_id: Some(self.order_id()),
                reason: None,
                at,
            })
        };
        self.changes.iter().flat_map(movements_of).collect()
    }

    /// Returns the change that added stock, which may fulfil back-orders. There is at most one.
    pub fn returned_stock(&self) -> Option<&StockChangeSet> {
        self.changes.iter().find(|change| change.kind.sign() > 0)
    }

    /// Returns the changes of stock rows that the transition from `old` makes.
    pub fn stock_deltas(&self, old: Option<&Self>) -> impl Iterator<Item = StockDelta> + '_ {
        let new_changes = self.changes.iter().skip(old.map_or(0, |old| old.changes.len()));
        let quantity: i64 = new_changes.map(|change| change.kind.sign()).sum();
        let counts = |state| match state {
            AllocationState::Allocated => (1, 0),
            AllocationState::Backordered => (0, 1),
            AllocationState::Released | AllocationState::Received => (0, 0),
        };
        let before = old.filter(|old| old.counted).map_or((0, 0), |old| counts(old.state));
        let after = counts(self.state);
        self.stocked()
            .map(move |(item_id, ordered)| StockDelta {
                item_id,
                quantity: quantity * ordered.get(),
                allocated: (after.0 - before.0) * ordered.get(),
                backordered: (after.1 - before.1) * ordered.get(),
            })
            .filter(|delta| delta.quantity != 0 || delta.allocated != 0 || delta.backordered != 0)
    }

    /// Returns the demand without missing items.
    fn stocked(&self) -> impl Iterator<Item = (ItemId, Quantity)> + '_ {
        self.demand().iter().filter(|(item_id, _)| !self.missing.contains(item_id))
    }
}

/// The step that a fact about an order requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Take all quantities out of stock, or put the order into the back-order queue.
    Allocate,
    /// Add all quantities to stock.
    Receive,
    /// Record the cancellation; the order has no stock.
    RecordCancellation,
    /// Return all quantities to stock.
    ReturnStock,
    /// Nothing: the fact was applied before, or has no effect in this state.
    AlreadyApplied,
}

/// A fact about an order, as another context publishes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderFact {
    /// A sales order was confirmed.
    Confirmed,
    /// A sales order was cancelled.
    Cancelled,
    /// A purchase order was received.
    Received,
}

/// Decides the step for a fact in a state of the allocation; `None` if there is no allocation yet.
pub const fn decide(state: Option<AllocationState>, fact: OrderFact) -> Step {
    use {AllocationState as A, OrderFact as F};
    match (state, fact) {
        (None | Some(A::Backordered), F::Confirmed) => Step::Allocate,
        (None | Some(A::Backordered), F::Cancelled) => Step::RecordCancellation,
        (Some(A::Allocated), F::Cancelled) => Step::ReturnStock,
        (None, F::Received) => Step::Receive,
        (Some(A::Allocated | A::Released | A::Received), F::Confirmed)
        | (Some(A::Released | A::Received), F::Cancelled)
        | (Some(_), F::Received) => Step::AlreadyApplied,
    }
}

#[cfg(test)]
mod tests {
    use erp_domain::Id;

    use super::*;

    fn order() -> OrderDemand {
        let items = [(1, 3), (2, 5)].map(|(id, n)| (Id::new(Uuid::from_u128(id)), Quantity::new(n).unwrap()));
        let demand = items.into_iter().collect();
        OrderDemand { order_id: Id::new(Uuid::nil()), demand, since: Timestamp::from_millis(0) }
    }

    fn stamp() -> ChangeStamp {
        ChangeStamp { id: Uuid::now_v7(), at: Timestamp::from_millis(1) }
    }

    /// Applies a fact to an allocation as the service does.
    fn apply(old: Option<Allocation>, fact: OrderFact, sufficient: bool) -> Option<Allocation> {
        let missing = BTreeSet::new;
        match decide(old.as_ref().map(Allocation::state), fact) {
            Step::Allocate if sufficient => old
                .map_or_else(|| Some(Allocation::allocated(&order(), stamp())), |old| old.allocate(stamp())),
            Step::Allocate => old.or_else(|| Some(Allocation::backordered(&order(), missing()))),
            Step::Receive => Some(Allocation::received(&order(), stamp(), missing())),
            Step::RecordCancellation | Step::ReturnStock => old
                .map_or_else(|| Some(Allocation::cancelled(&order())), |old| old.release(stamp(), missing())),
            Step::AlreadyApplied => old,
        }
    }

    #[test]
    fn facts_in_any_order_any_number_of_times_end_the_same() {
        for sufficient in [true, false] {
            for facts in [
                [OrderFact::Confirmed, OrderFact::Cancelled, OrderFact::Confirmed, OrderFact::Cancelled],
                [OrderFact::Cancelled, OrderFact::Confirmed, OrderFact::Confirmed, OrderFact::Confirmed],
                [OrderFact::Confirmed, OrderFact::Confirmed, OrderFact::Cancelled, OrderFact::Cancelled],
            ] {
                let end = facts.into_iter().fold(None, |old, fact| apply(old, fact, sufficient));
                assert_eq!(end.unwrap().state(), AllocationState::Released, "{facts:?}");
            }
        }
        let facts = [OrderFact::Received, OrderFact::Received];
        let twice = facts.into_iter().fold(None, |old, fact| apply(old, fact, true)).unwrap();
        assert_eq!((twice.state(), twice.changes().len()), (AllocationState::Received, 1));
    }

    #[test]
    fn the_counters_do_not_include_allocations_that_were_saved_before_them() {
        let json = serde_json::json!({
            "order_id": Uuid::nil(), "state": "allocated", "demand": {Uuid::nil().to_string(): 3}, "sequence": 1,
            "since": "1970-01-01T00:00:00.000Z", "moves": [],
        });
        let old: Allocation = serde_json::from_value(json).unwrap();
        let new = old.release(stamp(), BTreeSet::new()).unwrap();
        let deltas: Vec<_> = new.stock_deltas(Some(&old)).collect();
        let item_id = Id::new(Uuid::nil());
        assert_eq!(deltas, [StockDelta { item_id, quantity: 3, allocated: 0, backordered: 0 }]);
    }

    proptest::proptest! {
        #[test]
        fn for_any_sequence_of_facts_an_order_takes_stock_once_and_returns_it_once(
            facts in proptest::collection::vec((proptest::bool::ANY, proptest::bool::ANY), 0..12)
        ) {
            let mut old: Option<Allocation> = None;
            let mut sums = std::collections::BTreeMap::<_, (i64, i64, i64)>::new();
            for &(cancelled, sufficient) in &facts {
                let fact = if cancelled { OrderFact::Cancelled } else { OrderFact::Confirmed };
                let new = apply(old.clone(), fact, sufficient).unwrap();
                if old.as_ref() != Some(&new) {
                    for delta in new.stock_deltas(old.as_ref()) {
                        let sum = sums.entry(delta.item_id).or_default();
                        *sum = (sum.0 + delta.quantity, sum.1 + delta.allocated, sum.2 + delta.backordered);
                    }
                }
                old = Some(new);
            }
            let state = old.as_ref().map(Allocation::state);
            let kinds: Vec<_> = old.iter().flat_map(|new| new.changes()).map(|change| change.kind).collect();
            let taken = kinds.iter().filter(|kind| **kind == MovementKind::Allocated).count();
            let returned = kinds.iter().filter(|kind| **kind == MovementKind::Released).count();
            let cancelled = facts.iter().any(|(cancelled, _)| *cancelled);
            proptest::prop_assert!(taken <= 1);
            proptest::prop_assert_eq!(returned, if cancelled { taken } else { 0 });
            proptest::prop_assert_eq!(state == Some(AllocationState::Released), cancelled);
            proptest::prop_assert_eq!(state == Some(AllocationState::Allocated), taken > returned);
            for (item_id, ordered) in order().demand.iter() {
                let n = ordered.get();
                let expected = match state {
                    Some(AllocationState::Allocated) => (-n, n, 0),
                    Some(AllocationState::Backordered) => (0, 0, n),
                    Some(AllocationState::Released | AllocationState::Received) | None => (0, 0, 0),
                };
                proptest::prop_assert_eq!(sums.get(&item_id).copied().unwrap_or_default(), expected);
            }
        }
    }
}
