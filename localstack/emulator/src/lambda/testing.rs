//! Functions for tests, with a fake runtime: a task that is a client of the Runtime API, as a process would be.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc};

use super::process::{Launch, Process, Signal};
use super::sync::lock;
use super::{Config, Functions};
use crate::deployment::Function;

/// A function with names and defaults.
pub(crate) fn function(logical_id: &str, name: &str) -> Function {
    Function {
        logical_id: logical_id.to_owned(),
        name: name.to_owned(),
        binary: name.to_owned(),
        environment: BTreeMap::new(),
        memory_size: 128,
        timeout: Duration::from_secs(5),
        alias: None,
        reserved_concurrency: None,
        statements: Vec::new(),
    }
}

/// The effect of a fake runtime's handler.
pub(crate) enum Effect {
    /// Respond with this payload.
    Respond(String),
    /// Report this error.
    Fail(String),
    /// Exit without a reply.
    Exit,
    /// Report an initialization error and exit; only for the event `init`.
    FailInit,
}

/// The handler of a fake runtime: called with `init` once, and then with each event.
pub(crate) type Handler = Arc<dyn Fn(String) -> BoxFuture<'static, Effect> + Send + Sync>;

/// Starts tasks instead of processes.
pub(crate) struct FakeRuntime {
    handler: Handler,
    started: AtomicU32,
    kills: Mutex<BTreeMap<u32, Arc<Notify>>>,
}

impl FakeRuntime {
    pub(crate) fn new<F>(handler: impl Fn(String) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Effect> + Send + 'static,
    {
        Arc::new(Self {
            handler: Arc::new(move |event| Box::pin(handler(event))),
            started: AtomicU32::new(0),
            kills: Mutex::default(),
        })
    }

    /// Number of tasks started so far.
    pub(crate) fn started(&self) -> u32 {
        self.started.load(Ordering::SeqCst)
    }

    /// Ends a task as `kill -9` would.
    pub(crate) fn kill(&self, pid: u32) {
        lock(&self.kills)[&pid].notify_one();
    }

    /// This function alone, on the fake runtime.
    pub(crate) fn functions(self: &Arc<Self>, config: Config, function: Function) -> Arc<Functions> {
        let launch = Arc::clone(self) as Arc<dyn Launch>;
        Functions::with_launchers(config, &[function], |_| {
            Ok((PathBuf::from("/bin/echo"), Arc::clone(&launch)))
        })
        .unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Launch for FakeRuntime {
    fn launch(&self, environment: &BTreeMap<String, String>) -> io::Result<Process> {
        let pid = self.started.fetch_add(1, Ordering::SeqCst) + 1;
        let api = format!("{}/2018-06-01/runtime", environment["AWS_LAMBDA_RUNTIME_API"]);
        let mut runtime = tokio::spawn(run(api, Arc::clone(&self.handler)));
        let killed = Arc::new(Notify::new());
        lock(&self.kills).insert(pid, Arc::clone(&killed));
        let (signals, mut received) = mpsc::unbounded_channel();
        let exited = Box::pin(async move {
            let reason = tokio::select! {
                _ = &mut runtime => return "exit status 1".to_owned(),
                () = killed.notified() => "signal: 9 (SIGKILL)",
                signal = received.recv() => match signal {
                    Some(Signal::Terminate) => "signal: 15 (SIGTERM)",
                    Some(Signal::Kill) | None => "signal: 9 (SIGKILL)",
                },
            };
            runtime.abort();
            reason.to_owned()
        });
        Ok(Process { pid, exited, signals })
    }
}

async fn run(api: String, handler: Handler) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = |path: String, body: String| client.post(format!("{api}/{path}")).body(body).send();
    if let Effect::FailInit = handler("init".to_owned()).await {
        post("init/error".to_owned(), r#"{"errorMessage":"no table"}"#.to_owned()).await.unwrap();
        return;
    }
    loop {
        let next = client.get(format!("{api}/invocation/next")).send().await.unwrap();
        let id = next.headers()["lambda-runtime-aws-request-id"].to_str().unwrap().to_owned();
        assert!(next.headers().contains_key("lambda-runtime-deadline-ms"));
        let (kind, body) = match handler(next.text().await.unwrap()).await {
            Effect::Respond(body) => ("response", body),
            Effect::Fail(body) => ("error", body),
            Effect::Exit | Effect::FailInit => return,
        };
        post(format!("invocation/{id}/{kind}"), body).await.unwrap();
    }
}

/// Waits until a condition holds; panics after ten seconds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .unwrap_or_else(|_| panic!("timed out waiting until {what}"));
}
