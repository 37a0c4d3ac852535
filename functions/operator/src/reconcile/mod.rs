//! Reconciliation: the stock of every item is the sum of its movements, every order agrees with its
//! allocation, and every event is published.
//!
//! ```text
//! finding  the kinds of mismatches, and the report
//! order    sales and purchase orders behind one type
//! rules    the invariants, as pure functions
//! check    checks of single subjects: items, movements, queues
//! orders   checks of orders and their allocations
//! changes  the checks that a batch of stream records requires
//! table    pending checks, findings and checkpoints
//! due      pending checks whose time has come, and open findings
//! scan     the scan of a part of the tables, which selects candidates
//! pass     a scan of everything, resumable, by several workers
//! trace    finds out which movements an item lacks
//! outbox   unpublished events
//! ```
//!
//! A table is read while it is being written, so a difference that is seen once is only a candidate. A candidate is
//! checked again with consistent reads, in an order that a concurrent write cannot falsify. What may lag behind is a
//! mismatch only after [`GracePeriod::minutes`].

pub(crate) mod changes;
mod check;
pub(crate) mod due;
mod finding;
mod order;
mod orders;
mod outbox;
pub(crate) mod pass;
mod rules;
mod scan;
mod table;
mod trace;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use erp_aws::{ScanSegment, StoreError, Table};
use erp_domain::{Clock, Timestamp};
use strum::VariantArray as _;

pub(crate) use check::Check;
pub use finding::{Finding, FindingKind, Report};
pub(crate) use order::{Order, OrderKind, describe_demand};
use scan::{Scan, Stage};
pub use table::{FindingRow, PassRow, PassStatus, ReconciliationTable};
use trace::Trace;

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

/// Number of candidates that are checked before more are collected.
const BATCH: usize = 500;

impl Ledger {
    /// Reconciles everything, and returns the figures and the mismatches.
    pub async fn reconcile(&self) -> Result<Report, StoreError> {
        let mut report = Report::default();
        for &stage in Stage::VARIANTS {
            let (mut scan, mut trace) = (Scan::default(), Trace::default());
            scan.report = report;
            loop {
                scan.page(self, stage, ScanSegment::WHOLE).await?;
                if scan.after.is_none() || scan.candidates.len() >= BATCH {
                    self.check_again(&mut scan, &mut trace).await?;
                }
                if scan.after.is_none() {
                    break;
                }
            }
            report = scan.report;
            trace.run(self, &mut report).await?;
        }
        for finding in self.unpublished().await? {
            report.add(finding);
        }
        Ok(report)
    }

    /// Checks the candidates of a scan after the delay.
    async fn check_again(&self, scan: &mut Scan, trace: &mut Trace) -> Result<(), StoreError> {
        if scan.candidates.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(self.grace_period.recheck_delay).await;
        let (items, orders): (BTreeSet<Check>, BTreeSet<Check>) = std::mem::take(&mut scan.candidates)
            .into_iter()
            .partition(|check| matches!(check, Check::Balance { .. }));
        for check in items {
            if let Check::Balance { item_id } = check {
                trace.check_item(self, item_id, &mut scan.report).await?;
            }
        }
        scan.candidates = orders;
        for (_, finding) in scan.check_candidates(self).await? {
            scan.report.add(finding);
        }
        Ok(())
    }

    /// Returns the end of the time before the grace period: what changed later may be in flight.
    fn before(&self) -> Timestamp {
        self.clock.now().plus_seconds(-60 * i64::from(self.grace_period.minutes))
    }
}
