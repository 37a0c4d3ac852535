//! What a million of each operation costs on AWS: every route is asked once on this machine, what it uses until all is
//! quiet again is counted, and docs/runbook.md holds the table. One at a time, so nothing shares a batch: it is the
//! upper bound.
//!
//! ```text
//! UPDATE=1 cargo test -p erp-e2e --test e2e cost     writes the table anew
//! ```

mod operations;
mod page;
mod price;

use std::time::Duration;

use erp_client::Client;
use erp_local::platform::{Platform, Used};

use crate::target::Target;
use operations::{Operation, Ready, Scene};
use page::{Row, check_or_write};
use price::{dollars, queue_requests};

const DEADLINE: Duration = Duration::from_secs(60);
/// A regular event in between, or a function that had to be started: then it is measured again.
const ATTEMPTS: usize = 8;

/// Sends a request, and says what was used until all is quiet.
async fn measure(platform: &Platform, method: &str, ready: &Ready) -> (Used, f64) {
    platform.wait_until_idle(DEADLINE).await.unwrap_or_else(|busy| panic!("{busy}"));
    let (before, key) = (logged(platform), ready.key.as_deref().map(|key| ("idempotency-key", key)));
    platform.usage().begin();
    let body = ready.body.as_ref().map(ToString::to_string);
    let response = ready.client.send_with(method, &ready.path, key.as_slice(), body).await;
    let response = response.unwrap_or_else(|error| panic!("{error}"));
    assert!(response.status < 400, "{}: {}", response.request, response.text);
    platform.wait_until_idle(DEADLINE).await.unwrap_or_else(|busy| panic!("{busy}"));
    (platform.usage().end(), logged(platform) - before)
}

/// Bytes in the functions' logs.
fn logged(platform: &Platform) -> f64 {
    let files = std::fs::read_dir(platform.logs()).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .map(|bytes| f64::from(u32::try_from(bytes).unwrap()))
        .sum()
}

fn row(platform: &Platform, operation: &Operation, used: &Used, logged: f64) -> Row {
    assert_eq!(used.refused, 0, "a refused call would be billed and is not counted: {used:?}");
    Row {
        name: operation.name(),
        counts: vec![
            used.calls.values().sum::<u64>().to_string(),
            used.invocations.values().sum::<u64>().to_string(),
            used.read_units.to_string(),
            used.write_units.to_string(),
            used.published.to_string(),
            queue_requests(used).to_string(),
        ],
        dollars: dollars(used, 1.0, operation.hashed(), logged, &platform.deployment().functions),
    }
}

#[tokio::test]
async fn the_runbook_says_what_an_operation_costs() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("what an operation costs") else { return };
    let scene = Scene::open(platform).await;
    let mut rows = Vec::new();
    for operation in Operation::all() {
        let mut last: Option<(Used, f64)> = None;
        for attempt in 0.. {
            assert!(attempt < ATTEMPTS, "{operation:?} is never the same twice: {last:?}");
            let ready = scene.ready(&operation).await;
            let measured = measure(platform, operation.rule.method, &ready).await;
            let same =
                last.replace(measured).is_some_and(|(used, _)| Some(&used) == last.as_ref().map(|l| &l.0));
            if same {
                break;
            }
        }
        let (used, logged) = last.unwrap();
        rows.push(row(platform, &operation, &used, logged));
    }
    rows.push(sweep(platform).await);
    check_or_write(&rows);
}

/// The sweep, which runs every five minutes whether or not there is anything to do.
async fn sweep(platform: &Platform) -> Row {
    let client = Client::new(platform.aws_endpoint());
    let name = platform.deployment().functions.iter().find(|function| function.binary == "relay-sweep");
    let name = &name.unwrap().name;
    let path = format!("/2015-03-31/functions/{name}/invocations");
    let key = &platform.access_key().access_key_id;
    let signature = format!("AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/lambda/aws4_request");
    let mut used = Used::default();
    // The first one may start the function, which reads ahead of time.
    for _ in 0..2 {
        platform.wait_until_idle(DEADLINE).await.unwrap_or_else(|busy| panic!("{busy}"));
        platform.usage().begin();
        let response =
            client.send_with("POST", &path, &[("authorization", &signature)], Some("{}".to_owned())).await;
        let response = response.unwrap_or_else(|error| panic!("{error}"));
        assert!(
            response.status == 200 && response.header("x-amz-function-error").is_none(),
            "{}",
            response.text
        );
        platform.wait_until_idle(DEADLINE).await.unwrap_or_else(|busy| panic!("{busy}"));
        used = platform.usage().end();
    }
    used.invocations.insert(name.clone(), 1);
    Row {
        name: "`relay-sweep`, a run with nothing to do".to_owned(),
        counts: vec![
            used.calls.values().sum::<u64>().to_string(),
            "1".to_owned(),
            used.read_units.to_string(),
            used.write_units.to_string(),
            used.published.to_string(),
            "0".to_owned(),
        ],
        dollars: dollars(&used, 0.0, 0.0, 0.0, &platform.deployment().functions),
    }
}
