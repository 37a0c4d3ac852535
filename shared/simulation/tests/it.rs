//! The platform against its model, in short: a few known seeds and a fresh one.

use erp_simulation::control::{CONTROLS, NOTHING_WRONG, search};
use erp_simulation::crash;
use erp_simulation::run::in_parallel;
use erp_simulation::trial::{Outcome, Plan};

/// Steps of a history here.
const STEPS: usize = 60;

fn keeps_its_promises(seed: u64) -> Outcome {
    let outcome = Plan::of(seed, STEPS).run(false);
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
    let plan = Plan { relay_is_away: true, ..Plan::of(7, STEPS) };
    let outcome = plan.run(false);
    assert_eq!(outcome.violations, Vec::<String>::new());
    assert!(outcome.counts.records_forgotten > 0 && outcome.counts.swept > 0, "{:?}", outcome.counts);
}

#[test]
fn the_same_seed_is_the_same_history() {
    let (one, other) = (Plan::of(11, STEPS).run(false), Plan::of(11, STEPS).run(false));
    assert_eq!(one.trace, other.trace);
    assert_eq!(one.counts, other.counts);
    assert_eq!(one.checks, other.checks);
}

/// One crash point in so many.
const STRIDE: usize = 25;

#[test]
fn a_function_that_dies_at_any_call_leaves_nothing_half_done() {
    let first = fastrand::usize(..STRIDE);
    eprintln!("a_function_that_dies_at_any_call_leaves_nothing_half_done: every {STRIDE}th from {first} on");
    let reports =
        in_parallel(&crash::operations(), |operation| crash::stop_everywhere(operation, first, STRIDE));
    let broken: Vec<_> = reports.iter().filter(|report| !report.broken.is_empty()).collect();
    assert!(broken.is_empty(), "every {STRIDE}th from {first} on: {broken:#?}");
    assert!(reports.iter().map(|report| report.played).sum::<usize>() > 20);
}

#[test]
fn the_classic_bugs_are_noticed_and_nothing_else_is() {
    let caught = in_parallel(&CONTROLS, |control| search(control.make, 1..13, STEPS, true));
    let wrong = CONTROLS.iter().zip(caught).filter(|(control, catch)| {
        let noticed = catch.first.is_some();
        eprintln!("{}: {catch:?}", control.name);
        noticed == (control.name == NOTHING_WRONG)
    });
    let wrong: Vec<_> = wrong.map(|(control, catch)| (control.name, catch)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
