//! Starts, signals and waits for the process of a function.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::log::Log;

/// Starts the process of an environment: a [`Binary`], or the fake runtime of tests.
pub(super) trait Launch: Send + Sync + 'static {
    /// Starts a process with exactly these environment variables.
    ///
    /// # Errors
    /// When the operating system does not start it.
    fn launch(&self, environment: &BTreeMap<String, String>) -> io::Result<Process>;
}

/// A running process. It is killed when `signals` is dropped, and when `exited` is.
pub(super) struct Process {
    /// Process id.
    pub(super) pid: u32,
    /// Resolves at the exit with its reason: `exit status 1`, `signal: 9 (SIGKILL)`.
    pub(super) exited: BoxFuture<'static, String>,
    /// Signals for the process.
    pub(super) signals: mpsc::UnboundedSender<Signal>,
}

/// A signal that ends a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// `SIGTERM`.
    Terminate,
    /// `SIGKILL`.
    Kill,
}

/// A function's executable.
pub(super) struct Binary {
    /// Path of the executable.
    pub(super) path: PathBuf,
    /// Receives standard output and standard error.
    pub(super) log: Arc<Log>,
}

impl Launch for Binary {
    fn launch(&self, environment: &BTreeMap<String, String>) -> io::Result<Process> {
        let mut command = Command::new(&self.path);
        command
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // A process group of its own: Ctrl-C reaches only the platform, which lets requests end before it stops
        // functions.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("the process has no id"))?;
        if let Some(output) = child.stdout.take() {
            tokio::spawn(Arc::clone(&self.log).copy(output));
        }
        if let Some(output) = child.stderr.take() {
            tokio::spawn(Arc::clone(&self.log).copy(output));
        }
        let (signals, received) = mpsc::unbounded_channel();
        Ok(Process { pid, exited: Box::pin(watch(child, pid, received)), signals })
    }
}

/// Forwards signals until the process has exited.
async fn watch(mut child: Child, pid: u32, mut signals: mpsc::UnboundedReceiver<Signal>) -> String {
    loop {
        let signal = tokio::select! {
            status = child.wait() => return describe(status),
            signal = signals.recv() => signal,
        };
        let sent = match signal {
            Some(Signal::Terminate) => terminate(&mut child, pid),
            Some(Signal::Kill) | None => child.start_kill(),
        };
        if let Err(error) = sent {
            tracing::warn!(pid, %error, "a signal was not sent");
        }
        if signal.is_none() {
            return describe(child.wait().await);
        }
    }
}

fn describe(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.code().map_or_else(|| status.to_string(), |code| format!("exit status {code}")),
        Err(error) => error.to_string(),
    }
}

/// Sends `SIGTERM`. The child has not been reaped, so its process id cannot have been reused.
#[cfg(unix)]
fn terminate(_child: &mut Child, pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(rustix::process::kill_process(pid, rustix::process::Signal::TERM)?)
}

#[cfg(not(unix))]
fn terminate(child: &mut Child, _pid: u32) -> io::Result<()> {
    child.start_kill()
}
