//! The sweep: publishes rows that have been in the `outbox` index for too long. A stream keeps its records
//! for a day; the index keeps a row until it is published.

use std::sync::Arc;

use erp_aws::deadline::earlier;
use erp_aws::metric::{self, Metric};
use erp_aws::outbox::{self, outbox_partitions};
use erp_aws::table::Unreadable;
use erp_aws::{StoreError, Table};
use erp_domain::{Clock, Timestamp};
use serde::Serialize;
use tokio::time::Instant;

use crate::row::OutboxRow;
use crate::{RESERVE, Relay};

/// Age of an event, in seconds, from which the sweep publishes it.
pub const MIN_AGE_SECONDS: i64 = 300;

/// Publishes what the relay has missed.
#[derive(Clone)]
pub struct Sweep {
    /// Publishes the rows and removes them from the index.
    pub relay: Relay,
    /// The tables to sweep.
    pub tables: Vec<Table>,
    /// Determines the age of events.
    pub clock: Arc<dyn Clock>,
}

/// The result of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SweepReport {
    /// Rows found in the index.
    pub found: usize,
    /// Rows that cannot be decoded and need an operator.
    pub unreadable: usize,
    /// Whether every row was read, and none has to be retried. If not, the next sweep continues.
    pub complete: bool,
}

impl Sweep {
    /// Sweeps every table once, or until there is no time left before the deadline of the invocation. After an error,
    /// the rows published until then stay published.
    pub async fn run(&self, deadline: Instant) -> Result<SweepReport, StoreError> {
        let before = self.clock.now().plus_seconds(-MIN_AGE_SECONDS);
        let mut report = SweepReport { found: 0, unreadable: 0, complete: true };
        for table in &self.tables {
            for partition in outbox_partitions() {
                self.sweep_partition(table, &partition, before, deadline, &mut report).await?;
            }
        }
        // Also when it is 0: a heartbeat.
        metric::emit(&[(Metric::OutboxRepublished, report.found as u64)]);
        if report.found > 0 {
            let SweepReport { found, unreadable, .. } = report;
            tracing::warn!(found, unreadable, "the sweep found unpublished events");
        }
        Ok(report)
    }

    async fn sweep_partition(
        &self,
        table: &Table,
        partition: &str,
        before: Timestamp,
        deadline: Instant,
        report: &mut SweepReport,
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            if Instant::now() >= earlier(deadline, RESERVE) {
                report.complete = false;
                return Ok(());
            }
            let (page, next) = outbox::unpublished(table, partition, before, after).await?;
            report.found += page.len();
            let mut rows = Vec::with_capacity(page.len());
            for row in page {
                match OutboxRow::from_index(&table.name, row) {
                    Ok(row) => rows.push(row),
                    Err(Unreadable { key, reason }) => {
                        report.unreadable += 1;
                        tracing::error!(table = table.name, key, reason, "outbox row is unreadable");
                    }
                }
            }
            report.complete &= self.relay.publish(&rows, deadline).await.is_none();
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}
