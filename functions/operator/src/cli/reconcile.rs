//! `erp reconcile`.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use aws_config::SdkConfig;
use clap::Args;
use erp_aws::error_chain;

use super::{NOT_OK, Output, Target};
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

pub(super) async fn run(
    target: &Target,
    sdk: &SdkConfig,
    output: Output,
    options: Options,
) -> Result<ExitCode, Box<dyn Error>> {
    let Options { minutes, second_look } = options;
    let grace_period = GracePeriod { minutes, recheck_delay: Duration::from_secs(second_look) };
    let result = target.ledger(sdk, grace_period).reconcile(Progress::default(), None).await;
    let report =
        result.map_err(|error| format!("DynamoDB: {}", error_chain(error.into_cause().as_ref())))?.report;
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
    if report.mismatches == 0 {
        output.line("No mismatches.");
        return Ok(ExitCode::SUCCESS);
    }
    output.line(format!("{} mismatches.", report.mismatches));
    Ok(ExitCode::from(NOT_OK))
}
