//! A function's binary as a process: started, signalled, waited for.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::log::Log;

/// Starts the process of an environment. A trait, so that a test can play the runtime without one.
pub(super) trait Launch: Send + Sync + 'static {
    /// Starts a process that finds exactly `environment`.
    ///
    /// # Errors
    /// When the operating system cannot start it.
    fn launch(&self, environment: &BTreeMap<String, String>) -> io::Result<Process>;
}

/// A running process. It is killed when `signals` is dropped, and when `exited` is.
pub(super) struct Process {
    /// The operating system's id.
    pub(super) pid: u32,
    /// Waits for the end, and says how it came: `exit status 1`, `signal: 9 (SIGKILL)`.
    pub(super) exited: BoxFuture<'static, String>,
    /// Asks for the end.
    pub(super) signals: mpsc::UnboundedSender<Signal>,
}

/// How to ask a process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// Politely: `SIGTERM`.
    Terminate,
    /// At once: `SIGKILL`.
    Kill,
}

/// A function's executable.
pub(super) struct Binary {
    /// Path of the executable.
    pub(super) path: PathBuf,
    /// Takes both outputs.
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
        // A group of its own: Ctrl-C is for the platform, which then lets requests end before it stops functions.
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

/// Passes signals on until the process has ended.
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
            tracing::warn!(pid, %error, "a signal could not be sent");
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

/// The child has not been waited for, so its id is still its own.
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
