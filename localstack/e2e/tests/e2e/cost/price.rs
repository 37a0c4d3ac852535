//! The price list: us-east-1, on demand, without free tiers.

use std::collections::BTreeMap;

use erp_local::deployment::Function;
use erp_local::platform::Used;

/// Which list: the one since DynamoDB's requests became half as dear. It was not asked again when this was written.
pub(super) const PRICES_OF: &str = "November 2024";

// Dollars per million, unless they say something else.
const GATEWAY_REQUEST: f64 = 3.50;
const INVOCATION: f64 = 0.20;
const GIGABYTE_SECOND: f64 = 0.000_013_333_4 * 1e6;
const READ_UNIT: f64 = 0.125;
const WRITE_UNIT: f64 = 0.625;
const PUBLICATION: f64 = 0.50;
const QUEUE_REQUEST: f64 = 0.40;
/// Dollars per gigabyte that is taken in, which is dollars per million kilobytes.
const LOGGED_KILOBYTE: f64 = 0.50;

// What cannot be measured on another machine than Lambda's: how long an invocation takes. Milliseconds.
const ANY_INVOCATION: f64 = 5.0;
const DATABASE_CALL: f64 = 8.0;
const OTHER_CALL: f64 = 15.0;
/// A question to another function waits for it to ask the database.
const QUESTION: f64 = 25.0;
/// Argon2id with 1,024 MB.
const PASSWORD: f64 = 120.0;

/// Kilobytes that Lambda writes into the log of each invocation (start, report) and API Gateway for each request.
const INVOCATION_LOG: f64 = 0.7;
const ACCESS_LOG: f64 = 0.5;

/// Requests to a queue: it is sent a message, and its trigger asks for a batch and deletes it.
pub(super) fn queue_requests(used: &Used) -> u64 {
    let batches: u64 = used
        .invocations
        .iter()
        .filter(|(name, _)| name.ends_with("-worker"))
        .map(|(_, invocations)| invocations)
        .sum();
    let called: u64 =
        used.calls.iter().filter(|((_, call), _)| call.starts_with("SQS ")).map(|(_, n)| n).sum();
    used.messages + 2 * batches + called
}

/// Dollars per million times this was used; `hashed` passwords, `logged` bytes by functions.
pub(super) fn dollars(used: &Used, requests: f64, hashed: f64, logged: f64, functions: &[Function]) -> f64 {
    let memory: BTreeMap<_, _> =
        functions.iter().map(|function| (function.name.as_str(), f64::from(function.memory_size))).collect();
    let gigabytes = |function: &str| memory.get(function).copied().unwrap_or(1024.0) / 1024.0;
    let starts: f64 = used
        .invocations
        .iter()
        .map(|(function, times)| gigabytes(function) * count(*times) * ANY_INVOCATION)
        .sum();
    let waits: f64 = used
        .calls
        .iter()
        .map(|((function, call), times)| gigabytes(function) * count(*times) * milliseconds(call))
        .sum();
    let invocations = count(used.invocations.values().sum());
    let logged = logged / 1024.0 + invocations * INVOCATION_LOG + requests * ACCESS_LOG;
    requests * GATEWAY_REQUEST
        + invocations * INVOCATION
        + (starts + waits + hashed * PASSWORD) / 1000.0 * GIGABYTE_SECOND
        + used.read_units * READ_UNIT
        + used.write_units * WRITE_UNIT
        + count(used.published) * PUBLICATION
        + count(queue_requests(used)) * QUEUE_REQUEST
        + logged * LOGGED_KILOBYTE
}

fn milliseconds(call: &str) -> f64 {
    match call.split(' ').next() {
        Some("DynamoDB") => DATABASE_CALL,
        Some("Lambda") => QUESTION,
        _ => OTHER_CALL,
    }
}

fn count(times: u64) -> f64 {
    f64::from(u32::try_from(times).unwrap())
}
