//! One simulated platform.
//!
//! ```no_run
//! # use erp_simulation::simulation::{Settings, Simulation};
//! Simulation::run(7, async {
//!     let simulation = Simulation::open(Settings::new(7));
//!     // simulation.send(…), simulation.drain(), simulation.rows() …
//! });
//! ```

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use erp_auth::Tokens;
use erp_local::deployment::Deployment;
use erp_testkit::ApiResponse;
use erp_testkit::request::send_event;
use fastrand::Rng;
use relay::sweep::SweepReport;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::backend::dynamo::{Commit, Dynamo, Place};
use crate::connector::{Connector, Mutation};
use crate::deliveries;
use crate::environments::{self, Environments, Handler};
use crate::faults::{FaultInjector, NoFaults};
use crate::gateway::{self, AuthPath, Request};
use crate::invocation::{CURRENT, Ended, Function, Invocation};
use crate::queues::{Broker, Message};
use crate::scheduler::Scheduler;
use crate::time::{VirtualClock, random};
use crate::trace::{Counts, Trace};

/// Maximum simulated time until a simulation is quiescent.
const QUIESCENCE_LIMIT: Duration = Duration::from_secs(10 * 24 * 60 * 60);

/// The parameters of a simulation.
pub struct Settings {
    /// The source of all random decisions.
    pub seed: u64,
    /// The template parameter `Registration`: `open` or `closed`.
    pub registration: &'static str,
    /// The faults to inject.
    pub faults: Box<dyn FaultInjector>,
    /// An injected bug, for negative controls.
    pub mutation: Option<Arc<dyn Mutation>>,
    /// Receives every commit.
    pub observer: Option<Box<dyn CommitObserver>>,
    /// Records every call as text.
    pub verbose: bool,
}

impl Settings {
    /// Creates parameters without faults and with open registration.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            registration: "open",
            faults: Box::new(NoFaults),
            mutation: None,
            observer: None,
            verbose: false,
        }
    }
}

/// Receives every commit, in order.
pub trait CommitObserver: Send {
    /// Receives the rows that changed atomically.
    fn observe(&mut self, commit: &Commit);
}

/// The whole platform in one process.
pub struct Simulation {
    /// The seed.
    pub seed: u64,
    /// The simulated clock.
    pub clock: VirtualClock,
    /// Signs and verifies access tokens.
    pub tokens: Tokens,
    /// Set while the relay is stopped.
    pub relay_is_off: AtomicBool,
    pub(crate) scheduler: Scheduler,
    pub(crate) environments: Environments,
    faults: Mutex<Box<dyn FaultInjector>>,
    mutation: Option<Arc<dyn Mutation>>,
    observer: Mutex<Option<Box<dyn CommitObserver>>>,
    dynamo: Mutex<Dynamo>,
    broker: Mutex<Broker>,
    counts: Mutex<Counts>,
    random: Mutex<Rng>,
    changes: Notify,
    shards: Mutex<BTreeMap<(usize, u64), usize>>,
    invocations: AtomicU64,
    running: AtomicUsize,
    pub(crate) trace: Mutex<Trace>,
}

impl Simulation {
    /// Runs a future in simulated time, on this thread alone.
    pub fn run<T>(seed: u64, future: impl Future<Output = T>) -> T {
        // The SDK and the platform draw their back-off from this thread's generator.
        fastrand::seed(seed);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(future)
    }

    /// Creates an empty platform.
    pub fn open(settings: Settings) -> Arc<Self> {
        let Settings { seed, registration, faults, mutation, observer, verbose } = settings;
        let clock = VirtualClock::start();
        let deployment = environments::deployment();
        let simulation = Arc::new_cyclic(|weak| {
            let connector = Connector(weak.clone());
            let environments =
                Environments::new(clock, connector, registration, random(seed, "environments"));
            Self {
                seed,
                clock,
                tokens: environments.tokens(),
                relay_is_off: AtomicBool::new(false),
                scheduler: Scheduler::new(random(seed, "scheduler")),
                environments,
                faults: Mutex::new(faults),
                mutation,
                observer: Mutex::new(observer),
                dynamo: Mutex::new(Dynamo::new(deployment, clock)),
                broker: Mutex::new(Broker::new(deployment)),
                counts: Mutex::default(),
                random: Mutex::new(random(seed, "queues")),
                changes: Notify::new(),
                shards: Mutex::default(),
                invocations: AtomicU64::new(0),
                running: AtomicUsize::new(0),
                trace: Mutex::new(Trace::new(verbose)),
            }
        });
        let scheduler = Arc::clone(&simulation);
        tokio::spawn(async move { scheduler.scheduler.run().await });
        deliveries::start(&simulation);
        simulation
    }

    /// Sends a request as the client attempt `attempt`; returns `None` if the response is lost.
    pub async fn send(
        self: &Arc<Self>,
        request: &Request,
        auth_path: &AuthPath,
        attempt: u64,
    ) -> Option<ApiResponse> {
        let admitted = gateway::admit(self.deployment(), &self.tokens, &self.clock, request, auth_path);
        let (function, sent) = match admitted {
            Ok(admitted) => admitted,
            Err(response) => return Some(response),
        };
        let mut event = sent.event();
        event["requestContext"]["requestId"] = format!("r-{attempt}").into();
        if let Some(mutation) = &self.mutation {
            event = mutation.request(function, event);
        }
        let run = |handler: Handler| async move { send_event(&event, &handler.router()).await };
        let response = match self.invoke(function, Some(attempt), run).await {
            Ended::Done(response) => response,
            Ended::Crashed => gateway::rejection(502, "bad_gateway"),
            Ended::TimedOut => gateway::rejection(504, "gateway_timeout"),
        };
        (!self.faults().loses_response(function)).then_some(response)
    }

    /// Invokes a function.
    pub(crate) async fn invoke<T, F>(
        self: &Arc<Self>,
        function: Function,
        attempt: Option<u64>,
        run: impl FnOnce(Handler) -> F,
    ) -> Ended<T>
    where
        F: Future<Output = T>,
    {
        let id = self.invocations.fetch_add(1, Ordering::Relaxed) + 1;
        let invocation = Invocation::new(id, function, attempt, self.moment());
        let handler = self.environments.take(function);
        let running = Running::begin(&self.running);
        let work = CURRENT.scope(Arc::clone(&invocation), run(handler.clone()));
        let ended = tokio::select! {
            biased;
            () = invocation.crash.notified() => Ended::Crashed,
            done = tokio::time::timeout(self.environments.time_out(function), work) => match done {
                Ok(result) => Ended::Done(result),
                Err(_) => Ended::TimedOut,
            },
        };
        drop(running);
        match &ended {
            // An environment is reused unless it crashed or timed out.
            Ended::Done(_) => self.environments.put_back(function, handler),
            Ended::Crashed => self.count(|counts| counts.crashes += 1),
            Ended::TimedOut => self.count(|counts| counts.time_outs += 1),
        }
        ended
    }

    /// Runs the scheduled sweep once.
    pub async fn sweep(self: &Arc<Self>) -> Option<SweepReport> {
        let deadline = tokio::time::Instant::now() + self.environments.time_out(Function::RelaySweep);
        let ended = self.invoke(Function::RelaySweep, None, |handler| handler.sweep(deadline)).await;
        let swept = ended.done()?.ok()?;
        self.count(|counts| counts.swept += swept.found as u64);
        Some(swept)
    }

    /// Stops injecting faults, and starts the relay.
    pub fn stop_faults(&self) {
        self.set_faults(Box::new(NoFaults));
        self.relay_is_off.store(false, Ordering::Relaxed);
        self.wake();
    }

    /// Replaces the fault injector.
    pub fn set_faults(&self, faults: Box<dyn FaultInjector>) {
        *self.faults.lock().unwrap() = faults;
    }

    /// Waits until no request, message or stream record is in flight.
    ///
    /// # Panics
    /// If that takes longer than ten simulated days.
    pub async fn quiesce(&self) {
        let start = tokio::time::Instant::now();
        let mut pause = Duration::from_millis(20);
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(30));
            if self.is_quiescent() {
                return;
            }
            assert!(
                start.elapsed() < QUIESCENCE_LIMIT,
                "seed {}: the simulation does not become quiescent",
                self.seed
            );
        }
    }

    /// Drains the platform: stops faults, waits, sweeps the outbox and redrives dead letters until nothing is
    /// left but poison messages.
    pub async fn drain(self: &Arc<Self>) {
        self.stop_faults();
        for _ in 0..5 {
            self.quiesce().await;
            // Longer than the minimum age of the sweep.
            tokio::time::sleep(Duration::from_secs(600)).await;
            let swept = self.sweep().await;
            self.quiesce().await;
            let redriven = self.broker().redrive(self.clock.elapsed());
            self.count(|counts| counts.redriven += redriven as u64);
            self.wake();
            self.quiesce().await;
            if swept.is_some_and(|swept| swept.found == 0) && redriven == self.dead_letters().len() {
                return;
            }
        }
    }

    /// Returns whether nothing is in flight.
    pub fn is_quiescent(&self) -> bool {
        self.running.load(Ordering::Relaxed) == 0
            && self.broker().is_quiescent()
            && self.shards.lock().unwrap().values().all(|pending| *pending == 0)
    }

    /// Returns the dead letters with their queues.
    pub fn dead_letters(&self) -> Vec<(String, Message)> {
        let broker = self.broker();
        let of = |queue: &crate::queues::Queue| {
            let name = queue.name.clone();
            queue.dead.iter().map(move |dead| (name.clone(), dead.clone())).collect::<Vec<_>>()
        };
        broker.queues.iter().flat_map(of).collect()
    }

    /// Sends a message to a queue directly.
    pub fn put_message(&self, queue: usize, body: &str) {
        let now = self.clock.elapsed();
        self.broker().put(queue, body, now);
        self.wake();
    }

    /// Returns the number of the last commit.
    pub fn moment(&self) -> usize {
        self.dynamo.lock().unwrap().moment()
    }

    /// Reads the tables.
    pub fn read<T>(&self, read: impl FnOnce(&Dynamo) -> T) -> T {
        read(&self.dynamo.lock().unwrap())
    }

    /// Returns every row of a table in DynamoDB JSON.
    pub fn rows(&self, table: &str) -> Vec<(Place, Arc<Value>)> {
        self.read(|dynamo| {
            let rows = dynamo.rows().iter().filter(|(place, _)| place.table == table);
            rows.map(|(place, row)| (place.clone(), Arc::clone(row))).collect()
        })
    }

    /// Returns the counters.
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap().clone()
    }

    pub(crate) fn deployment(&self) -> &'static Deployment {
        environments::deployment()
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Box<dyn FaultInjector>> {
        self.faults.lock().unwrap()
    }

    pub(crate) fn mutation(&self) -> Option<Arc<dyn Mutation>> {
        self.mutation.clone()
    }

    /// Returns the queues.
    pub fn broker(&self) -> MutexGuard<'_, Broker> {
        self.broker.lock().unwrap()
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap());
    }

    /// Waits for the next change. (A `watch` channel would wake its receivers in an order that tokio draws at
    /// random.)
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changes.notified()
    }

    /// Wakes the delivery loops after a change.
    pub(crate) fn wake(&self) {
        self.changes.notify_waiters();
    }

    pub(crate) fn set_pending(&self, shard: (usize, u64), pending: usize) {
        self.shards.lock().unwrap().insert(shard, pending);
    }

    pub(crate) fn receive(&self, queue: usize, limit: usize) -> Vec<Message> {
        let now = self.clock.elapsed();
        self.broker().receive(queue, limit, now, &mut self.random.lock().unwrap())
    }

    pub(crate) fn publish(&self, topic: &str, body: &str, kind: &str) {
        let now = self.clock.elapsed();
        let copies = || self.faults().copies();
        self.broker().publish(topic, body, kind, now, copies);
        self.wake();
    }

    /// Changes the tables and reports the commits to the observer.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Dynamo) -> T) -> T {
        let (result, new) = {
            let mut dynamo = self.dynamo.lock().unwrap();
            let before = dynamo.moment();
            let result = change(&mut dynamo);
            (result, dynamo.commits()[before..].to_vec())
        };
        for commit in &new {
            if let Some(observer) = &mut *self.observer.lock().unwrap() {
                observer.observe(commit);
            }
        }
        if !new.is_empty() {
            self.wake();
        }
        result
    }
}

/// Counts a running invocation until it is dropped.
struct Running<'a>(&'a AtomicUsize);

impl<'a> Running<'a> {
    fn begin(running: &'a AtomicUsize) -> Self {
        running.fetch_add(1, Ordering::Relaxed);
        Self(running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
