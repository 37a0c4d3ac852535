//! The kinds of mismatches, and the report.

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, IntoStaticStr, VariantArray};

/// Maximum findings that a report lists; further ones are counted only.
const MAX_LISTED: usize = 1000;

/// The kind of a mismatch. The documentation of a variant is its description in the output of `erp
/// reconcile`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumMessage,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FindingKind {
    /// The stock of an item is negative.
    NegativeStock,
    /// The stock of an item is not the sum of its movements.
    StockDiffers,
    /// A stock change of an order has no movement after the grace period.
    MovementMissing,
    /// An item has more movements than stock changes.
    MovementWithoutChange,
    /// A movement was changed or deleted after it was written.
    MovementChanged,
    /// An item has no stock row.
    StockMissing,
    /// The stock changes of an allocation do not fit its state.
    ChangesDiffer,
    /// An allocation has other quantities than its order.
    DemandDiffers,
    /// An allocation has no order.
    AllocationWithoutOrder,
    /// Order and allocation are in states that exclude each other.
    StateDiffers,
    /// Inventory has not applied an event of an order after the grace period.
    NotDecided,
    /// An order does not show inventory's latest decision after the grace period.
    StatusNotUpdated,
    /// An order shows another decision than inventory made.
    StatusDiffers,
    /// A back-ordered order is not in the queue of one of its items, so it would never be fulfilled.
    NotQueued,
    /// An order is back-ordered although stock has been sufficient for longer than the grace period.
    BackorderedDespiteStock,
    /// An event has been in an outbox for longer than the grace period.
    Unpublished,
    /// A row cannot be decoded.
    Unreadable,
}

impl FindingKind {
    /// Returns the name in logs and JSON.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the description.
    pub fn description(self) -> &'static str {
        self.get_documentation().unwrap_or("")
    }
}

/// A mismatch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// The kind.
    pub kind: FindingKind,
    /// The id of the item or order, or the key of the row.
    pub subject: String,
    /// The figures.
    pub detail: String,
}

/// The result of a reconciliation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Number of items whose stock was compared with its movements.
    pub items: u64,
    /// Number of movements that were added up.
    pub movements: u64,
    /// Number of allocations that were compared with their orders.
    pub allocations: u64,
    /// Number of sales orders that were compared with their allocations.
    pub sales_orders: u64,
    /// Number of purchase orders that were compared with their allocations.
    pub purchase_orders: u64,
    /// Number of items and orders that do not agree yet, within the grace period.
    pub in_flight: u64,
    /// Number of mismatches.
    pub mismatches: u64,
    /// The mismatches, up to 1,000.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

impl Finding {
    pub(super) fn new(kind: FindingKind, subject: impl ToString, detail: impl ToString) -> Self {
        Self { kind, subject: subject.to_string(), detail: detail.to_string() }
    }
}

impl Report {
    /// Returns the number of items and orders that were checked.
    pub fn checked(&self) -> u64 {
        self.items + self.sales_orders + self.purchase_orders
    }

    /// Adds a mismatch, unless it has the kind and the subject of a known one.
    pub(super) fn add(&mut self, finding: Finding) {
        let is_known = |known: &Finding| known.kind == finding.kind && known.subject == finding.subject;
        if self.findings.iter().any(is_known) {
            return;
        }
        self.mismatches += 1;
        if self.findings.len() < MAX_LISTED {
            self.findings.push(finding);
        }
    }

    /// Adds the figures of another part of the tables.
    pub(super) fn add_figures(&mut self, part: &Self) {
        self.items += part.items;
        self.movements += part.movements;
        self.allocations += part.allocations;
        self.sales_orders += part.sales_orders;
        self.purchase_orders += part.purchase_orders;
        self.in_flight += part.in_flight;
    }
}
