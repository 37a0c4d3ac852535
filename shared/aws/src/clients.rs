//! SDK configuration, and connections made in the init phase.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use erp_domain::{SettingError, Settings};

use crate::batch::WorkQueue;
use crate::function_client::FunctionClient;
use crate::{Key, Table};

/// Time-out of one attempt of a call. DynamoDB responds within milliseconds; after 2 s a retry is more promising.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Attempts of a call, the first included.
const ATTEMPTS: u32 = 4;

/// Loads the configuration that all clients of a function share.
///
/// Credentials come from the environment, where Lambda puts them; loading the SDK's whole provider chain would cost
/// start-up time. `AWS_ENDPOINT_URL` is honoured, so the same binary runs against an emulator.
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .credentials_provider(EnvironmentVariableCredentialsProvider::new())
        .retry_config(retry_config())
        .timeout_config(timeout_config())
        .load()
        .await
}

/// Returns the retry configuration of the SDK clients: 4 attempts, exponential back-off with jitter.
pub fn retry_config() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(Duration::from_millis(50))
}

/// Returns the time-outs of the SDK clients.
pub fn timeout_config() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build()
}

/// Opens the table named by `TABLE_NAME` and connects to DynamoDB while the environment initialises, which runs at full
/// speed: on a small function the TLS handshake is most of the duration of the first request.
pub async fn table(settings: &Settings<'_>, sdk: &SdkConfig) -> Result<Table, SettingError> {
    let table = Table::new(aws_sdk_dynamodb::Client::new(sdk), settings.required("TABLE_NAME")?);
    // The row does not exist. A failure is logged only: the first request reports it properly.
    if let Err(error) = table.get_raw(&Key::new("WARM", "WARM")).await {
        tracing::debug!(%error, "preconnecting failed");
    }
    Ok(table)
}

/// Opens the queue named by `QUEUE_URL` and the dead-letter queue named by `DEAD_LETTER_QUEUE_URL`, and connects to SQS
/// while the environment initialises.
pub async fn work_queue(settings: &Settings<'_>, sdk: &SdkConfig) -> Result<WorkQueue, SettingError> {
    let client = aws_sdk_sqs::Client::new(sdk);
    let [url, dead_letter_url] = ["QUEUE_URL", "DEAD_LETTER_QUEUE_URL"].map(|name| settings.required(name));
    let queue = WorkQueue::new(client, url?, dead_letter_url?);
    queue.preconnect().await;
    Ok(queue)
}

/// Creates a client of the function whose name is in the variable `name`.
pub fn function(
    settings: &Settings<'_>,
    sdk: &SdkConfig,
    name: &'static str,
) -> Result<FunctionClient, SettingError> {
    // `FunctionClient` has its own time-out and retry; the SDK's would multiply the attempts.
    let config = aws_sdk_lambda::config::Builder::from(sdk)
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .build();
    Ok(FunctionClient::new(aws_sdk_lambda::Client::from_conf(config), settings.required(name)?))
}
