//! Plays histories against the platform until so many operations are done or so much time is over.
//!
//! `cargo run --profile simulation --bin simulate` ends with the figures, or with a seed that goes wrong and the
//! command that plays it again.
#![expect(clippy::print_stdout, reason = "a command says what it found")]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use erp_simulation::figures::Figures;
use erp_simulation::run::{self, Run, Until};
use erp_simulation::trial::{Outcome, Plan};

/// Plays random histories against the whole platform, under faults, and compares it with a model.
#[derive(Debug, Parser)]
struct Arguments {
    /// Play this one seed, and say everything that happens.
    #[arg(long)]
    seed: Option<u64>,
    /// Order operations to play at least, unless a time is given.
    #[arg(long, default_value_t = 20_000)]
    operations: u64,
    /// Play for so many minutes.
    #[arg(long, conflicts_with = "hours")]
    minutes: Option<f64>,
    /// Play for so many hours.
    #[arg(long)]
    hours: Option<f64>,
    /// Steps of each history.
    #[arg(long, default_value_t = 400)]
    steps: usize,
    /// The first seed; drawn if not given.
    #[arg(long)]
    first_seed: Option<u64>,
    /// Worlds at the same time; one for each processor if not given.
    #[arg(long)]
    threads: Option<usize>,
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
    let plan = Plan::of(seed, arguments.steps);
    println!("seed {seed}: {} clients, {:?}", plan.clients, plan.weather);
    let outcome = plan.run(arguments.verbose);
    for line in &outcome.lines {
        println!("{line}");
    }
    show(&outcome);
    if outcome.violations.is_empty() {
        return ExitCode::SUCCESS;
    }
    if arguments.shrink > 0 {
        let short = plan.shrink(arguments.shrink);
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
    let first_seed = arguments.first_seed.unwrap_or_else(|| fastrand::u64(..1 << 40));
    let hours = arguments.hours.or(arguments.minutes.map(|minutes| minutes / 60.0));
    let until = hours.map_or(Until::Operations(arguments.operations), |hours| {
        Until::Elapsed(Duration::from_secs_f64(hours * 3600.0))
    });
    let threads = arguments.threads.unwrap_or_else(run::processors);
    println!("playing from seed {first_seed}");
    let run = Run { first_seed, steps: arguments.steps, until, threads };
    let figures = run.play(|figures, seed, outcome| {
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
            let steps = arguments.steps;
            println!("again: cargo run --profile simulation --bin simulate -- --seed {seed} --steps {steps}");
            ExitCode::FAILURE
        }
    }
}
