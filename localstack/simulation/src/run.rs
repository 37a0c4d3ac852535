//! Many scenarios on all processors.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;

use crate::figures::Figures;
use crate::scenario::{Outcome, Scenario};

/// Command-line options: how much to run.
#[derive(Debug, Args)]
pub struct Extent {
    /// Minimum number of order operations, unless a duration is given.
    #[arg(long, default_value_t = 20_000)]
    operations: u64,
    /// Duration in hours.
    #[arg(long)]
    hours: Option<f64>,
    /// Steps of each scenario.
    #[arg(long, default_value_t = 400)]
    pub steps: usize,
    /// First seed; random by default.
    #[arg(long)]
    first_seed: Option<u64>,
    /// Concurrent simulations; one per processor by default.
    #[arg(long)]
    threads: Option<usize>,
}

impl Extent {
    /// Returns the run.
    pub fn run(&self) -> Run {
        let until = self.hours.map_or(Until::Operations(self.operations), |hours| {
            Until::Elapsed(Duration::try_from_secs_f64(hours * 3600.0).unwrap_or(Duration::MAX))
        });
        Run {
            first_seed: self.first_seed.unwrap_or_else(|| fastrand::u64(..1 << 40)),
            steps: self.steps,
            until,
            threads: self.threads.unwrap_or_else(processors),
        }
    }
}

/// Scenarios with consecutive seeds.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The first seed.
    pub first_seed: u64,
    /// Steps of each scenario.
    pub steps: usize,
    /// The limit.
    pub until: Until,
    /// Concurrent simulations.
    pub threads: usize,
}

/// The limit of a run.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After this number of order operations.
    Operations(u64),
    /// After this duration.
    Elapsed(Duration),
}

impl Run {
    /// Runs scenarios until the limit, or until a promise is violated. `progress` is called after each.
    pub fn execute(&self, progress: impl Fn(&Figures, u64, &Outcome) + Sync) -> Figures {
        let started = Instant::now();
        let figures = Mutex::new(Figures { first_seed: self.first_seed, ..Figures::default() });
        let (next, failed) = (AtomicU64::new(self.first_seed), AtomicBool::new(false));
        let is_done = || match self.until {
            Until::Elapsed(limit) => started.elapsed() >= limit,
            Until::Operations(limit) => lock(&figures).order_operations >= limit,
        };
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    while !failed.load(Ordering::Relaxed) && !is_done() {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        let outcome = Scenario::of(seed, self.steps).run(false);
                        failed.fetch_or(!outcome.violations.is_empty(), Ordering::Relaxed);
                        let mut figures = lock(&figures);
                        figures.add(seed, &outcome);
                        figures.finish(started.elapsed().as_secs_f64());
                        progress(&figures, seed, &outcome);
                    }
                });
            }
        });
        figures.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the number of processors.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// Applies a function to each element, on all processors; returns the results in order.
pub fn in_parallel<T: Sync, R: Send>(work: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..processors() {
            scope.spawn(|| {
                while let Some((index, one)) = take(work, &next) {
                    let result = each(one);
                    lock(&results).push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn take<'a, T>(work: &'a [T], next: &AtomicUsize) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    work.get(index).map(|one| (index, one))
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
