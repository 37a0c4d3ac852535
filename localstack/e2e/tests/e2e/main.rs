//! End-to-end tests: every function as its real binary, behind the gateway, over the streams, topics and
//! queues of the local platform. With `ERP_BASE_URL` set, the tests that need only HTTP run against that URL,
//! and the others are skipped with a message.
//!
//! ```text
//! target      the platform under test: shared, or exclusive to a test
//! fixture     users, contacts, items and orders of a test, and requests
//! queues      the queues of a platform as a client of SQS
//! assertions  what holds for every response
//! ledger      what must add up once all events are processed
//! program     the `erp-local` program as a child process
//! ```
#![expect(clippy::unwrap_used, reason = "tests: a panic is the failure report")]

mod access;
mod assertions;
#[cfg(unix)]
mod batches;
#[cfg(unix)]
mod cli;
mod commits;
mod conflicts;
mod cost;
#[cfg(unix)]
mod crashes;
mod dead_letters;
mod deliveries;
mod fixture;
mod headers;
mod idempotency;
mod ledger;
mod lists;
mod load;
mod operator;
mod problems;
#[cfg(unix)]
mod program;
mod queues;
mod relay_outage;
mod restart;
mod rotation;
mod target;
mod trace;
mod values;

use erp_client::walkthrough::{Silent, walkthrough};

use crate::target::Target;

#[tokio::test]
async fn the_walkthrough_succeeds() {
    let target = Target::shared();
    if let Err(error) = walkthrough(&target.client(), &mut Silent).await {
        panic!("{error}");
    }
}
