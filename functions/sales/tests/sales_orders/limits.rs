//! Maximum sizes, maximum amounts, and clocks that are wrong.

use std::collections::HashMap;

use erp_contracts::data::StockDecision;
use erp_domain::{Clock, Money, Quantity};
use erp_orders::MAX_LINES;
use erp_testkit::ApiRequest;
use erp_testkit::dynamo::{MAX_ITEM_BYTES, item_bytes};
use serde_json::{Value, json};

use crate::stock::{decision, deliver};
use crate::{ORDERS, TestService, id};

/// Maximum size of a message of SNS and SQS, and of all messages of one `PublishBatch` together
/// (<https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>).
const MAX_BATCH_BYTES: usize = 256 * 1024;
/// Entries of a `PublishBatch`.
const BATCH: usize = 10;

/// Returns the body of an order with the maximum number of lines, each of another item.
fn largest(service: &TestService, price: &str) -> Value {
    let line =
        |_| json!({"item_id": service.item(1, 0), "quantity": Quantity::MAX_LINE, "unit_price": price});
    let lines: Vec<_> = (0..MAX_LINES).map(line).collect();
    json!({"customer_id": service.customer(), "items": lines})
}

#[tokio::test]
async fn the_largest_order_fits_into_every_row_and_message() {
    let service = TestService::start().await;
    // Each line costs as much as it can while there are ninety-nine of them.
    let body = largest(&service, "101.01");
    let key = |n: usize| format!("{n}{}", "k".repeat(254));
    let create = ApiRequest::finance("POST", ORDERS).header("Idempotency-Key", key(1)).json(&body);
    let created = create.send(&service.router).await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert!(created.text.contains(r#""total_amount":9999990000000.00"#));
    let order = format!("{ORDERS}/{}", id(&created.data()));
    let put = ApiRequest::finance("PUT", &order).header("Idempotency-Key", key(2)).json(&body);
    assert_eq!(put.send(&service.router).await.status, 200);
    for (n, transition) in ["confirm", "pay"].into_iter().enumerate() {
        let path = format!("{order}/{transition}");
        let request = ApiRequest::finance("POST", &path).header("Idempotency-Key", key(3 + n));
        assert_eq!(request.send(&service.router).await.status, 200, "{transition}");
    }
    let demand = created.data()["items"].as_array().unwrap().clone();
    let demand: Vec<Value> =
        demand.iter().map(|line| json!({"item_id": line["item_id"], "quantity": line["quantity"]})).collect();
    for (n, status) in [StockDecision::Backordered, StockDecision::Allocated].into_iter().enumerate() {
        let decided = decision(&service, &id(&created.data()), status, 1 + n as u64);
        let mut decided: Value = serde_json::from_str(&decided).unwrap();
        decided["data"]["items"] = json!(demand);
        assert!(deliver(&service, &[&decided.to_string()]).await.is_empty());
    }

    let rows = service.rows().await;
    assert_eq!(rows.len(), 9, "the order, four idempotency records, four events");
    let largest = rows.iter().map(item_bytes).max().unwrap();
    assert!(largest < MAX_ITEM_BYTES / 8, "far from the limit: {largest} bytes");
    let events: Vec<usize> =
        rows.iter().filter_map(|row| Some(row.get("event")?.as_s().unwrap().len())).collect();
    let event = events.into_iter().max().unwrap();
    assert!(event * BATCH < MAX_BATCH_BYTES, "a whole batch of them fits: {event} bytes each");
    let read = service.read(&id(&created.data())).await;
    assert_eq!(read["items"].as_array().map(Vec::len), Some(MAX_LINES));
    assert_eq!(service.events(&id(&created.data())).await.len(), 4);
}

#[tokio::test]
async fn totals_do_not_overflow_and_the_largest_is_exact() {
    let service = TestService::start().await;
    // Maximum price, quantity and lines: the error of every line is reported.
    let rejected = service.post(ORDERS, &largest(&service, "9999999999999.99")).await;
    let named: Vec<String> = (0..MAX_LINES).map(|n| format!("/items/{n}/quantity")).collect();
    assert_eq!((rejected.status, rejected.invalid_fields()), (400, named));
    // Each line is in range, but their sum is not: by much, and by a cent.
    assert_eq!(service.post(ORDERS, &largest(&service, "9999.99")).await.invalid_fields(), ["/items"]);
    let item = service.item(1, 0);
    let with_last = |price: &str| {
        let line = |price: &str| json!({"item_id": item, "quantity": 1, "unit_price": price});
        let mut lines = vec![line("0.01"); MAX_LINES - 1];
        lines.push(line(price));
        json!({"customer_id": service.customer(), "items": lines})
    };
    assert_eq!(service.post(ORDERS, &with_last("9999999999999.02")).await.invalid_fields(), ["/items"]);
    assert!(service.rows().await.is_empty(), "nothing was saved");

    let created = service.post(ORDERS, &with_last("9999999999999.01")).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let total = format!("\"total_amount\":{}", Money::MAX);
    let order = id(&created.data());
    let confirmed = service.act(&order, "confirm").await;
    let list = service.get(ORDERS).await;
    for text in [&created.text, &confirmed.text, &list.text] {
        assert!(text.contains(&total), "{text}");
    }
    assert!(service.outbox().await[0].to_json().unwrap().contains(&total), "in the event too");
}

#[tokio::test]
async fn numbers_out_of_range_are_rejected_by_field() {
    let service = TestService::start().await;
    let (customer, item) = (service.customer(), service.item(1, 0));
    for number in [
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "1e400",
        "-0",
        "1e-400",
        "0x10",
    ] {
        for (field, line) in [
            ("quantity", format!(r#"{{"item_id":"{item}","quantity":{number}}}"#)),
            ("unit_price", format!(r#"{{"item_id":"{item}","quantity":1,"unit_price":"{number}"}}"#)),
        ] {
            let body = format!(r#"{{"customer_id":"{customer}","items":[{line}]}}"#);
            let request = ApiRequest::finance("POST", ORDERS).text(&body, "application/json");
            let rejected = request.send(&service.router).await;
            let malformed = rejected.code() == "malformed_json" && number == "0x10";
            let named = rejected.invalid_fields() == [format!("/items/0/{field}")];
            assert!(rejected.status == 400 && (named || malformed), "{body}: {}", rejected.text);
        }
    }
}

#[tokio::test]
async fn versions_and_times_do_not_decrease_when_the_clock_is_set_back() {
    let service = TestService::start().await;
    let order = service.draft().await;
    let mut before = service.read(&order).await["order"].clone();
    let mut seen = HashMap::new();
    for (n, step) in ["PUT", "confirm", "stock", "pay"].into_iter().enumerate() {
        // Another machine, an hour behind the one before it.
        service.clock.advance_seconds(-3600);
        let status = match step {
            "PUT" => {
                let put = ApiRequest::finance("PUT", &format!("{ORDERS}/{order}")).json(&service.body());
                put.send(&service.router).await.status
            }
            "stock" => {
                let decided = decision(&service, &order, StockDecision::Allocated, 1);
                200 + u16::try_from(deliver(&service, &[&decided]).await.len()).unwrap()
            }
            transition => service.act(&order, transition).await.status,
        };
        assert_eq!(status, 200, "{step}");
        let now = service.read(&order).await["order"].clone();
        let version = |order: &Value| order["version"].as_u64().unwrap();
        assert_eq!(version(&now), version(&before) + u64::from(step != "stock"), "{step}");
        for time in ["created_at", "updated_at"] {
            assert_eq!(now[time], before[time], "{step}: not decreased");
        }
        seen.insert(n, now["status"].clone());
        before = now;
    }
    assert_eq!((&before["status"], &before["stock_status"]), (&json!("paid"), &json!("allocated")));

    // A stored response of the future is replayed too, and expires a day after it was stored.
    let create = ApiRequest::finance("POST", ORDERS).header("Idempotency-Key", "k").json(&service.body());
    let first = create.send(&service.router).await;
    service.clock.advance_seconds(-60);
    assert_eq!(create.send(&service.router).await.text, first.text);
    service.clock.advance_seconds(60 + 24 * 3600);
    assert_ne!(create.send(&service.router).await.text, first.text);
}

#[tokio::test]
async fn decisions_from_wrong_clocks_are_ordered_by_their_sequence() {
    let service = TestService::start().await;
    let order = service.order(&["confirm"]).await;
    let mut decisions = Vec::new();
    // The first was made by a clock far ahead, the last by one far behind.
    for (sequence, (status, seconds)) in [
        (StockDecision::Backordered, 200 * 365 * 86_400),
        (StockDecision::Allocated, -100 * 365 * 86_400),
        (StockDecision::Released, -200 * 365 * 86_400),
    ]
    .into_iter()
    .enumerate()
    {
        service.clock.advance_seconds(seconds);
        decisions.push(decision(&service, &order, status, 1 + sequence as u64));
    }
    assert!(service.clock.now().as_seconds() < 0, "before 1970");
    for body in [&decisions[1], &decisions[2], &decisions[0], &decisions[1]] {
        assert!(deliver(&service, &[body]).await.is_empty(), "{body}");
    }
    assert_eq!(service.read(&order).await["order"]["stock_status"], "released");
}
