//! Deterministic simulation testing: the whole platform in one process, under fault injection, from a seed,
//! against a model.
//!
//! A [`Simulation`] runs the real routers, use cases, stores, workers, relay and sweep over the real SDK
//! clients. Below the clients is the simulation's own HTTP connector: DynamoDB is an embedded database, SNS
//! and SQS are lists, Lambda is a function call. Every call waits for the scheduler, which admits one at a
//! time in an order drawn from the seed. So the interleaving depends on the seed only, and a run can be
//! repeated exactly.
//!
//! ```text
//! simulation    one platform: what a scenario runs on
//! environments  the functions' execution environments, built as their `main`s build them
//! invocation    one invocation of a function: its purpose, its end, its crash
//! scheduler     which of the waiting calls proceeds
//! connector     the HTTP client below the SDK: faults, crashes, mutations
//! backend       executes calls: dynamo (records every change of every row), topics
//! faults        which faults are injected, and when
//! gateway       routes and authorizer in front of the functions
//! queues        topics, queues, dead letters
//! deliveries    streams to the relay, queues to the workers
//! time          clock and ids drawn from the seed
//! model         expected responses and final state: plain maps
//! observer      reports every commit to the model
//! workload      the operations of the clients, drawn from a seed
//! resolve       the targets of an operation, chosen from what exists when it starts
//! client        sends requests, retries them, and passes the responses to the model
//! inspection    invariants of the quiescent state
//! trace         the calls of a run
//! figures       totals over many runs
//! scenario      one run from beginning to end; shrinking of a failing one
//! run           many scenarios on all processors
//! crash         crash consistency: every operation, crashed at every call
//! race          a race that random workloads rarely produce
//! control       negative controls: injected bugs that the checks must detect
//! ```
#![expect(clippy::unwrap_used, reason = "only tests and the simulator use this package")]

pub mod backend;
pub mod client;
pub mod connector;
pub mod control;
pub mod crash;
pub mod deliveries;
pub mod environments;
pub mod faults;
pub mod figures;
pub mod gateway;
pub mod inspection;
pub mod invocation;
pub mod model;
pub mod observer;
pub mod queues;
pub mod race;
pub mod resolve;
pub mod run;
pub mod scenario;
pub mod scheduler;
pub mod simulation;
pub mod time;
pub mod trace;
pub mod workload;

pub use connector::{Call, Mutation, Service, WireResponse};
pub use faults::{Fault, FaultInjector, Io};
pub use simulation::Simulation;
