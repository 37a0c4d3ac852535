//! What many trials came to, in numbers.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::trace::{Counts, add_up};
use crate::scenario::Outcome;

/// The figures of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// Worlds that were played to their end.
    pub worlds: u64,
    /// The first of their seeds; the others follow it.
    pub first_seed: u64,
    /// How long it took.
    pub seconds: f64,
    /// Requests about orders.
    pub order_operations: u64,
    /// Requests, by what they asked for.
    pub operations: BTreeMap<&'static str, u64>,
    /// Transactions and other writes that changed something.
    pub commits: u64,
    /// What happened in them.
    #[serde(flatten)]
    pub counts: Counts,
    /// Comparisons, by promise.
    pub checks: BTreeMap<&'static str, u64>,
    /// Seeds that broke a promise.
    pub broken_seeds: Vec<u64>,
    /// With 95 % confidence, no more than this share of order operations breaks a promise (rule of three); none if
    /// one did.
    pub upper_bound_95: Option<f64>,
}

impl Figures {
    /// Adds what came of a seed.
    pub fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.worlds += 1;
        self.order_operations += outcome.order_operations;
        self.commits += outcome.commits;
        self.counts.add(&outcome.counts);
        add_up(&mut self.operations, &outcome.operations);
        add_up(&mut self.checks, &outcome.checks);
        if !outcome.violations.is_empty() {
            self.broken_seeds.push(seed);
        }
    }

    /// Sets what follows from the others.
    pub fn finish(&mut self, seconds: f64) {
        self.seconds = seconds;
        self.upper_bound_95 = rule_of_three(self.order_operations).filter(|_| self.broken_seeds.is_empty());
    }
}

/// With 95 % confidence no more than this share goes wrong, if none of so many did; nothing if there were none.
pub fn rule_of_three(n: u64) -> Option<f64> {
    (n > 0).then(|| 3.0 / n as f64)
}
