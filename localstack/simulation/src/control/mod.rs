//! Negative controls: what would the simulation say if the platform were wrong?
//!
//! Each classic bug is put in by rewriting what goes over the wire ([`Mutation`]), and the histories, faults and
//! checks that find nothing in the platform as it is must find it.

mod mutations;
mod wire;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use serde::Serialize;

use crate::connector::Mutation;
use crate::scenario::Scenario;

/// A bug that is put in on purpose.
#[derive(Clone, Copy)]
pub struct Control {
    /// What it is.
    pub name: &'static str,
    /// Puts it in.
    pub make: fn() -> Arc<dyn Mutation>,
}

/// The name of the one that must not be noticed.
pub const NOTHING_WRONG: &str = "nothing wrong";

/// All of them.
pub const CONTROLS: [Control; 17] = [
    Control { name: "events published without the outbox", make: || Arc::new(mutations::PublishedDirectly) },
    Control {
        name: "a consumer without de-duplication",
        make: || Arc::new(mutations::NotDeduplicated::default()),
    },
    Control { name: "a confirmation that checks, then sets", make: || Arc::new(mutations::CheckThenSet) },
    Control { name: "stock written unconditionally", make: || Arc::new(mutations::TakenUnseen) },
    Control { name: "the lines of an order applied one by one", make: || Arc::new(mutations::OneByOne) },
    Control { name: "two lines of one item checked apart", make: || Arc::new(mutations::LinesApart::default()) },
    Control {
        name: "the idempotency record outside the transaction",
        make: || Arc::new(mutations::RecordAfterwards),
    },
    Control { name: "a cancellation that gives back twice", make: || Arc::new(mutations::GivenBackTwice) },
    Control { name: "a movement without a change of stock", make: || Arc::new(mutations::MovementAlone) },
    Control { name: "a change of stock without a movement", make: || Arc::new(mutations::StockAlone) },
    Control { name: "no role check on one route", make: || Arc::new(mutations::RoleUnseen) },
    Control { name: "`If-Match` ignored", make: || Arc::new(mutations::VersionUnseen) },
    Control { name: "`Idempotency-Key` ignored", make: || Arc::new(mutations::KeyUnseen) },
    Control { name: "failed entries of a batch to SNS unread", make: || Arc::new(mutations::FailuresUnread) },
    Control { name: "no sweep of the outbox", make: || Arc::new(mutations::NoSweep) },
    Control { name: "who waits is not put into the line", make: || Arc::new(mutations::LineForgotten) },
    Control { name: NOTHING_WRONG, make: || Arc::new(Nothing) },
];

/// Changes nothing.
struct Nothing;

impl Mutation for Nothing {}

/// How something was noticed.
#[derive(Debug, Clone, Serialize)]
pub struct Notice {
    /// How many seeds it took.
    pub seeds: u64,
    /// The one that did it.
    pub seed: u64,
    /// What was said first, in short.
    pub by: String,
}

/// How a bug was caught, if it was.
#[derive(Debug, Clone, Serialize, Default)]
pub struct Catch {
    /// First, by any check.
    pub first: Option<Notice>,
    /// First by what there was in the end, which knows nothing of single commits.
    pub at_rest: Option<Notice>,
    /// Seeds that were played.
    pub played: u64,
}

/// Plays seeds with a bug until it is caught, during the history and by what there is at its end.
///
/// With `any`, the first notice of whichever kind is enough.
pub fn search(
    make: impl Fn() -> Arc<dyn Mutation>,
    seeds: std::ops::Range<u64>,
    steps: usize,
    any: bool,
) -> Catch {
    let mut catch = Catch::default();
    for seed in seeds {
        catch.played += 1;
        let scenario = Scenario { mutation: Some(make()), ..Scenario::of(seed, steps) };
        // A simulation may become impossible: then its harness gives up, which is a way of noticing.
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| scenario.run(false)));
        let violations =
            outcome.map_or_else(|_| vec!["the simulation did not come to rest".to_owned()], |o| o.violations);
        let notice = |said: &String| Notice { seeds: catch.played, seed, by: in_short(said) };
        let first = violations.first().map(notice);
        let at_rest = violations.iter().find(|said| said.contains("at rest")).map(notice);
        catch.first = catch.first.or(first);
        catch.at_rest = catch.at_rest.or(at_rest);
        if catch.first.is_some() && (any || catch.at_rest.is_some()) {
            break;
        }
    }
    catch
}

/// A violation without ids and what came with it.
fn in_short(violation: &str) -> String {
    let words = violation.split_whitespace().map(|word| {
        let digits = word.chars().filter(char::is_ascii_hexdigit).count();
        if digits >= 16 && word.contains('-') { "…" } else { word }
    });
    let text = words.take(16).collect::<Vec<_>>().join(" ");
    text.split(['{', '[', ';', '|']).next().unwrap_or_default().trim_end_matches([' ', ':', ',']).to_owned()
}
