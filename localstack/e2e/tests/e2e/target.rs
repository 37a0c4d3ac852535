//! The platform under test: in this process, or behind the URL in `ERP_BASE_URL`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;

use erp_auth::{Keyring, Tokens};
use erp_client::Client;
use erp_domain::Settings;
use erp_local::platform::{Options, Platform};
use erp_local::samconfig;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The platform that the running tests share. The last of them stops it.
static SHARED: Mutex<Weak<LocalPlatform>> = Mutex::new(Weak::new());
/// Platforms of a single test that may run at once. These tests mostly wait for time-outs; more of them would
/// compete for processors.
static SLOTS: Semaphore = Semaphore::const_new(2);

/// A permit to run a platform of one's own; the number of permits is limited.
pub(crate) struct Slot {
    _permit: SemaphorePermit<'static>,
}

impl Slot {
    async fn take() -> Self {
        Self { _permit: SLOTS.acquire().await.unwrap() }
    }
}

/// The platform under test.
pub(crate) enum Target {
    /// On this machine; exclusive to the test if there is a slot.
    Local {
        /// The platform.
        local: Arc<LocalPlatform>,
        /// Released on drop.
        _slot: Option<Slot>,
    },
    /// At a URL: only HTTP is available.
    Remote(String),
}

impl Target {
    /// Returns a platform that other tests use at the same time, so a test may only rely on its own data.
    pub(crate) fn shared() -> Self {
        if let Some(url) = remote_url() {
            return Self::Remote(url);
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let local = shared.upgrade().unwrap_or_else(|| Arc::new(LocalPlatform::start(None)));
        *shared = Arc::downgrade(&local);
        Self::Local { local, _slot: None }
    }

    /// Returns a platform for this test alone, for heavy work. Waits for a slot.
    pub(crate) async fn own() -> Self {
        match remote_url() {
            Some(url) => Self::Remote(url),
            None => {
                let slot = Slot::take().await;
                Self::here(LocalPlatform::start(None), slot)
            }
        }
    }

    /// Wraps a platform that the test has started in its slot.
    pub(crate) fn here(local: LocalPlatform, slot: Slot) -> Self {
        Self::Local { local: Arc::new(local), _slot: Some(slot) }
    }

    /// Returns a client without a token.
    pub(crate) fn client(&self) -> Client {
        match self {
            Self::Local { local, .. } => local.client(),
            Self::Remote(url) => Client::new(url),
        }
    }

    /// Returns the platform, if it runs in this process.
    pub(crate) fn platform(&self) -> Option<&Platform> {
        match self {
            Self::Local { local, .. } => Some(local.platform()),
            Self::Remote(_) => None,
        }
    }

    /// Returns the platform if it runs in this process; else reports that the test is skipped.
    pub(crate) fn platform_or_skip(&self, test: &str) -> Option<&Platform> {
        if self.platform().is_none() {
            eprintln!("skipped, because it needs more than HTTP: {test}");
        }
        self.platform()
    }
}

/// Waits for a slot for a test that starts platforms itself. Returns `None` if the platform under test is
/// remote.
pub(crate) async fn slot(test: &str) -> Option<Slot> {
    if remote_url().is_some() {
        eprintln!("skipped, because it needs more than HTTP: {test}");
        return None;
    }
    Some(Slot::take().await)
}

/// Returns the base URL of a remote platform under test.
pub(crate) fn remote_url() -> Option<String> {
    Settings::from_env().optional("ERP_BASE_URL")
}

/// A platform in this process. It has its own runtime, because the runtime of a test ends with the test.
pub(crate) struct LocalPlatform {
    platform: Option<Platform>,
    runtime: Option<Runtime>,
}

impl LocalPlatform {
    /// Starts the platform as `cargo run` does, with the data of a folder, or empty.
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
        // A thread outside any runtime: a runtime must not block on another.
        thread::spawn(start).join().unwrap()
    }

    /// Returns the platform.
    pub(crate) fn platform(&self) -> &Platform {
        self.platform.as_ref().unwrap()
    }

    /// A client without a token.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.platform().base_url())
    }
}

impl Drop for LocalPlatform {
    /// Stops as `serve` does on Ctrl-C: requests in flight end first.
    fn drop(&mut self) {
        let (Some(platform), Some(runtime)) = (self.platform.take(), self.runtime.take()) else { return };
        let stopped = thread::spawn(move || runtime.block_on(platform.stop())).join();
        if stopped.is_err() {
            eprintln!("the platform did not stop cleanly");
        }
    }
}

/// Returns the issuer of tokens with the signing key of a platform.
pub(crate) fn tokens(platform: &Platform) -> Tokens {
    let [keys, issuer, audience] =
        ["JWT_KEYS", "JWT_ISSUER", "JWT_AUDIENCE"].map(|name| environment(platform, name));
    Tokens::new(Keyring::from_json(&keys).unwrap(), issuer, audience)
}

/// Returns the value of an environment variable that has the same value in all functions that have it.
pub(crate) fn environment(platform: &Platform, name: &str) -> String {
    let mut functions = platform.deployment().functions.iter();
    functions.find_map(|function| function.environment.get(name)).unwrap().clone()
}

/// Returns the access key for the AWS endpoint of a platform.
pub(crate) fn credentials(platform: &Platform) -> aws_sdk_sqs::config::Credentials {
    let key = platform.access_key();
    aws_sdk_sqs::config::Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "owner")
}

/// Returns the folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap())
}

/// Returns the folder of the executables of the functions and of `erp-local`. Builds them on the first call.
pub(crate) fn executables() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
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
