//! Reconciliation: the stock of every item is the sum of its movements, every order agrees with its
//! allocation, and every event is published.
//!
//! ```text
//! finding  the kinds of mismatches, and the report
//! order    sales and purchase orders behind one type
//! rules    the invariants, as pure functions
//! items    stock and movements; pending movements are traced to their allocations
//! orders   orders and allocations
//! outbox   unpublished events
//! ```
//!
//! The tables are read while they are being written. The first pass is an eventually consistent scan that
//! never reads two rows at one moment, so it only collects candidates. A candidate is checked again after a
//! delay, with consistent reads in an order that a concurrent write cannot falsify. What may lag behind is a
//! mismatch only after [`GracePeriod::minutes`]. Memory is bounded by the candidates, and the reconciliation
//! can stop after any page and resume later.

mod finding;
mod items;
mod order;
mod orders;
mod outbox;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use erp_aws::{ScanCursor, StoreError, Table};
use erp_domain::{Clock, ItemId, OrderId, Timestamp};
use inventory::ledger::Balance;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use finding::{Finding, FindingKind, Report};
use items::Pending;
pub(crate) use order::{Order, OrderKind, describe_demand};

/// The time that side effects may take.
#[derive(Debug, Clone, Copy)]
pub struct GracePeriod {
    /// Minutes until a decision of one context must have reached the other. A failing message is received
    /// every three minutes for half an hour; the period covers five attempts.
    pub minutes: u32,
    /// Delay between the first and the second check of a candidate.
    pub recheck_delay: Duration,
}

impl Default for GracePeriod {
    fn default() -> Self {
        Self { minutes: 15, recheck_delay: Duration::from_secs(20) }
    }
}

/// A read-only view of the tables of a deployment.
pub struct Ledger {
    /// Items, stock, movements and allocations.
    pub inventory: inventory::ledger::LedgerReader,
    /// Sales orders.
    pub sales: sales::ledger::OrderReader,
    /// Purchase orders.
    pub purchase: purchase::ledger::OrderReader,
    /// The tables with an outbox.
    pub outboxes: Vec<Table>,
    /// Determines the age of changes.
    pub clock: Arc<dyn Clock>,
    /// The time that side effects may take.
    pub grace_period: GracePeriod,
}

/// The stages of a reconciliation, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    #[default]
    Inventory,
    /// Traces pending movements to the allocations that they belong to.
    PendingMovements,
    Sales,
    Purchase,
    Outbox,
}

/// The position of a reconciliation; the default is its start.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Progress {
    stage: Stage,
    after: Option<ScanCursor>,
    pending: BTreeMap<ItemId, Pending>,
    /// Number of this part, starting at 0.
    pub part: u32,
}

/// The result of a part of a reconciliation.
#[derive(Debug, Clone)]
pub struct Reconciled {
    /// The findings of this part.
    pub report: Report,
    /// The position to resume at, if the deadline came before the end.
    pub resume: Option<Progress>,
}

/// The cursor of the next page, if there may be one.
type NextPage = Result<Option<ScanCursor>, StoreError>;

/// Number of candidates that are checked again before more are collected.
const BATCH: usize = 500;

/// A reconciliation in progress.
struct Reconciliation<'a> {
    ledger: &'a Ledger,
    /// Changes before this time are older than the grace period.
    before: Timestamp,
    report: Report,
    /// Items that are not consistent at the first check.
    items: BTreeSet<ItemId>,
    /// Orders that do not agree at the first check.
    orders: BTreeSet<(OrderKind, OrderId)>,
    pending: BTreeMap<ItemId, Pending>,
    /// The item whose rows are being scanned, with the sum of its movements so far.
    scanned: Option<(ItemId, Balance)>,
}

impl Ledger {
    /// Reconciles everything from the position of an earlier part, until the end or the deadline.
    pub async fn reconcile(
        &self,
        mut progress: Progress,
        deadline: Option<Instant>,
    ) -> Result<Reconciled, StoreError> {
        let mut reconciliation = Reconciliation {
            ledger: self,
            before: self.clock.now().plus_seconds(-60 * i64::from(self.grace_period.minutes)),
            report: Report::default(),
            items: BTreeSet::new(),
            orders: BTreeSet::new(),
            pending: std::mem::take(&mut progress.pending),
            scanned: None,
        };
        loop {
            let after = progress.after.as_ref();
            let (next, following) = match progress.stage {
                Stage::Inventory => (reconciliation.inventory_page(after).await?, Stage::PendingMovements),
                Stage::PendingMovements => (reconciliation.trace_page(after).await?, Stage::Sales),
                Stage::Sales => (reconciliation.orders_page(OrderKind::Sales, after).await?, Stage::Purchase),
                Stage::Purchase => {
                    (reconciliation.orders_page(OrderKind::Purchase, after).await?, Stage::Outbox)
                }
                Stage::Outbox => {
                    reconciliation.outboxes().await?;
                    return Ok(Reconciled { report: reconciliation.report, resume: None });
                }
            };
            progress.after = next;
            if progress.after.is_none() {
                progress.stage = following;
            }
            let candidates = reconciliation.items.len() + reconciliation.orders.len();
            if progress.after.is_none() || candidates >= BATCH {
                reconciliation.recheck().await?;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                // The movements of this item are in two parts, so neither part can add them up.
                let scanned = reconciliation.scanned.take();
                reconciliation.items.extend(scanned.map(|(item_id, _)| item_id));
                reconciliation.recheck().await?;
                progress.pending = reconciliation.pending;
                progress.part += 1;
                return Ok(Reconciled { report: reconciliation.report, resume: Some(progress) });
            }
        }
    }
}

impl Reconciliation<'_> {
    /// Checks all candidates again.
    async fn recheck(&mut self) -> Result<(), StoreError> {
        if self.items.is_empty() && self.orders.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(self.ledger.grace_period.recheck_delay).await;
        for item_id in std::mem::take(&mut self.items) {
            self.recheck_item(item_id).await?;
        }
        for (kind, order_id) in std::mem::take(&mut self.orders) {
            self.recheck_order(kind, order_id).await?;
        }
        Ok(())
    }
}
