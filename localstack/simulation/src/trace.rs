//! Counters and the trace of calls: a hash that identifies a run, and text for debugging.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::Simulation;
use crate::connector::Call;
use crate::faults::Fault;
use crate::invocation::Invocation;

/// Counters of a simulation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Calls to AWS.
    pub calls: u64,
    /// Injected faults, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Crashed invocations.
    pub crashes: u64,
    /// Timed-out invocations.
    pub time_outs: u64,
    /// Messages delivered to workers.
    pub deliveries: u64,
    /// Records delivered to the relay.
    pub records: u64,
    /// Records that expired in a stream.
    pub expired: u64,
    /// Redriven dead letters.
    pub redriven: u64,
    /// Events that the sweep found.
    pub swept: u64,
}

impl Counts {
    /// Adds the counters of another simulation.
    pub fn add(&mut self, other: &Self) {
        let Self { calls, faults, crashes, time_outs, deliveries, records, expired, redriven, swept } = other;
        self.calls += calls;
        self.crashes += crashes;
        self.time_outs += time_outs;
        self.deliveries += deliveries;
        self.records += records;
        self.expired += expired;
        self.redriven += redriven;
        self.swept += swept;
        add_up(&mut self.faults, faults);
    }
}

/// Adds numbers by name.
pub(crate) fn add_up(into: &mut BTreeMap<&'static str, u64>, from: &BTreeMap<&'static str, u64>) {
    for (name, count) in from {
        *into.entry(name).or_default() += count;
    }
}

/// The calls of a simulation.
#[derive(Default)]
pub(crate) struct Trace {
    /// Hash of all calls so far.
    pub(crate) hash: u64,
    /// The calls as text, if requested.
    pub(crate) lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(verbose: bool) -> Self {
        Self { hash: 0, lines: verbose.then(Vec::new) }
    }
}

impl Simulation {
    /// Returns the hash: equal for equal runs.
    pub fn trace(&self) -> u64 {
        self.trace.lock().unwrap().hash
    }

    /// Returns the calls as text, if requested.
    pub fn lines(&self) -> Vec<String> {
        self.trace.lock().unwrap().lines.clone().unwrap_or_default()
    }

    /// Adds a line of text.
    pub fn log(&self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.trace.lock().unwrap().lines {
            lines.push(format!("{:>9} {}", self.clock.elapsed(), line()));
        }
    }

    pub(crate) fn note_io(&self, invocation: &Invocation, number: u32, call: &Call, fault: Fault) {
        self.count(|counts| {
            counts.calls += 1;
            if fault != Fault::None {
                *counts.faults.entry(fault.as_str()).or_default() += 1;
            }
        });
        let mut trace = self.trace.lock().unwrap();
        let entry = (
            invocation.id,
            invocation.function,
            number,
            call.operation.as_str(),
            fault,
            self.clock.elapsed(),
        );
        trace.hash = {
            use std::hash::{DefaultHasher, Hash, Hasher};
            let mut hasher = DefaultHasher::new();
            (trace.hash, entry).hash(&mut hasher);
            hasher.finish()
        };
        if let Some(lines) = &mut trace.lines {
            let (id, function, number, operation, fault, at) = entry;
            let fault = if fault == Fault::None { "" } else { fault.as_str() };
            let subject = subject(call);
            lines.push(format!("{at:>9} #{id} {function}.{number} {operation} {subject} {fault}"));
        }
    }
}

/// Returns the target of a call in short.
fn subject(call: &Call) -> String {
    let key = |key: &Value| {
        let part = |name: &str| key[name]["S"].as_str().unwrap_or_default().to_owned();
        format!("{}/{}", part("pk"), part("sk"))
    };
    let body = &call.body;
    match call.operation.as_str() {
        "TransactWriteItems" => {
            let actions = body["TransactItems"].as_array().into_iter().flatten();
            let of = |action: &Value| {
                let (kind, action) = action.as_object().and_then(|action| action.iter().next())?;
                let place = if kind == "Put" { &action["Item"] } else { &action["Key"] };
                Some(format!("{kind} {}", key(place)))
            };
            actions.filter_map(of).collect::<Vec<_>>().join(", ")
        }
        "Query" => body["ExpressionAttributeValues"][":pk"]["S"].as_str().unwrap_or_default().to_owned(),
        "Invoke" => body["FunctionName"].as_str().unwrap_or_default().to_owned(),
        "PublishBatch" => {
            let entries = body["Entries"].as_array().into_iter().flatten();
            entries.filter_map(|entry| entry["Type"].as_str()).collect::<Vec<_>>().join(", ")
        }
        "PutItem" => key(&body["Item"]),
        "GetItem" | "UpdateItem" | "DeleteItem" => key(&body["Key"]),
        _ => String::new(),
    }
}
