//! The scheduled reconciliation: runs pending checks, checks open findings again, and continues the pass through all
//! tables. What an invocation does not finish in time, the next one continues.

use std::time::Duration;

use erp_aws::deadline::{self, earlier};
use erp_aws::error_chain;
use erp_aws::metric::{self, Metric};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::reconcile::due::DueReport;
use crate::reconcile::{Ledger, ReconciliationTable, Report};

/// Time of an invocation that is reserved for a page of each part of the pass that is in progress.
const RESERVE: Duration = Duration::from_secs(90);
/// Seconds of an hour.
const HOUR: i64 = 3600;

/// The scheduled reconciliation.
pub struct Scheduled {
    /// The tables to reconcile.
    pub ledger: Ledger,
    /// Pending checks, findings and checkpoints.
    pub table: ReconciliationTable,
    /// The time between the starts of two passes.
    pub pass_interval: Duration,
}

/// The payload of an invocation. The event of a schedule has none of these fields.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Request {
    /// Whether to start a pass now, if none is in progress.
    #[serde(default)]
    pub start_pass: bool,
}

/// The result of an invocation.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Whether the latest pass is complete; if not, the next invocation continues it.
    pub complete: bool,
    /// The pending checks that were due.
    pub due: DueReport,
    /// The figures of the latest complete pass, and the number of open findings.
    #[serde(flatten)]
    pub report: Report,
}

/// Runs in Lambda until the environment ends.
pub async fn run(scheduled: Scheduled) -> Result<(), Error> {
    let scheduled = &scheduled;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Request>| {
        let stop = earlier(deadline::of_invocation(event.context.deadline), RESERVE);
        // Boxed, because the future is large.
        Box::pin(scheduled.reconcile(event.payload, stop)).await
    }))
    .await
}

impl Scheduled {
    /// Reconciles until the time `stop`. Pending checks come first, and take at most half of the time.
    pub async fn reconcile(&self, request: Request, stop: Instant) -> Result<Outcome, Error> {
        self.run_once(request, stop).await.map_err(|error| error_chain(&error).into())
    }

    async fn run_once(&self, request: Request, stop: Instant) -> Result<Outcome, erp_aws::StoreError> {
        let (ledger, table) = (&self.ledger, &self.table);
        let half = Instant::now() + stop.saturating_duration_since(Instant::now()) / 2;
        let due = ledger.check_due(table, half).await?;
        let interval = if request.start_pass { Duration::ZERO } else { self.pass_interval };
        let pass = ledger.continue_pass(table, interval, stop).await?;
        let open = ledger.check_findings(table).await?;
        let complete = pass.as_ref().is_some_and(|pass| pass.finished_at.is_some());
        let age = pass.as_ref().map_or(0, |pass| {
            let since = pass.last_finished_at.unwrap_or(pass.started_at);
            (ledger.clock.now().as_seconds() - since.as_seconds()) / HOUR
        });
        let report = pass.map(|pass| pass.report).unwrap_or_default();
        tracing::info!(
            checked = due.checked,
            pending = due.pending,
            open_findings = open,
            pass_complete = complete,
            pass_age_hours = age,
            "reconciliation"
        );
        // Also when they are 0: a heartbeat.
        metric::emit(&[
            (Metric::ReconciliationChecked, due.checked),
            (Metric::ReconciliationMismatches, open),
            (Metric::ReconciliationPassAge, u64::try_from(age).unwrap_or(0)),
        ]);
        Ok(Outcome { complete, due, report: Report { mismatches: open, ..report } })
    }
}
