//! The platform against its model, in short: a few known seeds and a fresh one, and whether faults would be seen.

use erp_simulation::control::{CONTROLS, NOTHING_WRONG, search};
use erp_simulation::crash;
use erp_simulation::run::in_parallel;
use erp_simulation::scenario::{Outcome, Scenario};

/// Steps of a history here.
const STEPS: usize = 60;

fn keeps_its_promises(seed: u64) -> Outcome {
    let outcome = Scenario::of(seed, STEPS).run(false);
    assert!(
        outcome.violations.is_empty(),
        "seed {seed} breaks a promise; again: \
         cargo run --profile simulation --bin simulate -- --seed {seed} --steps {STEPS}\n{:#?}",
        outcome.violations
    );
    outcome
}

#[test]
fn known_histories_keep_every_promise() {
    for seed in 1..=4 {
        keeps_its_promises(seed);
    }
}

#[test]
fn a_fresh_history_keeps_every_promise() {
    let seed = fastrand::u64(..1 << 40);
    eprintln!("a_fresh_history_keeps_every_promise: seed {seed}");
    let outcome = keeps_its_promises(seed);
    assert!(outcome.order_operations > 0 && outcome.commits > 0);
}

#[test]
fn a_relay_that_was_away_for_two_days_loses_nothing() {
    // Longer than streams remember: what they forgot, the sweep finds in the tables.
    let scenario = Scenario { relay_is_away: true, ..Scenario::of(7, STEPS) };
    let outcome = scenario.run(false);
    assert_eq!(outcome.violations, Vec::<String>::new());
    assert!(outcome.counts.records_forgotten > 0 && outcome.counts.swept > 0, "{:?}", outcome.counts);
}

#[test]
fn the_same_seed_is_the_same_history() {
    let (one, other) = (Scenario::of(11, STEPS).run(false), Scenario::of(11, STEPS).run(false));
    assert_eq!(one.trace, other.trace);
    assert_eq!(one.counts, other.counts);
    assert_eq!(one.checks, other.checks);
}

#[test]
fn a_function_that_dies_at_any_call_leaves_nothing_half_done() {
    let seed = fastrand::usize(..1 << 20);
    eprintln!("a_function_that_dies_at_any_call_leaves_nothing_half_done: seed {seed}");
    // Half of the operations, and of each some call; `promises` stops all of them at every call.
    let all = crash::operations().into_iter().enumerate();
    let operations: Vec<_> = all.filter(|(number, _)| number % 2 == seed % 2).collect();
    let reports = in_parallel(&operations, |(number, operation)| {
        crash::stop_everywhere(operation, Some(seed.wrapping_mul(number + 1)))
    });
    let broken: Vec<_> =
        reports.iter().filter(|report| report.played == 0 || !report.broken.is_empty()).collect();
    assert!(broken.is_empty(), "seed {seed}: {broken:#?}");
}

/// What no short history is sure to show; `promises` plays long ones.
const RARE: [&str; 4] = [
    "a confirmation that checks, then sets",
    "no role check on one route",
    "failed entries of a batch to SNS unread",
    "no sweep of the outbox",
];

#[test]
fn the_classic_bugs_are_noticed() {
    let controls: Vec<_> = CONTROLS
        .into_iter()
        .filter(|control| control.name != NOTHING_WRONG && !RARE.contains(&control.name))
        .collect();
    let caught = in_parallel(&controls, |control| search(control.make, 1..9, STEPS, true));
    let missed: Vec<_> = controls.iter().zip(caught).filter(|(_, catch)| catch.first.is_none()).collect();
    let missed: Vec<_> = missed.into_iter().map(|(control, _)| control.name).collect();
    assert_eq!(missed, Vec::<&str>::new());
    assert_eq!(controls.len() + RARE.len() + 1, CONTROLS.len(), "a name in RARE that no control has");
}

#[test]
fn without_the_sweep_a_relay_that_was_away_is_noticed() {
    let no_sweep = CONTROLS.iter().find(|control| control.name == "no sweep of the outbox").unwrap();
    let mutation = Some((no_sweep.make)());
    let outcome = Scenario { relay_is_away: true, mutation, ..Scenario::of(7, STEPS) }.run(false);
    assert!(outcome.violations.iter().any(|said| said.contains("left in the outbox")), "{outcome:?}");
}
