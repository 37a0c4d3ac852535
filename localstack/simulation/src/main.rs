//! Runs scenarios until a number of order operations or a duration is reached.
//!
//! `cargo run --profile simulation --bin simulate` prints the figures, or a failing seed and the command that
//! repeats it.
#![expect(clippy::print_stdout, reason = "the output of a command")]

use std::process::ExitCode;

use clap::Parser;
use erp_simulation::figures::Figures;
use erp_simulation::run::Extent;
use erp_simulation::scenario::{Outcome, Scenario};

/// Deterministic simulation testing: random workloads against the whole platform, under faults, compared with
/// a model.
#[derive(Debug, Parser)]
struct Arguments {
    /// Run this one seed and print its outcome.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    extent: Extent,
    /// File for the figures, JSON.
    #[arg(long, default_value = "target/simulation.json")]
    figures: std::path::PathBuf,
    /// Maximum runs for shrinking a failing scenario.
    #[arg(long, default_value_t = 150)]
    shrink: usize,
    /// With --seed: print every call.
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.seed {
        Some(seed) => replay(&arguments, seed),
        None => run_all(&arguments),
    }
}

/// Runs one seed, and shrinks it if it fails.
fn replay(arguments: &Arguments, seed: u64) -> ExitCode {
    let scenario = Scenario::of(seed, arguments.extent.steps);
    println!("seed {seed}: {} clients, {:?}", scenario.clients, scenario.profile);
    let outcome = scenario.run(arguments.verbose);
    for line in &outcome.lines {
        println!("{line}");
    }
    show(&outcome);
    if outcome.violations.is_empty() {
        return ExitCode::SUCCESS;
    }
    if arguments.shrink > 0 {
        let short = scenario.shrink(arguments.shrink);
        println!("\nThe shortest failing scenario found, {} steps:", short.steps.len());
        let outcome = short.run(true);
        for line in &outcome.lines {
            println!("{line}");
        }
        show(&outcome);
    }
    ExitCode::FAILURE
}

fn show(outcome: &Outcome) {
    println!("{}; trace {:016x}", outcome.summary, outcome.trace);
    println!("{:?}", outcome.counts);
    println!("checks: {:?}", outcome.checks);
    println!("violations: {}", outcome.violations.len());
    for violation in outcome.violations.iter().take(10) {
        println!("  {violation}");
    }
}

/// Runs consecutive seeds on all processors.
fn run_all(arguments: &Arguments) -> ExitCode {
    let run = arguments.extent.run();
    println!("running from seed {}", run.first_seed);
    let figures = run.execute(|figures, seed, outcome| {
        if !outcome.violations.is_empty() {
            println!("seed {seed} violates a promise:");
            show(outcome);
        }
        if figures.scenarios.is_multiple_of(20) {
            let Figures { seconds, scenarios, order_operations, .. } = figures;
            println!("{seconds:>6.0} s  {scenarios} scenarios, {order_operations} order operations");
        }
    });
    let json = match serde_json::to_string_pretty(&figures) {
        Ok(json) => json,
        Err(error) => format!("{{\"error\": \"{error}\"}}"),
    };
    println!("{json}");
    if let Err(error) = std::fs::write(&arguments.figures, &json) {
        println!("the figures could not be written to {}: {error}", arguments.figures.display());
    }
    match figures.broken_seeds.first() {
        None => {
            println!("0 of {} order operations violated a promise", figures.order_operations);
            ExitCode::SUCCESS
        }
        Some(seed) => {
            let steps = arguments.extent.steps;
            println!(
                "repeat with: cargo run --profile simulation --bin simulate -- --seed {seed} --steps {steps}"
            );
            ExitCode::FAILURE
        }
    }
}
