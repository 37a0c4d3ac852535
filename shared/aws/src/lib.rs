//! AWS as the services use it, once for all of them. No HTTP, no rule of the business.
//!
//! ```text
//! config       settings from the environment, with errors that name the variable
//! clients      SDK clients that are ready before the first request
//! table        one DynamoDB table: keys, reads, errors
//! transaction  all-or-nothing writes whose failed conditions have names
//! list         pages of an index, newest first, over its shards
//! outbox       the event row: an entity's history, and what the relay publishes
//! answers      kept answers for Idempotency-Key
//! ask          a question to another service: direct invocation, time-out, retry, circuit breaker
//! batch        SQS batches whose messages fail alone
//! metric       figures of the business, among the logs
//! cause        why AWS did not do something, in a line that may be logged
//! ```

pub mod answers;
pub mod ask;
pub mod batch;
mod cause;
pub mod clients;
pub mod config;
pub mod list;
pub mod metric;
pub mod outbox;
pub mod table;
pub mod transaction;

pub use cause::cause;
pub use config::ConfigError;
pub use table::{Key, Table};
pub use transaction::{Change, Transaction, TransactionError};
