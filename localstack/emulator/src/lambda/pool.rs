//! The environments of one function.
//!
//! A place is the right to run one request, and there are as many as the function may have environments. Callers
//! queue for a place in the order they came; with a place comes an idle environment or, if there is none, a new one.

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
use super::exchange::{Answer, Request};
use super::invocation::{Invocation, InvokeError};
use super::process::{Launch, Signal};
use super::sync::lock;

/// How often a request moves on when environments end just before they take it.
const HANDOVERS: usize = 3;
/// How long an answer is held back for the runtime to ask for its next request, which it does at once. Without this a
/// caller that sends one request after another would find its environment busy, and start a second one.
const SETTLING: Duration = Duration::from_millis(5);
/// What a process gets between `SIGTERM` and `SIGKILL`.
const TERMINATION: Duration = Duration::from_secs(1);

/// A process of a function, as it is right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Physical name of the function.
    pub function: String,
    /// The operating system's id.
    pub pid: u32,
    /// Whether it has a request.
    pub busy: bool,
}

/// What a pool is about.
pub(super) struct Settings {
    /// Physical name.
    pub(super) name: String,
    /// ARN, without a qualifier.
    pub(super) arn: String,
    /// Most environments.
    pub(super) places: usize,
    /// Of one request.
    pub(super) timeout: Duration,
    /// What its processes find in their environment.
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

/// One function's environments and the queue for them.
pub(super) struct Pool {
    /// What it is about.
    pub(super) settings: Settings,
    launch: Arc<dyn Launch>,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    environments: Mutex<Environments>,
    /// No more requests.
    stopping: CancellationToken,
    /// No more processes.
    ending: CancellationToken,
    requests: TaskTracker,
    processes: TaskTracker,
}

#[derive(Default)]
struct Environments {
    /// Every one whose process has not ended.
    all: Vec<Arc<Environment>>,
    /// Those that wait for a request, and since when; the last to come is the first to go, so that the others
    /// grow old enough to be stopped.
    idle: Vec<(Arc<Environment>, Instant)>,
}

impl Pool {
    pub(super) fn new(settings: Settings, launch: Arc<dyn Launch>) -> Arc<Self> {
        let pool = Arc::new(Self {
            places: Arc::new(Semaphore::new(settings.places)),
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
        let place = self.place().await?;
        let (reply, answer) = oneshot::channel();
        // A task of its own: a caller that goes away does not break off what has begun.
        self.requests.spawn(Arc::clone(self).serve(place, payload, reply));
        answer.await.map_err(|_| InvokeError::Stopping)
    }

    /// Starts one environment ahead of its first request, if there is room for it.
    pub(super) async fn warm(self: &Arc<Self>) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        if self.stopping.is_cancelled() || lock(&self.environments).all.len() >= self.settings.places {
            return;
        }
        match self.start().await {
            Ok(environment) => self.put_back(environment).await,
            Err(error) => tracing::warn!(
                function = self.settings.name,
                error = %String::from_utf8_lossy(&error),
                "an environment could not be started ahead"
            ),
        }
        drop(place);
    }

    /// Its processes.
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

    /// Takes no more requests, gives those in flight `grace` to end, and stops every process.
    pub(super) async fn stop(&self, grace: Duration) {
        self.stopping.cancel();
        self.requests.close();
        if tokio::time::timeout(grace, self.requests.wait()).await.is_err() {
            tracing::warn!(function = self.settings.name, "requests in flight are broken off");
        }
        self.ending.cancel();
        self.processes.close();
        self.signal_all(Signal::Terminate);
        if tokio::time::timeout(TERMINATION, self.processes.wait()).await.is_err() {
            self.signal_all(Signal::Kill);
            self.processes.wait().await;
        }
    }

    /// Ends every process without waiting for anything.
    pub(super) fn abandon(&self) {
        self.stopping.cancel();
        self.ending.cancel();
        self.signal_all(Signal::Kill);
    }

    fn signal_all(&self, signal: Signal) {
        for environment in &lock(&self.environments).all {
            environment.retire(signal);
        }
    }

    /// Queues for a place. Semaphores serve in the order of asking.
    async fn place(&self) -> Result<OwnedSemaphorePermit, InvokeError> {
        let _waiting = Waiting::begin(&self.waiting, self.settings.queue, &self.places)?;
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(InvokeError::Stopping),
            place = Arc::clone(&self.places).acquire_owned() => place.map_err(|_| InvokeError::Stopping),
            () = tokio::time::sleep(self.settings.queue_wait) => Err(InvokeError::Throttled),
        }
    }

    async fn serve(
        self: Arc<Self>,
        place: OwnedSemaphorePermit,
        payload: Bytes,
        reply: oneshot::Sender<Invocation>,
    ) {
        let request = Request { id: Uuid::new_v4().to_string(), payload, timeout: self.settings.timeout };
        let (answer, environment) = self.run(&request).await;
        let (payload, function_error) = match answer {
            Answer::Response(payload) => (payload, None),
            Answer::Error(payload) => (payload, Some("Unhandled".to_owned())),
        };
        let mut back = std::pin::pin!(async {
            if let Some(environment) = environment {
                self.put_back(environment).await;
            }
            drop(place);
        });
        let is_back = tokio::time::timeout(SETTLING, back.as_mut()).await.is_ok();
        if reply.send(Invocation { request_id: request.id, payload, function_error }).is_err() {
            tracing::debug!(function = self.settings.name, "the caller has gone");
        }
        if !is_back {
            back.await;
        }
    }

    /// Runs a request; with the answer comes the environment, if it is good for another one.
    async fn run(self: &Arc<Self>, request: &Request) -> (Answer, Option<Arc<Environment>>) {
        let id = &request.id;
        for _ in 0..HANDOVERS {
            let environment = match self.idle_or_new().await {
                Ok(environment) => environment,
                Err(error) => return (Answer::Error(error), None),
            };
            match environment.run(request.clone()).await {
                Outcome::Answered(answer) => return (answer, Some(environment)),
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

    fn failure(&self, kind: &str, message: &str) -> Answer {
        tracing::warn!(function = self.settings.name, message, "an invocation failed");
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
            // It came after everything was told to stop.
            environment.retire(Signal::Terminate);
        }
        tokio::spawn(Arc::clone(self).replace_when_missed(Arc::clone(&environment)));
        Ok(environment)
    }

    /// Makes an environment that is done available again; the runtime says when it is.
    async fn put_back(&self, environment: Arc<Environment>) {
        if environment.settled(self.settings.timeout).await {
            lock(&self.environments).idle.push((environment, Instant::now()));
        }
    }

    /// Boxed, because the replacement is watched in the same way.
    fn replace_when_missed(self: Arc<Self>, environment: Arc<Environment>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let reason = environment.exited().await;
            {
                let mut environments = lock(&self.environments);
                environments.all.retain(|other| !Arc::ptr_eq(other, &environment));
                environments.idle.retain(|(other, _)| !Arc::ptr_eq(other, &environment));
            }
            if environment.is_missed() && !self.stopping.is_cancelled() {
                let (function, pid) = (&self.settings.name, environment.pid);
                tracing::warn!(function, pid, reason, "an environment is replaced");
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

/// Counts a caller in the queue, for as long as it is there.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize, most: usize, places: &Semaphore) -> Result<Self, InvokeError> {
        let before = waiting.fetch_add(1, Ordering::AcqRel);
        let waiting = Self(waiting);
        if before >= most && places.available_permits() == 0 {
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
