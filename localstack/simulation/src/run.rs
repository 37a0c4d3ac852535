//! Many histories, on every processor.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;

use crate::figures::Figures;
use crate::scenario::{Outcome, Scenario};

/// How much is to be played, as command lines say it.
#[derive(Debug, Args)]
pub struct Extent {
    /// Order operations to play at least, unless a time is given.
    #[arg(long, default_value_t = 20_000)]
    operations: u64,
    /// Play for so many hours.
    #[arg(long)]
    hours: Option<f64>,
    /// Steps of each history.
    #[arg(long, default_value_t = 400)]
    pub steps: usize,
    /// The first seed; drawn if not given.
    #[arg(long)]
    first_seed: Option<u64>,
    /// Worlds at the same time; one for each processor if not given.
    #[arg(long)]
    threads: Option<usize>,
}

impl Extent {
    /// What to play.
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

/// Histories to play, one seed after the other.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The first seed; the others follow it.
    pub first_seed: u64,
    /// Steps of each history.
    pub steps: usize,
    /// When it is enough.
    pub until: Until,
    /// Worlds at the same time.
    pub threads: usize,
}

/// When a run is long enough.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// So many order operations were played.
    Operations(u64),
    /// So much time is over.
    Elapsed(Duration),
}

impl Run {
    /// Plays until it is enough, or until a promise is broken. `progress` hears of every simulation.
    pub fn play(&self, progress: impl Fn(&Figures, u64, &Outcome) + Sync) -> Figures {
        let begun = Instant::now();
        let figures = Mutex::new(Figures { first_seed: self.first_seed, ..Figures::default() });
        let (next, failed) = (AtomicU64::new(self.first_seed), AtomicBool::new(false));
        let enough = || match self.until {
            Until::Elapsed(most) => begun.elapsed() >= most,
            Until::Operations(most) => lock(&figures).order_operations >= most,
        };
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    while !failed.load(Ordering::Relaxed) && !enough() {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        let outcome = Scenario::of(seed, self.steps).run(false);
                        failed.fetch_or(!outcome.violations.is_empty(), Ordering::Relaxed);
                        let mut figures = lock(&figures);
                        figures.add(seed, &outcome);
                        figures.finish(begun.elapsed().as_secs_f64());
                        progress(&figures, seed, &outcome);
                    }
                });
            }
        });
        figures.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As many worlds at the same time as there are processors.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// Does something with each of them on every processor; the results in their order.
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
