//! Collects the evidence for `docs/promises.md` and writes its figures.
//!
//! `cargo run --profile simulation --bin promises` runs scenarios, crashes every operation at every call, and
//! injects the classic bugs. If a promise is violated or a bug is not detected, it exits with 1 and writes
//! nothing.
#![expect(clippy::print_stdout, reason = "the output of a command")]

mod evidence;
mod page;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use erp_simulation::run::Extent;

use crate::evidence::Evidence;

/// Collects the evidence for the promises and writes it into their page.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    extent: Extent,
    /// Print the figures without writing them.
    #[arg(long)]
    dry_run: bool,
    /// The page to write.
    #[arg(long, default_value = "docs/promises.md")]
    page: PathBuf,
    /// File for the evidence, JSON.
    #[arg(long, default_value = "target/promises.json")]
    json: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let evidence = Evidence::collect(&arguments.extent.run());
    let figures = page::render(&evidence);
    println!("{figures}");
    let failures = evidence.failures();
    for failure in &failures {
        println!("FAILED: {failure}");
    }
    if !failures.is_empty() {
        return ExitCode::FAILURE;
    }
    if arguments.dry_run {
        return ExitCode::SUCCESS;
    }
    match write(&arguments.page, &figures, &arguments.json, &evidence) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("the figures could not be written: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(page: &Path, figures: &str, json: &Path, evidence: &Evidence) -> Result<(), std::io::Error> {
    let text = page::replace(&std::fs::read_to_string(page)?, figures)?;
    std::fs::write(page, text)?;
    std::fs::write(json, serde_json::to_vec_pretty(evidence)?)
}
