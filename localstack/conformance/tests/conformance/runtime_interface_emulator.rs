//! AWS's Lambda runtime interface emulator (RIE) around the executable of one function. It is part of the SAM
//! command line.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_sdk_lambda::primitives::Blob;
use erp_local::iam::Credentials;
use serde_json::Value;
use tokio::time::Instant;

use crate::template::lambda_client;

/// The only function name that the emulator accepts.
const FUNCTION: &str = "function";
/// Maximum time from the start of the process until it listens.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// An emulator process that runs one function.
pub(crate) struct RuntimeInterfaceEmulator {
    process: Child,
    client: aws_sdk_lambda::Client,
}

impl RuntimeInterfaceEmulator {
    /// Starts the program `emulator` with the `executable` of a function, whose environment is exactly
    /// `environment`. The output of both goes to the file `log`.
    pub(crate) async fn start(
        emulator: &Path,
        executable: &Path,
        environment: &BTreeMap<String, String>,
        log: &Path,
    ) -> Self {
        let [invoke_address, runtime_address] = free_addresses();
        let log = File::create(log).unwrap();
        let process = Command::new(emulator)
            .args(["--runtime-interface-emulator-address", &invoke_address.to_string()])
            .args(["--runtime-api-address", &runtime_address.to_string()])
            .arg(executable)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", emulator.display()));
        // The emulator does not verify signatures.
        let key = Credentials { access_key_id: "test".to_owned(), secret_access_key: "test".to_owned() };
        let emulator = Self { process, client: lambda_client(&format!("http://{invoke_address}"), &key) };
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(invoke_address).is_err() {
            assert!(Instant::now() < deadline, "the emulator does not listen on {invoke_address}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        emulator
    }

    /// Invokes the function with an event. Returns whether it failed, and the payload of the response.
    pub(crate) async fn invoke(&self, event: &Value) -> (bool, Value) {
        let payload = Blob::new(event.to_string());
        let response = self.client.invoke().function_name(FUNCTION).payload(payload).send().await.unwrap();
        let payload = response.payload.unwrap_or_else(|| Blob::new("")).into_inner();
        let text = || String::from_utf8_lossy(&payload).into_owned().into();
        let payload: Value = serde_json::from_slice(&payload).unwrap_or_else(|_| text());
        // The emulator does not set `X-Amz-Function-Error`.
        (payload.get("errorType").is_some_and(Value::is_string), payload)
    }
}

impl Drop for RuntimeInterfaceEmulator {
    /// Sends SIGTERM, after which the emulator also stops the function; SIGKILL would leave it running.
    fn drop(&mut self) {
        let terminated = Command::new("kill").arg(self.process.id().to_string()).status();
        if !terminated.is_ok_and(|status| status.success()) {
            self.process.kill().unwrap();
        }
        self.process.wait().unwrap();
    }
}

/// Returns two free addresses of the loopback interface.
fn free_addresses() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}
