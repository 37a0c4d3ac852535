//! Crash consistency: every operation is crashed at every call to AWS that it leads to.
//!
//! An operation is a request, or a run of the sweep, with everything that follows until the platform is
//! quiescent: relay, workers, movements, back-order queue. It runs once without a fault to count its calls.
//! Then it runs twice per call: the calling function crashes before the call is executed, and after it,
//! before the response. Then the usual recovery happens: the client retries (with the same key, where the
//! route supports one), messages are redelivered, the stream is read again. In the end every promise must
//! hold, and the final state must equal that of the run without a crash.

mod final_state;
mod operations;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use erp_domain::identity::{self, Role};
use erp_domain::{Clock, EmailAddress, Id};
use serde::Serialize;
use uuid::Uuid;

use crate::Simulation;
use crate::client::{Shared, render};
use crate::faults::{Fault, FaultInjector, Io};
use crate::gateway::{AuthPath, Request};
use crate::inspection;
use crate::invocation::Function;
use crate::model::Model;
use crate::model::request::{Access, Caller, ClientRequest, Command};
use crate::observer::ModelObserver;
use crate::simulation::Settings;

pub use operations::{Fixture, Operation, operations};
pub(crate) use operations::{Make, opening};

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
    pub final_state: Vec<String>,
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
    pub runs: usize,
    /// Number of crash points: two per call.
    pub points: usize,
    /// Crash points after which a promise was violated or the final state differs.
    pub failures: Vec<String>,
}

/// Crashes an invocation at one call, and records all calls.
struct CrashAt {
    at: Option<(usize, Fault)>,
    calls: Arc<Mutex<Vec<Point>>>,
}

impl FaultInjector for CrashAt {
    fn io(&mut self, io: &Io<'_>) -> Fault {
        let mut calls = self.calls.lock().unwrap();
        calls.push((io.invocation.function, io.call.operation.clone()));
        match self.at {
            Some((at, fault)) if at == calls.len() => fault,
            _ => Fault::None,
        }
    }
}

/// Crashes an operation at every call, or at the crash point `only`, modulo their number.
pub fn crash_everywhere(operation: &Operation, only: Option<usize>) -> Report {
    let reference = run(operation, None, false);
    let mut calls: BTreeMap<&'static str, usize> = BTreeMap::new();
    for (function, _) in &reference.points {
        *calls.entry(function.binary()).or_default() += 1;
    }
    let mut report = Report {
        operation: operation.name,
        calls,
        runs: 0,
        points: 2 * reference.points.len(),
        failures: Vec::new(),
    };
    if !reference.violations.is_empty() || reference.points.is_empty() {
        report.failures.push(format!("without a crash: {:?}", reference.violations));
        return report;
    }
    let faults = [Fault::CrashBefore, Fault::CrashAfter];
    let crashes = (1..=reference.points.len()).flat_map(|at| faults.map(|fault| (at, fault)));
    let only = only.map(|number| number % report.points);
    for (_, (at, fault)) in crashes.enumerate().filter(|(index, _)| only.is_none_or(|only| only == *index)) {
        report.runs += 1;
        let crashed = run(operation, Some((at, fault)), false);
        let (function, call) = &reference.points[at - 1];
        let place = format!("{} at call {at} ({function} {call})", fault.as_str());
        if crashed.points[..at.min(crashed.points.len())] != reference.points[..at] {
            report.failures.push(format!("{place}: other calls before the crash"));
        } else if let Some(violation) = crashed.violations.first() {
            report.failures.push(format!("{place}: {violation}"));
        } else if crashed.final_state != reference.final_state {
            let different: Vec<_> =
                crashed.final_state.iter().filter(|line| !reference.final_state.contains(line)).collect();
            let expected: Vec<_> =
                reference.final_state.iter().filter(|line| !crashed.final_state.contains(line)).collect();
            report.failures.push(format!("{place}: final state {different:?}, expected {expected:?}"));
        }
    }
    report
}

/// Runs an operation, with a crash at a call or without.
pub fn run(operation: &Operation, at: Option<(usize, Fault)>, verbose: bool) -> Replay {
    Simulation::run(SEED, async move {
        let model = Arc::new(Mutex::new(Model::default()));
        model.lock().unwrap().open_registration = true;
        let simulation = Simulation::open(Settings {
            observer: Some(Box::new(ModelObserver(Arc::clone(&model)))),
            verbose,
            ..Settings::new(SEED)
        });
        let mut client = Client::new(&Shared::new(Arc::clone(&simulation), model), "key");
        for make in operations::opening().into_iter().chain(operation.preparation.iter().copied()) {
            client.send(make).await;
            simulation.quiesce().await;
        }
        let calls = Arc::default();
        let crash = CrashAt { at, calls: Arc::clone(&calls) };
        let model = &client.shared.model;
        if operation.by_sweep {
            // The relay is stopped until the stream records expire; then only the sweep can publish the
            // event.
            simulation.relay_is_off.store(true, std::sync::atomic::Ordering::Relaxed);
            client.send(operation.command).await;
            tokio::time::sleep(TWO_DAYS).await;
            simulation.stop_faults();
            simulation.quiesce().await;
            simulation.set_faults(Box::new(crash));
            simulation.sweep().await;
        } else {
            model.lock().unwrap().faults = at.is_some();
            simulation.set_faults(Box::new(crash));
            client.send(operation.command).await;
        }
        simulation.quiesce().await;
        simulation.drain().await;
        let points = calls.lock().unwrap().clone();
        client.shared.model.lock().unwrap().faults = false;
        inspection::inspect(&client.shared, &BTreeSet::new()).await;
        let model = client.shared.model.lock().unwrap();
        let (violations, lines) = (model.violations.clone(), simulation.lines());
        Replay { points, violations, final_state: final_state::of(&model), lines }
    })
}

/// A client with the role finance manager that retries.
pub(crate) struct Client {
    shared: Arc<Shared>,
    /// Reset tokens, newest last.
    tokens: Vec<String>,
    /// Prefix of the idempotency keys.
    name: &'static str,
    requests: u32,
}

impl Client {
    pub(crate) fn new(shared: &Arc<Shared>, name: &'static str) -> Self {
        Self { shared: Arc::clone(shared), tokens: Vec::new(), name, requests: 0 }
    }

    pub(crate) async fn send(&mut self, make: Make) {
        let command = make(&Fixture { model: &self.shared.model.lock().unwrap(), tokens: &self.tokens });
        self.requests += 1;
        let (request, http_request) = self.http_request(command);
        for _ in 0..TRIES {
            let response = self.shared.try_once(&request, &http_request, &AuthPath::Gateway).await;
            if let Some(response) = response.filter(|response| response.status < 500) {
                self.tokens.extend(response.data()["reset_token"].as_str().map(str::to_owned));
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn http_request(&self, command: Command) -> (Arc<ClientRequest>, Request) {
        let (method, path, body) = render(&command);
        let (mut caller, mut token) = (Caller::Anonymous, None);
        if command.access() != Access::Public {
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
        let without_key = matches!(
            command,
            Command::Login { .. } | Command::ForgotPassword { .. } | Command::ServiceToken { .. }
        );
        let key = (matches!(method, "POST" | "PUT") && !without_key)
            .then(|| format!("{}-{}", self.name, self.requests));
        let headers = key.iter().map(|key| ("Idempotency-Key", key.clone())).collect();
        let request = ClientRequest {
            caller,
            command,
            method,
            path: path.clone(),
            body: body.clone(),
            key,
            if_match: None,
        };
        (Arc::new(request), Request { method, path, token, headers, body })
    }
}
