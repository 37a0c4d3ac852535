//! The evidence for the promises.

use std::collections::BTreeMap;
use std::time::Instant;

use erp_simulation::control::{self, CONTROLS, Detections};
use erp_simulation::crash::{self, Report};
use erp_simulation::figures::Figures;
use erp_simulation::run::{Run, in_parallel};
use serde::Serialize;

/// Steps of a scenario of a negative control.
const STEPS: usize = 200;
/// Seeds of a negative control.
const SEEDS: std::ops::Range<u64> = 1..31;

/// All evidence.
#[derive(Debug, Serialize)]
pub(crate) struct Evidence {
    /// Steps of each scenario.
    pub(crate) steps: usize,
    /// Random scenarios under faults, against the model.
    pub(crate) scenarios: Figures,
    /// Every writing operation, crashed at every call.
    pub(crate) crashes: Vec<Report>,
    /// Negative controls, and how they were detected.
    pub(crate) controls: Vec<(&'static str, Detections)>,
    /// Duration of each part, in seconds.
    pub(crate) seconds: BTreeMap<&'static str, f64>,
}

impl Evidence {
    /// Collects the evidence.
    pub(crate) fn collect(run: &Run) -> Self {
        let mut seconds = BTreeMap::new();
        let scenarios = timed(&mut seconds, "scenarios", || {
            run.execute(|figures, seed, outcome| {
                if let Some(violation) = outcome.violations.first() {
                    println!("seed {seed}: {violation}");
                }
                if figures.scenarios.is_multiple_of(50) {
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
                let detections = control::search(control.make, SEEDS, STEPS, false);
                println!("  {}: {:?}", control.name, detections.first);
                (control.name, detections)
            })
        });
        Self { steps: run.steps, scenarios, crashes, controls, seconds }
    }

    /// Returns what contradicts the promises.
    pub(crate) fn failures(&self) -> Vec<String> {
        let seeds = self.scenarios.broken_seeds.iter().map(|seed| {
            format!(
                "seed {seed} violates a promise; repeat with: cargo run --profile simulation --bin simulate -- \
                 --seed {seed} --steps {}",
                self.steps
            )
        });
        let crashes = self.crashes.iter().flat_map(|report| {
            report.failures.iter().map(|failure| format!("{}: {failure}", report.operation))
        });
        let controls = self.controls.iter().filter_map(|(name, detections)| {
            match (*name == control::NO_BUG, &detections.first) {
                (false, None) => Some(format!("{name}: not detected in {} seeds", detections.seeds)),
                (true, Some(detection)) => {
                    Some(format!("{name}: seed {} reports {}", detection.seed, detection.by))
                }
                _ => None,
            }
        });
        seeds.chain(crashes).chain(controls).collect()
    }
}

fn timed<T>(seconds: &mut BTreeMap<&'static str, f64>, name: &'static str, work: impl FnOnce() -> T) -> T {
    println!("{name} …");
    let started = Instant::now();
    let result = work();
    seconds.insert(name, started.elapsed().as_secs_f64());
    println!("{name}: {:.0} s", started.elapsed().as_secs_f64());
    result
}
