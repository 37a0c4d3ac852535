//! Totals over many scenarios.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::scenario::Outcome;
use crate::trace::{Counts, add_up};

/// The totals of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// Number of completed scenarios.
    pub scenarios: u64,
    /// The first seed; the others follow.
    pub first_seed: u64,
    /// Duration in seconds.
    pub seconds: f64,
    /// Requests about orders.
    pub order_operations: u64,
    /// Requests, by operation.
    pub operations: BTreeMap<&'static str, u64>,
    /// Commits.
    pub commits: u64,
    /// Counters of the simulations.
    #[serde(flatten)]
    pub counts: Counts,
    /// Checks, by promise.
    pub checks: BTreeMap<&'static str, u64>,
    /// Seeds that violated a promise.
    pub broken_seeds: Vec<u64>,
    /// Upper bound, with 95 % confidence, of the share of order operations that violate a promise (rule of
    /// three); `None` if one did.
    pub upper_bound_95: Option<f64>,
}

impl Figures {
    /// Adds the outcome of a seed.
    pub fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.scenarios += 1;
        self.order_operations += outcome.order_operations;
        self.commits += outcome.commits;
        self.counts.add(&outcome.counts);
        add_up(&mut self.operations, &outcome.operations);
        add_up(&mut self.checks, &outcome.checks);
        if !outcome.violations.is_empty() {
            self.broken_seeds.push(seed);
        }
    }

    /// Computes the derived figures.
    pub fn finish(&mut self, seconds: f64) {
        self.seconds = seconds;
        self.upper_bound_95 = rule_of_three(self.order_operations).filter(|_| self.broken_seeds.is_empty());
    }
}

/// Returns the upper bound, with 95 % confidence, of a failure rate when none of `n` trials failed; `None`
/// for no trials.
pub fn rule_of_three(n: u64) -> Option<f64> {
    (n > 0).then(|| 3.0 / n as f64)
}
