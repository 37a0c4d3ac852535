//! The conditions of all writes, as they go over the wire.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::Serialize;

use super::wire::{Action, actions};
use crate::connector::{Call, Sabotage};
use crate::trial::Plan;

/// A condition: of which action on which kind of row of which table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Site {
    /// The table.
    pub table: String,
    /// The kind of row.
    pub row: String,
    /// `Put`, `Update`, `Delete` or `ConditionCheck`.
    pub action: String,
    /// The expression.
    pub condition: String,
}

impl Site {
    fn of(action: &Action<'_>) -> Option<Self> {
        let condition = action.condition()?;
        Some(Self { table: action.table(), row: action.row(), action: action.kind.clone(), condition })
    }
}

/// Every condition that these histories write, with how often.
pub fn written(seeds: std::ops::Range<u64>, steps: usize) -> BTreeMap<Site, u64> {
    let seen = Arc::new(Seen::default());
    for seed in seeds {
        Plan { sabotage: Some(Arc::<Seen>::clone(&seen)), ..Plan::of(seed, steps) }.run(false);
    }
    seen.0.lock().unwrap().clone()
}

#[derive(Default)]
struct Seen(Mutex<BTreeMap<Site, u64>>);

impl Sabotage for Seen {
    fn calls(&self, mut call: Call) -> Vec<Call> {
        for site in actions(&mut call).iter().filter_map(Site::of) {
            *self.0.lock().unwrap().entry(site).or_default() += 1;
        }
        vec![call]
    }
}

/// Strips a condition wherever it is written.
pub fn strip(site: &Site) -> Arc<dyn Sabotage> {
    Arc::new(Stripped(site.clone()))
}

struct Stripped(Site);

impl Sabotage for Stripped {
    fn calls(&self, mut call: Call) -> Vec<Call> {
        for mut action in actions(&mut call) {
            if Site::of(&action).as_ref() == Some(&self.0) {
                action.strip();
            }
        }
        vec![call]
    }
}
