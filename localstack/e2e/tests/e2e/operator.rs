//! The operator's program against the AWS endpoint of a running platform.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use erp_local::deployment::REGION;
use erp_local::platform::Platform;
use serde_json::Value;
use tokio::process::Command;

use crate::deliveries::InventoryWritesFail;
use crate::fixture::{DEADLINE, Fixture, concurrently};
use crate::ledger::assert_idle;
use crate::queues::Queues;
use crate::target::{Target, credentials, executables};

/// Runs `erp` in a folder, with the access key of the platform in its environment.
async fn erp(platform: &Platform, folder: &Path, line: &str) -> Output {
    let mut command = Command::new(executables().join("erp"));
    command.args(["--endpoint-url", platform.aws_endpoint()]).args(line.split(' ')).current_dir(folder);
    let key = platform.access_key();
    command.env("AWS_ACCESS_KEY_ID", &key.access_key_id).env("AWS_SECRET_ACCESS_KEY", &key.secret_access_key);
    command.env_remove("AWS_PROFILE").kill_on_drop(true);
    command.output().await.unwrap()
}

/// Returns the output and the exit code.
fn text_and_code(output: &Output) -> (String, Option<i32>) {
    let text = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).concat();
    (text, output.status.code())
}

#[tokio::test]
async fn an_operator_lists_explains_discards_and_redrives_dead_letters() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("the operator's program") else { return };
    let folder = tempfile::tempdir().unwrap();
    let erp = async |line: &str| text_and_code(&erp(platform, folder.path(), line).await);
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 5).await;
    let order = fixture.create_sales_order(&[(&item, 2)]).await;
    let id = order.rsplit('/').next().unwrap();
    assert_idle(platform).await;
    let (text, code) = erp("reconcile --second-look 0").await;
    assert!(code == Some(0) && text.contains("No mismatches."), "{text}");
    let (text, code) = erp("--stack unknown dlq list").await;
    assert!(code == Some(2) && text.contains("the stack unknown has no dead-letter queues"), "{text}");

    let queues = Queues::of(platform);
    queues.limit_receives("erp-stock-queue", 2).await;
    platform.dynamodb().set_intercept(Some(Arc::new(InventoryWritesFail)));
    fixture.transition(&order, "confirm").await;
    queues.send("erp-order-status-queue", "not JSON").await;
    if let Err(busy) = platform.wait_until_idle(DEADLINE).await {
        panic!("{busy}");
    }
    platform.dynamodb().set_intercept(None);

    let (text, code) = erp("dlq list --json").await;
    assert_eq!(code, Some(0), "{text}");
    let listed: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(listed[0]["messages"][0]["kind"], "sales.order.confirmed");
    assert_eq!(listed[0]["messages"][0]["subject"], *id);
    let poison = listed[1]["messages"][0]["id"].as_str().unwrap();
    let (text, code) = erp("dlq explain --queue stock-queue-dlq").await;
    assert!(code == Some(0) && text.contains("would allocate it: stock is sufficient"), "{text}");
    let (text, code) = erp(&format!("dlq explain {poison}")).await;
    assert!(code == Some(0) && text.contains("Poison:"), "{text}");

    // A discard must be confirmed, and the messages are saved.
    let (text, code) = erp(&format!("dlq discard {poison}")).await;
    assert!(code == Some(1) && text.contains("Nothing discarded."), "{text}");
    let (text, code) = erp(&format!("dlq discard {poison} --yes --save saved.jsonl")).await;
    assert_eq!(code, Some(0), "{text}");
    let saved: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("saved.jsonl")).unwrap()).unwrap();
    assert_eq!(saved["body"], "not JSON");
    let (text, code) = erp("dlq redrive --kind sales.order.paid").await;
    assert!(code == Some(1) && text.contains("0 redriven"), "{text}");
    let (text, code) = erp("dlq redrive --all").await;
    assert!(code == Some(0) && text.contains("erp-stock-queue-dlq: 1 redriven"), "{text}");
    fixture.wait_for_stock_status(&order, "allocated").await;
    assert_idle(platform).await;

    // No mismatch, then one.
    let (text, code) = erp("reconcile --minutes 0 --second-look 0").await;
    assert!(code == Some(0) && text.contains("0 in flight"), "{text}");
    corrupt_stock(platform, &item).await;
    let (text, code) = erp("reconcile --second-look 0 --json").await;
    assert_eq!(code, Some(1), "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&report["mismatches"], &report["findings"][0]["kind"]), (&1.into(), &"stock_differs".into()));
    assert_eq!(report["findings"][0]["subject"], item);
}

#[tokio::test]
async fn a_reconciliation_under_load_reports_no_mismatch() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("the operator's program under load") else { return };
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(&target).await;
    // Half of the orders are allocated, half backordered; cancellations release stock, which fulfils some
    // back-orders.
    let item = fixture.create_item("1.00", 30).await;
    let orders = concurrently(0..60, async |_| fixture.create_sales_order(&[(&item, 1)]).await).await;
    let busy = async {
        concurrently(&orders, async |order| fixture.transition(order, "confirm").await).await;
        concurrently(&orders[..20], async |order| fixture.transition(order, "cancel").await).await;
    };
    let reconciliations = async {
        let mut in_flight = 0;
        for _ in 0..8 {
            let output = erp(platform, folder.path(), "reconcile --second-look 0 --json").await;
            let (text, code) = text_and_code(&output);
            assert_eq!(code, Some(0), "{text}");
            let report: Value = serde_json::from_str(&text).unwrap();
            in_flight += report["in_flight"].as_u64().unwrap();
        }
        in_flight
    };
    let ((), in_flight) = tokio::join!(busy, reconciliations);
    assert!(in_flight > 0, "nothing was in flight, so the test shows nothing");
    assert_idle(platform).await;
    let (text, code) =
        text_and_code(&erp(platform, folder.path(), "reconcile --minutes 0 --second-look 0").await);
    assert!(code == Some(0) && text.contains("0 in flight"), "{text}");
}

/// Increases the stock of an item without a movement.
async fn corrupt_stock(platform: &Platform, item: &str) {
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
