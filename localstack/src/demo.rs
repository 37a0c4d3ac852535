//! `demo`: the walk through the API, step by step.

use std::process::ExitCode;

use crate::cli::CommonArgs;

/// Options of `demo`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How the platform is started.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Plays the walk on a platform of its own and says what it sees.
pub async fn run(args: Args) -> ExitCode {
    eprintln!("error: there is no demonstration yet (it would run {args:?})");
    ExitCode::FAILURE
}
