//! Whoever looks after a deployment: are the books right, and what lies in the dead-letter queues?
//!
//! ```text
//! reconcile  proves that stock is the sum of its movements and that orders and allocations agree
//! dlq        dead letters: list, explain, redrive, discard
//! config     settings and wiring of the scheduled check
//! scheduled  that check, as a Lambda
//! cli        both as a command, against one machine or against AWS
//! ```
//!
//! It reads the tables of other services through the read-only ports that they have for it, and writes none. Of
//! queues it changes only what somebody names.

pub mod cli;
pub mod config;
pub mod dlq;
pub mod reconcile;
pub mod scheduled;
