//! The database: one SQLite file with queues, messages, topics and subscriptions.
//!
//! Every change is one transaction, committed to the write-ahead log before the response. With
//! `synchronous=NORMAL` the log reaches the operating system at each commit and is not flushed to the disk: a
//! commit survives the end of the process, but the last commits before a power failure may be lost.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::BrokerError;
use crate::database_file::{DatabaseFileError, Schema};

pub(crate) mod messages;
pub(crate) mod moves;
pub(crate) mod queues;
pub(crate) mod topics;

/// The current time in milliseconds since the Unix epoch.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Incremented with each incompatible change of the tables.
const SCHEMA_VERSION: i64 = 1;

/// Every database of this program has these tables.
const TABLES: [&str; 4] = ["messages", "queues", "subscriptions", "topics"];

/// `messages_by_visibility` covers receives and counts; `messages_by_age` covers expiry.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS queues (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE,
    attributes  TEXT NOT NULL,
    tags        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS messages (
    id                INTEGER PRIMARY KEY,
    queue             INTEGER NOT NULL REFERENCES queues (id) ON DELETE CASCADE,
    message_id        TEXT NOT NULL,
    body              TEXT NOT NULL,
    attributes        TEXT,
    sender            TEXT NOT NULL,
    trace_header      TEXT,
    dead_letter_source TEXT,
    sent_at           INTEGER NOT NULL,
    visible_at        INTEGER NOT NULL,
    first_received_at INTEGER,
    receives          INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS messages_by_visibility ON messages (queue, visible_at, receives);
CREATE INDEX IF NOT EXISTS messages_by_age ON messages (queue, sent_at);
CREATE TABLE IF NOT EXISTS topics (
    arn        TEXT PRIMARY KEY,
    attributes TEXT NOT NULL,
    tags       TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS subscriptions (
    arn        TEXT PRIMARY KEY,
    topic      TEXT NOT NULL REFERENCES topics (arn) ON DELETE CASCADE,
    endpoint   TEXT NOT NULL,
    attributes TEXT NOT NULL,
    UNIQUE (topic, endpoint)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS moves (
    handle      TEXT PRIMARY KEY,
    source      TEXT NOT NULL,
    destination TEXT,
    started_at  INTEGER NOT NULL,
    moved       INTEGER NOT NULL,
    to_move     INTEGER NOT NULL,
    failure     TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS moves_by_source ON moves (source, started_at);
";

/// The open database.
pub(crate) struct Store {
    connection: Connection,
    clock: Clock,
}

impl Store {
    /// Opens the file and creates it where it is missing; without a path the database is in memory.
    ///
    /// # Errors
    /// The file is not a database of this program and version, or cannot be opened.
    pub(crate) fn open(path: Option<&Path>, clock: Clock) -> Result<Self, BrokerError> {
        let Some(path) = path else {
            return Self::initialize(Connection::open_in_memory()?, clock).map_err(BrokerError::Storage);
        };
        check_file(path)?;
        let opened = Connection::open(path).and_then(|connection| Self::initialize(connection, clock));
        opened.map_err(|source| DatabaseFileError::Unreadable { path: path.to_owned(), source }.into())
    }

    fn initialize(connection: Connection, clock: Clock) -> rusqlite::Result<Self> {
        // Enough for the statements of all operations.
        connection.set_prepared_statement_cache_capacity(128);
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;
             PRAGMA busy_timeout = 5000; PRAGMA temp_store = MEMORY;",
        )?;
        // One transaction, so that a kill leaves either no tables or all of them with their version.
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        ))?;
        Ok(Self { connection, clock })
    }

    /// Milliseconds since the epoch.
    pub(crate) fn now(&self) -> i64 {
        (self.clock)()
    }

    /// The connection, for reads outside of a transaction.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs `work` in one transaction, rolled back when it fails. The second argument is the transaction's
    /// time.
    pub(crate) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, i64) -> Result<T, BrokerError>,
    ) -> Result<T, BrokerError> {
        let now = self.now();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&transaction, now)?;
        transaction.commit()?;
        Ok(result)
    }
}

/// Refuses a file that another program, or another version of this one, has written. The file is not changed.
fn check_file(path: &Path) -> Result<(), DatabaseFileError> {
    let Some(schema) = Schema::read(path)? else { return Ok(()) };
    schema.require_tables(path, &TABLES)?;
    match schema.version {
        SCHEMA_VERSION => Ok(()),
        found => Err(DatabaseFileError::Version { path: path.to_owned(), found, known: SCHEMA_VERSION }),
    }
}

/// Decodes a stored JSON value.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, BrokerError> {
    serde_json::from_str(text).map_err(|error| BrokerError::Corrupt(error.to_string()))
}

/// Encodes a value as JSON for storage.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, BrokerError> {
    serde_json::to_string(value).map_err(|error| BrokerError::Corrupt(error.to_string()))
}
