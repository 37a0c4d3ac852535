//! Negative controls (mutation testing): would the simulation detect a bug?
//!
//! Each classic bug is injected by rewriting calls on the wire ([`Mutation`]). The scenarios, faults and
//! checks that find nothing in the platform must detect it.

mod mutations;
mod wire;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use serde::Serialize;

use crate::connector::Mutation;
use crate::scenario::Scenario;

/// An injected bug.
#[derive(Clone, Copy)]
pub struct Control {
    /// Description.
    pub name: &'static str,
    /// Creates the mutation.
    pub make: fn() -> Arc<dyn Mutation>,
}

/// The control without a bug, which must not be detected.
pub const NO_BUG: &str = "no bug";

/// All controls.
pub const CONTROLS: [Control; 19] = [
    Control { name: "events published without the outbox", make: || Arc::new(mutations::PublishedDirectly) },
    Control {
        name: "a consumer without de-duplication",
        make: || Arc::new(mutations::NotDeduplicated::default()),
    },
    Control {
        name: "a confirmation without its condition",
        make: || Arc::new(mutations::UnconditionalConfirm),
    },
    Control { name: "stock written unconditionally", make: || Arc::new(mutations::UnconditionalAllocation) },
    Control {
        name: "the items of an order allocated one by one",
        make: || Arc::new(mutations::SeparateWrites),
    },
    Control {
        name: "lines of one item checked separately",
        make: || Arc::new(mutations::SeparateLines::default()),
    },
    Control {
        name: "the idempotency record outside the transaction",
        make: || Arc::new(mutations::RecordAfterEffect),
    },
    Control { name: "an allocation released twice", make: || Arc::new(mutations::ReleasedTwice) },
    Control {
        name: "a movement without a change of stock",
        make: || Arc::new(mutations::MovementWithoutStock),
    },
    Control {
        name: "a change of stock without a movement",
        make: || Arc::new(mutations::StockWithoutMovement),
    },
    Control { name: "no role check on one route", make: || Arc::new(mutations::RoleIgnored) },
    Control { name: "`If-Match` ignored", make: || Arc::new(mutations::PreconditionIgnored) },
    Control { name: "`Idempotency-Key` ignored", make: || Arc::new(mutations::KeyIgnored) },
    Control { name: "failed entries of PublishBatch ignored", make: || Arc::new(mutations::FailuresIgnored) },
    Control { name: "no sweep of the outbox", make: || Arc::new(mutations::NoSweep) },
    Control { name: "back-ordered orders not queued", make: || Arc::new(mutations::NotQueued) },
    Control {
        name: "a lower bound of back-orders raised over an order that began to wait",
        make: || Arc::new(mutations::BoundRaisedBlindly),
    },
    Control { name: "allocated quantities not counted", make: || Arc::new(mutations::NotCounted) },
    Control { name: NO_BUG, make: || Arc::new(NoMutation) },
];

/// Injects nothing.
struct NoMutation;

impl Mutation for NoMutation {}

/// A detection of a bug.
#[derive(Debug, Clone, Serialize)]
pub struct Detection {
    /// Number of seeds until the detection.
    pub seeds: u64,
    /// The seed that detected it.
    pub seed: u64,
    /// The first violation, in short.
    pub by: String,
}

/// The detections of a bug.
#[derive(Debug, Clone, Serialize, Default)]
pub struct Detections {
    /// The first detection by any check.
    pub first: Option<Detection>,
    /// The first detection by the final state alone.
    pub final_state: Option<Detection>,
    /// Number of seeds that ran.
    pub seeds: u64,
}

/// Runs seeds with a bug until it is detected, during a scenario and by its final state.
///
/// With `any`, the first detection of either kind is sufficient.
pub fn search(
    make: impl Fn() -> Arc<dyn Mutation>,
    seeds: std::ops::Range<u64>,
    steps: usize,
    any: bool,
) -> Detections {
    let mut detections = Detections::default();
    for seed in seeds {
        detections.seeds += 1;
        let scenario = Scenario { mutation: Some(make()), ..Scenario::of(seed, steps) };
        // A simulation that never becomes quiescent panics, which is a detection, too.
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| scenario.run(false)));
        let violations = outcome
            .map_or_else(|_| vec!["the simulation did not become quiescent".to_owned()], |o| o.violations);
        let detection =
            |violation: &String| Detection { seeds: detections.seeds, seed, by: shorten(violation) };
        let first = violations.first().map(detection);
        let final_state =
            violations.iter().find(|violation| violation.contains("final state")).map(detection);
        detections.first = detections.first.or(first);
        detections.final_state = detections.final_state.or(final_state);
        if detections.first.is_some() && (any || detections.final_state.is_some()) {
            break;
        }
    }
    detections
}

/// Shortens a violation: without ids and details.
fn shorten(violation: &str) -> String {
    let words = violation.split_whitespace().map(|word| {
        let digits = word.chars().filter(char::is_ascii_hexdigit).count();
        if digits >= 16 && word.contains('-') { "…" } else { word }
    });
    let text = words.take(16).collect::<Vec<_>>().join(" ");
    text.split(['{', '[', ';', '|']).next().unwrap_or_default().trim_end_matches([' ', ':', ',']).to_owned()
}
