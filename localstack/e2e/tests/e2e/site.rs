//! A platform to test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;

use erp_auth::{Keyring, Tokens};
use erp_client::Client;
use erp_local::platform::{Options, Platform};
use erp_local::samconfig;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The platform of the tests that run at this moment; the last of them stops it.
static SHARED: Mutex<Weak<Local>> = Mutex::new(Weak::new());
/// Two: most of these tests wait for time-outs most of the time, and more of them would wait for processors.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Held by a test with a platform of its own, so that there are few of them at a time.
pub(crate) struct Turn {
    _permit: SemaphorePermit<'static>,
}

impl Turn {
    async fn take() -> Self {
        Self { _permit: TURNS.acquire().await.unwrap() }
    }
}

/// Where a test plays.
pub(crate) enum Site {
    /// On this machine, and for nobody else if it has the turn.
    Here {
        /// The platform.
        local: Arc<Local>,
        /// Held, not read.
        _turn: Option<Turn>,
    },
    /// Somewhere else: all there is, is HTTP.
    There(String),
}

impl Site {
    /// A platform that other tests use at the same time: nothing but one's own data is known of it.
    pub(crate) fn shared() -> Self {
        if let Some(url) = elsewhere() {
            return Self::There(url);
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let local = shared.upgrade().unwrap_or_else(|| Arc::new(Local::start(None)));
        *shared = Arc::downgrade(&local);
        Self::Here { local, _turn: None }
    }

    /// A platform for this test alone, for heavy work: such tests take turns.
    pub(crate) async fn own() -> Self {
        match elsewhere() {
            Some(url) => Self::There(url),
            None => {
                let turn = Turn::take().await;
                Self::here(Local::start(None), turn)
            }
        }
    }

    /// A platform that a test has started in its turn.
    pub(crate) fn here(local: Local, turn: Turn) -> Self {
        Self::Here { local: Arc::new(local), _turn: Some(turn) }
    }

    /// A client without a token.
    pub(crate) fn client(&self) -> Client {
        match self {
            Self::Here { local, .. } => local.client(),
            Self::There(url) => Client::new(url),
        }
    }

    /// The platform itself, where it is on this machine.
    pub(crate) fn platform(&self) -> Option<&Platform> {
        match self {
            Self::Here { local, .. } => Some(local.platform()),
            Self::There(_) => None,
        }
    }

    /// The platform itself; where it is somewhere else the test is left out, which is said.
    pub(crate) fn platform_or_skip(&self, test: &str) -> Option<&Platform> {
        if self.platform().is_none() {
            eprintln!("left out, because it needs more than HTTP: {test}");
        }
        self.platform()
    }
}

/// The turn of a test that starts platforms itself; nothing where the platform is somewhere else.
pub(crate) async fn turn(test: &str) -> Option<Turn> {
    if elsewhere().is_some() {
        eprintln!("left out, because it needs more than HTTP: {test}");
        return None;
    }
    Some(Turn::take().await)
}

/// The base URL of a platform that is not on this machine.
pub(crate) fn elsewhere() -> Option<String> {
    std::env::var("ERP_BASE_URL").ok().filter(|url| !url.is_empty())
}

/// A platform in this process, on a runtime of its own: every test has another one, which ends with it.
pub(crate) struct Local {
    platform: Option<Platform>,
    runtime: Option<Runtime>,
}

impl Local {
    /// Starts it as `cargo run` does, with what is in the folder, or empty.
    pub(crate) fn start(data: Option<&Path>) -> Self {
        let template = workspace().join("template.yaml");
        let settings = samconfig::read(&workspace().join("samconfig.toml"), "local").unwrap();
        let options = Options {
            parameters: settings.parameters,
            executables: Some(executables().to_owned()),
            data: data.map(Path::to_owned),
            ..Options::new(template)
        };
        let start = move || {
            let runtime = Runtime::new().unwrap();
            let platform =
                runtime.block_on(Platform::start(options)).unwrap_or_else(|error| panic!("{error}"));
            Self { platform: Some(platform), runtime: Some(runtime) }
        };
        // A thread that is in no runtime: one must not wait for another.
        thread::spawn(start).join().unwrap()
    }

    /// The platform.
    pub(crate) fn platform(&self) -> &Platform {
        self.platform.as_ref().unwrap()
    }

    /// A client without a token.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.platform().base_url())
    }
}

impl Drop for Local {
    /// Stops as `serve` does on Ctrl-C: what is in flight ends first.
    fn drop(&mut self) {
        let (Some(platform), Some(runtime)) = (self.platform.take(), self.runtime.take()) else { return };
        let stopped = thread::spawn(move || runtime.block_on(platform.stop())).join();
        if stopped.is_err() {
            eprintln!("the platform did not stop cleanly");
        }
    }
}

/// The tokens of a platform, made with the key that it has.
pub(crate) fn tokens(platform: &Platform) -> Tokens {
    let [keys, issuer, audience] = ["JWT_KEYS", "JWT_ISSUER", "JWT_AUDIENCE"].map(|name| {
        let with = platform.deployment().functions.iter().find_map(|function| function.environment.get(name));
        with.unwrap().clone()
    });
    Tokens::new(Keyring::from_json(&keys).unwrap(), issuer, audience)
}

/// The access key for the AWS endpoint of a platform.
pub(crate) fn credentials(platform: &Platform) -> aws_sdk_sqs::config::Credentials {
    let key = platform.access_key();
    aws_sdk_sqs::config::Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "owner")
}

/// The folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap())
}

/// The folder of the functions' executables and of `erp-local`, built when it is first asked for.
pub(crate) fn executables() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut build = Command::new(cargo);
        build.args(["build", "--bins", "--message-format=json-render-diagnostics"]).current_dir(workspace());
        let output = build.stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "the binaries cannot be built");
        let messages = String::from_utf8(output.stdout).unwrap();
        let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let built = messages.filter(|message| message["target"]["name"] == "erp-local");
        let path = built.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
        path.unwrap().parent().unwrap().to_owned()
    })
}
