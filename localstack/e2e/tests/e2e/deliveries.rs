//! Deliveries: duplicate, late, out of order, and unreadable messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use erp_client::Response;
use erp_local::arn;
use erp_local::broker::QueueDepth;
use erp_local::dynamodb::{Call, Fault, Intercept};
use reqwest::StatusCode;
use serde_json::Value;

use crate::fixture::{DEADLINE, Fixture, random};
use crate::ledger::{assert_balanced, assert_idle};
use crate::queues::Queues;
use crate::target::Target;

/// Fails the transactions of inventory.
pub(crate) struct InventoryWritesFail;

impl Intercept for InventoryWritesFail {
    fn before(&self, call: &Call<'_>) -> Option<Fault> {
        let table = &call.body["TransactItems"][0];
        let inventory = call.operation == "TransactWriteItems" && table.to_string().contains("erp-inventory");
        let failure = || Fault::Error {
            status: StatusCode::BAD_REQUEST,
            code: "AccessDeniedException".to_owned(),
            message: "not now".to_owned(),
        };
        inventory.then(failure)
    }

    fn after(&self, _: &Call<'_>) -> Option<Fault> {
        None
    }
}

/// Returns the queue of an event.
fn queue(event: &Value) -> &'static str {
    let kind = event["type"].as_str().unwrap_or_default();
    if kind.starts_with("inventory.order.") { "erp-order-status-queue" } else { "erp-stock-queue" }
}

#[tokio::test]
async fn duplicate_events_in_any_order_change_nothing() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("duplicate events") else { return };
    let fixture = Fixture::new(&target).await;
    let mut random = random("duplicate_events_in_any_order_change_nothing");
    let item = fixture.create_item("1.00", 10).await;

    // One order has every status behind it, one is allocated, one was cancelled as a draft.
    let (long, allocated, draft) = (
        fixture.create_sales_order(&[(&item, 12)]).await,
        fixture.create_sales_order(&[(&item, 4)]).await,
        fixture.create_sales_order(&[(&item, 1)]).await,
    );
    fixture.transition(&long, "confirm").await;
    fixture.wait_for_stock_status(&long, "backordered").await;
    let purchase = fixture.create_purchase_order(&[(&item, 5)]).await;
    fixture.transition(&purchase, "receive").await;
    fixture.wait_for_stock_status(&long, "allocated").await;
    fixture.transition(&long, "cancel").await;
    fixture.wait_for_stock_status(&long, "released").await;
    fixture.transition(&allocated, "confirm").await;
    fixture.wait_for_stock_status(&allocated, "allocated").await;
    fixture.transition(&draft, "cancel").await;

    let orders = [long, allocated, draft, purchase];
    let sales = &orders[..3];
    let received = BTreeMap::from([(item.clone(), 15)]);
    assert_balanced(&target, &fixture, &received, sales).await;
    let mut before = Vec::new();
    for order in &orders {
        before.push((fixture.read(order).await, fixture.history(order).await));
    }
    let movements = fixture.pages(&format!("/api/items/{item}/movements")).await;

    let queues = Queues::of(platform);
    let published: Vec<_> = before.iter().flat_map(|(_, history)| history.clone()).collect();
    assert!(published.len() >= 8, "{published:?}");
    let mut again = [published.clone(), published.clone(), published].concat();
    random.shuffle(&mut again);
    for event in &again {
        queues.send(queue(event), event.to_string()).await;
        if queue(event) == "erp-order-status-queue" {
            // Inventory subscribes to its own decisions, too.
            queues.send("erp-stock-queue", event.to_string()).await;
        }
    }
    assert_balanced(&target, &fixture, &received, sales).await;
    for (order, before) in orders.iter().zip(before) {
        assert_eq!((fixture.read(order).await, fixture.history(order).await), before, "{order}");
    }
    assert_eq!(fixture.pages(&format!("/api/items/{item}/movements")).await, movements);
}

#[tokio::test]
async fn a_poison_message_does_not_affect_others() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("poison messages") else { return };
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 20).await;
    let mut orders = Vec::new();
    for _ in 0..10 {
        orders.push(fixture.create_sales_order(&[(&item, 2)]).await);
    }
    let queues = Queues::of(platform);
    let poison = ["not JSON", "{}", "[]", "null", r#"{"type":"sales.order.confirmed"}"#];
    for (order, index) in orders.iter().zip(0..) {
        for queue in ["erp-stock-queue", "erp-order-status-queue"] {
            queues.send(queue, poison[index % poison.len()]).await;
        }
        fixture.transition(order, "confirm").await;
    }
    for order in &orders {
        fixture.wait_for_stock_status(order, "allocated").await;
    }
    if let Err(busy) = platform.wait_until_idle(DEADLINE).await {
        panic!("{busy}");
    }
    assert_eq!(fixture.stock(&item).await, 0);
    // Only the poison messages are in the dead-letter queues.
    for depth in platform.broker().depths().unwrap() {
        let expected = if depth.name.ends_with("-dlq") { 10 } else { 0 };
        assert_eq!((depth.visible, depth.in_flight, depth.delayed), (expected, 0, 0), "{}", depth.name);
    }
    for name in ["erp-stock-queue-dlq", "erp-order-status-queue-dlq"] {
        for (body, reason) in queues.take_dead_letters(name).await {
            assert!(
                poison.contains(&body.as_str()) && reason.starts_with("not an event: "),
                "{body}: {reason}"
            );
        }
    }
    assert_idle(platform).await;
}

#[tokio::test]
async fn dead_letters_are_processed_after_a_redrive() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("dead letters") else { return };
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 5).await;
    let mut orders = Vec::new();
    for _ in 0..5 {
        orders.push(fixture.create_sales_order(&[(&item, 1)]).await);
    }
    assert_idle(platform).await;
    Queues::of(platform).limit_receives("erp-stock-queue", 2).await;
    platform.dynamodb().set_intercept(Some(Arc::new(InventoryWritesFail)));
    for order in &orders {
        fixture.transition(order, "confirm").await;
    }
    if let Err(busy) = platform.wait_until_idle(DEADLINE).await {
        panic!("{busy}");
    }
    let expected = |depth: &QueueDepth| if depth.name == "erp-stock-queue-dlq" { 5 } else { 0 };
    for depth in platform.broker().depths().unwrap() {
        assert_eq!(depth.visible, expected(&depth), "{}", depth.name);
    }
    let degraded = |response: &Response| response.json()["status"] == "degraded";
    let result = target.client().wait_for("a degraded status", "/health", DEADLINE, degraded).await;
    result.unwrap_or_else(|error| panic!("{error}"));

    platform.dynamodb().set_intercept(None);
    let source = arn::queue("erp-stock-queue-dlq");
    Queues::of(platform).sqs.start_message_move_task().source_arn(source).send().await.unwrap();
    for order in &orders {
        fixture.wait_for_stock_status(order, "allocated").await;
    }
    assert_balanced(&target, &fixture, &BTreeMap::from([(item, 5)]), &orders).await;
}
