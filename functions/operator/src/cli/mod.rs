//! The operator's command line. It works on whatever answers the AWS API: one machine, LocalStack or AWS.

mod dlq;
mod reconcile;
mod screen;

use std::process::ExitCode;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use clap::{Args, Parser, Subcommand};

use crate::config::Tables;
use crate::reconcile::{Books, Patience};
use screen::Screen;

/// Something is wrong that the command was asked to find, or it did not do all that it was asked.
const WRONG: u8 = 1;
/// The command could not do its work.
const FAILED: u8 = 2;

/// Looks after a deployment: dead letters, and whether the books are right.
#[derive(Debug, Parser)]
#[command(name = "erp", version)]
pub struct Cli {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: Command,
}

/// Which deployment, and how to answer.
#[derive(Debug, Clone, Args)]
struct Target {
    /// The stack's name
    #[arg(long, global = true, default_value = "erp")]
    stack: String,
    /// Where the AWS API is, if it is not AWS itself; `cargo run` shows its own
    #[arg(long, global = true, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Region; else what the environment or the profile says
    #[arg(long, global = true)]
    region: Option<String>,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What lies in the dead-letter queues
    #[command(subcommand)]
    Dlq(dlq::Command),
    /// Prove that the books are right; exit code 1 if they are not
    Reconcile(reconcile::Options),
}

impl Target {
    /// Credentials and region as every AWS tool finds them. For a loopback endpoint there are defaults: the region
    /// `us-east-1`, and the key `test`, which other emulators take. `cargo run` shows the key of its own endpoint.
    async fn sdk(&self) -> SdkConfig {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(url) = &self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if self.is_local() {
            if std::env::var_os("AWS_ACCESS_KEY_ID").is_none() {
                let key = Credentials::new("test", "test", None, None, "default of a loopback endpoint");
                loader = loader.credentials_provider(SharedCredentialsProvider::new(key));
            }
            if self.region.is_none() {
                loader = loader.region(Region::from_static("us-east-1"));
            }
        }
        loader.load().await
    }

    fn is_local(&self) -> bool {
        let url = self.endpoint_url.as_deref().unwrap_or_default();
        let host = url.split("://").nth(1).unwrap_or_default();
        ["127.0.0.1", "localhost", "[::1]"].iter().any(|local| host.starts_with(local))
    }

    fn books(&self, sdk: &SdkConfig, patience: Patience) -> Books {
        Tables::of_stack(&aws_sdk_dynamodb::Client::new(sdk), &self.stack).books(patience)
    }
}

/// Does what the command line says.
pub async fn run(cli: Cli) -> ExitCode {
    let Cli { target, command } = cli;
    let screen = Screen { json: target.json };
    // On the heap: everything that is waited for lies in one future.
    let done = match command {
        Command::Dlq(command) => Box::pin(dlq::run(&target, screen, command)).await,
        Command::Reconcile(options) => Box::pin(reconcile::run(&target, screen, options)).await,
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(FAILED)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn nothing_is_redriven_or_discarded_that_nobody_named() {
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
    fn only_one_machine_needs_no_keys() {
        let local = |url: &str| {
            let line = ["erp", "--endpoint-url", url, "reconcile"];
            Cli::try_parse_from(line).unwrap().target.is_local()
        };
        assert!(local("http://127.0.0.1:4566") && local("http://localhost:4566"));
        assert!(!local("https://sqs.eu-west-1.amazonaws.com"));
    }
}
