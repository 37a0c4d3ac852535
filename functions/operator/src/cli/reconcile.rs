//! `erp reconcile`.

use std::time::Duration;

use aws_config::SdkConfig;
use clap::Args;

use super::{Output, Result, Target};
use crate::dlq::DlqError;
use crate::reconcile::{Finding, GracePeriod, Progress};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Minutes that side effects may take to reach the other context
    #[arg(long, default_value_t = GracePeriod::default().minutes)]
    minutes: u32,
    /// Seconds between the first and the second check of a possible mismatch
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    second_look: u64,
}

pub(super) async fn run(target: &Target, sdk: &SdkConfig, output: Output, options: Options) -> Result {
    let Options { minutes, second_look } = options;
    let grace_period = GracePeriod { minutes, recheck_delay: Duration::from_secs(second_look) };
    let result = target.ledger(sdk, grace_period).reconcile(Progress::default(), None).await;
    let report = result.map_err(DlqError::from)?.report;
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
