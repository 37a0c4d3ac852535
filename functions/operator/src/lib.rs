//! Tools of the operator of a deployment: reconciliation and dead letters.
//!
//! ```text
//! reconcile  compares stock with its movements, and orders with their allocations
//! dlq        dead letters: list, explain, redrive, discard
//! scheduled  the reconciliation as a scheduled Lambda function
//! cli        both as a command, against one machine or AWS
//! config     settings of the Lambda function
//! ```
//!
//! It reads the tables of other contexts through their read-only ledgers and writes none. In queues it
//! changes only the messages that the operator selects.

pub mod cli;
pub mod config;
pub mod dlq;
pub mod reconcile;
pub mod scheduled;
