//! The operator's command line: `cargo run --bin erp -- --help`.

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    operator::cli::run(operator::cli::Cli::parse()).await
}
