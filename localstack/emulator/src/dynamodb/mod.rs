//! The DynamoDB and DynamoDB Streams endpoint: authorization in front of dynoxide, an embedded DynamoDB on
//! SQLite.
//!
//! ```text
//! endpoint         the HTTP handler: authorize, inject faults, run, notify the readers of streams
//! access           the permissions that a request requires
//! disk_check       whether the database can be written
//! fault_injection  calls that fail on purpose
//! provision        the deployment's tables
//! stream_records   stream records in the file of dynoxide
//! operations       the operations of dynoxide
//! ```

mod access;
mod disk_check;
mod endpoint;
mod fault_injection;
mod operations;
mod provision;
mod stream_records;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use dynoxide::Database;
use tokio::task::JoinHandle;

use crate::database_file::{DatabaseFileError, Schema};
use crate::deployment::Table;
use crate::iam::Iam;

pub use fault_injection::{Call, Fault, Intercept};

/// Interval of the deletion of expired items. AWS takes up to days, so readers must check the time in any
/// case.
const TTL_INTERVAL: Duration = Duration::from_secs(5);

/// Every database of dynoxide has these tables. It checks its schema version itself.
const TABLES: [&str; 2] = ["_config", "_tables"];

/// A database that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DynamoDbError {
    /// The file is not a database of this program. It was not changed.
    #[error(transparent)]
    File(#[from] DatabaseFileError),
    /// The database cannot be opened.
    #[error(
        "cannot open the database {}: {source}; move it away or start with another --data folder", path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// The error of dynoxide.
        source: dynoxide::DynoxideError,
    },
    /// Stream records cannot be indexed or deleted.
    #[error("cannot change the stream records in {}: {source}", path.display())]
    StreamRecords {
        /// The file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// The definition of a table is invalid in DynamoDB.
    #[error("DynamoDB would reject the table {table}: {message}")]
    Definition {
        /// The table.
        table: String,
        /// The message of DynamoDB.
        message: String,
    },
    /// A table cannot be read or created.
    #[error("cannot read or create the table {table} in {}: {source}", path.display())]
    Table {
        /// The table.
        table: String,
        /// The file.
        path: PathBuf,
        /// The error of dynoxide.
        source: dynoxide::DynoxideError,
    },
    /// A table exists with another definition.
    #[error(
        "the table {table} was created with another {parts} than the template has now; its data was not changed. \
         Restore the template, start with another --data folder, or delete this one"
    )]
    Different {
        /// The table.
        table: String,
        /// The properties that differ.
        parts: String,
    },
    /// The deletion of stream records ended early.
    #[error("the deletion of stream records ended early: {0}")]
    EndedEarly(#[from] tokio::task::JoinError),
}

/// A callback after each write of items.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The database with its endpoint.
pub struct DynamoDb {
    path: PathBuf,
    database: Database,
    shared: Arc<Shared>,
    sweeper: JoinHandle<()>,
}

/// State of the request handlers.
struct Shared {
    iam: Arc<Iam>,
    operations: operations::Operations,
    wake: OnceLock<Wake>,
    intercept: RwLock<Option<Arc<dyn Intercept>>>,
}

impl DynamoDb {
    /// Opens or creates the database file, and creates missing tables.
    ///
    /// # Errors
    ///
    /// The file is not a database of this program, or a table differs from the template.
    pub async fn start(path: &Path, tables: &[Table], iam: Arc<Iam>) -> Result<Self, DynamoDbError> {
        let database = open(path)?;
        for table in tables {
            provision::ensure(&database, path, table)?;
        }
        let shared = Arc::new(Shared {
            iam,
            operations: operations::Operations::new(database.clone(), path.to_owned()),
            wake: OnceLock::new(),
            intercept: RwLock::new(None),
        });
        let sweeper = tokio::spawn(delete_expired_items(database.clone(), Arc::clone(&shared)));
        Ok(Self { path: path.to_owned(), database, shared, sweeper })
    }

    /// The endpoint: `POST /` with an `X-Amz-Target` of DynamoDB or DynamoDB Streams.
    pub fn router(&self) -> axum::Router {
        endpoint::router(Arc::clone(&self.shared))
    }

    /// The database, for the stream readers of the platform.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Deletes the records of a table's stream that are older than a minute. All readers must have read them.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub async fn trim_stream(&self, table: &str) -> Result<usize, DynamoDbError> {
        let (path, table) = (self.path.clone(), table.to_owned());
        let trimmed = tokio::task::spawn_blocking(move || stream_records::trim(&path, &table)).await?;
        trimmed.map_err(|source| DynamoDbError::StreamRecords { path: self.path.clone(), source })
    }

    /// Sets the callback after every write; later calls have no effect.
    pub fn set_wake(&self, wake: Wake) {
        self.shared.wake.get_or_init(|| wake);
    }

    /// Sets or removes the fault injection.
    pub fn set_intercept(&self, intercept: Option<Arc<dyn Intercept>>) {
        *self.shared.intercept.write().unwrap_or_else(PoisonError::into_inner) = intercept;
    }

    /// Waits for the operations that run. Later ones fail.
    pub async fn stop(&self) {
        self.sweeper.abort();
        self.shared.operations.stop().await;
    }
}

impl Drop for DynamoDb {
    fn drop(&mut self) {
        // The task keeps the database open.
        self.sweeper.abort();
    }
}

impl Shared {
    fn intercept(&self) -> Option<Arc<dyn Intercept>> {
        self.intercept.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wake(&self) {
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }
}

fn open(path: &Path) -> Result<Database, DynamoDbError> {
    if let Some(schema) = Schema::read(path)? {
        schema.require_tables(path, &TABLES)?;
    }
    let failed = |source| DynamoDbError::Open { path: path.to_owned(), source };
    let database = Database::new(&path.to_string_lossy()).map_err(failed)?;
    // These two calls set PRAGMA synchronous to NORMAL, for which there is no other function. With the
    // write-ahead log, a commit then survives the end of the process, but possibly not a power failure, and
    // costs no fsync.
    database.enable_bulk_loading().map_err(failed)?;
    database.disable_bulk_loading().map_err(failed)?;
    stream_records::create_index(path)
        .map_err(|source| DynamoDbError::StreamRecords { path: path.to_owned(), source })?;
    Ok(database)
}

/// Deletes expired items (time to live) until the task is aborted.
async fn delete_expired_items(database: Database, shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(TTL_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let database = database.clone();
        match tokio::task::spawn_blocking(move || database.sweep_ttl()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(deleted)) => {
                tracing::debug!(deleted, "deleted expired items");
                shared.wake();
            }
            Ok(Err(error)) => tracing::warn!(%error, "cannot delete expired items"),
            Err(error) => tracing::warn!(%error, "the deletion of expired items ended early"),
        }
    }
}
