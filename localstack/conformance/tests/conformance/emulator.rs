//! AWS's own Lambda runtime interface emulator around a function's executable. It comes inside the SAM command line.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use aws_sdk_lambda::primitives::Blob;
use erp_local::iam::Credentials;
use serde_json::Value;

use crate::world::lambda_client;

/// The one function name that the emulator knows.
const FUNCTION: &str = "function";
/// How long the emulator may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// An emulator that runs one function.
pub(crate) struct Emulator {
    process: Child,
    client: aws_sdk_lambda::Client,
}

impl Emulator {
    /// Starts `emulator` with the function's `executable`, which finds exactly `environment`. What both say goes
    /// to the file `log`.
    pub(crate) fn start(
        emulator: &Path,
        executable: &Path,
        environment: &BTreeMap<String, String>,
        log: &Path,
    ) -> Self {
        let [requests, runtime] = free_addresses();
        let log = File::create(log).unwrap();
        let process = Command::new(emulator)
            .args(["--runtime-interface-emulator-address", &requests.to_string()])
            .args(["--runtime-api-address", &runtime.to_string()])
            .arg(executable)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", emulator.display()));
        // Any key: it verifies none.
        let key = Credentials { access_key_id: "test".to_owned(), secret_access_key: "test".to_owned() };
        let emulator = Self { process, client: lambda_client(&format!("http://{requests}"), &key) };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(requests).is_err() {
            assert!(Instant::now() < deadline, "the emulator does not listen on {requests}");
            thread::sleep(Duration::from_millis(10));
        }
        emulator
    }

    /// Sends an event; whether the function failed, and what it answered.
    pub(crate) async fn invoke(&self, event: &Value) -> (bool, Value) {
        let payload = Blob::new(event.to_string());
        let answer = self.client.invoke().function_name(FUNCTION).payload(payload).send().await.unwrap();
        let payload = answer.payload.unwrap_or_else(|| Blob::new("")).into_inner();
        let text = || String::from_utf8_lossy(&payload).into_owned().into();
        let payload: Value = serde_json::from_slice(&payload).unwrap_or_else(|_| text());
        // It does not tell an error from an answer by anything else.
        (payload.get("errorType").is_some_and(Value::is_string), payload)
    }
}

impl Drop for Emulator {
    /// Politely, because only then does it end the function too.
    fn drop(&mut self) {
        let ended = Command::new("kill").arg(self.process.id().to_string()).status();
        if !ended.is_ok_and(|status| status.success()) {
            self.process.kill().unwrap();
        }
        self.process.wait().unwrap();
    }
}

/// Two addresses of this machine that nobody uses.
fn free_addresses() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}
