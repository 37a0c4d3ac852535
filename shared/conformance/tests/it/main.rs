//! What is named twice is compared here, and a failure says what to do.
//!
//! ```text
//! routes        the API's routes: template, access rules, OpenAPI
//! environment   variables that functions get, and variables that they need
//! tables        keys, indexes, streams, expiry
//! binaries      functions and the binaries of the workspace
//! queues        time-outs, dead letters, policies
//! kinds         event kinds: who publishes, who subscribes, who reads
//! outbox        which rows of a table's stream go to the relay
//! refusals      the answers that API Gateway makes by itself
//! permissions   what the functions' roles may do
//! dependencies  which package may know which
//! house         rules about the text of the code
//! openapi       the document that is served
//! samples       the events in `events/`, each fed to its function
//! seed          what there is when they are
//!
//! world         the deployment, as the template reader and as the file itself have it
//! source        the text of the code
//! executables   the functions' binaries
//! ```
#![expect(clippy::unwrap_used, reason = "tests: there a panic is the report")]

mod binaries;
mod dependencies;
mod environment;
mod executables;
mod house;
mod kinds;
mod openapi;
mod outbox;
mod permissions;
mod queues;
mod refusals;
mod routes;
mod samples;
mod seed;
mod source;
mod tables;
mod world;

/// Fails with every fault at once.
#[track_caller]
fn none(faults: impl IntoIterator<Item = String>) {
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(faults.is_empty(), "\n  {}\n", faults.join("\n  "));
}
