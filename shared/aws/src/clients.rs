//! SDK clients.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};

/// How long one attempt of a call may take. DynamoDB answers in milliseconds; what takes a second will not come.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Attempts of a call, the first included.
const ATTEMPTS: u32 = 4;

/// The configuration that all clients of a function share.
///
/// Credentials come from the environment, where Lambda puts them: the SDK's whole chain of places to look at would
/// only cost start-up time. `AWS_ENDPOINT_URL` and its likes are honoured, which is how the same binary runs on
/// one machine.
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .credentials_provider(EnvironmentVariableCredentialsProvider::new())
        .retry_config(retries())
        .timeout_config(time_outs())
        .load()
        .await
}

/// How often the SDK tries a call. The pauses between are its own, with jitter.
pub fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(Duration::from_millis(50))
}

/// How long the SDK waits.
pub fn time_outs() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(ATTEMPT)
        .build()
}

/// Makes the connection to DynamoDB while the environment starts, which runs at full speed and is not waited for by
/// a client: on a small function the TLS handshake is most of the first request.
pub async fn warm(table: &crate::Table) {
    // Whether it is there or not does not matter, and neither does a failure: the first request will tell.
    if let Err(error) = table.get_raw(&crate::Key::new("WARM", "WARM")).await {
        tracing::debug!(error = %error, "the connection could not be made ahead of time");
    }
}
