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

use uuid::Uuid;

use crate::item::Item;
use crate::order::{Order, StockStatus};
use crate::{Id, StockChange, StockLevel, Timestamp};

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
    /// When the sale was confirmed; what the line of those that wait is sorted by.
    pub since: Timestamp,
    /// What it moved so far, oldest first.
    pub moves: Vec<Move>,
}

/// A time that an order moved stock: all its items at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The id that its movements have, one of each item.
    pub id: Uuid,
    /// Out or in.
    pub kind: MovementKind,
    /// When.
    pub at: Timestamp,
}

/// A change of the stock of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Unique among the movements of the item, and the same however often it is written.
    pub id: Uuid,
    /// The item.
    pub item_id: Id<Item>,
    /// By how many.
    pub change: i64,
    /// What made it.
    pub kind: MovementKind,
    /// The order, unless a person made it.
    pub order_id: Option<Id<Order>>,
    /// Why, in the words of the person.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl Allocation {
    /// Every movement that follows from what it moved. Making them again makes the same ones.
    pub fn movements(&self) -> Vec<Movement> {
        let of = |step: &Move| {
            let Move { id, kind, at } = *step;
            let sign = kind.sign();
            self.demand.iter().map(move |(item_id, quantity)| Movement {
                id,
                item_id: *item_id,
                change: sign * quantity,
                kind,
                order_id: Some(self.order_id),
                reason: None,
                at,
            })
        };
        self.moves.iter().flat_map(of).collect()
    }

    /// Whether it brought stock that others may wait for.
    pub fn brought(&self) -> bool {
        self.moves.iter().any(|step| step.kind.sign() > 0)
    }
}

/// The stock of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
    /// The item.
    pub item_id: Id<Item>,
    /// How many there are.
    pub quantity: StockLevel,
    /// 0 for a new item, one more with each change.
    pub sequence: u64,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What a person asks of the stock of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adjustment {
    /// So many more, or fewer.
    By(StockChange),
    /// So many, if there are as many as the person saw.
    SetTo {
        /// How many there shall be.
        target: StockLevel,
        /// How many the person saw.
        expected: Option<StockLevel>,
    },
}

/// Why an adjustment is not possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdjustmentError {
    /// There are not so many.
    Short {
        /// How many there are.
        available: StockLevel,
    },
    /// A person would make it more than [`StockLevel::MAX`].
    TooMany,
    /// There are not as many as the person saw.
    Moved {
        /// How many there are.
        found: StockLevel,
    },
}

impl Stock {
    /// The change that an adjustment makes; none if it asks for what is there.
    ///
    /// # Errors
    /// When it is not possible.
    pub fn adjust(&self, adjustment: Adjustment) -> Result<Option<StockChange>, AdjustmentError> {
        match adjustment {
            Adjustment::By(change) => match self.quantity.after(change) {
                Some(_) => Ok(Some(change)),
                None if change.get() < 0 => Err(AdjustmentError::Short { available: self.quantity }),
                None => Err(AdjustmentError::TooMany),
            },
            Adjustment::SetTo { expected: Some(seen), .. } if seen != self.quantity => {
                Err(AdjustmentError::Moved { found: self.quantity })
            }
            Adjustment::SetTo { target, .. } => Ok(self.quantity.change_to(target)),
        }
    }
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

/// What made stock change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MovementKind {
    /// A sale took it.
    Allocated,
    /// A cancelled sale gave it back.
    Released,
    /// A purchase brought it.
    Received,
    /// A person corrected it.
    Adjusted,
}

impl MovementKind {
    /// Whether an order's move of this kind takes (-1) or brings (1); a person's adjustment says so itself.
    pub const fn sign(self) -> i64 {
        match self {
            Self::Allocated => -1,
            Self::Released | Self::Received | Self::Adjusted => 1,
        }
    }

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

    proptest::proptest! {
        #[test]
        fn however_facts_come_an_order_takes_once_and_gives_back_once(
            facts in proptest::collection::vec((proptest::bool::ANY, proptest::bool::ANY), 0..12)
        ) {
            let (mut state, mut taken, mut given_back) = (None, 0, 0);
            for &(cancelled, enough) in &facts {
                let fact = if cancelled { Fact::Cancelled } else { Fact::Confirmed };
                state = match decide(state, fact) {
                    Step::Allocate if enough => {
                        taken += 1;
                        Some(AllocationState::Allocated)
                    }
                    Step::Allocate => Some(AllocationState::Backordered),
                    Step::GiveBack => {
                        given_back += 1;
                        Some(AllocationState::Released)
                    }
                    Step::Release => Some(AllocationState::Released),
                    Step::Receive => Some(AllocationState::Received),
                    Step::Settled => state,
                };
            }
            let cancelled = facts.iter().any(|(cancelled, _)| *cancelled);
            proptest::prop_assert!(taken <= 1);
            proptest::prop_assert_eq!(given_back, if cancelled { taken } else { 0 });
            proptest::prop_assert_eq!(state == Some(AllocationState::Released), cancelled);
            proptest::prop_assert_eq!(state == Some(AllocationState::Allocated), taken > given_back);
        }
    }
}
