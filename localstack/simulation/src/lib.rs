//! The whole platform in one process, under faults, from a seed, against a model.
//!
//! A [`Simulation`] runs the real routers, use cases, stores, workers, relay and sweep over the real SDK clients. Below
//! the clients is a connector of ours: DynamoDB is an embedded database, SNS and SQS are a few lists, Lambda is a
//! call. Everything that reaches it waits at a scheduler, which a seed opens in some order; so what happens at the
//! same time is decided by the seed and by nothing else, and happens again from the same seed.
//!
//! ```text
//! simulation       one platform: what a test builds on
//! environments      the functions as their `main`s build them, over our connector
//! invocation  one run of a function: what it is for, how it ends, how it dies
//! scheduler   which of those that wait goes next
//! connector   the HTTP client below the SDK: faults, crashes, mutation
//! backend     what carries a call out: dynamo (with every change of every row noted), topics
//! faults       what goes wrong, and when
//! gateway     routes and authorizer in front of the functions
//! queues      topics, queues, dead letters
//! deliveries  streams to the relay, queues to the workers
//! time        a clock and ids that a seed decides
//! model       what the platform promises to answer and to end up with: plain maps
//! observer     what was committed, told to the model
//! history     what clients do, drawn from a seed
//! resolve     what it is done to, out of what is there when its turn has come
//! client      does it, again where it must, and has the model judge the answers
//! inspection  what must be true once everything has come to rest
//! trace       what happened, call by call
//! figures     what many of them came to
//! scenario       a history in a simulation from beginning to end; shrinking
//! run         many of them, on every processor
//! crash       every operation, stopped at every call
//! control     bugs put in on purpose: do the checks notice?
//! ```
#![expect(
    clippy::unwrap_used,
    reason = "only tests and the simulator use this, and there a panic is the report"
)]

pub mod backend;
pub mod faults;
pub mod client;
pub mod connector;
pub mod control;
pub mod crash;
pub mod deliveries;
pub mod figures;
pub mod gateway;
pub mod workload;
pub mod inspection;
pub mod invocation;
pub mod model;
pub mod queues;
pub mod resolve;
pub mod run;
pub mod time;
pub mod trace;
pub mod scenario;
pub mod scheduler;
pub mod environments;
pub mod observer;
pub mod simulation;

pub use faults::{FaultInjector, Fault, Io};
pub use connector::{WireResponse, Call, Mutation, Service};
pub use simulation::Simulation;
