//! The platform against its model, in short form: known seeds and a fresh one, crash points, negative
//! controls.

use erp_simulation::control::{CONTROLS, NO_BUG, search};
use erp_simulation::run::in_parallel;
use erp_simulation::scenario::{Outcome, Scenario};
use erp_simulation::{crash, race};

/// Steps of a scenario.
const STEPS: usize = 60;

fn run_without_violations(seed: u64) -> Outcome {
    let outcome = Scenario::of(seed, STEPS).run(false);
    assert!(
        outcome.violations.is_empty(),
        "seed {seed} violates a promise; repeat with: \
         cargo run --profile simulation --bin simulate -- --seed {seed} --steps {STEPS}\n{:#?}",
        outcome.violations
    );
    outcome
}

#[test]
fn known_seeds_keep_every_promise() {
    for seed in 1..=4 {
        run_without_violations(seed);
    }
}

#[test]
fn a_fresh_seed_keeps_every_promise() {
    let seed = fastrand::u64(..1 << 40);
    eprintln!("a_fresh_seed_keeps_every_promise: seed {seed}");
    let outcome = run_without_violations(seed);
    assert!(outcome.order_operations > 0 && outcome.commits > 0);
}

#[test]
fn a_relay_that_was_stopped_for_two_days_loses_nothing() {
    // Longer than the retention of streams: the sweep finds the lost records in the tables.
    let scenario = Scenario { relay_is_stopped: true, ..Scenario::of(7, STEPS) };
    let outcome = scenario.run(false);
    assert_eq!(outcome.violations, Vec::<String>::new());
    assert!(outcome.counts.expired > 0 && outcome.counts.swept > 0, "{:?}", outcome.counts);
}

#[test]
fn equal_seeds_give_equal_runs() {
    let (one, other) = (Scenario::of(11, STEPS).run(false), Scenario::of(11, STEPS).run(false));
    assert_eq!(one.trace, other.trace);
    assert_eq!(one.counts, other.counts);
    assert_eq!(one.checks, other.checks);
}

#[test]
fn a_crash_at_any_call_leaves_nothing_half_done() {
    let seed = fastrand::usize(..1 << 20);
    eprintln!("a_crash_at_any_call_leaves_nothing_half_done: seed {seed}");
    // Half of the operations, one call each; `promises` crashes all of them at every call.
    let all = crash::operations().into_iter().enumerate();
    let operations: Vec<_> = all.filter(|(number, _)| number % 2 == seed % 2).collect();
    let reports = in_parallel(&operations, |(number, operation)| {
        crash::crash_everywhere(operation, Some(seed.wrapping_mul(number + 1)))
    });
    let failed: Vec<_> =
        reports.iter().filter(|report| report.runs == 0 || !report.failures.is_empty()).collect();
    assert!(failed.is_empty(), "seed {seed}: {failed:#?}");
}

#[test]
fn a_bound_raised_over_an_order_that_began_to_wait_is_detected_when_both_happen_at_once() {
    let control = CONTROLS.iter().find(|control| control.name.starts_with("a lower bound")).unwrap();
    let is_detected = |seed: &u64| {
        let violations = race::run(*seed, Some((control.make)()));
        violations.iter().any(|violation| violation.contains("lower bound"))
    };
    let seed = (1..=60).find(is_detected).expect("no seed detects it");
    assert_eq!(race::run(seed, None), Vec::<String>::new(), "seed {seed} without the bug");
}

/// Controls that short scenarios do not reliably detect; `promises` runs long ones.
const RARE: [&str; 5] = [
    "a confirmation without its condition",
    "no role check on one route",
    "failed entries of PublishBatch ignored",
    "no sweep of the outbox",
    "a lower bound of back-orders raised over an order that began to wait",
];

#[test]
fn negative_controls_are_detected() {
    let controls: Vec<_> = CONTROLS
        .into_iter()
        .filter(|control| control.name != NO_BUG && !RARE.contains(&control.name))
        .collect();
    let detections = in_parallel(&controls, |control| search(control.make, 1..9, STEPS, true));
    let undetected: Vec<_> =
        controls.iter().zip(detections).filter(|(_, detections)| detections.first.is_none()).collect();
    let undetected: Vec<_> = undetected.into_iter().map(|(control, _)| control.name).collect();
    assert_eq!(undetected, Vec::<&str>::new());
    assert_eq!(controls.len() + RARE.len() + 1, CONTROLS.len(), "a name in RARE without a control");
}

#[test]
fn a_missing_sweep_is_detected_when_the_relay_was_stopped() {
    let no_sweep = CONTROLS.iter().find(|control| control.name == "no sweep of the outbox").unwrap();
    let mutation = Some((no_sweep.make)());
    let outcome = Scenario { relay_is_stopped: true, mutation, ..Scenario::of(7, STEPS) }.run(false);
    assert!(
        outcome.violations.iter().any(|violation| violation.contains("left in the outbox")),
        "{outcome:?}"
    );
}
