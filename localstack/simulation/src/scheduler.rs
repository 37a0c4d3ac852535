//! Which of the waiting calls proceeds.
//!
//! A call with an effect that others can observe waits here. When every task waits, for the scheduler or for
//! a timer, one call is admitted. tokio's paused clock detects that moment, because it only advances when no
//! task can run. Each step takes a millisecond of simulated time, and only the seed determines the order.

use std::sync::Mutex;
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::{Notify, oneshot};

/// Simulated duration of a step.
const STEP: Duration = Duration::from_millis(1);

/// Admits one call at a time.
#[derive(Debug)]
pub struct Scheduler {
    waiting: Mutex<Vec<oneshot::Sender<()>>>,
    arrived: Notify,
    random: Mutex<Rng>,
}

impl Scheduler {
    /// Creates a scheduler whose order is drawn from `random`.
    pub fn new(random: Rng) -> Self {
        Self { waiting: Mutex::default(), arrived: Notify::new(), random: Mutex::new(random) }
    }

    /// Waits until the call is admitted.
    pub async fn admit(&self) {
        let (open, opened) = oneshot::channel();
        self.waiting.lock().unwrap().push(open);
        self.arrived.notify_one();
        // The sender is only dropped with the simulation.
        if opened.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Admits calls until the simulation is dropped.
    pub async fn run(&self) {
        loop {
            if self.waiting.lock().unwrap().is_empty() {
                self.arrived.notified().await;
            }
            tokio::time::sleep(STEP).await;
            loop {
                let mut waiting = self.waiting.lock().unwrap();
                // Calls of invocations that crashed while waiting.
                waiting.retain(|open| !open.is_closed());
                if waiting.is_empty() {
                    break;
                }
                let next = self.random.lock().unwrap().usize(..waiting.len());
                if waiting.remove(next).send(()).is_ok() {
                    break;
                }
            }
        }
    }
}
