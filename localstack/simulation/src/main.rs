//! Plays histories against the platform until so many operations are done or so much time is over.
//!
//! `cargo run --profile simulation --bin simulate` ends with the figures, or with a seed that goes wrong and the
//! command that plays it again.
#![expect(clippy::print_stdout, reason = "a command says what it found")]

use std::process::ExitCode;

use clap::Parser;
use erp_simulation::figures::Figures;
use erp_simulation::run::Extent;
use erp_simulation::scenario::{Outcome, Scenario};

/// Plays random histories against the whole platform, under faults, and compares it with a model.
#[derive(Debug, Parser)]
struct Arguments {
    /// Play this one seed, and say everything that happens.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    extent: Extent,
    /// Where the figures go, as JSON.
    #[arg(long, default_value = "target/simulation.json")]
    figures: std::path::PathBuf,
    /// Runs spent on making a history that goes wrong shorter.
    #[arg(long, default_value_t = 150)]
    shrink: usize,
    /// With --seed: write every call.
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.seed {
        Some(seed) => replay(&arguments, seed),
        None => play(&arguments),
    }
}

/// Plays one seed, and shows how it goes wrong, if it does.
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
        println!("\nThe shortest history found that still goes wrong, {} steps:", short.steps.len());
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

/// Plays one seed after the other on every processor.
fn play(arguments: &Arguments) -> ExitCode {
    let run = arguments.extent.run();
    println!("playing from seed {}", run.first_seed);
    let figures = run.execute(|figures, seed, outcome| {
        if !outcome.violations.is_empty() {
            println!("seed {seed} breaks a promise:");
            show(outcome);
        }
        if figures.worlds.is_multiple_of(20) {
            let Figures { seconds, worlds, order_operations, .. } = figures;
            println!("{seconds:>6.0} s  {worlds} worlds, {order_operations} order operations");
        }
    });
    let json = match serde_json::to_string_pretty(&figures) {
        Ok(json) => json,
        Err(error) => format!("{{\"error\": \"{error}\"}}"),
    };
    println!("{json}");
    if let Err(error) = std::fs::write(&arguments.figures, &json) {
        println!("the figures cannot be written to {}: {error}", arguments.figures.display());
    }
    match figures.broken_seeds.first() {
        None => {
            println!("0 of {} order operations broke a promise", figures.order_operations);
            ExitCode::SUCCESS
        }
        Some(seed) => {
            let steps = arguments.extent.steps;
            println!("again: cargo run --profile simulation --bin simulate -- --seed {seed} --steps {steps}");
            ExitCode::FAILURE
        }
    }
}
