//! The cost of a million of each operation on AWS, as the table in docs/runbook.md.
//!
//! The test sends a request of every route to the local platform, one at a time, and counts the billed usage
//! until the platform is idle. Requests therefore do not share batches: the cost is an upper bound.
//!
//! ```text
//! operations  the measured requests
//! price       the price list
//! table       the table in the runbook
//! ```

mod operations;
mod price;
mod table;

use erp_client::Client;
use erp_local::platform::{Platform, Used};

use crate::fixture::DEADLINE;
use crate::target::Target;
use operations::{Operation, Preparation, PreparedRequest};
use price::{Extra, dollars_per_million, queue_requests};
use table::{Row, assert_table};

/// Maximum measurements of an operation. A function that starts, or a scheduled event, changes a measurement;
/// two equal ones in sequence are the result.
const ATTEMPTS: usize = 8;

/// The function that checks changes. On AWS a batch has the changes of a minute; the runbook has its cost.
const CHANGES: &str = "erp-reconcile-changes";

/// Sends a request. Returns the usage until the platform is idle, and the bytes that functions logged.
async fn measure(platform: &Platform, method: &str, request: &PreparedRequest) -> (Used, f64) {
    wait_until_idle(platform).await;
    let before = logged(platform);
    platform.usage().begin();
    let key = request.key.as_deref().map(|key| ("idempotency-key", key));
    let body = request.body.as_ref().map(ToString::to_string);
    let response = request.client.send_with(method, &request.path, key.as_slice(), body).await;
    let response = response.unwrap_or_else(|error| panic!("{error}"));
    assert!(response.status < 400, "{}: {}", response.request, response.text);
    wait_until_idle(platform).await;
    (platform.usage().end(), logged(platform) - before)
}

async fn wait_until_idle(platform: &Platform) {
    platform.wait_until_idle(DEADLINE).await.unwrap_or_else(|busy| panic!("{busy}"));
}

/// Returns the size of the functions' logs in bytes.
fn logged(platform: &Platform) -> f64 {
    let files = std::fs::read_dir(platform.logs()).unwrap();
    files
        .map(Result::unwrap)
        .filter(|file| !file.file_name().to_string_lossy().starts_with(CHANGES))
        .map(|file| file.metadata().unwrap().len())
        .map(|bytes| f64::from(u32::try_from(bytes).unwrap()))
        .sum()
}

fn row(platform: &Platform, name: String, used: &Used, extra: &Extra) -> Row {
    assert_eq!(
        used.failed, 0,
        "failed calls are billed, and the units of failed writes are not counted: {used:?}"
    );
    Row {
        name,
        counts: vec![
            used.calls.values().sum::<u64>().to_string(),
            used.invocations.values().sum::<u64>().to_string(),
            used.read_units.to_string(),
            used.write_units.to_string(),
            used.published.to_string(),
            queue_requests(used).to_string(),
        ],
        dollars: dollars_per_million(used, extra, &platform.deployment().functions),
    }
}

#[tokio::test]
async fn the_runbook_has_the_cost_of_every_operation() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("the cost of operations") else { return };
    platform.usage().ignore(CHANGES);
    let preparation = Preparation::new(platform).await;
    let mut rows = Vec::new();
    for operation in Operation::all() {
        let mut last: Option<(Used, f64)> = None;
        for attempt in 0.. {
            assert!(attempt < ATTEMPTS, "{operation:?}: no two measurements are equal; the last is {last:?}");
            let request = preparation.prepare(&operation).await;
            let measured = measure(platform, operation.rule.method, &request).await;
            let previous = last.replace(measured);
            if previous.map(|(used, _)| used) == last.as_ref().map(|(used, _)| used.clone()) {
                break;
            }
        }
        let (used, logged) = last.unwrap();
        let extra = Extra { requests: 1.0, password_hashes: operation.password_hashes(), logged };
        rows.push(row(platform, operation.name(), &used, &extra));
    }
    rows.push(sweep(platform).await);
    assert_table(&rows);
}

/// Measures the sweep of the outbox, which runs every five minutes, when there is nothing to publish.
async fn sweep(platform: &Platform) -> Row {
    let client = Client::new(platform.aws_endpoint());
    let functions = &platform.deployment().functions;
    let name = &functions.iter().find(|function| function.binary == "relay-sweep").unwrap().name;
    let path = format!("/2015-03-31/functions/{name}/invocations");
    let key = &platform.access_key().access_key_id;
    let signature = format!("AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/lambda/aws4_request");
    let mut used = Used::default();
    // The first invocation may start the function, which makes calls of its own.
    for _ in 0..2 {
        wait_until_idle(platform).await;
        platform.usage().begin();
        let response =
            client.send_with("POST", &path, &[("authorization", &signature)], Some("{}".to_owned())).await;
        let response = response.unwrap_or_else(|error| panic!("{error}"));
        let error = response.header("x-amz-function-error");
        assert!(response.status == 200 && error.is_none(), "{error:?}: {}", response.text);
        wait_until_idle(platform).await;
        used = platform.usage().end();
    }
    // The invocation came from outside, so it is not counted.
    used.invocations.insert(name.clone(), 1);
    let extra = Extra { requests: 0.0, password_hashes: 0.0, logged: 0.0 };
    row(platform, "`relay-sweep`, a run with nothing to do".to_owned(), &used, &extra)
}
