//! An execution environment: a process and its Runtime API, running one request at a time.
//!
//! Each environment has a Runtime API on a loopback port of its own, below a secret path that only its process
//! receives. A runtime that loses its Runtime API exits, so no process outlives the platform, even after SIGKILL.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::exchange::{Exchange, Reply, Request};
use super::process::{Launch, Process, Signal};
use super::runtime_api::{self, Secret, failure};
use super::variables;
use crate::server::{self, Settings};

/// A running environment. Dropping the last handle kills its process.
#[derive(Debug)]
pub(super) struct Environment {
    /// Process id.
    pub(super) pid: u32,
    exchange: Arc<Exchange>,
    signals: mpsc::UnboundedSender<Signal>,
    exited: watch::Receiver<Option<String>>,
    busy: AtomicBool,
    used: AtomicBool,
    retired: AtomicBool,
}

/// The end of a request in an environment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The runtime replied.
    Replied(Reply),
    /// The process exited while it ran the request.
    Exited(String),
    /// The request exceeded its timeout, and the process was killed.
    TimedOut,
    /// The process exited before it took the request, so another environment may run it.
    NotTaken,
}

impl Environment {
    /// Starts a process and its Runtime API, and waits for the first `next`. `tasks` tracks the process until its
    /// exit.
    ///
    /// # Errors
    /// The function error that Lambda would report when the process does not start, exits, or exceeds `init`.
    pub(super) async fn start(
        launch: &dyn Launch,
        arn: &str,
        environment: &BTreeMap<String, String>,
        init: Duration,
        tasks: &TaskTracker,
    ) -> Result<Arc<Self>, Bytes> {
        let environment = Self::spawn(launch, arn, environment, tasks).await.map_err(|error| {
            describe("Runtime.InvalidEntrypoint", &format!("the function cannot be started: {error}"))
        })?;
        tokio::select! {
            biased;
            () = environment.exchange.polled() => Ok(environment),
            reason = environment.exited() => Err(environment.exchange.init_error().unwrap_or_else(|| {
                describe("Runtime.ExitError", &format!("Error: Runtime exited with error: {reason}"))
            })),
            () = tokio::time::sleep(init) => {
                environment.kill().await;
                Err(describe("Sandbox.Timedout", &format!("Init timed out after {:.2} seconds", init.as_secs_f64())))
            }
        }
    }

    async fn spawn(
        launch: &dyn Launch,
        arn: &str,
        environment: &BTreeMap<String, String>,
        tasks: &TaskTracker,
    ) -> io::Result<Arc<Self>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let secret = Secret::generate().map_err(io::Error::other)?;
        let url = secret.url(listener.local_addr()?);
        let environment = variables::with_runtime_api(environment, url);
        let exchange = Arc::new(Exchange::new());
        let api = runtime_api::router(Arc::clone(&exchange), arn, secret);
        let api = server::serve(listener, api, Settings::default(), CancellationToken::new());
        let Process { pid, exited, signals } = launch.launch(&environment)?;
        let (end, exit) = watch::channel(None);
        tasks.spawn(async move {
            let reason = tokio::select! {
                reason = exited => reason,
                // Nothing stops the server; if it ended, dropping `exited` would kill the process.
                () = api => "the Runtime API ended".to_owned(),
            };
            tracing::debug!(pid, reason, "environment ended");
            end.send_replace(Some(reason));
        });
        Ok(Arc::new(Self {
            pid,
            exchange,
            signals,
            exited: exit,
            busy: AtomicBool::new(true),
            used: AtomicBool::new(false),
            retired: AtomicBool::new(false),
        }))
    }

    /// Runs a request.
    pub(super) async fn run(&self, request: Request) -> Outcome {
        self.busy.store(true, Ordering::Relaxed);
        // Set before the request can end the process: `needs_replacement` reads it after the exit.
        self.used.store(true, Ordering::Relaxed);
        let timeout = request.timeout;
        let mut reply = self.exchange.offer(request);
        tokio::select! {
            biased;
            replied = &mut reply => replied.map_or(Outcome::NotTaken, Outcome::Replied),
            reason = self.exited() => match self.exchange.withdraw() {
                Some(_) => Outcome::NotTaken,
                // It may have replied just before its exit.
                None => reply.try_recv().map_or(Outcome::Exited(reason), Outcome::Replied),
            },
            () = tokio::time::sleep(timeout) => {
                self.kill().await;
                Outcome::TimedOut
            }
        }
    }

    /// Waits until the runtime requests its next invocation. Returns false when the process exits first, or is
    /// killed after `limit`: time between a reply and the following `next` counts as part of the request.
    pub(super) async fn becomes_idle(&self, limit: Duration) -> bool {
        let idle = tokio::select! {
            biased;
            _ = self.exited() => false,
            () = self.exchange.polled() => true,
            () = tokio::time::sleep(limit) => {
                self.kill().await;
                false
            }
        };
        if idle {
            self.busy.store(false, Ordering::Relaxed);
        }
        idle
    }

    /// Waits for the process to exit, and returns the reason, such as `exit status 1`.
    pub(super) async fn exited(&self) -> String {
        match self.exited.clone().wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "the exit status is unknown".to_owned(),
        }
    }

    /// Returns true until the process exits.
    pub(super) fn is_alive(&self) -> bool {
        self.exited.borrow().is_none()
    }

    /// Returns true while it starts or runs a request.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    /// Returns true if a new environment should replace it after its exit: it ran a request, and was not retired.
    pub(super) fn needs_replacement(&self) -> bool {
        self.used.load(Ordering::Relaxed) && !self.retired.load(Ordering::Relaxed)
    }

    /// Signals the process to exit. It will not be replaced.
    pub(super) fn retire(&self, signal: Signal) {
        self.retired.store(true, Ordering::Relaxed);
        self.signal(signal);
    }

    /// Kills the process and waits for its exit.
    async fn kill(&self) {
        self.signal(Signal::Kill);
        self.exited().await;
    }

    fn signal(&self, signal: Signal) {
        if self.signals.send(signal).is_err() {
            tracing::trace!(pid = self.pid, "the process has already exited");
        }
    }
}

fn describe(kind: &str, message: &str) -> Bytes {
    match failure(kind, message) {
        Reply::Response(bytes) | Reply::Error(bytes) => bytes,
    }
}
