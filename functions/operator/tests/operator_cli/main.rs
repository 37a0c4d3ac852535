//! The operator's commands over the real stores and an embedded DynamoDB. Tests that need SQS are in
//! `localstack/e2e`.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the failure report")]

mod continuous;
mod dead_letters;
mod fixture;
mod ledger;
mod program;
mod restore;
mod scheduled;
