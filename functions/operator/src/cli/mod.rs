//! The operator's command line. It works with every endpoint of the AWS API: one machine, LocalStack or AWS.

mod dlq;
mod output;
mod reconcile;
mod restore;

use std::error::Error;
use std::process::ExitCode;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::Credentials;
use clap::{Args, Parser, Subcommand};
use erp_aws::error_chain;

use crate::config::Tables;
use crate::reconcile::{GracePeriod, Ledger, ReconciliationTable};
use output::Output;

/// The result of a command: false if the reconciliation found mismatches, or the command did not do
/// everything.
type Result = std::result::Result<bool, Box<dyn Error>>;

/// Operates a deployment: dead letters, reconciliation and restoration
#[derive(Debug, Parser)]
#[command(name = "erp", version)]
pub struct Cli {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

/// The deployment.
#[derive(Debug, Args)]
struct Target {
    /// Name of the stack
    #[arg(long, global = true, default_value = "erp")]
    stack: String,
    /// Endpoint of the AWS API, if it is not AWS; `cargo run` shows its own
    #[arg(long, global = true, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Region; default: the environment's or the profile's
    #[arg(long, global = true)]
    region: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists, explains, redrives or discards dead letters
    #[command(subcommand)]
    Dlq(dlq::Command),
    /// Compares stock with movements and orders with allocations; exit code 1 if there are mismatches
    Reconcile(reconcile::Options),
    /// Copies rows of a restored table that the table of the service lacks; exit code 1 if rows remain to be
    /// written
    Restore(restore::Options),
}

impl Target {
    /// Loads credentials and region like every AWS tool. A loopback endpoint has defaults: the region
    /// `us-east-1`, and the access key `test`, which other emulators accept. `cargo run` shows the access key
    /// of its own endpoint.
    async fn sdk(&self) -> SdkConfig {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(url) = &self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let mut region = self.region.clone().map(Region::new);
        if self.is_local() {
            region = region.or(Some(Region::from_static("us-east-1")));
            if std::env::var_os("AWS_ACCESS_KEY_ID").is_none() {
                let key = Credentials::new("test", "test", None, None, "default of a loopback endpoint");
                loader = loader.credentials_provider(key);
            }
        }
        if let Some(region) = region {
            loader = loader.region(region);
        }
        loader.load().await
    }

    fn is_local(&self) -> bool {
        let url = self.endpoint_url.as_deref().unwrap_or_default();
        let host = url.split("://").nth(1).unwrap_or_default();
        ["127.0.0.1", "localhost", "[::1]"].iter().any(|local| host.starts_with(local))
    }

    fn tables(&self, sdk: &SdkConfig) -> Tables {
        Tables::of_stack(&aws_sdk_dynamodb::Client::new(sdk), &self.stack)
    }

    fn ledger(&self, sdk: &SdkConfig, grace_period: GracePeriod) -> Ledger {
        self.tables(sdk).ledger(grace_period)
    }

    fn reconciliation(&self, sdk: &SdkConfig) -> ReconciliationTable {
        ReconciliationTable::new(self.tables(sdk).reconciliation)
    }
}

/// Runs a command and returns its exit code: 0 for success, 1 for mismatches or an incomplete command, 2 for
/// a failure.
pub async fn run(cli: Cli) -> ExitCode {
    let Cli { target, output, command } = cli;
    let sdk = target.sdk().await;
    // Boxed, because the futures are large.
    let result = match command {
        Command::Dlq(command) => Box::pin(dlq::run(&target, &sdk, output, command)).await,
        Command::Reconcile(options) => Box::pin(reconcile::run(&target, &sdk, output, options)).await,
        Command::Restore(options) => Box::pin(restore::run(&sdk, output, options)).await,
    };
    match result {
        Ok(complete) => ExitCode::from(u8::from(!complete)),
        Err(error) => {
            let endpoint = sdk.endpoint_url().map(|endpoint| format!(" (endpoint {endpoint})"));
            eprintln!("error: {}{}", error_chain(error.as_ref()), endpoint.unwrap_or_default());
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_valid() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn redrive_and_discard_require_a_selection() {
        for line in
            ["erp dlq redrive", "erp dlq discard", "erp dlq discard --yes", "erp dlq redrive --all one"]
        {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
        for line in ["erp dlq redrive --all", "erp dlq discard one two", "erp dlq redrive --kind x --json"] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn only_a_loopback_endpoint_needs_no_access_key() {
        let local = |url: &str| {
            let line = ["erp", "--endpoint-url", url, "reconcile"];
            Cli::try_parse_from(line).unwrap().target.is_local()
        };
        assert!(local("http://127.0.0.1:4566") && local("http://localhost:4566"));
        assert!(!local("https://sqs.eu-west-1.amazonaws.com"));
    }
}
