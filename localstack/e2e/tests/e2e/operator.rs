//! The operator's program against a running platform: by nothing but its AWS endpoint, as against AWS.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Region};
use erp_local::deployment::{ACCOUNT, REGION};
use erp_local::platform::Platform;
use serde_json::Value;
use tokio::process::Command;

use crate::deliveries::Stuck;
use crate::fixture::{DEADLINE, Fixture, concurrently};
use crate::ledger::assert_idle;
use crate::target::{Target, credentials, executables};

/// Runs `erp` in a folder, with the platform's access key in its environment.
async fn erp(platform: &Platform, folder: &Path, line: &str) -> Output {
    let mut command = Command::new(executables().join("erp"));
    command.args(["--endpoint-url", platform.aws_endpoint()]).args(line.split(' ')).current_dir(folder);
    let key = platform.access_key();
    command.env("AWS_ACCESS_KEY_ID", &key.access_key_id).env("AWS_SECRET_ACCESS_KEY", &key.secret_access_key);
    command.env_remove("AWS_PROFILE").kill_on_drop(true);
    command.output().await.unwrap()
}

/// What it says, and its exit code.
fn said(output: &Output) -> (String, Option<i32>) {
    let text = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).concat();
    (text, output.status.code())
}

async fn send(platform: &Platform, queue: &str, body: &str) {
    let endpoint = platform.aws_endpoint();
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(credentials(platform));
    let url = format!("{endpoint}/{ACCOUNT}/{queue}");
    Client::from_conf(config.build()).send_message().queue_url(url).message_body(body).send().await.unwrap();
}

#[tokio::test]
async fn an_operator_finds_explains_and_settles_what_was_given_up() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("the operator's program") else { return };
    let folder = tempfile::tempdir().unwrap();
    let erp = async |line: &str| said(&erp(platform, folder.path(), line).await);
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 5).await;
    let order = fixture.create_sales_order(&[(&item, 2)]).await;
    let id = order.rsplit('/').next().unwrap();
    assert_idle(platform).await;
    let (text, code) = erp("reconcile --second-look 0").await;
    assert!(code == Some(0) && text.contains("The ledger are right."), "{text}");
    let (text, code) = erp("--stack nobody dlq list").await;
    assert!(code == Some(2) && text.contains("the stack nobody is not there"), "{text}");

    platform.dynamodb().set_intercept(Some(Arc::new(Stuck)));
    fixture.transition(&order, "confirm").await;
    send(platform, "erp-order-status-queue", "nonsense").await;
    if let Err(busy) = platform.quiet(DEADLINE).await {
        panic!("{busy}");
    }
    platform.dynamodb().set_intercept(None);

    let (text, code) = erp("dlq list --json").await;
    assert_eq!(code, Some(0), "{text}");
    let listed: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(listed[0]["messages"][0]["kind"], "sales.order.confirmed");
    assert_eq!(listed[0]["messages"][0]["subject"], *id);
    let nonsense = listed[1]["messages"][0]["id"].as_str().unwrap();
    let (text, code) = erp("dlq explain --queue stock-queue-dlq").await;
    assert!(code == Some(0) && text.contains("would take it out of stock: there is enough"), "{text}");
    let (text, code) = erp(&format!("dlq explain {nonsense}")).await;
    assert!(code == Some(0) && text.contains("Poison:"), "{text}");

    // Nothing is thrown away that was not said twice; what is, is kept.
    let (text, code) = erp(&format!("dlq discard {nonsense}")).await;
    assert!(code == Some(1) && text.contains("nothing was"), "{text}");
    let (text, code) = erp(&format!("dlq discard {nonsense} --yes --save kept.jsonl")).await;
    assert_eq!(code, Some(0), "{text}");
    let kept: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("kept.jsonl")).unwrap()).unwrap();
    assert_eq!(kept["body"], "nonsense");
    let (text, code) = erp("dlq redrive --kind sales.order.paid").await;
    assert!(code == Some(1) && text.contains("0 sent back"), "{text}");
    let (text, code) = erp("dlq redrive --all").await;
    assert!(code == Some(0) && text.contains("erp-stock-queue-dlq: 1 sent back"), "{text}");
    fixture.wait_for_stock_status(&order, "allocated").await;
    assert_idle(platform).await;

    // Later than everything that happened, and still right; then not.
    let (text, code) = erp("reconcile --minutes 0 --second-look 0").await;
    assert!(code == Some(0) && text.contains("0 on their way"), "{text}");
    falsify(platform, &item).await;
    let (text, code) = erp("reconcile --second-look 0 --json").await;
    assert_eq!(code, Some(1), "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&report["mismatches"], &report["findings"][0]["kind"]), (&1.into(), &"stock_differs".into()));
    assert_eq!(report["findings"][0]["subject"], item);
}

#[tokio::test]
async fn books_that_are_being_written_are_not_called_wrong() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("the operator's program on a busy platform") else { return };
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(&target).await;
    // Half of them get it, half wait; some give it back, which serves some of those that wait.
    let item = fixture.create_item("1.00", 30).await;
    let orders = concurrently(0..60, async |_| fixture.create_sales_order(&[(&item, 1)]).await).await;
    let busy = async {
        concurrently(&orders, async |order| fixture.transition(order, "confirm").await).await;
        concurrently(&orders[..20], async |order| fixture.transition(order, "cancel").await).await;
    };
    let looks = async {
        let mut in_flight = 0;
        for _ in 0..8 {
            let output = erp(platform, folder.path(), "reconcile --second-look 0 --json").await;
            let (text, code) = said(&output);
            assert_eq!(code, Some(0), "{text}");
            let report: Value = serde_json::from_str(&text).unwrap();
            in_flight += report["in_flight"].as_u64().unwrap();
        }
        in_flight
    };
    let ((), in_flight) = tokio::join!(busy, looks);
    assert!(in_flight > 0, "nothing was on its way, so this has shown nothing");
    assert_idle(platform).await;
    let (text, code) = said(&erp(platform, folder.path(), "reconcile --minutes 0 --second-look 0").await);
    assert!(code == Some(0) && text.contains("0 on their way"), "{text}");
}

/// One more of an item, from nowhere.
async fn falsify(platform: &Platform, item: &str) {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new(REGION))
        .endpoint_url(platform.aws_endpoint())
        .credentials_provider(credentials(platform));
    let text = |text: String| aws_sdk_dynamodb::types::AttributeValue::S(text);
    aws_sdk_dynamodb::Client::from_conf(config.build())
        .update_item()
        .table_name("erp-inventory")
        .key("pk", text(format!("ITEM#{item}")))
        .key("sk", text("STOCK".to_owned()))
        .update_expression("SET quantity = quantity + :one")
        .expression_attribute_values(":one", aws_sdk_dynamodb::types::AttributeValue::N("1".to_owned()))
        .send()
        .await
        .unwrap();
}
