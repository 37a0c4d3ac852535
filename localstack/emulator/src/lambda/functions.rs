//! Every function of the deployment, by name.

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

/// Why functions cannot be run at all.
#[derive(Debug, Error)]
pub enum StartError {
    /// A function names a binary that was not built.
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
        /// What the operating system says.
        source: io::Error,
    },
}

/// Every function of the deployment, ready to be invoked.
///
/// Invocations of one function run side by side, each in a process of its own, up to
/// [`Config::concurrency`]; further callers wait in the order they came.
pub struct Functions {
    pools: Vec<Arc<Pool>>,
    /// Logical ids and physical names, and those with an alias.
    by_name: BTreeMap<String, usize>,
    config: Config,
}

impl Functions {
    /// Makes functions out of executables, which `executables` names by cargo binary. Processes are started when
    /// there is something to do, or now with [`Config::warm`].
    ///
    /// # Errors
    /// When a binary is not there or a log cannot be written.
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

    /// As [`start`](Self::start), with processes of the caller's making.
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
            pools.push(Pool::new(settings(&config, function, &path), launch));
        }
        Ok(Arc::new(Self { pools, by_name, config }))
    }

    /// The physical name of a function; `name` is what [`arn`](Self::arn) takes.
    #[must_use]
    pub fn name(&self, name: &str) -> Option<&str> {
        self.pool(name).map(|pool| pool.settings.name.as_str())
    }

    /// The ARN of a function, from its logical id, its name, or an ARN of it, whole or partial; with the alias, where
    /// it is named by one.
    #[must_use]
    pub fn arn(&self, name: &str) -> Option<String> {
        let arn = &self.pool(name)?.settings.arn;
        match short_name(name)?.split_once(':') {
            Some((_, alias)) => Some(format!("{arn}:{alias}")),
            None => Some(arn.clone()),
        }
    }

    /// The variables that a process of a function finds, but those that are different in each; `name` is what
    /// [`arn`](Self::arn) takes.
    #[must_use]
    pub fn environment(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.pool(name).map(|pool| &pool.settings.variables)
    }

    /// Every process there is right now.
    #[must_use]
    pub fn processes(&self) -> Vec<ProcessInfo> {
        self.pools.iter().flat_map(|pool| pool.processes()).collect()
    }

    /// Takes no more requests, waits for those in flight as long as [`Config::grace`] says, and ends every process.
    /// When it returns there is none left.
    pub async fn stop(&self) {
        join_all(self.pools.iter().map(|pool| pool.stop(self.config.grace))).await;
    }

    /// Runs a function and waits for its answer; `name` is what [`arn`](Self::arn) takes.
    ///
    /// # Errors
    /// When the function did not get the request; it may be sent again without harm. A function that got it and
    /// failed, crashed or took too long is an [`Invocation`] with a `function_error`.
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
    /// Whoever forgot to stop them leaves no process behind either.
    fn drop(&mut self) {
        self.pools.iter().for_each(|pool| pool.abandon());
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

fn settings(config: &Config, function: &Function, path: &std::path::Path) -> Settings {
    Settings {
        name: function.name.clone(),
        arn: full_arn(&function.name),
        places: function.reserved_concurrency.map_or(config.concurrency, |most| most.min(config.concurrency)),
        timeout: function.timeout,
        variables: variables::of(config, function, path),
        queue: config.queue,
        queue_wait: config.queue_wait,
        idle: config.idle,
        init: config.init,
    }
}

/// The ARN that a function of this name has, whether or not there is one.
pub(super) fn full_arn(name: &str) -> String {
    let name = short_name(name).unwrap_or(name);
    crate::arn::function(name)
}

/// The function's name out of what the Invoke API takes for one, with its alias or version unless that is `$LATEST`.
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
    fn a_function_has_the_names_that_aws_gives_it() {
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
