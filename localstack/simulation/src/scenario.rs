//! One scenario from beginning to end, and the shrinking of a failing one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::Simulation;
use crate::client::{Client, Shared};
use crate::connector::Mutation;
use crate::faults::{FaultProfile, NoFaults, RandomFaults};
use crate::inspection;
use crate::model::Model;
use crate::observer::ModelObserver;
use crate::simulation::Settings;
use crate::time::random;
use crate::trace::Counts;
use crate::workload::{self, Step};

/// The parameters that determine a run.
#[derive(Clone)]
pub struct Scenario {
    /// The source of all random decisions.
    pub seed: u64,
    /// The frequency of faults.
    pub profile: FaultProfile,
    /// Number of concurrent clients.
    pub clients: usize,
    /// Their operations.
    pub steps: Vec<Step>,
    /// Number of poison messages.
    pub poison: usize,
    /// Stops relay and sweep for two days, longer than the retention of streams.
    pub relay_is_stopped: bool,
    /// An injected bug, for negative controls.
    pub mutation: Option<Arc<dyn Mutation>>,
}

/// The result of a run.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Violations of promises.
    pub violations: Vec<String>,
    /// Number of checks, by promise.
    pub checks: BTreeMap<&'static str, u64>,
    /// Number of steps, by operation.
    pub operations: BTreeMap<&'static str, u64>,
    /// Number of order operations.
    pub order_operations: u64,
    /// Counters of the simulation.
    pub counts: Counts,
    /// Number of commits.
    pub commits: u64,
    /// Hash of all calls: equal for equal runs.
    pub trace: u64,
    /// Every call as text, if requested.
    pub lines: Vec<String>,
    /// The final state in short.
    pub summary: String,
}

impl Scenario {
    /// Draws the scenario of a seed.
    pub fn of(seed: u64, steps: usize) -> Self {
        let mut random = random(seed, "scenario");
        let profile = match random.u32(..10) {
            0 => FaultProfile::NONE,
            1..8 => FaultProfile::MODERATE,
            _ => FaultProfile::SEVERE,
        };
        let clients = random.usize(1..=8);
        Self {
            seed,
            profile,
            clients,
            steps: workload::draw(&mut random, steps, clients),
            poison: random.usize(..3),
            relay_is_stopped: random.u32(..8) == 0,
            mutation: None,
        }
    }

    /// Runs the scenario.
    pub fn run(&self, verbose: bool) -> Outcome {
        Simulation::run(self.seed, self.simulate(verbose))
    }

    async fn simulate(&self, verbose: bool) -> Outcome {
        let mut random_numbers = random(self.seed, "scenario");
        let open = random_numbers.bool();
        let model = Arc::new(Mutex::new(Model::default()));
        model.lock().unwrap().open_registration = open;
        let simulation = Simulation::open(Settings {
            registration: if open { "open" } else { "closed" },
            faults: Box::new(NoFaults),
            mutation: self.mutation.clone(),
            observer: Some(Box::new(ModelObserver(Arc::clone(&model)))),
            verbose,
            ..Settings::new(self.seed)
        });
        let shared = Shared::new(Arc::clone(&simulation), Arc::clone(&model));
        let opening = workload::opening(&mut random(self.seed, "opening"));
        model.lock().unwrap().faults = false;
        Client::new(Arc::clone(&shared), random_numbers.fork()).run(opening).await;
        simulation.quiesce().await;
        model.lock().unwrap().faults = self.profile != FaultProfile::NONE;
        simulation.set_faults(Box::new(RandomFaults::new(random(self.seed, "faults"), self.profile)));
        let poison = self.run_clients(&shared, &mut random_numbers).await;
        simulation.drain().await;
        let operations = model.lock().unwrap().requests_by_operation();
        let order_operations = model.lock().unwrap().order_operations();
        model.lock().unwrap().faults = false;
        inspection::inspect(&shared, &poison).await;
        let model = model.lock().unwrap();
        Outcome {
            violations: model.violations.clone(),
            checks: model.checks.clone(),
            operations,
            order_operations,
            counts: simulation.counts(),
            commits: simulation.moment() as u64,
            trace: simulation.trace(),
            lines: simulation.lines(),
            summary: model.summary(),
        }
    }

    /// Runs the clients, the scheduled sweep and the poison messages; returns the poison messages.
    async fn run_clients(
        &self,
        shared: &Arc<Shared>,
        random_numbers: &mut fastrand::Rng,
    ) -> BTreeSet<String> {
        let simulation = &shared.simulation;
        let clients: Vec<_> = (0..self.clients)
            .map(|number| {
                let steps: Vec<Step> =
                    self.steps.iter().filter(|step| step.client == number).cloned().collect();
                let client = Client::new(Arc::clone(shared), random_numbers.fork());
                tokio::spawn(client.run(steps))
            })
            .collect();
        let over = Arc::new(AtomicBool::new(false));
        let schedule = tokio::spawn(sweep_regularly(Arc::clone(simulation), Arc::clone(&over)));
        let mut poison = BTreeSet::new();
        for number in 0..self.poison {
            tokio::time::sleep(Duration::from_millis(random_numbers.u64(..3_000))).await;
            let body = match random_numbers.u32(..3) {
                0 => format!("poison {number}"),
                1 => format!("{{\"id\": {number}}}"),
                _ => json!({
                    "specversion": "1.0", "id": Uuid::nil(), "source": "/erp/sales", "subject": "x",
                    "type": "sales.order.confirmed", "time": "2026-01-01T00:00:00Z", "data": {"n": number},
                })
                .to_string(),
            };
            // Confirmations go to the stock queue, so an unreadable one belongs there.
            let queues = simulation.broker().queues.len();
            let stock = simulation.broker().queues.iter().position(|queue| queue.name.contains("stock"));
            let queue = if body.contains("sales.order") {
                stock.unwrap_or(0)
            } else {
                random_numbers.usize(..queues)
            };
            simulation.put_message(queue, &body);
            poison.insert(body);
        }
        if self.relay_is_stopped {
            simulation.relay_is_off.store(true, Ordering::Relaxed);
        }
        for client in clients {
            client.await.unwrap();
        }
        over.store(true, Ordering::Relaxed);
        schedule.abort();
        if self.relay_is_stopped {
            // The sweep is stopped, too.
            tokio::time::sleep(Duration::from_secs(48 * 60 * 60)).await;
        }
        poison
    }

    /// Searches for a shorter scenario that violates the same promise, within `budget` runs.
    pub fn shrink(&self, budget: usize) -> Self {
        let promise = |outcome: &Outcome| outcome.violations.first().map(|first| kind(first));
        let expected = promise(&self.run(false));
        let mut best = self.clone();
        let mut left = budget;
        let mut fails = |scenario: &Self| {
            left = left.saturating_sub(1);
            left > 0 && promise(&scenario.run(false)) == expected
        };
        let simplify: [fn(&mut Self); 4] = [
            |scenario| scenario.relay_is_stopped = false,
            |scenario| scenario.poison = 0,
            |scenario| scenario.profile = FaultProfile::default(),
            |scenario| scenario.steps = scenario.steps.iter().map(Step::alone).collect(),
        ];
        for simplify in simplify {
            let mut simpler = best.clone();
            simplify(&mut simpler);
            if fails(&simpler) {
                best = simpler;
            }
        }
        // Delta debugging: remove half, a quarter, an eighth … of the steps while the scenario still fails.
        let mut size = best.steps.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at < best.steps.len() {
                let mut steps = best.steps.clone();
                steps.drain(at..(at + size).min(steps.len()));
                let shorter = Self { steps, ..best.clone() };
                if fails(&shorter) {
                    best = shorter;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        best
    }
}

/// Returns the promise that a violation is about.
fn kind(violation: &str) -> String {
    violation.split(':').next().unwrap_or_default().to_owned()
}

/// Runs the sweep every five minutes, as its schedule does.
async fn sweep_regularly(simulation: Arc<Simulation>, over: Arc<AtomicBool>) {
    while !over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_secs(300)).await;
        simulation.sweep().await;
    }
}
