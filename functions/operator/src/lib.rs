//! Tools of the operator of a deployment: reconciliation, dead letters and restoration.
//!
//! ```text
//! reconcile  compares stock with its movements, and orders with their allocations
//! dlq        dead letters: list, explain, redrive, discard
//! restore    copies the rows of a table that point-in-time recovery created
//! continuous the reconciliation of changes, as a Lambda function of table streams
//! scheduled  the reconciliation of everything, as a scheduled Lambda function
//! cli        these as a command, against one machine or AWS
//! config     settings of the Lambda functions
//! ```
//!
//! It reads the tables of other contexts through their read-only ledgers. Only `restore` writes to such a table. In queues
//! it changes only the messages that the operator selects.

pub mod cli;
pub mod config;
pub mod continuous;
pub mod dlq;
pub mod reconcile;
pub mod restore;
pub mod scheduled;
