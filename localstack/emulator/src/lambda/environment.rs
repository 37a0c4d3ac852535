//! One environment: a process, its Runtime API on a loopback port of its own, one request at a time.
//!
//! A runtime that loses its Runtime API ends by itself, so no process outlives the platform, however that ends.

use std::collections::BTreeMap;
use std::future::IntoFuture as _;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use super::exchange::{Answer, Exchange, Request};
use super::process::{Launch, Process, Signal};
use super::runtime_api::{self, failure};
use super::variables;

/// An environment. Dropping the last handle kills its process.
#[derive(Debug)]
pub(super) struct Environment {
    /// The operating system's id of the process.
    pub(super) pid: u32,
    exchange: Arc<Exchange>,
    signals: mpsc::UnboundedSender<Signal>,
    exited: watch::Receiver<Option<String>>,
    busy: AtomicBool,
    worked: AtomicBool,
    retired: AtomicBool,
}

/// How a request ended in an environment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The runtime answered.
    Answered(Answer),
    /// The process ended with the request in its hands.
    Exited(String),
    /// The request took too long, and the process was killed for it.
    TimedOut,
    /// The process ended before it took the request; another environment may have it.
    NotTaken,
}

impl Environment {
    /// Starts a process and its Runtime API, and waits for the first `next`. `tasks` holds what must end before
    /// the platform does.
    ///
    /// # Errors
    /// The function error that Lambda would report: the process cannot be started, ended, or took longer than `init`.
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
        let environment = variables::with_runtime_api(environment, listener.local_addr()?);
        let exchange = Arc::new(Exchange::new());
        let api = axum::serve(listener, runtime_api::router(Arc::clone(&exchange), arn));
        let Process { pid, exited, signals } = launch.launch(&environment)?;
        let (end, exit) = watch::channel(None);
        tasks.spawn(async move {
            let reason = tokio::select! {
                reason = exited => reason,
                // Serving never ends by itself; if it did, dropping `exited` kills the process.
                ended = api.into_future() => format!("the Runtime API ended: {ended:?}"),
            };
            tracing::debug!(pid, reason, "an environment ended");
            end.send_replace(Some(reason));
        });
        Ok(Arc::new(Self {
            pid,
            exchange,
            signals,
            exited: exit,
            busy: AtomicBool::new(true),
            worked: AtomicBool::new(false),
            retired: AtomicBool::new(false),
        }))
    }

    /// Has the runtime work on a request.
    pub(super) async fn run(&self, request: Request) -> Outcome {
        self.busy.store(true, Ordering::Relaxed);
        // Before the request can end the process, for whoever watches the process asks.
        self.worked.store(true, Ordering::Relaxed);
        let timeout = request.timeout;
        let mut answer = self.exchange.offer(request);
        tokio::select! {
            biased;
            answered = &mut answer => answered.map_or(Outcome::NotTaken, Outcome::Answered),
            reason = self.exited() => match self.exchange.withdraw() {
                Some(_) => Outcome::NotTaken,
                // It may have answered in its last moment.
                None => answer.try_recv().map_or(Outcome::Exited(reason), Outcome::Answered),
            },
            () = tokio::time::sleep(timeout) => {
                self.kill().await;
                Outcome::TimedOut
            }
        }
    }

    /// Waits until the runtime asks for its next request. False when its process ends first, or `limit` is over
    /// and it is killed: whatever it does between its answer and its next `next` counts as part of the request.
    pub(super) async fn settled(&self, limit: Duration) -> bool {
        let settled = tokio::select! {
            biased;
            _ = self.exited() => false,
            () = self.exchange.polled() => true,
            () = tokio::time::sleep(limit) => {
                self.kill().await;
                false
            }
        };
        if settled {
            self.busy.store(false, Ordering::Relaxed);
        }
        settled
    }

    /// Waits for the end of the process, and says how it came.
    pub(super) async fn exited(&self) -> String {
        match self.exited.clone().wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "the platform stopped watching it".to_owned(),
        }
    }

    /// Whether the process is still there.
    pub(super) fn is_alive(&self) -> bool {
        self.exited.borrow().is_none()
    }

    /// Whether it has a request, or is being started.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    /// Whether its end calls for another one in its place: it was given work, and nobody asked it to end.
    pub(super) fn is_missed(&self) -> bool {
        self.worked.load(Ordering::Relaxed) && !self.retired.load(Ordering::Relaxed)
    }

    /// Asks the process to end.
    pub(super) fn retire(&self, signal: Signal) {
        self.retired.store(true, Ordering::Relaxed);
        self.signal(signal);
    }

    /// Kills the process and waits for its end.
    async fn kill(&self) {
        self.signal(Signal::Kill);
        self.exited().await;
    }

    fn signal(&self, signal: Signal) {
        if self.signals.send(signal).is_err() {
            tracing::trace!(pid = self.pid, "the process has ended already");
        }
    }
}

fn describe(kind: &str, message: &str) -> Bytes {
    match failure(kind, message) {
        Answer::Response(bytes) | Answer::Error(bytes) => bytes,
    }
}
