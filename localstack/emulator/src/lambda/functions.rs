//! All functions of the deployment, looked up by name.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Bytes;
use futures_util::future::{BoxFuture, join_all};
use thiserror::Error;

use super::config::Config;
use super::invocation::{Invocation, Invoke, InvokeError, PAYLOAD_LIMIT};
use super::log::Log;
use super::pool::{Pool, ProcessInfo, Settings};
use super::process::{Binary, Launch};
use super::variables;
use crate::deployment::{ACCOUNT, Function, REGION};

/// An error at the start of the functions.
#[derive(Debug, Error)]
pub enum StartError {
    /// The binary of a function was not built.
    #[error("there is no executable for {function}: build the binary `{binary}`")]
    NoExecutable {
        /// Logical id.
        function: String,
        /// Name of the cargo binary.
        binary: String,
    },
    /// The log file cannot be written.
    #[error("the log of {function} cannot be opened")]
    Log {
        /// Logical id.
        function: String,
        /// The cause.
        source: io::Error,
    },
}

/// All functions of the deployment.
///
/// Invocations of one function run concurrently, each in a process of its own, up to [`Config::concurrency`]; further
/// callers queue, first come, first served.
pub struct Functions {
    pools: Vec<Arc<Pool>>,
    /// Index into `pools` by logical id, by physical name, and by `name:alias`.
    by_name: BTreeMap<String, usize>,
    config: Config,
}

impl Functions {
    /// Prepares the functions. `executables` has the path of each Cargo binary. Processes start on demand, or at once
    /// with [`Config::warm`].
    ///
    /// # Errors
    /// When an executable is missing or a log file cannot be opened.
    pub async fn start(
        config: Config,
        functions: &[Function],
        executables: &BTreeMap<String, PathBuf>,
    ) -> Result<Arc<Self>, StartError> {
        let logs = config.logs.clone();
        let echo = config.echo;
        let functions = Self::with_launchers(config, functions, |function| {
            let path = executables.get(&function.binary).filter(|path| path.is_file()).cloned();
            let path = path.ok_or_else(|| StartError::NoExecutable {
                function: function.logical_id.clone(),
                binary: function.binary.clone(),
            })?;
            let log = std::fs::create_dir_all(&logs).and_then(|()| Log::open(&logs, &function.name, echo));
            let log =
                log.map_err(|source| StartError::Log { function: function.logical_id.clone(), source })?;
            Ok((path.clone(), Arc::new(Binary { path, log: Arc::new(log) }) as Arc<dyn Launch>))
        })?;
        if functions.config.warm {
            join_all(functions.pools.iter().map(Pool::warm)).await;
        }
        Ok(functions)
    }

    /// As [`start`](Self::start), with another way to start processes.
    pub(super) fn with_launchers(
        config: Config,
        functions: &[Function],
        launcher: impl Fn(&Function) -> Result<(PathBuf, Arc<dyn Launch>), StartError>,
    ) -> Result<Arc<Self>, StartError> {
        let mut pools = Vec::new();
        let mut by_name = BTreeMap::new();
        for (index, function) in functions.iter().enumerate() {
            let (path, launch) = launcher(function)?;
            by_name.insert(function.logical_id.clone(), index);
            by_name.insert(function.name.clone(), index);
            if let Some(alias) = &function.alias {
                by_name.insert(format!("{}:{alias}", function.name), index);
            }
            pools.push(Pool::new(pool_settings(&config, function, &path), launch));
        }
        Ok(Arc::new(Self { pools, by_name, config }))
    }

    /// The physical name of a function; `name` is what [`arn`](Self::arn) takes.
    #[must_use]
    pub fn name(&self, name: &str) -> Option<&str> {
        self.pool(name).map(|pool| pool.settings.name.as_str())
    }

    /// The ARN of a function, by its logical id, its name, or its full or partial ARN. An alias in `name` stays in
    /// the ARN.
    #[must_use]
    pub fn arn(&self, name: &str) -> Option<String> {
        let arn = &self.pool(name)?.settings.arn;
        match short_name(name)?.split_once(':') {
            Some((_, alias)) => Some(format!("{arn}:{alias}")),
            None => Some(arn.clone()),
        }
    }

    /// The environment variables of a function's processes, except those that differ between processes; `name` is
    /// what [`arn`](Self::arn) takes.
    #[must_use]
    pub fn environment(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.pool(name).map(|pool| &pool.settings.variables)
    }

    /// All running processes.
    #[must_use]
    pub fn processes(&self) -> Vec<ProcessInfo> {
        self.pools.iter().flat_map(|pool| pool.processes()).collect()
    }

    /// Rejects new requests, waits up to [`Config::grace`] for those in flight, and ends every process before it
    /// returns.
    pub async fn stop(&self) {
        join_all(self.pools.iter().map(|pool| pool.stop(self.config.grace))).await;
    }

    /// Invokes a function and waits for its result; `name` is what [`arn`](Self::arn) takes.
    ///
    /// # Errors
    /// When the function did not receive the request, which is then safe to retry. A function that received it and
    /// failed, crashed or timed out is an [`Invocation`] with a `function_error`.
    pub async fn invoke(&self, name: &str, payload: Bytes) -> Result<Invocation, InvokeError> {
        if payload.len() > PAYLOAD_LIMIT {
            return Err(InvokeError::TooLarge { limit: PAYLOAD_LIMIT });
        }
        let pool = self.pool(name).ok_or_else(|| InvokeError::NotFound(full_arn(name)))?;
        pool.invoke(payload).await
    }

    fn pool(&self, name: &str) -> Option<&Arc<Pool>> {
        self.by_name.get(short_name(name)?).and_then(|index| self.pools.get(*index))
    }
}

impl Drop for Functions {
    /// Kills the processes of functions that were not stopped.
    fn drop(&mut self) {
        self.pools.iter().for_each(|pool| pool.kill_all());
    }
}

impl Invoke for Functions {
    fn invoke<'a>(
        &'a self,
        function: &'a str,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<Invocation, InvokeError>> {
        Box::pin(Functions::invoke(self, function, payload))
    }
}

fn pool_settings(config: &Config, function: &Function, path: &std::path::Path) -> Settings {
    Settings {
        name: function.name.clone(),
        arn: full_arn(&function.name),
        concurrency: function
            .reserved_concurrency
            .map_or(config.concurrency, |reserved| reserved.min(config.concurrency)),
        timeout: function.timeout,
        variables: variables::of(config, function, path),
        queue: config.queue,
        queue_wait: config.queue_wait,
        idle: config.idle,
        init: config.init,
    }
}

/// The ARN of a function of this name, which need not exist.
pub(super) fn full_arn(name: &str) -> String {
    let name = short_name(name).unwrap_or(name);
    crate::arn::function(name)
}

/// The function name in a `FunctionName` of the Invoke API, with its qualifier unless that is `$LATEST`.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>
fn short_name(given: &str) -> Option<&str> {
    let rest = match given.strip_prefix("arn:aws:lambda:") {
        Some(arn) => arn.strip_prefix(REGION)?.strip_prefix(':')?,
        None => given,
    };
    let rest = match rest.split_once(":function:") {
        Some((account, rest)) if account == ACCOUNT => rest,
        Some(_) => return None,
        None if rest.len() < given.len() => return None,
        None => rest,
    };
    Some(rest.strip_suffix(":$LATEST").unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_by_each_form_of_its_name() {
        for given in [
            "erp-orders",
            "erp-orders:$LATEST",
            "000000000000:function:erp-orders",
            "arn:aws:lambda:us-east-1:000000000000:function:erp-orders",
            "arn:aws:lambda:us-east-1:000000000000:function:erp-orders:$LATEST",
        ] {
            assert_eq!(short_name(given), Some("erp-orders"), "{given}");
            assert_eq!(full_arn(given), "arn:aws:lambda:us-east-1:000000000000:function:erp-orders");
        }
        let by_alias = "arn:aws:lambda:us-east-1:000000000000:function:erp-orders:live";
        assert_eq!(short_name(by_alias), Some("erp-orders:live"));
        for given in [
            "123456789012:function:erp-orders",
            "arn:aws:lambda:eu-west-1:000000000000:function:erp-orders",
            "arn:aws:lambda:us-east-1:erp-orders",
        ] {
            assert_eq!(short_name(given), None, "{given}");
        }
    }
}
