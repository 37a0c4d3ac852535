//! Functions: the real binaries behind the real Lambda Runtime API.
//!
//! ```text
//! functions    all functions of the deployment, by name: the interface for the rest of the platform
//! pool         the environments of one function: a fair queue, scaled with the load
//! environment  one process and its Runtime API, running one request at a time
//! exchange     passes a request to one runtime, and its reply back
//! runtime_api  the exchange as an HTTP API, for `lambda_runtime`
//! process      starts, signals and waits for a process
//! variables    the environment variables of a process
//! log          the log files
//! invoke_api   the Invoke HTTP API, for the SDKs
//! invocation   invocations and their errors
//! ```
//!
//! A request that one runtime took is never offered to another one. As on AWS, the caller decides about a retry.

pub(crate) mod clock;
mod config;
mod environment;
mod exchange;
mod functions;
mod invocation;
mod invoke_api;
mod log;
mod pool;
mod process;
mod runtime_api;
pub(crate) mod sync;
mod variables;

pub use config::Config;
pub use functions::{Functions, StartError};
pub use invocation::{Invocation, Invoke, InvokeError};
pub use invoke_api::router;
pub use pool::ProcessInfo;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
