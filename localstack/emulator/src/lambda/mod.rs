//! Functions: the real binaries behind the real Lambda Runtime API.
//!
//! ```text
//! functions    every function of the deployment, by name; what the rest of the platform calls
//! pool         one function's environments: a fair queue, more under load, fewer when idle
//! environment  one process and its Runtime API, serving one request at a time
//! exchange     the hand-over of a request between the platform and one runtime
//! runtime_api  that hand-over as the HTTP API that `lambda_runtime` speaks
//! process      a binary being started, signalled and waited for
//! variables    what an environment's process finds in its environment
//! log          where standard output and standard error go
//! invoke_api   the Invoke HTTP API, for the SDKs
//! invocation   what an invocation is, and how it fails
//! ```
//!
//! The rule that is not obvious: a request that was handed to a runtime is never given to another one.
//! Whoever called decides whether to try again, as on AWS.

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
