//! Crash consistency: every operation is crashed at every call to AWS that it leads to.
//!
//! An operation is a request, or a run of the sweep, with everything that follows until the platform is quiescent: relay,
//! workers, movements, back-order queue. It runs once without a fault to count its calls. Then it runs twice per call:
//! the calling function crashes before the call is executed, and after it, before the response. Then the usual recovery
//! happens: the client retries (with the same key, where the route supports one), messages are redelivered, the stream
//! is read again. In the end every promise must hold, and the final state must equal that of the run without a crash.

mod end;
mod operations;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use erp_domain::identity::{self, Role};
use erp_domain::{Clock, EmailAddress, Id};
use serde::Serialize;
use uuid::Uuid;

use crate::Simulation;
use crate::faults::{FaultInjector, Fault, Io};
use crate::client::{Shared, render};
use crate::gateway::{AuthPath, Request};
use crate::inspection;
use crate::invocation::Function;
use crate::model::Model;
use crate::model::request::{Access, ClientRequest, Caller, Command};
use crate::observer::ModelObserver;
use crate::simulation::Settings;

pub use operations::{Operation, Fixture, operations};

/// The seed of all simulations here: only the crash point varies.
const SEED: u64 = 1;
/// Attempts of the client.
const TRIES: u32 = 4;
/// Longer than the retention of streams.
const TWO_DAYS: Duration = Duration::from_secs(48 * 60 * 60);

/// A call: the function and the operation.
pub type Point = (Function, String);

/// The result of a run.
#[derive(Debug)]
pub struct Replay {
    /// The calls.
    pub points: Vec<Point>,
    /// Violations of promises.
    pub violations: Vec<String>,
    /// The final state without ids and times.
    pub end: Vec<String>,
    /// Every call as text, if requested.
    pub lines: Vec<String>,
}

/// The result of all crash points of an operation.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The operation.
    pub operation: &'static str,
    /// Number of calls, by function.
    pub calls: BTreeMap<&'static str, usize>,
    /// Number of crash points that ran.
    pub played: usize,
    /// Number of crash points: two per call.
    pub points: usize,
    /// Crash points after which a promise was violated or the final state differs.
    pub broken: Vec<String>,
}

/// Crashes at one call, and records all calls.
struct Stop {
    at: Option<(usize, Fault)>,
    seen: Arc<Mutex<Vec<Point>>>,
}

impl FaultInjector for Stop {
    fn io(&mut self, io: &Io<'_>) -> Fault {
        let mut seen = self.seen.lock().unwrap();
        seen.push((io.invocation.function, io.call.operation.clone()));
        match self.at {
            Some((at, fault)) if at == seen.len() => fault,
            _ => Fault::None,
        }
    }
}

/// Crashes an operation at every call, or at the crash point `only`, modulo their number.
pub fn crash_everywhere(operation: &Operation, only: Option<usize>) -> Report {
    let calm = play(operation, None, false);
    let mut calls: BTreeMap<&'static str, usize> = BTreeMap::new();
    for (function, _) in &calm.points {
        *calls.entry(function.binary()).or_default() += 1;
    }
    let mut report = Report {
        operation: operation.name,
        calls,
        played: 0,
        points: 2 * calm.points.len(),
        broken: Vec::new(),
    };
    if !calm.violations.is_empty() || calm.points.is_empty() {
        report.broken.push(format!("without a crash: {:?}", calm.violations));
        return report;
    }
    let faults = [Fault::CrashBefore, Fault::CrashAfter];
    let stops = (1..=calm.points.len()).flat_map(|at| faults.map(|fault| (at, fault)));
    let only = only.map(|number| number % report.points);
    for (_, (at, fault)) in stops.enumerate().filter(|(index, _)| only.is_none_or(|only| only == *index)) {
        report.played += 1;
        let stopped = play(operation, Some((at, fault)), false);
        let (function, call) = &calm.points[at - 1];
        let place = format!("{} at call {at} ({function} {call})", fault.as_str());
        if stopped.points[..at.min(stopped.points.len())] != calm.points[..at] {
            report.broken.push(format!("{place}: another history than without the crash"));
        } else if let Some(violation) = stopped.violations.first() {
            report.broken.push(format!("{place}: {violation}"));
        } else if stopped.end != calm.end {
            let other: Vec<_> = stopped.end.iter().filter(|line| !calm.end.contains(line)).collect();
            let gone: Vec<_> = calm.end.iter().filter(|line| !stopped.end.contains(line)).collect();
            report.broken.push(format!("{place}: ends with {other:?} in the place of {gone:?}"));
        }
    }
    report
}

/// Runs an operation, with a crash at a call or without.
pub fn play(operation: &Operation, at: Option<(usize, Fault)>, verbose: bool) -> Replay {
    Simulation::run(SEED, async move {
        let model = Arc::new(Mutex::new(Model::default()));
        model.lock().unwrap().open_registration = true;
        let simulation = Simulation::open(Settings {
            observer: Some(Box::new(ModelObserver(Arc::clone(&model)))),
            verbose,
            ..Settings::new(SEED)
        });
        let mut client =
            CrashClient { shared: Shared::new(Arc::clone(&simulation), model), tokens: Vec::new(), asked: 0 };
        for make in operations::opening().into_iter().chain(operation.before.iter().copied()) {
            client.ask(make).await;
            simulation.quiesce().await;
        }
        let seen = Arc::default();
        let stop = Stop { at, seen: Arc::clone(&seen) };
        let model = &client.shared.model;
        if operation.by_sweep {
            // The relay is stopped until the stream records expire; then only the sweep can publish the event.
            simulation.relay_is_off.store(true, std::sync::atomic::Ordering::Relaxed);
            client.ask(operation.is).await;
            tokio::time::sleep(TWO_DAYS).await;
            simulation.stop_faults();
            simulation.quiesce().await;
            simulation.set_faults(Box::new(stop));
            simulation.sweep().await;
        } else {
            model.lock().unwrap().faults = at.is_some();
            simulation.set_faults(Box::new(stop));
            client.ask(operation.is).await;
        }
        simulation.quiesce().await;
        simulation.drain().await;
        let points = seen.lock().unwrap().clone();
        client.shared.model.lock().unwrap().faults = false;
        inspection::inspect(&client.shared, &BTreeSet::new()).await;
        let model = client.shared.model.lock().unwrap();
        Replay { points, violations: model.violations.clone(), end: end::of(&model), lines: simulation.lines() }
    })
}

/// The client: a finance manager who retries.
struct CrashClient {
    shared: Arc<Shared>,
    /// Reset tokens, newest last.
    tokens: Vec<String>,
    asked: u32,
}

impl CrashClient {
    async fn ask(&mut self, make: fn(&Fixture<'_>) -> Command) {
        let what = make(&Fixture { model: &self.shared.model.lock().unwrap(), tokens: &self.tokens });
        self.asked += 1;
        let (ask, request) = self.request(what);
        for _ in 0..TRIES {
            let answer = self.shared.try_once(&ask, &request, &AuthPath::Gateway).await;
            if let Some(answer) = answer.filter(|answer| answer.status < 500) {
                self.tokens.extend(answer.data()["reset_token"].as_str().map(str::to_owned));
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn request(&self, what: Command) -> (Arc<ClientRequest>, Request) {
        let (method, path, body) = render(&what);
        let (mut caller, mut token) = (Caller::Nobody, None);
        if what.access() != Access::Public {
            let role = Role::FinanceManager;
            let id = Id::new(Uuid::from_u128(1 + role as u128));
            let email = EmailAddress::parse("finance@example.com").unwrap();
            let simulation = &self.shared.simulation;
            let signed = simulation.tokens.sign(
                &identity::Caller::User { id, email, role },
                Uuid::nil(),
                simulation.clock.now(),
            );
            token = Some(signed.unwrap().0);
            caller = Caller::User(id.to_string(), role);
        }
        let without = matches!(what, Command::Login { .. } | Command::Forgot { .. } | Command::ServiceToken { .. });
        let key = (matches!(method, "POST" | "PUT") && !without).then(|| format!("key-{}", self.asked));
        let headers = key.iter().map(|key| ("Idempotency-Key", key.clone())).collect();
        let ask = ClientRequest { caller, what, method, path: path.clone(), body: body.clone(), key, if_match: None };
        (Arc::new(ask), Request { method, path, token, headers, body })
    }
}
