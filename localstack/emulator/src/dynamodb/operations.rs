//! Runs operations on dynoxide in this process.
//!
//! dynoxide's HTTP server has no authorization, so any process of this machine that finds its port could read every
//! table. Here only the endpoint, which authorizes each request, reaches the database.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::task::JoinError;

use super::disk_check;

/// Operations that run at once. The database serializes them, so more threads do not help.
const CONCURRENCY: u32 = 4;
/// Longest time for one operation, so that a caller gets an error instead of waiting for ever.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for operations that run when the platform stops; one takes milliseconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// An operation without a result.
#[derive(Debug, thiserror::Error)]
pub(super) enum OperationError {
    #[error("the operation took longer than {OPERATION_TIMEOUT:?}")]
    TimedOut,
    #[error("the database is closed")]
    Closed,
    #[error("the operation ended early: {0}")]
    EndedEarly(#[from] JoinError),
}

/// The database, for the endpoint.
pub(super) struct Operations {
    database: Database,
    path: PathBuf,
    permits: Arc<Semaphore>,
}

impl Operations {
    pub(super) fn new(database: Database, path: PathBuf) -> Self {
        Self { database, path, permits: Arc::new(Semaphore::new(CONCURRENCY as usize)) }
    }

    /// Runs an operation. Returns the status and body of the response of DynamoDB.
    ///
    /// # Errors
    ///
    /// There is no response: the operation timed out or panicked, or the platform stops.
    pub(super) async fn run(
        &self,
        operation: &str,
        body: Bytes,
    ) -> Result<(StatusCode, String), OperationError> {
        let (database, path, operation) = (self.database.clone(), self.path.clone(), operation.to_owned());
        let permits = Arc::clone(&self.permits);
        let run = async {
            let permit = permits.acquire_owned().await.map_err(|_| OperationError::Closed)?;
            let task = tokio::task::spawn_blocking(move || {
                // Held until the operation ends, also if the caller has given up.
                let _permit = permit;
                execute(&database, &path, &operation, &body)
            });
            Ok::<_, OperationError>(task.await?)
        };
        let result =
            tokio::time::timeout(OPERATION_TIMEOUT, run).await.map_err(|_| OperationError::TimedOut)?;
        Ok(match result? {
            Ok(body) => (StatusCode::OK, body),
            Err(error) => {
                let status = StatusCode::from_u16(error.status_code());
                (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error.to_json())
            }
        })
    }

    /// Waits for the operations that run. Later ones fail.
    pub(super) async fn stop(&self) {
        let idle = self.permits.acquire_many(CONCURRENCY);
        if tokio::time::timeout(STOP_TIMEOUT, idle).await.is_err() {
            tracing::warn!("an operation of DynamoDB did not end in time");
        }
        self.permits.close();
    }
}

/// Decodes the request, calls the operation, and encodes the response.
fn execute(database: &Database, path: &Path, operation: &str, body: &[u8]) -> dynoxide::Result<String> {
    match operation {
        "CreateTable" => call(body, |request| database.create_table(request)),
        "DeleteTable" => call(body, |request| database.delete_table(request)),
        // A health check describes tables. On AWS there is no full disk.
        "DescribeTable" => match disk_check::write(path) {
            Err(error) => Err(DynoxideError::InternalServerError(error.to_string())),
            Ok(()) => call(body, |request| database.describe_table(request)),
        },
        "ListTables" => call(body, |request| database.list_tables(request)),
        "UpdateTable" => call(body, |request| database.update_table(request)),
        "PutItem" => call(body, |request| database.put_item(request)),
        "GetItem" => call(body, |request| database.get_item(request)),
        "DeleteItem" => call(body, |request| database.delete_item(request)),
        "UpdateItem" => call(body, |request| database.update_item(request)),
        "Query" => call(body, |request| database.query(request)),
        "Scan" => call(body, |request| database.scan(request)),
        "BatchGetItem" => call(body, |request| database.batch_get_item(request)),
        "BatchWriteItem" => call(body, |request| database.batch_write_item(request)),
        "TransactGetItems" => call(body, |request| database.transact_get_items(request)),
        "TransactWriteItems" => call(body, |request| database.transact_write_items(request)),
        "UpdateTimeToLive" => call(body, |request| database.update_time_to_live(request)),
        "DescribeTimeToLive" => call(body, |request| database.describe_time_to_live(request)),
        "ExecuteStatement" => call(body, |request| database.execute_statement(request)),
        "ExecuteTransaction" => call(body, |request| database.execute_transaction(request)),
        "BatchExecuteStatement" => call(body, |request| database.batch_execute_statement(request)),
        "TagResource" => call(body, |request| database.tag_resource(request)),
        "UntagResource" => call(body, |request| database.untag_resource(request)),
        "ListTagsOfResource" => call(body, |request| database.list_tags_of_resource(request)),
        "ListStreams" => call(body, |request| database.list_streams(request)),
        "DescribeStream" => call(body, |request| database.describe_stream(request)),
        "GetShardIterator" => call(body, |request| database.get_shard_iterator(request)),
        "GetRecords" => call(body, |request| database.get_records(request)),
        _ => Err(DynoxideError::ValidationException(format!("The operation {operation} is not supported."))),
    }
}

fn call<Request: DeserializeOwned, Response: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Request) -> dynoxide::Result<Response>,
) -> dynoxide::Result<String> {
    let request = serde_json::from_slice(body)
        .map_err(|error| DynoxideError::SerializationException(error.to_string()))?;
    let response = operation(request)?;
    serde_json::to_string(&response).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}
