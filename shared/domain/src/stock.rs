//! Allocation: what an order takes out of stock, waits for, and gives back.
//!
//! There is one allocation for each order, for ever. Events may come twice, late or out of order; what they lead
//! to depends only on where the allocation stands:
//!
//! ```text
//!              confirmed                    stock arrives
//!   (nothing) ───────────→ backordered ───────────────────→ allocated
//!       │ └──── confirmed, enough in stock ─────────────────────↑ │
//!       │                       │ cancelled                       │ cancelled: all is given back
//!       └──── cancelled ────→ released ←──────────────────────────┘
//!
//!   (nothing) ── received ──→ received        (a purchase)
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::item::Item;
use crate::order::{Order, StockStatus};
use crate::{Id, Timestamp};

/// Where an allocation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllocationState {
    /// It waits and holds nothing.
    Backordered,
    /// It holds what the order asks for.
    Allocated,
    /// The order was cancelled; it holds nothing and never will.
    Released,
    /// A purchase that arrived: it was added to stock.
    Received,
}

impl AllocationState {
    /// The word for it in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backordered => "backordered",
            Self::Allocated => "allocated",
            Self::Released => "released",
            Self::Received => "received",
        }
    }

    /// What the order is told; a purchase is told nothing.
    pub const fn stock_status(self) -> Option<StockStatus> {
        match self {
            Self::Backordered => Some(StockStatus::Backordered),
            Self::Allocated => Some(StockStatus::Allocated),
            Self::Released => Some(StockStatus::Released),
            Self::Received => None,
        }
    }
}

/// How many of each item an order moves, duplicate lines summed; more than zero each.
pub type Demand = BTreeMap<Id<Item>, i64>;

/// What inventory remembers of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    /// The order.
    pub order_id: Id<Order>,
    /// Where it stands.
    pub state: AllocationState,
    /// What the order moves; empty for an order that was cancelled before inventory heard of it.
    pub demand: Demand,
    /// 1 for the first state, one more for each next: tells the order which news is newer.
    pub sequence: u64,
    /// When the order first came; what the line is sorted by.
    pub since: Timestamp,
}

/// What a fact about an order asks of its allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Take everything out of stock, or wait.
    Allocate,
    /// Add everything to stock.
    Receive,
    /// Remember that it was cancelled; it held nothing.
    Release,
    /// Give everything back.
    GiveBack,
    /// Nothing is left to decide; only what follows from the state is made sure of.
    Settled,
}

/// What happened to an order, as inventory hears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// A sale became binding.
    Confirmed,
    /// An order was given up.
    Cancelled,
    /// A purchase arrived.
    Received,
}

/// The whole decision: what to do about a fact, given where the allocation stands.
pub const fn decide(state: Option<AllocationState>, fact: Fact) -> Step {
    use {AllocationState as A, Fact as F};
    match (state, fact) {
        (None | Some(A::Backordered), F::Confirmed) => Step::Allocate,
        (None | Some(A::Backordered), F::Cancelled) => Step::Release,
        (Some(A::Allocated), F::Cancelled) => Step::GiveBack,
        (None, F::Received) => Step::Receive,
        (Some(A::Allocated | A::Released | A::Received), F::Confirmed)
        | (Some(A::Released | A::Received), F::Cancelled)
        | (Some(_), F::Received) => Step::Settled,
    }
}

/// Why stock changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MovementReason {
    /// A sale took it.
    Allocated,
    /// A cancelled sale gave it back.
    Released,
    /// A purchase brought it.
    Received,
    /// A person corrected it.
    Adjusted,
}

impl MovementReason {
    /// The word for it on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allocated => "allocated",
            Self::Released => "released",
            Self::Received => "received",
            Self::Adjusted => "adjusted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_in_any_order_any_number_of_times_end_the_same() {
        fn settle(state: Option<AllocationState>, fact: Fact, enough: bool) -> Option<AllocationState> {
            match decide(state, fact) {
                Step::Allocate if enough => Some(AllocationState::Allocated),
                Step::Allocate => Some(AllocationState::Backordered),
                Step::Receive => Some(AllocationState::Received),
                Step::Release | Step::GiveBack => Some(AllocationState::Released),
                Step::Settled => state,
            }
        }
        for enough in [true, false] {
            for facts in [
                [Fact::Confirmed, Fact::Cancelled, Fact::Confirmed, Fact::Cancelled],
                [Fact::Cancelled, Fact::Confirmed, Fact::Confirmed, Fact::Confirmed],
                [Fact::Confirmed, Fact::Confirmed, Fact::Cancelled, Fact::Cancelled],
            ] {
                let end = facts.into_iter().fold(None, |state, fact| settle(state, fact, enough));
                assert_eq!(end, Some(AllocationState::Released), "{facts:?}");
            }
        }
        let twice = [Fact::Received, Fact::Received].into_iter().fold(None, |s, f| settle(s, f, true));
        assert_eq!(twice, Some(AllocationState::Received));
    }
}
