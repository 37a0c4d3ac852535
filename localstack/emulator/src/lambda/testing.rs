//! Functions for tests, and a runtime that is a task: it speaks the Runtime API as a process would.

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

/// A function with nothing but names.
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

/// What a runtime does about a request.
pub(crate) enum Reaction {
    /// Answers with this.
    Answer(String),
    /// Reports this error.
    Fail(String),
    /// Ends without a word.
    Die,
    /// Says that it cannot start, and ends; for the request that is its name, `init`.
    RefuseToStart,
}

/// How a runtime works: asked with `init` once, and then with each event.
pub(crate) type Behaviour = Arc<dyn Fn(String) -> BoxFuture<'static, Reaction> + Send + Sync>;

/// Starts tasks in the place of processes.
pub(crate) struct Player {
    behaviour: Behaviour,
    started: AtomicU32,
    kills: Mutex<BTreeMap<u32, Arc<Notify>>>,
}

impl Player {
    pub(crate) fn new<F>(behaviour: impl Fn(String) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Reaction> + Send + 'static,
    {
        Arc::new(Self {
            behaviour: Arc::new(move |event| Box::pin(behaviour(event))),
            started: AtomicU32::new(0),
            kills: Mutex::default(),
        })
    }

    /// How many were started.
    pub(crate) fn started(&self) -> u32 {
        self.started.load(Ordering::SeqCst)
    }

    /// As `kill -9` from outside.
    pub(crate) fn kill(&self, pid: u32) {
        lock(&self.kills)[&pid].notify_one();
    }

    /// One function `Echo`, named `erp-echo`, that works like this.
    pub(crate) fn functions(self: &Arc<Self>, config: Config, function: Function) -> Arc<Functions> {
        let player = Arc::clone(self) as Arc<dyn Launch>;
        Functions::with_launchers(config, &[function], |_| {
            Ok((PathBuf::from("/bin/echo"), Arc::clone(&player)))
        })
        .unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Launch for Player {
    fn launch(&self, environment: &BTreeMap<String, String>) -> io::Result<Process> {
        let pid = self.started.fetch_add(1, Ordering::SeqCst) + 1;
        let api = format!("http://{}/2018-06-01/runtime", environment["AWS_LAMBDA_RUNTIME_API"]);
        let mut runtime = tokio::spawn(play(api, Arc::clone(&self.behaviour)));
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

async fn play(api: String, behaviour: Behaviour) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = |path: String, body: String| client.post(format!("{api}/{path}")).body(body).send();
    if let Reaction::RefuseToStart = behaviour("init".to_owned()).await {
        post("init/error".to_owned(), r#"{"errorMessage":"no table"}"#.to_owned()).await.unwrap();
        return;
    }
    loop {
        let next = client.get(format!("{api}/invocation/next")).send().await.unwrap();
        let id = next.headers()["lambda-runtime-aws-request-id"].to_str().unwrap().to_owned();
        assert!(next.headers().contains_key("lambda-runtime-deadline-ms"));
        let (kind, body) = match behaviour(next.text().await.unwrap()).await {
            Reaction::Answer(body) => ("response", body),
            Reaction::Fail(body) => ("error", body),
            Reaction::Die | Reaction::RefuseToStart => return,
        };
        post(format!("invocation/{id}/{kind}"), body).await.unwrap();
    }
}

/// Waits until something is so; panics when it takes too long.
pub(crate) async fn until(what: &str, so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap_or_else(|_| panic!("not so: {what}"));
}
