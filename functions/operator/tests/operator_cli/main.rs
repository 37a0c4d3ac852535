//! The operator's commands over the real stores, an embedded DynamoDB and the SQS of one machine.
#![expect(clippy::unwrap_used, reason = "tests: there a panic is the report")]

mod books;
mod letters;
mod scheduled;
mod shop;
