//! The price list: us-east-1, on demand, without free tiers.

use std::collections::BTreeMap;

use erp_local::deployment::Function;
use erp_local::platform::Used;

/// Date of the price list. DynamoDB on-demand requests cost half as much since then.
pub(super) const PRICE_LIST: &str = "November 2024";

// US dollars per million.
const GATEWAY_REQUEST: f64 = 3.50;
const INVOCATION: f64 = 0.20;
const GIGABYTE_SECOND: f64 = 0.000_013_333_4 * 1e6;
const READ_UNIT: f64 = 0.125;
const WRITE_UNIT: f64 = 0.625;
const PUBLICATION: f64 = 0.50;
const QUEUE_REQUEST: f64 = 0.40;
/// US dollars per gigabyte ingested by CloudWatch Logs, which is US dollars per million kilobytes.
const LOGGED_KILOBYTE: f64 = 0.50;

// Durations in milliseconds. They are assumptions, because this machine is not Lambda's.
const INVOCATION_OVERHEAD: f64 = 5.0;
const DATABASE_CALL: f64 = 8.0;
/// A query to another function, which reads its database.
const FUNCTION_CALL: f64 = 25.0;
const OTHER_CALL: f64 = 15.0;
/// Argon2id with 1,024 MB of memory.
const PASSWORD_HASH: f64 = 120.0;

/// Kilobytes that Lambda logs per invocation (start and report).
const INVOCATION_LOG: f64 = 0.7;
/// Kilobytes that API Gateway logs per request.
const ACCESS_LOG: f64 = 0.5;

/// Returns the billed requests to queues: sends, and one receive and one delete per batch of a worker.
pub(super) fn queue_requests(used: &Used) -> u64 {
    let batches: u64 = used
        .invocations
        .iter()
        .filter(|(name, _)| name.ends_with("-worker"))
        .map(|(_, invocations)| invocations)
        .sum();
    let calls: u64 =
        used.calls.iter().filter(|((_, call), _)| call.starts_with("SQS ")).map(|(_, count)| count).sum();
    used.messages + 2 * batches + calls
}

/// Usage of a measurement that is not in [`Used`].
pub(super) struct Extra {
    /// Requests to the API.
    pub(super) requests: f64,
    /// Hashed passwords.
    pub(super) password_hashes: f64,
    /// Bytes logged by functions.
    pub(super) logged: f64,
}

/// Returns the US dollars per million times this usage.
pub(super) fn dollars_per_million(used: &Used, extra: &Extra, functions: &[Function]) -> f64 {
    let memory: BTreeMap<_, _> =
        functions.iter().map(|function| (function.name.as_str(), f64::from(function.memory_size))).collect();
    let gigabytes = |function: &str| memory[function] / 1024.0;
    let overhead: f64 = used
        .invocations
        .iter()
        .map(|(function, count)| gigabytes(function) * float(*count) * INVOCATION_OVERHEAD)
        .sum();
    let calls: f64 = used
        .calls
        .iter()
        .map(|((function, call), count)| gigabytes(function) * float(*count) * milliseconds(call))
        .sum();
    let invocations = float(used.invocations.values().sum());
    let logged = extra.logged / 1024.0 + invocations * INVOCATION_LOG + extra.requests * ACCESS_LOG;
    extra.requests * GATEWAY_REQUEST
        + invocations * INVOCATION
        + (overhead + calls + extra.password_hashes * PASSWORD_HASH) / 1000.0 * GIGABYTE_SECOND
        + used.read_units * READ_UNIT
        + used.write_units * WRITE_UNIT
        + float(used.published) * PUBLICATION
        + float(queue_requests(used)) * QUEUE_REQUEST
        + logged * LOGGED_KILOBYTE
}

/// Returns the assumed duration of a call, such as `DynamoDB GetItem`.
fn milliseconds(call: &str) -> f64 {
    match call.split(' ').next() {
        Some("DynamoDB") => DATABASE_CALL,
        Some("Lambda") => FUNCTION_CALL,
        _ => OTHER_CALL,
    }
}

fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}
