//! Pending checks whose time has come, and open findings.

use std::collections::BTreeSet;

use erp_aws::StoreError;
use serde::Serialize;
use tokio::time::Instant;

use super::Ledger;
use super::check::{Check, Outcomes};
use super::finding::FindingKind;
use super::table::{FindingRow, ReconciliationTable, checks};

/// Seconds after which a check that is still pending is run again.
const RETRY_SECONDS: i64 = 900;
/// Checks that are run at once.
const BATCH: usize = 500;

/// The figures of the checks of an invocation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DueReport {
    /// Number of checks that were due.
    pub checked: u64,
    /// Number of checks that do not agree yet.
    pub pending: u64,
}

impl Ledger {
    /// Runs the pending checks that are due, until the time `stop`, and records the mismatches.
    pub(crate) async fn check_due(
        &self,
        table: &ReconciliationTable,
        stop: Instant,
    ) -> Result<DueReport, StoreError> {
        let mut report = DueReport::default();
        loop {
            let now = self.clock.now();
            let rows = table.due(now).await?;
            if rows.is_empty() {
                return Ok(report);
            }
            for rows in rows.chunks(BATCH) {
                let due: BTreeSet<Check> = rows.iter().map(|row| row.check).collect();
                let outcomes = self.check(&due).await?;
                report.checked += due.len() as u64;
                let pending: Vec<Check> =
                    outcomes.iter().filter(|(_, outcome)| outcome.pending).map(|(check, _)| *check).collect();
                report.pending += pending.len() as u64;
                // In this order, no check is lost if the function ends between two writes.
                record(table, outcomes, now).await?;
                table.postpone(pending, now.plus_seconds(RETRY_SECONDS)).await?;
                table.delete(rows.iter().map(|row| row.key.clone())).await?;
                if Instant::now() >= stop {
                    return Ok(report);
                }
            }
        }
    }

    /// Records unpublished events, deletes findings that do not exist any more, and returns the number of the others.
    pub(crate) async fn check_findings(&self, table: &ReconciliationTable) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let unpublished = self.unpublished().await?;
        table.record(unpublished.iter().map(|finding| (finding.clone(), None)), now).await?;
        let findings = table.findings().await?;
        let outcomes = self.check(&checks(&findings)).await?;
        let persists = |finding: &FindingRow| match &finding.check {
            Some(check) => outcomes.get(check).is_some_and(|outcome| {
                let same =
                    |found: &super::Finding| (found.kind, &found.subject) == (finding.kind, &finding.subject);
                // What is pending is neither a mismatch nor resolved.
                outcome.pending || outcome.mismatches.iter().any(same)
            }),
            None if finding.kind == FindingKind::Unpublished => {
                unpublished.iter().any(|found| found.subject == finding.subject)
            }
            // The next complete pass shows whether it still exists.
            None => true,
        };
        let (open, resolved): (Vec<_>, Vec<_>) = findings.into_iter().partition(persists);
        table.resolve(&resolved).await?;
        Ok(open.len() as u64)
    }
}

/// Records the mismatches of checks.
pub(super) async fn record(
    table: &ReconciliationTable,
    outcomes: Outcomes,
    now: erp_domain::Timestamp,
) -> Result<(), StoreError> {
    let found = outcomes.into_iter().flat_map(|(check, outcome)| {
        outcome.mismatches.into_iter().map(move |finding| (finding, Some(check)))
    });
    table.record(found.collect::<Vec<_>>(), now).await
}
