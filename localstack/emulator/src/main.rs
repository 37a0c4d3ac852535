//! `erp-local`, the program that `cargo run` starts.

use std::process::ExitCode;

use clap::Parser as _;
use erp_local::cli::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(Cli::parse()).await
}
