//! The platform against its model, in short: a few known seeds and a fresh one.

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
