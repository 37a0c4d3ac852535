//! `erp reconcile`.

use std::time::Duration;

use aws_config::SdkConfig;
use clap::Args;
use erp_domain::time::SystemClock;
use erp_domain::{Clock as _, Timestamp};
use serde_json::json;

use super::{Output, Result, Target};
use crate::dlq::DlqError;
use crate::reconcile::pass::parts;
use crate::reconcile::{Finding, FindingRow, GracePeriod, PassStatus, ReconciliationTable};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Minutes that side effects may take to reach the other context
    #[arg(long, default_value_t = GracePeriod::default().minutes)]
    minutes: u32,
    /// Seconds between the first and the second check of a possible mismatch
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    second_look: u64,
    /// Show the progress and the open findings of the scheduled reconciliation, and check nothing
    #[arg(long, conflicts_with_all = ["minutes", "second_look"])]
    status: bool,
}

pub(super) async fn run(target: &Target, sdk: &SdkConfig, output: Output, options: Options) -> Result {
    let Options { minutes, second_look, status: show_status } = options;
    if show_status {
        return status(&target.reconciliation(sdk), output).await;
    }
    let grace_period = GracePeriod { minutes, recheck_delay: Duration::from_secs(second_look) };
    let report = target.ledger(sdk, grace_period).reconcile().await.map_err(DlqError::from)?;
    output.document(&report)?;
    for Finding { kind, subject, detail } in &report.findings {
        output.line(format!("{}  {subject}\n    {}\n    {detail}", kind.as_str(), kind.description()));
    }
    output.line(format!(
        "{} items with {} movements, {} sales and {} purchase orders with {} allocations; {} in flight",
        report.items,
        report.movements,
        report.sales_orders,
        report.purchase_orders,
        report.allocations,
        report.in_flight
    ));
    match report.mismatches {
        0 => output.line("No mismatches."),
        count => output.line(format!("{count} mismatches.")),
    }
    Ok(report.mismatches == 0)
}

/// Shows the latest pass and the open findings; false if there are any.
async fn status(table: &ReconciliationTable, output: Output) -> Result {
    let status = table.status().await.map_err(DlqError::from)?;
    let findings = table.findings().await.map_err(DlqError::from)?;
    output.document(&json!({"status": status, "findings": findings}))?;
    output.line(describe(&status, SystemClock.now()));
    for FindingRow { kind, subject, detail, found_at, seen_at, .. } in &findings {
        let times = format!("found {found_at}, last seen {seen_at}");
        output.line(format!(
            "{}  {subject}\n    {}\n    {detail}\n    {times}",
            kind.as_str(),
            kind.description()
        ));
    }
    match findings.len() {
        0 => output.line("No open findings."),
        count => output.line(format!("{count} open findings.")),
    }
    Ok(findings.is_empty())
}

fn describe(status: &PassStatus, now: Timestamp) -> String {
    let Some(pass) = &status.pass else { return "No pass has started.".to_owned() };
    let last = pass.last_finished_at.map_or_else(
        || "no pass is complete yet".to_owned(),
        |at| {
            let (minutes, report) = ((now.as_seconds() - at.as_seconds()) / 60, &pass.report);
            format!(
                "the last complete pass ended {minutes} minutes ago: {} items with {} movements, {} sales and {} \
                 purchase orders, {} mismatches",
                report.items, report.movements, report.sales_orders, report.purchase_orders, report.mismatches
            )
        },
    );
    let (number, started_at, done, all) = (pass.number, pass.started_at, status.parts_done, parts());
    match pass.finished_at {
        Some(_) => format!("Pass {number}, started {started_at}, is complete; {last}."),
        None => format!("Pass {number}, started {started_at}: {done} of {all} parts done; {last}."),
    }
}
