//! AWS as the services use it. No HTTP, no business rule.
//!
//! ```text
//! clients          SDK configuration; connections made in the init phase
//! store            failures of the database; pages of lists
//! table            one DynamoDB table: keys, reads, batches
//! transaction      all-or-nothing writes that report which condition failed
//! list             pages of an index, newest first, merged over its shards
//! outbox           the event row: transactional outbox and history of an entity
//! function_client  synchronous Lambda invocation: time-out, retry, circuit breaker
//! deadline         the deadline of the request in progress
//! batch            SQS batches: deadline, back-off, dead letters, partial batch responses
//! metric           business metrics in the embedded metric format
//! retry            the back-off of all retries
//! sdk_error        SDK errors as one line that may be logged
//! ```

pub mod batch;
pub mod clients;
pub mod deadline;
pub mod function_client;
pub mod list;
pub mod metric;
pub mod outbox;
pub mod retry;
mod sdk_error;
pub mod store;
pub mod table;
pub mod transaction;

pub use sdk_error::sdk_error_message;
pub use store::{Page, PageRequest, PageStart, StoreError, error_chain};
pub use table::{Key, ScanCursor, ScanSegment, Table};
pub use transaction::{Change, Transaction, TransactionError};
