//! A pass through all tables. It is divided into parts: the segments of a parallel scan of each table. A part has a
//! checkpoint in the table of the reconciliation, so a pass is as long as it has to be, and workers share it.

use std::time::Duration;

use erp_aws::{ScanSegment, StoreError};
use futures_util::stream::{TryStreamExt as _, iter};
use strum::VariantArray as _;
use tokio::time::Instant;

use super::finding::Report;
use super::scan::{Scan, Stage};
use super::table::{PassRow, ReconciliationTable};
use super::{BATCH, Ledger};

/// Segments of a table.
const SEGMENTS: i32 = 8;
/// Parts that an invocation scans at the same time.
const CONCURRENCY: usize = 4;
/// Pages between two checkpoints; a page is up to 1 MB.
const PAGES: u32 = 8;
/// The time for which a part belongs to a worker after its last checkpoint.
const LEASE: Duration = Duration::from_secs(120);

/// Returns the number of parts of a pass.
pub(crate) const fn parts() -> usize {
    Stage::VARIANTS.len() * SEGMENTS as usize
}

impl Ledger {
    /// Continues the latest pass until the time `stop`. If it is complete, and `interval` has passed since its start,
    /// the next one begins. Returns the pass.
    pub(crate) async fn continue_pass(
        &self,
        table: &ReconciliationTable,
        interval: Duration,
        stop: Instant,
    ) -> Result<Option<PassRow>, StoreError> {
        let now = self.clock.now();
        let latest = table.pass().await?;
        let interval = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX);
        let is_over =
            |pass: &PassRow| pass.finished_at.is_some() && pass.started_at.plus_seconds(interval) <= now;
        if latest.as_ref().is_none_or(is_over) && !table.start_pass(latest, now).await? {
            tracing::info!("another worker has started the pass");
        }
        let Some(mut pass) = table.pass().await?.filter(|pass| pass.finished_at.is_none()) else {
            return table.pass().await;
        };
        let parts =
            Stage::VARIANTS.iter().flat_map(|stage| (0..SEGMENTS).map(move |number| (*stage, number)));
        iter(parts.map(Ok))
            .try_for_each_concurrent(CONCURRENCY, |(stage, number)| {
                let segment = ScanSegment { number, total: SEGMENTS };
                self.continue_part(table, pass.number, stage, segment, stop)
            })
            .await?;
        self.finish(table, &mut pass).await?;
        Ok(Some(pass))
    }

    /// Continues a part, unless another worker does: at least one page, until the time `stop`.
    async fn continue_part(
        &self,
        table: &ReconciliationTable,
        pass: u64,
        stage: Stage,
        segment: ScanSegment,
        stop: Instant,
    ) -> Result<(), StoreError> {
        let leased = || self.clock.now().plus_seconds(LEASE.as_secs() as i64);
        let name = format!("{stage}#{:02}", segment.number);
        let Some(mut part) = table.lease(pass, &name, self.clock.now(), leased()).await? else {
            return Ok(());
        };
        let mut scan: Scan = serde_json::from_str(&part.scan).map_err(StoreError::new)?;
        let mut pages = 0;
        loop {
            scan.page(self, stage, segment).await?;
            pages += 1;
            let is_over = scan.after.is_none() || Instant::now() >= stop;
            if !is_over && pages % PAGES != 0 && scan.candidates.len() < BATCH {
                continue;
            }
            let mismatches = scan.check_candidates(self).await?;
            let checked = mismatches.into_iter().map(|(check, finding)| (finding, Some(check)));
            let unreadable =
                std::mem::take(&mut scan.report.findings).into_iter().map(|finding| (finding, None));
            // The findings first: if the function ends now, the pages since the last checkpoint are scanned again.
            table.record(checked.chain(unreadable).collect::<Vec<_>>(), self.clock.now()).await?;
            part.scan = serde_json::to_string(&scan).map_err(StoreError::new)?;
            part.done = scan.after.is_none();
            part.leased_until = if is_over { self.clock.now() } else { leased() };
            if !table.save_part(&mut part).await? || is_over {
                return Ok(());
            }
        }
    }

    /// Adds up the figures of a pass whose parts are all done, and resolves the findings that it has not seen.
    async fn finish(&self, table: &ReconciliationTable, pass: &mut PassRow) -> Result<(), StoreError> {
        let done = table.parts(pass.number).await?.into_iter().filter(|part| part.done);
        let scans = done.map(|part| serde_json::from_str(&part.scan)).collect::<Result<Vec<Scan>, _>>();
        let scans = scans.map_err(StoreError::new)?;
        if scans.len() < parts() {
            return Ok(());
        }
        let (seen, unseen): (Vec<_>, Vec<_>) =
            table.findings().await?.into_iter().partition(|finding| finding.seen_at >= pass.started_at);
        // The others have a check of their own.
        let resolved: Vec<_> = unseen.into_iter().filter(|finding| finding.check.is_none()).collect();
        table.resolve(&resolved).await?;
        let mut report = Report { mismatches: seen.len() as u64, ..Report::default() };
        scans.iter().for_each(|scan| report.add_figures(&scan.report));
        let now = self.clock.now();
        (pass.finished_at, pass.last_finished_at) = (Some(now), Some(now));
        pass.report = report;
        if !table.save_pass(pass).await? {
            tracing::info!(pass = pass.number, "another worker has completed the pass");
        }
        Ok(())
    }
}
