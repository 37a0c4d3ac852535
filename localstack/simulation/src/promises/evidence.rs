//! What there is to show for the promises.

use std::collections::BTreeMap;
use std::time::Instant;

use erp_simulation::control::{self, CONTROLS, Catch};
use erp_simulation::crash::{self, Report};
use erp_simulation::figures::Figures;
use erp_simulation::run::{Run, in_parallel};
use serde::Serialize;

/// Steps of a history with a bug in it.
const STEPS: usize = 200;
/// The seeds that are played to notice a bug.
const SEEDS: std::ops::Range<u64> = 1..31;

/// All of it.
#[derive(Debug, Serialize)]
pub(crate) struct Evidence {
    /// Steps of each history.
    pub(crate) steps: usize,
    /// Random histories under faults, against the model.
    pub(crate) histories: Figures,
    /// Every operation that writes, stopped at every call.
    pub(crate) crashes: Vec<Report>,
    /// Bugs that were put in, and how they were noticed.
    pub(crate) controls: Vec<(&'static str, Catch)>,
    /// Seconds that each part took.
    pub(crate) seconds: BTreeMap<&'static str, f64>,
}

impl Evidence {
    /// Collects everything.
    pub(crate) fn collect(run: &Run) -> Self {
        let mut seconds = BTreeMap::new();
        let histories = timed(&mut seconds, "histories", || {
            run.execute(|figures, seed, outcome| {
                if let Some(violation) = outcome.violations.first() {
                    println!("seed {seed}: {violation}");
                }
                if figures.worlds.is_multiple_of(50) {
                    let Figures { seconds, order_operations, .. } = figures;
                    println!("{seconds:>6.0} s  {order_operations} order operations");
                }
            })
        });
        let operations = crash::operations();
        let crashes = timed(&mut seconds, "crash points", || {
            in_parallel(&operations, |operation| crash::crash_everywhere(operation, None))
        });
        let controls = timed(&mut seconds, "controls", || {
            in_parallel(&CONTROLS, |control| {
                let catch = control::search(control.make, SEEDS, STEPS, false);
                println!("  {}: {:?}", control.name, catch.first);
                (control.name, catch)
            })
        });
        Self { steps: run.steps, histories, crashes, controls, seconds }
    }

    /// What is not as it must be.
    pub(crate) fn faults(&self) -> Vec<String> {
        let broken = self.histories.broken_seeds.iter().map(|seed| {
            format!(
                "seed {seed} breaks a promise; again: cargo run --profile simulation --bin simulate -- \
                 --seed {seed} --steps {}",
                self.steps
            )
        });
        let crashes = self
            .crashes
            .iter()
            .flat_map(|report| report.broken.iter().map(|broken| format!("{}: {broken}", report.operation)));
        let controls = self.controls.iter().filter_map(|(name, catch)| {
            match (*name == control::NOTHING_WRONG, &catch.first) {
                (false, None) => Some(format!("{name}: not noticed in {} seeds", catch.played)),
                (true, Some(notice)) => Some(format!("{name}: seed {} says {}", notice.seed, notice.by)),
                _ => None,
            }
        });
        broken.chain(crashes).chain(controls).collect()
    }
}

fn timed<T>(seconds: &mut BTreeMap<&'static str, f64>, name: &'static str, work: impl FnOnce() -> T) -> T {
    println!("{name} …");
    let begun = Instant::now();
    let result = work();
    seconds.insert(name, begun.elapsed().as_secs_f64());
    println!("{name}: {:.0} s", begun.elapsed().as_secs_f64());
    result
}
