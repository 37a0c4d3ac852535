//! The emulator: runs everything that `template.yaml` describes on one machine, with the real function binaries.
//!
//! ```text
//! cli        the commands `serve` and `demo`, and their output
//! template   reads template.yaml and parameters into a Deployment; names everything that it does not support
//! deployment the resolved model that everything below uses
//! server     the HTTP server: loopback hosts only, with read time-outs
//! iam        access keys, and the permissions of the functions' roles
//! dynamodb   the DynamoDB and Streams endpoint (dynoxide behind a policy check)
//! broker     the SNS and SQS endpoint, on SQLite: messages survive a crash
//! database_file   checks an SQLite file before it is opened for writing
//! lambda     the Runtime API, environments (processes) of functions, Invoke
//! gateway    API Gateway: routes, authorizer with cache, gateway responses, CORS
//! event_source_mapping   queues, streams and schedules that trigger functions
//! binaries   the functions' executables, built by cargo
//! secrets    generated secrets, stored in the data folder
//! private    files that only their owner may read
//! platform   starts and stops all of these
//! ```

pub mod arn;
pub mod binaries;
pub mod broker;
pub mod cli;
pub mod database_file;
pub mod demo;
pub mod deployment;
pub mod dynamodb;
pub mod event_source_mapping;
pub mod gateway;
pub mod iam;
pub mod lambda;
pub mod platform;
mod private;
pub mod samconfig;
pub mod secrets;
mod server;
pub mod template;
