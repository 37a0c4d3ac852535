//! The database: one SQLite file with queues, messages, topics and subscriptions.
//!
//! Every change is one transaction, in the write-ahead log before it is answered. With `synchronous=NORMAL` the log is
//! handed to the operating system but not forced to the disk at each commit, so a commit outlives the process however it
//! dies; what a power loss does to the last moments is out of scope for one machine's platform.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::BrokerError;

pub(crate) mod messages;
pub(crate) mod moves;
pub(crate) mod queues;
pub(crate) mod topics;

/// Tells the time: milliseconds since the epoch.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Raised with each change of the tables that an older file would not survive.
const SCHEMA_VERSION: i64 = 1;

/// `messages_by_visibility` serves every receive and, holding `receives`, every count; `messages_by_age` serves expiry.
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
    /// Opens the file, making it where there is none; without a path the database is in memory.
    pub(crate) fn open(path: Option<&Path>, clock: Clock) -> Result<Self, BrokerError> {
        let connection = match path {
            Some(path) => Connection::open(path)?,
            None => Connection::open_in_memory()?,
        };
        // The statements of all operations stay prepared.
        connection.set_prepared_statement_cache_capacity(128);
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;
             PRAGMA busy_timeout = 5000; PRAGMA temp_store = MEMORY;",
        )?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if ![0, SCHEMA_VERSION].contains(&version) {
            return Err(BrokerError::Corrupt(format!(
                "its layout has version {version}, this program knows {SCHEMA_VERSION}"
            )));
        }
        connection.execute_batch(SCHEMA)?;
        connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        Ok(Self { connection, clock })
    }

    /// Milliseconds since the epoch.
    pub(crate) fn now(&self) -> i64 {
        (self.clock)()
    }

    /// Reads outside a transaction.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Does all of `work` or, when it fails, none of it. The second argument is the time of the transaction.
    pub(crate) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, i64) -> Result<T, BrokerError>,
    ) -> Result<T, BrokerError> {
        let now = self.now();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let answer = work(&transaction, now)?;
        transaction.commit()?;
        Ok(answer)
    }
}

/// Reads a map that was stored as JSON.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, BrokerError> {
    serde_json::from_str(text).map_err(|error| BrokerError::Corrupt(error.to_string()))
}

/// Writes a map as JSON.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, BrokerError> {
    serde_json::to_string(value).map_err(|error| BrokerError::Corrupt(error.to_string()))
}
