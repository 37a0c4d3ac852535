//! What can be wrong with the books, and what is said of it.

use std::collections::BTreeSet;

use serde::Serialize;

/// The most that is named; the rest is counted.
const NAMED: usize = 1000;

macro_rules! kinds {
    ($($variant:ident = $name:literal, $doc:literal;)+) => {
        /// What is wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Kind { $(#[doc = $doc] #[serde(rename = $name)] $variant,)+ }

        impl Kind {
            /// Everything that can be wrong.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word for it in logs and answers.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it says, in words.
            pub const fn describe(self) -> &'static str {
                match self { $(Self::$variant => $doc,)+ }
            }
        }
    };
}

kinds! {
    NegativeStock = "negative_stock", "There is less than nothing of an item.";
    StockDiffers = "stock_differs", "The stock of an item is not the sum of its movements.";
    MovementMissing = "movement_missing", "An order moved stock a while ago, and no movement says so.";
    MovementWithoutChange = "movement_without_change", "An item has more movements than its stock had changes.";
    NoStock = "no_stock", "An item, or movements of one, without a row that says how many there are.";
    MovesDiffer = "moves_differ", "What an allocation moved is not what one in its state has moved.";
    DemandDiffers = "demand_differs", "An allocation moves other quantities than its order has.";
    AllocationWithoutOrder = "allocation_without_order", "There is an allocation, and no order.";
    StateDiffers = "state_differs", "Order and allocation are in states that do not go together.";
    NotDecided = "not_decided", "An order asked for something a while ago, and inventory has not done it.";
    NotNoted = "not_noted", "Inventory decided a while ago, and the order does not show it.";
    StatusDiffers = "status_differs", "An order shows another decision than the one that inventory made.";
    NotInLine = "not_in_line", "A backordered order stands in no line for an item: nothing would ever serve it.";
    WaitsBesideStock = "waits_beside_stock", "An order waits although there has been enough for a while.";
    Unpublished = "unpublished", "An event has been waiting in an outbox for a while.";
    Unreadable = "unreadable", "A row cannot be read.";
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// With which item or order, or which row.
    pub subject: String,
    /// In figures.
    pub detail: String,
}

/// What a check came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Items whose stock was compared with their movements.
    pub items: u64,
    /// Movements that were summed up.
    pub movements: u64,
    /// Allocations that were compared with their orders.
    pub allocations: u64,
    /// Sales orders that were compared with their allocations.
    pub sales_orders: u64,
    /// Purchase orders that were compared with theirs.
    pub purchase_orders: u64,
    /// Items and orders of which something is on its way, for less than the time that it may take.
    pub in_flight: u64,
    /// How much is wrong.
    pub mismatches: u64,
    /// What is, up to a thousand.
    pub findings: Vec<Finding>,
    /// What has been counted, so that nothing is counted twice.
    #[serde(skip)]
    known: BTreeSet<(Kind, String)>,
}

impl Report {
    /// Items and orders that were looked at.
    pub fn checked(&self) -> u64 {
        self.items + self.sales_orders + self.purchase_orders
    }

    pub(super) fn add(&mut self, kind: Kind, subject: impl ToString, detail: impl ToString) {
        let subject = subject.to_string();
        if self.findings.len() >= NAMED {
            self.mismatches += 1;
        } else if self.known.insert((kind, subject.clone())) {
            self.mismatches += 1;
            self.findings.push(Finding { kind, subject, detail: detail.to_string() });
        }
    }
}
