//! `erp restore`.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use clap::Args;
use erp_aws::Table;
use erp_domain::Clock as _;
use erp_domain::time::SystemClock;

use super::{Output, Result};
use crate::restore::{Report, Restore};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Table that point-in-time recovery created, such as erp-prod-sales-restored
    #[arg(long, value_name = "TABLE")]
    from: String,
    /// Table of the service, such as erp-prod-sales
    #[arg(long, value_name = "TABLE")]
    to: String,
    /// Also replace rows that have other contents in the table of the service
    #[arg(long)]
    overwrite: bool,
    /// Write; without this option the rows are only compared
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(sdk: &SdkConfig, output: Output, options: Options) -> Result {
    let Options { from, to, overwrite, yes } = options;
    let client = Client::new(sdk);
    let [from, to] = [from, to].map(|name| Table::new(client.clone(), name));
    let restore = Restore { from, to, write: yes, overwrite, now: SystemClock.now() };
    let report = restore.run(|report| output.line(counts(report))).await?;
    output.document(&report)?;
    for key in &report.different_keys {
        output.line(format!("different: {key}"));
    }
    let left = report.missing + report.different - report.written;
    output.line(match (left, yes) {
        (0, _) => "Complete: every row is in the table.".to_owned(),
        (_, false) => "Nothing written. Add --yes to write the missing rows.".to_owned(),
        (left, true) => format!("{left} different rows not written. Add --overwrite to replace them."),
    });
    Ok(report.is_complete())
}

fn counts(report: &Report) -> String {
    let Report { read, unchanged, missing, different, expired, written, .. } = report;
    format!(
        "{read} rows: {unchanged} unchanged, {missing} missing, {different} different, {expired} expired; \
         {written} written"
    )
}
