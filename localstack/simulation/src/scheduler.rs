//! Which of those that wait goes next.
//!
//! Everybody who wants to do something that others can see waits here. Once everybody waits, here or for a time,
//! one is let through; tokio's paused clock says when that is, since it only moves when nobody has anything to do.
//! So each step takes a millisecond of the simulation's time, and nothing but the seed decides their order.

use std::sync::Mutex;
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::{Notify, oneshot};

/// How long a step takes.
const STEP: Duration = Duration::from_millis(1);

/// The scheduler of a simulation.
#[derive(Debug)]
pub struct Scheduler {
    waiting: Mutex<Vec<oneshot::Sender<()>>>,
    arrived: Notify,
    random: Mutex<Rng>,
}

impl Scheduler {
    /// Opens in an order that this generator decides.
    pub fn new(random: Rng) -> Self {
        Self { waiting: Mutex::default(), arrived: Notify::new(), random: Mutex::new(random) }
    }

    /// Waits for a turn.
    pub async fn pass(&self) {
        let (open, opened) = oneshot::channel();
        self.waiting.lock().unwrap().push(open);
        self.arrived.notify_one();
        // The sender is only ever used, or dropped with the simulation.
        if opened.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Lets one after the other through, for as long as the simulation is there.
    pub async fn run(&self) {
        loop {
            if self.waiting.lock().unwrap().is_empty() {
                self.arrived.notified().await;
            }
            tokio::time::sleep(STEP).await;
            loop {
                let mut waiting = self.waiting.lock().unwrap();
                // Those who died while they waited.
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
