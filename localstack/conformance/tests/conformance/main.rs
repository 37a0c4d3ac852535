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
//! operation     encryption, logs, traces, limits, deployment: what an operator counts on
//! alarms        who is told of what, and the dashboard
//! gateway       the API: limits, access log, authorizer, cross-origin; the secrets
//! runbook       what whoever is on call reads and sets
//! refusals      the answers that API Gateway makes by itself
//! permissions   what the functions' roles may do
//! dependencies  which package may know which
//! house         rules about the text of the code
//! openapi       the document that is served
//! samples       the events in `events/`, each fed to its function
//! seed          what there is when they are
//! sam_local     the variables for `sam local`
//! compose       the services of LocalStack
//!
//! removals      whatever is taken out of the template is missed by one of the above
//!
//! checks        a check is a test, and can be asked about another template
//! world         the deployment, as the template reader and as the file itself have it
//! source        the text of the code
//! executables   the functions' binaries
//! emulator      AWS's emulator of the Lambda runtime around a packaged one
//! ```
#![expect(clippy::unwrap_used, reason = "tests: there a panic is the report")]

mod alarms;
mod binaries;
mod checks;
mod compose;
mod dependencies;
mod emulator;
mod environment;
mod executables;
mod gateway;
mod source_rules;
mod kinds;
mod openapi;
mod operation;
mod outbox;
mod permissions;
mod queues;
mod gateway_responses;
mod removals;
mod routes;
mod runbook;
mod sam_local;
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
