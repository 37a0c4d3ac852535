//! The `erp-local` program, as a child process.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::target::{executables, workspace};

/// Time limit of start and stop.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Returns the command `erp-local` with the executables of the tests, in the folder of the template.
pub(crate) fn command(subcommand: &str) -> Command {
    let mut command = Command::new(executables().join("erp-local"));
    command.arg(subcommand).arg("--executables").arg(executables()).current_dir(workspace());
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A running `erp-local serve`.
pub(crate) struct Serve {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    base: String,
}

impl Serve {
    /// Starts it on a free port, and reads the base URL from its output.
    pub(crate) async fn start(data: &Path) -> Self {
        let mut command = command("serve");
        command.args(["--port", "0", "--data"]).arg(data).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let read = async {
            loop {
                let line = lines
                    .next_line()
                    .await
                    .unwrap()
                    .unwrap_or_else(|| panic!("erp-local ended before it was ready"));
                if let Some(base) = line.trim().strip_prefix("API") {
                    return base.trim().to_owned();
                }
            }
        };
        let base = tokio::time::timeout(TIMEOUT, read).await.unwrap();
        Self { child, lines, base }
    }

    /// Returns the base URL of the API.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Returns the processes of its functions.
    pub(crate) fn functions(&self) -> Vec<Process> {
        let parent = self.child.id().unwrap().to_string();
        let pids = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let processes = pids.filter_map(|pid| Process::find(&pid));
        processes.filter(|process| process.parent == parent).collect()
    }

    /// Sends a signal and waits for the end.
    pub(crate) async fn end(mut self, signal: Signal) -> ExitStatus {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).unwrap();
        kill_process(pid, signal).unwrap();
        let end = async {
            while let Ok(Some(_)) = self.lines.next_line().await {}
            self.child.wait().await.unwrap()
        };
        tokio::time::timeout(TIMEOUT, end).await.unwrap()
    }
}

/// A process, identified by its id and start time, because ids are reused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pid: String,
    parent: String,
    started: String,
}

impl Process {
    /// Reads a process from `/proc` (`man 5 proc_pid_stat`). Returns `None` for a zombie.
    fn find(pid: &str) -> Option<Self> {
        pid.parse::<u32>().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may contain any character.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let (state, parent, started) = (*fields.first()?, *fields.get(1)?, *fields.get(19)?);
        let field = str::to_owned;
        (state != "Z").then(|| Self { pid: field(pid), parent: field(parent), started: field(started) })
    }

    fn is_alive(&self) -> bool {
        Self::find(&self.pid).is_some_and(|found| found.started == self.started)
    }
}

/// Waits until all processes have ended.
pub(crate) async fn wait_until_gone(processes: &[Process]) {
    let start = Instant::now();
    while let Some(left) = processes.iter().find(|process| process.is_alive()) {
        assert!(start.elapsed() < Duration::from_secs(15), "still running: {left:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
