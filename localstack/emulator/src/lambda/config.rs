//! How functions are run on this machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of [`Functions`](super::Functions).
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of the log files, one `<function name>.log` each; made when it is not there.
    pub logs: PathBuf,
    /// Whether every log line goes to standard error too, behind the function's name.
    pub echo: bool,
    /// Variables for every function, such as `AWS_ENDPOINT_URL`; the template's own win over them.
    pub environment: BTreeMap<String, String>,
    /// Variables for one function by logical id, such as `AWS_ACCESS_KEY_ID`; they win over everything.
    pub function_environment: BTreeMap<String, BTreeMap<String, String>>,
    /// Most environments of one function; a smaller `ReservedConcurrentExecutions` wins.
    pub concurrency: usize,
    /// Most callers that wait for a place in one function; the next one is throttled.
    pub queue: usize,
    /// Longest wait for a place; whoever waits longer is throttled.
    pub queue_wait: Duration,
    /// An environment that had nothing to do for this long is stopped.
    pub idle: Duration,
    /// Time to start: from the process to its first `next`. Ten seconds on AWS.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
    pub init: Duration,
    /// What [`Functions::stop`](super::Functions::stop) gives the requests in flight to end.
    pub grace: Duration,
    /// Whether one environment of each function is started at once rather than at its first request.
    pub warm: bool,
}

impl Config {
    /// The settings that suit a laptop; logs go to `logs`.
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
