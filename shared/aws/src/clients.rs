//! SDK configuration, and connections made in the init phase.

use std::error::Error;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_lambda::types::InvocationType;
use aws_sdk_sqs::types::QueueAttributeName;
use erp_domain::{SettingError, Settings};
use futures_util::future::join_all;

use crate::batch::WorkQueue;
use crate::function_client::FunctionClient;
use crate::list::LIST_SHARDS;
use crate::transaction::text;
use crate::{Table, sdk_error_message};

/// Time-out of one attempt of a call. DynamoDB responds within milliseconds; after 2 s a retry is more promising.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Attempts of a call, the first included.
const ATTEMPTS: u32 = 4;
/// Longest time that opening a connection adds to the init phase, which AWS ends after 10 s.
const PRECONNECT_TIMEOUT: Duration = Duration::from_secs(2);

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

/// Opens a connection by sending a request, whatever the response, while the environment initialises, which runs at full
/// speed: on a small function the TLS handshake is most of the duration of the first request. A failure is only logged:
/// the next request reports it.
pub async fn preconnect<T, E>(
    service: &str,
    request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) where
    E: ProvideErrorMetadata + Error + 'static,
{
    match tokio::time::timeout(PRECONNECT_TIMEOUT, request).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(service, error = sdk_error_message(&error), "preconnecting failed"),
        Err(_) => tracing::warn!(service, "preconnecting failed: no response within {PRECONNECT_TIMEOUT:?}"),
    }
}

/// Opens `connections` connections to DynamoDB by reading a row that does not exist. A function without the permission
/// to read the table gets an error, and the connection all the same.
pub async fn preconnect_table(table: &Table, connections: u8) {
    let request = || {
        let request = table.client.get_item().table_name(&table.name);
        preconnect("DynamoDB", request.key("pk", text("WARM")).key("sk", text("WARM")).send())
    };
    join_all((0..connections).map(|_| request())).await;
}

/// Opens a connection to Lambda. A dry run checks the permission and does not run the function
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>).
pub async fn preconnect_function(client: &aws_sdk_lambda::Client, function: &str) {
    let request = client.invoke().function_name(function).invocation_type(InvocationType::DryRun);
    preconnect("Lambda", request.send()).await;
}

/// Opens the table named by `TABLE_NAME`, with a connection.
pub async fn table(settings: &Settings<'_>, sdk: &SdkConfig) -> Result<Table, SettingError> {
    open_table(settings, sdk, 1).await
}

/// Opens the table named by `TABLE_NAME`, with a connection for each shard of a list: they are read side by side.
pub async fn table_with_lists(settings: &Settings<'_>, sdk: &SdkConfig) -> Result<Table, SettingError> {
    open_table(settings, sdk, LIST_SHARDS).await
}

async fn open_table(
    settings: &Settings<'_>,
    sdk: &SdkConfig,
    connections: u8,
) -> Result<Table, SettingError> {
    let table = Table::new(aws_sdk_dynamodb::Client::new(sdk), settings.required("TABLE_NAME")?);
    preconnect_table(&table, connections).await;
    Ok(table)
}

/// Opens the queue named by `QUEUE_URL` and the dead-letter queue named by `DEAD_LETTER_QUEUE_URL`, with a connection to
/// SQS.
pub async fn work_queue(settings: &Settings<'_>, sdk: &SdkConfig) -> Result<WorkQueue, SettingError> {
    let client = aws_sdk_sqs::Client::new(sdk);
    let [url, dead_letter_url] = ["QUEUE_URL", "DEAD_LETTER_QUEUE_URL"].map(|name| settings.required(name));
    let (url, dead_letter_url) = (url?, dead_letter_url?);
    let request = client.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
    preconnect("SQS", request.send()).await;
    Ok(WorkQueue::new(client, url, dead_letter_url))
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
