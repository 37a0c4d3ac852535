//! The platform on one machine: everything `template.yaml` describes, run from the real function binaries.
//!
//! ```text
//! cli        serve and demo; the one screen that a person sees
//! template   reads template.yaml (+ parameters) into a Deployment; refuses by name what it cannot run
//! deployment the resolved model that everything below works from
//! iam        what a function's role may do, asked by every endpoint
//! dynamodb   the DynamoDB and Streams endpoint (dynoxide behind a policy check)
//! broker     the SNS and SQS endpoint, on SQLite: a message survives a kill
//! lambda     the Runtime API, environments (processes) of functions, Invoke
//! gateway    API Gateway: routes, authorizer with cache, gateway responses, CORS
//! event_source_mapping   queues, streams and schedules that trigger functions
//! binaries   the functions' executables, built by cargo
//! platform   starts and stops all of it
//! ```

pub mod arn;
pub mod binaries;
pub mod broker;
pub mod cli;
pub mod demo;
pub mod deployment;
pub mod dynamodb;
pub mod event_source_mapping;
pub mod gateway;
pub mod iam;
pub mod lambda;
pub mod platform;
pub mod samconfig;
pub mod secrets;
pub mod template;
