//! The DynamoDB and DynamoDB Streams endpoint: dynoxide, an embedded and conformance-tested DynamoDB on SQLite,
//! behind a policy check.
//!
//! ```text
//! endpoint   the HTTP handler: who may, what goes wrong on purpose, hand on, wake the streams
//! access     which permissions a request needs
//! fault      calls that go wrong on purpose
//! provision  the deployment's tables
//! history    the records of streams, in dynoxide's own file
//! backend    dynoxide's own server on threads of its own
//! ```
//!
//! The rule that is not obvious: dynoxide runs each operation to its end on the thread that took the request, so
//! it must not share its threads with anything else. What decides how an operation answers is in its HTTP server
//! and nowhere else, which is why requests go through that rather than through the functions of the library.

mod access;
mod backend;
mod endpoint;
mod fault;
mod history;
mod provision;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use dynoxide::Database;
use tokio::task::JoinHandle;

use crate::deployment::Table;
use crate::iam::Iam;

pub use fault::{Call, Fault, Intercept};

/// How often expired items are deleted. AWS takes up to days; readers must check the time themselves either way.
const SWEEP: Duration = Duration::from_secs(5);

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DynamoDbError {
    /// The file is not a database that this version can open.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: dynoxide::DynoxideError,
    },
    /// The file cannot be prepared.
    #[error("cannot prepare {}: {source}", path.display())]
    Prepare {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rusqlite::Error,
    },
    /// The definition of a table is not one that DynamoDB takes.
    #[error("DynamoDB would not take the table {table}: {message}")]
    Definition {
        /// The table.
        table: String,
        /// In DynamoDB's words.
        message: String,
    },
    /// A table cannot be made.
    #[error("the table {table}: {source}")]
    Table {
        /// The table.
        table: String,
        /// Why not.
        source: dynoxide::DynoxideError,
    },
    /// A table is there already and is another one.
    #[error(
        "the table {table} was made with another {parts} than the template has now; its data stays as it is. \
         Put the template back, start with another --data folder, or delete this one"
    )]
    Different {
        /// The table.
        table: String,
        /// What differs.
        parts: String,
    },
    /// The database's server does not start.
    #[error("the DynamoDB endpoint does not start: {0}")]
    Server(std::io::Error),
}

/// Called after items were written.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The database with its endpoint.
pub struct DynamoDb {
    path: PathBuf,
    database: Database,
    shared: Arc<Shared>,
    /// None once it was stopped.
    backend: Mutex<Option<backend::Backend>>,
    sweeper: JoinHandle<()>,
}

/// What the endpoint's requests share.
struct Shared {
    iam: Arc<Iam>,
    backend_url: String,
    client: reqwest::Client,
    wake: OnceLock<Wake>,
    intercept: RwLock<Option<Arc<dyn Intercept>>>,
}

impl DynamoDb {
    /// Opens or makes the database in a file, with these tables, and starts its server.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, a table is not as the template has it, or no port is free.
    pub async fn start(path: &Path, tables: &[Table], iam: Arc<Iam>) -> Result<Self, DynamoDbError> {
        let database = open(path)?;
        for table in tables {
            provision::ensure(&database, table)?;
        }
        let backend = backend::Backend::start(database.clone()).map_err(DynamoDbError::Server)?;
        let client = reqwest::Client::builder().no_proxy().build();
        let shared = Arc::new(Shared {
            iam,
            backend_url: format!("http://{}/", backend.address()),
            client: client.map_err(|error| DynamoDbError::Server(std::io::Error::other(error)))?,
            wake: OnceLock::new(),
            intercept: RwLock::new(None),
        });
        let sweeper = tokio::spawn(sweep(database.clone(), Arc::clone(&shared)));
        Ok(Self { path: path.to_owned(), database, shared, backend: Mutex::new(Some(backend)), sweeper })
    }

    /// The endpoint: `POST /` with an `X-Amz-Target` of DynamoDB or DynamoDB Streams.
    pub fn router(&self) -> axum::Router {
        endpoint::router(Arc::clone(&self.shared))
    }

    /// The database itself, for readers of streams inside the platform.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Deletes the records of a table's stream, except for the last minute's; for when everybody has read them.
    ///
    /// # Errors
    ///
    /// Only the file's.
    pub async fn trim_stream(&self, table: &str) -> Result<usize, DynamoDbError> {
        let (path, table) = (self.path.clone(), table.to_owned());
        let trimmed = tokio::task::spawn_blocking(move || history::trim(&path, &table)).await;
        trimmed
            .map_err(|error| DynamoDbError::Server(std::io::Error::other(error)))?
            .map_err(|source| DynamoDbError::Prepare { path: self.path.clone(), source })
    }

    /// Has `wake` called after every write; the first one set stays.
    pub fn set_wake(&self, wake: Wake) {
        self.shared.wake.get_or_init(|| wake);
    }

    /// Has calls go wrong on purpose from now on; none ends it.
    pub fn set_intercept(&self, intercept: Option<Arc<dyn Intercept>>) {
        *self.shared.intercept.write().unwrap_or_else(PoisonError::into_inner) = intercept;
    }

    /// Answers the requests in flight, and no more of them.
    pub async fn stop(&self) {
        self.sweeper.abort();
        let backend = self.backend.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(backend) = backend {
            backend.stop().await;
        }
    }
}

impl Drop for DynamoDb {
    fn drop(&mut self) {
        // It holds the database open. The server ends by itself once nobody can stop it any more.
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
    let failed = |source| DynamoDbError::Open { path: path.to_owned(), source };
    let database = Database::new(&path.to_string_lossy()).map_err(failed)?;
    // The library's only way to set PRAGMA synchronous: these two leave it at NORMAL. With its write-ahead log a
    // commit then survives the end of the process, though perhaps not a power cut, and costs no fsync.
    database.enable_bulk_loading().map_err(failed)?;
    database.disable_bulk_loading().map_err(failed)?;
    history::index(path).map_err(|source| DynamoDbError::Prepare { path: path.to_owned(), source })?;
    Ok(database)
}

/// Deletes expired items for as long as the platform runs.
async fn sweep(database: Database, shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let database = database.clone();
        match tokio::task::spawn_blocking(move || database.sweep_ttl()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(deleted)) => {
                tracing::debug!(deleted, "expired items deleted");
                shared.wake();
            }
            Ok(Err(error)) => tracing::warn!(%error, "expired items cannot be deleted"),
            Err(error) => tracing::warn!(%error, "the deletion of expired items broke off"),
        }
    }
}
