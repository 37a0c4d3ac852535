//! `erp reconcile`.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{Screen, Target, WRONG};
use crate::reconcile::{Finding, Patience, Progress};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Minutes that anything may take to reach the other service
    #[arg(long, default_value_t = Patience::default().minutes)]
    minutes: u32,
    /// Seconds between the first look at what seems wrong and the second
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    second_look: u64,
}

pub(super) async fn run(
    target: &Target,
    screen: Screen,
    options: Options,
) -> Result<ExitCode, Box<dyn Error>> {
    let Options { minutes, second_look } = options;
    let patience = Patience { minutes, second_look: Duration::from_secs(second_look) };
    let books = target.books(&target.sdk().await, patience);
    let checked = books.check(Progress::default(), None).await.map_err(|error| match error {
        erp_contracts::StoreError::Unavailable(cause) => cause.to_string(),
        other => other.to_string(),
    })?;
    let report = checked.report;
    screen.document(&report)?;
    for Finding { kind, subject, detail } in &report.findings {
        screen.line(format!("{}  {subject}\n    {}\n    {detail}", kind.as_str(), kind.describe().trim()));
    }
    screen.line(format!(
        "{} items with {} movements, {} sales and {} purchase orders with {} allocations; {} on their way",
        report.items,
        report.movements,
        report.sales_orders,
        report.purchase_orders,
        report.allocations,
        report.in_flight
    ));
    if report.mismatches == 0 {
        screen.line("The books are right.");
        return Ok(ExitCode::SUCCESS);
    }
    screen.line(format!("The books are wrong in {} places.", report.mismatches));
    Ok(ExitCode::from(WRONG))
}
