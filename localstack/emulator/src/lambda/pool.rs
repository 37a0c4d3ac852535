//! The environments of one function.
//!
//! A permit is the right to run one request; there are as many permits as the function may have environments. Callers
//! queue for a permit, first come, first served. A permit comes with an idle environment or, if there is none, a new
//! one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::environment::{Environment, Outcome};
use super::exchange::{Reply, Request};
use super::invocation::{Invocation, InvokeError};
use super::process::{Launch, Signal};
use super::sync::lock;

/// Maximum number of environments that a request is offered to when they exit just before they take it.
const DISPATCH_ATTEMPTS: usize = 3;
/// The longest delay of a reply until the runtime polls again, which it does at once. Without this, a caller that
/// sends one request after another would find its environment busy and start a second one.
const POLL_GRACE: Duration = Duration::from_millis(5);
/// Time between `SIGTERM` and `SIGKILL`.
const TERMINATION: Duration = Duration::from_secs(1);

/// A snapshot of a function's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Physical name of the function.
    pub function: String,
    /// Process id.
    pub pid: u32,
    /// True while it starts or runs a request.
    pub busy: bool,
}

/// The settings of one function's pool.
pub(super) struct Settings {
    /// Physical name.
    pub(super) name: String,
    /// ARN, without a qualifier.
    pub(super) arn: String,
    /// Maximum number of environments.
    pub(super) concurrency: usize,
    /// Of one request, from `next` to the reply.
    pub(super) timeout: Duration,
    /// Environment variables of its processes.
    pub(super) variables: BTreeMap<String, String>,
    /// See [`Config`](super::Config).
    pub(super) queue: usize,
    /// See [`Config`](super::Config).
    pub(super) queue_wait: Duration,
    /// See [`Config`](super::Config).
    pub(super) idle: Duration,
    /// See [`Config`](super::Config).
    pub(super) init: Duration,
}

/// The environments of one function and the queue for them.
pub(super) struct Pool {
    /// See [`Settings`].
    pub(super) settings: Settings,
    launch: Arc<dyn Launch>,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    environments: Mutex<Environments>,
    /// Cancelled when no more requests are accepted.
    stopping: CancellationToken,
    /// Cancelled when no more processes may run.
    ending: CancellationToken,
    requests: TaskTracker,
    processes: TaskTracker,
}

#[derive(Default)]
struct Environments {
    /// Every environment whose process has not exited.
    all: Vec<Arc<Environment>>,
    /// The idle environments, each with the start of its idle time. Last in, first out: the others then reach the
    /// idle limit and are stopped.
    idle: Vec<(Arc<Environment>, Instant)>,
}

impl Pool {
    pub(super) fn new(settings: Settings, launch: Arc<dyn Launch>) -> Arc<Self> {
        let pool = Arc::new(Self {
            permits: Arc::new(Semaphore::new(settings.concurrency)),
            waiting: AtomicUsize::new(0),
            environments: Mutex::default(),
            stopping: CancellationToken::new(),
            ending: CancellationToken::new(),
            requests: TaskTracker::new(),
            processes: TaskTracker::new(),
            settings,
            launch,
        });
        pool.requests.spawn(Arc::clone(&pool).retire_idle());
        pool
    }

    /// Runs one request.
    pub(super) async fn invoke(self: &Arc<Self>, payload: Bytes) -> Result<Invocation, InvokeError> {
        let permit = self.permit().await?;
        let (sender, invocation) = oneshot::channel();
        // In a task of its own, so that a caller that disconnects does not cancel a started request.
        self.requests.spawn(Arc::clone(self).serve(permit, payload, sender));
        invocation.await.map_err(|_| InvokeError::Stopping)
    }

    /// Starts one environment ahead of its first request, within the concurrency limit.
    pub(super) async fn warm(self: &Arc<Self>) {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { return };
        if self.stopping.is_cancelled() || lock(&self.environments).all.len() >= self.settings.concurrency {
            return;
        }
        match self.start().await {
            Ok(environment) => self.release(environment).await,
            Err(error) => tracing::warn!(
                function = self.settings.name,
                error = %String::from_utf8_lossy(&error),
                "an environment did not start"
            ),
        }
        drop(permit);
    }

    /// The processes of the function.
    pub(super) fn processes(&self) -> Vec<ProcessInfo> {
        let environments = lock(&self.environments);
        let processes = environments.all.iter().filter(|environment| environment.is_alive());
        processes
            .map(|environment| ProcessInfo {
                function: self.settings.name.clone(),
                pid: environment.pid,
                busy: environment.is_busy(),
            })
            .collect()
    }

    /// Rejects new requests, waits up to `grace` for those in flight, and stops every process.
    pub(super) async fn stop(&self, grace: Duration) {
        self.stopping.cancel();
        self.requests.close();
        if tokio::time::timeout(grace, self.requests.wait()).await.is_err() {
            tracing::warn!(function = self.settings.name, "requests in flight are aborted");
        }
        self.ending.cancel();
        self.processes.close();
        self.signal_all(Signal::Terminate);
        if tokio::time::timeout(TERMINATION, self.processes.wait()).await.is_err() {
            self.signal_all(Signal::Kill);
            self.processes.wait().await;
        }
    }

    /// Kills every process without waiting.
    pub(super) fn kill_all(&self) {
        self.stopping.cancel();
        self.ending.cancel();
        self.signal_all(Signal::Kill);
    }

    fn signal_all(&self, signal: Signal) {
        for environment in &lock(&self.environments).all {
            environment.retire(signal);
        }
    }

    /// Queues for a permit. The semaphore is fair: first come, first served.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, InvokeError> {
        let _waiting = Waiting::begin(&self.waiting, self.settings.queue, &self.permits)?;
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(InvokeError::Stopping),
            permit = Arc::clone(&self.permits).acquire_owned() => permit.map_err(|_| InvokeError::Stopping),
            () = tokio::time::sleep(self.settings.queue_wait) => Err(InvokeError::Throttled),
        }
    }

    async fn serve(
        self: Arc<Self>,
        permit: OwnedSemaphorePermit,
        payload: Bytes,
        sender: oneshot::Sender<Invocation>,
    ) {
        let request = Request { id: Uuid::new_v4().to_string(), payload, timeout: self.settings.timeout };
        let (reply, environment) = self.run(&request).await;
        let (payload, function_error) = match reply {
            Reply::Response(payload) => (payload, None),
            Reply::Error(payload) => (payload, Some("Unhandled".to_owned())),
        };
        let mut released = std::pin::pin!(async {
            if let Some(environment) = environment {
                self.release(environment).await;
            }
            drop(permit);
        });
        let is_released = tokio::time::timeout(POLL_GRACE, released.as_mut()).await.is_ok();
        if sender.send(Invocation { request_id: request.id, payload, function_error }).is_err() {
            tracing::debug!(function = self.settings.name, "the caller disconnected");
        }
        if !is_released {
            released.await;
        }
    }

    /// Runs a request. Returns the reply and the environment, if that can run another request.
    async fn run(self: &Arc<Self>, request: &Request) -> (Reply, Option<Arc<Environment>>) {
        let id = &request.id;
        for _ in 0..DISPATCH_ATTEMPTS {
            let environment = match self.idle_or_new().await {
                Ok(environment) => environment,
                Err(error) => return (Reply::Error(error), None),
            };
            match environment.run(request.clone()).await {
                Outcome::Replied(reply) => return (reply, Some(environment)),
                Outcome::NotTaken => {}
                Outcome::Exited(reason) => {
                    let message = format!("RequestId: {id} Error: Runtime exited with error: {reason}");
                    return (self.failure("Runtime.ExitError", &message), None);
                }
                Outcome::TimedOut => {
                    let seconds = self.settings.timeout.as_secs_f64();
                    let message = format!("RequestId: {id} Error: Task timed out after {seconds:.2} seconds");
                    return (self.failure("Sandbox.Timedout", &message), None);
                }
            }
        }
        let message = format!("RequestId: {id} Error: Runtime exited before it took the request");
        (self.failure("Runtime.ExitError", &message), None)
    }

    fn failure(&self, kind: &str, message: &str) -> Reply {
        tracing::warn!(function = self.settings.name, message, "invocation failed");
        super::runtime_api::failure(kind, message)
    }

    async fn idle_or_new(self: &Arc<Self>) -> Result<Arc<Environment>, Bytes> {
        let idle = {
            let mut environments = lock(&self.environments);
            environments.idle.retain(|(environment, _)| environment.is_alive());
            environments.idle.pop()
        };
        match idle {
            Some((environment, _)) => Ok(environment),
            None => self.start().await,
        }
    }

    async fn start(self: &Arc<Self>) -> Result<Arc<Environment>, Bytes> {
        let Settings { arn, variables, init, .. } = &self.settings;
        let environment = Environment::start(&*self.launch, arn, variables, *init, &self.processes).await?;
        lock(&self.environments).all.push(Arc::clone(&environment));
        if self.ending.is_cancelled() {
            // It started after the pool was stopped.
            environment.retire(Signal::Terminate);
        }
        tokio::spawn(Arc::clone(self).replace_after_exit(Arc::clone(&environment)));
        Ok(environment)
    }

    /// Makes an environment available again, once its runtime polls.
    async fn release(&self, environment: Arc<Environment>) {
        if environment.becomes_idle(self.settings.timeout).await {
            lock(&self.environments).idle.push((environment, Instant::now()));
        }
    }

    /// Waits for an exit and starts a replacement where one is needed. Boxed, because the replacement runs the same
    /// future.
    fn replace_after_exit(self: Arc<Self>, environment: Arc<Environment>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let reason = environment.exited().await;
            {
                let mut environments = lock(&self.environments);
                environments.all.retain(|other| !Arc::ptr_eq(other, &environment));
                environments.idle.retain(|(other, _)| !Arc::ptr_eq(other, &environment));
            }
            if environment.needs_replacement() && !self.stopping.is_cancelled() {
                let (function, pid) = (&self.settings.name, environment.pid);
                tracing::warn!(function, pid, reason, "an environment exited and is replaced");
                self.warm().await;
            }
        })
    }

    async fn retire_idle(self: Arc<Self>) {
        let pause = (self.settings.idle / 2).max(Duration::from_millis(10));
        while self.stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            let idle = &mut lock(&self.environments).idle;
            let old = idle.extract_if(.., |(_, since)| since.elapsed() >= self.settings.idle);
            old.for_each(|(environment, _)| environment.retire(Signal::Terminate));
        }
    }
}

/// Counts a caller as queued until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize, limit: usize, permits: &Semaphore) -> Result<Self, InvokeError> {
        let before = waiting.fetch_add(1, Ordering::AcqRel);
        let waiting = Self(waiting);
        if before >= limit && permits.available_permits() == 0 {
            return Err(InvokeError::Throttled);
        }
        Ok(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
