//! Settings of the functions on this machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of [`Functions`](super::Functions).
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of the log files, one `<function name>.log` each; created if missing.
    pub logs: PathBuf,
    /// Writes log lines to standard error as well, prefixed with the function's name.
    pub echo: bool,
    /// Variables of every function, such as `AWS_ENDPOINT_URL`; the template's variables take precedence.
    pub environment: BTreeMap<String, String>,
    /// Variables of one function by logical id, such as `AWS_ACCESS_KEY_ID`; they take precedence over all others.
    pub function_environment: BTreeMap<String, BTreeMap<String, String>>,
    /// Maximum number of environments of one function; a smaller `ReservedConcurrentExecutions` applies instead.
    pub concurrency: usize,
    /// Maximum number of queued callers of one function; further callers are throttled.
    pub queue: usize,
    /// Maximum time in the queue; after it the caller is throttled.
    pub queue_wait: Duration,
    /// An environment that was idle for this long is stopped.
    pub idle: Duration,
    /// Maximum time from the start of a process to its first `next`. Ten seconds on AWS.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
    pub init: Duration,
    /// The longest wait of [`Functions::stop`](super::Functions::stop) for the requests in flight.
    pub grace: Duration,
    /// Starts one environment of each function at once rather than at its first request.
    pub warm: bool,
}

impl Config {
    /// Defaults for a laptop, with log files in `logs`.
    pub fn new(logs: impl Into<PathBuf>) -> Self {
        Self {
            logs: logs.into(),
            echo: false,
            environment: BTreeMap::new(),
            function_environment: BTreeMap::new(),
            concurrency: 4,
            queue: 1000,
            queue_wait: Duration::from_secs(20),
            idle: Duration::from_secs(300),
            init: Duration::from_secs(10),
            grace: Duration::from_secs(5),
            warm: false,
        }
    }
}
