//! The whole platform, from the outside: every function as its real binary, behind the real gateway, over the real
//! streams, topics and queues of this machine. With `ERP_BASE_URL` set, what needs nothing but HTTP runs against
//! that URL instead, and the rest says that it was left out.
//!
//! ```text
//! site     a platform to test: one shared by the tests of the moment, or one of a test's own
//! check    what is true of every answer
//! shop     people, contacts, items and orders to test with
//! books    what must add up when all is quiet
//! program  the `localstack` program as a child process
//! ```
#![expect(clippy::unwrap_used, reason = "tests: there a panic is the report")]

mod access;
mod books;
mod check;
#[cfg(unix)]
mod cli;
mod commits;
mod conflicts;
mod cost;
mod deliveries;
mod headers;
mod idempotency;
#[cfg(unix)]
mod kills;
mod lists;
mod load;
mod operator;
mod outage;
mod problems;
#[cfg(unix)]
mod program;
mod restart;
mod rotation;
mod shop;
mod site;
mod trace;
mod values;

use erp_client::walkthrough::{Silent, walkthrough};

use crate::site::Site;

#[tokio::test]
async fn the_walk_that_must_work_works() {
    let site = Site::shared();
    if let Err(error) = walkthrough(&site.client(), &mut Silent).await {
        panic!("{error}");
    }
}
