//! The largest there can be, the largest sums, and clocks that are wrong.

use std::collections::HashMap;

use erp_domain::order::{MAX_LINES, StockStatus};
use erp_domain::{Clock, LineQuantity, Money};
use erp_testkit::ApiRequest;
use erp_testkit::dynamo::{MAX_ITEM_BYTES, item_bytes};
use serde_json::{Value, json};

use crate::stock::{decision, deliver};
use crate::{House, ORDERS, id};

/// What a message of SNS and SQS may have, and what all of one `PublishBatch` may have together
/// (<https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>).
const MAX_BATCH_BYTES: usize = 256 * 1024;
/// Entries of a `PublishBatch`.
const BATCH: usize = 10;

/// The body of an order of as many lines as there can be, each of another item.
fn largest(house: &House, price: &str) -> Value {
    let line = |_| json!({"item_id": house.item(1, 0), "quantity": LineQuantity::MAX, "unit_price": price});
    let lines: Vec<_> = (0..MAX_LINES).map(line).collect();
    json!({"customer_id": house.customer(), "items": lines})
}

#[tokio::test]
async fn the_largest_order_there_can_be_fits_into_every_row_and_message() {
    let house = House::start().await;
    // Each line costs as much as it can while there are ninety-nine of them.
    let body = largest(&house, "101.01");
    let key = |n: usize| format!("{n}{}", "k".repeat(254));
    let create = ApiRequest::finance("POST", ORDERS).header("Idempotency-Key", key(1)).json(&body);
    let created = create.send(&house.router).await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert!(created.text.contains(r#""total_amount":9999990000000.00"#));
    let order = format!("{ORDERS}/{}", id(&created.data()));
    let put = ApiRequest::finance("PUT", &order).header("Idempotency-Key", key(2)).json(&body);
    assert_eq!(put.send(&house.router).await.status, 200);
    for (n, transition) in ["confirm", "pay"].into_iter().enumerate() {
        let path = format!("{order}/{transition}");
        let request = ApiRequest::finance("POST", &path).header("Idempotency-Key", key(3 + n));
        assert_eq!(request.send(&house.router).await.status, 200, "{transition}");
    }
    let demand = created.data()["items"].as_array().unwrap().clone();
    let demand: Vec<Value> =
        demand.iter().map(|line| json!({"item_id": line["item_id"], "quantity": line["quantity"]})).collect();
    for (n, status) in [StockStatus::Backordered, StockStatus::Allocated].into_iter().enumerate() {
        let decided = decision(&house, &id(&created.data()), status, 1 + n as u64);
        let mut decided: Value = serde_json::from_str(&decided).unwrap();
        decided["data"]["items"] = json!(demand);
        assert!(deliver(&house, &[&decided.to_string()]).await.is_empty());
    }

    let rows = house.rows().await;
    assert_eq!(rows.len(), 9, "the order, four answers, four events");
    let largest = rows.iter().map(item_bytes).max().unwrap();
    assert!(largest < MAX_ITEM_BYTES / 8, "far from the limit: {largest} bytes");
    let events: Vec<usize> =
        rows.iter().filter_map(|row| Some(row.get("event")?.as_s().unwrap().len())).collect();
    let event = events.into_iter().max().unwrap();
    assert!(event * BATCH < MAX_BATCH_BYTES, "a whole batch of them fits: {event} bytes each");
    // And all of it comes back.
    let read = house.read(&id(&created.data())).await;
    assert_eq!(read["items"].as_array().map(Vec::len), Some(MAX_LINES));
    assert_eq!(house.events(&id(&created.data())).await.len(), 4);
}

#[tokio::test]
async fn no_total_wraps_around_and_the_largest_is_exact() {
    let house = House::start().await;
    // The largest price, the largest quantity, the most lines: every line is named.
    let refused = house.post(ORDERS, &largest(&house, "9999999999999.99")).await;
    let named: Vec<String> = (0..MAX_LINES).map(|n| format!("/items/{n}/quantity")).collect();
    assert_eq!((refused.status, refused.faults()), (400, named));
    // Each line fits, and together they do not: by much, and by a cent.
    assert_eq!(house.post(ORDERS, &largest(&house, "9999.99")).await.faults(), ["/items"]);
    let item = house.item(1, 0);
    let with_last = |price: &str| {
        let line = |price: &str| json!({"item_id": item, "quantity": 1, "unit_price": price});
        let mut lines = vec![line("0.01"); MAX_LINES - 1];
        lines.push(line(price));
        json!({"customer_id": house.customer(), "items": lines})
    };
    assert_eq!(house.post(ORDERS, &with_last("9999999999999.02")).await.faults(), ["/items"]);
    assert!(house.rows().await.is_empty(), "nothing was saved");

    let created = house.post(ORDERS, &with_last("9999999999999.01")).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let total = format!("\"total_amount\":{}", Money::MAX);
    let order = id(&created.data());
    let confirmed = house.act(&order, "confirm").await;
    let list = house.get(ORDERS).await;
    for text in [&created.text, &confirmed.text, &list.text] {
        assert!(text.contains(&total), "{text}");
    }
    assert!(house.outbox().await[0].raw_data().get().contains(&total), "and so are the others told");
}

#[tokio::test]
async fn numbers_that_no_machine_word_holds_are_refused_by_name() {
    let house = House::start().await;
    let (customer, item) = (house.customer(), house.item(1, 0));
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
            let refused = request.send(&house.router).await;
            let malformed = refused.code() == "malformed_json" && number == "0x10";
            let named = refused.faults() == [format!("/items/0/{field}")];
            assert!(refused.status == 400 && (named || malformed), "{body}: {}", refused.text);
        }
    }
}

#[tokio::test]
async fn when_the_clock_goes_back_versions_and_times_do_not() {
    let house = House::start().await;
    let order = house.draft().await;
    let mut before = house.read(&order).await["order"].clone();
    let mut seen = HashMap::new();
    for (n, step) in ["PUT", "confirm", "stock", "pay"].into_iter().enumerate() {
        // Another machine, an hour behind the one before it.
        house.clock.advance_seconds(-3600);
        let status = match step {
            "PUT" => {
                let put = ApiRequest::finance("PUT", &format!("{ORDERS}/{order}")).json(&house.body());
                put.send(&house.router).await.status
            }
            "stock" => {
                let decided = decision(&house, &order, StockStatus::Allocated, 1);
                200 + u16::try_from(deliver(&house, &[&decided]).await.len()).unwrap()
            }
            transition => house.act(&order, transition).await.status,
        };
        assert_eq!(status, 200, "{step}");
        let now = house.read(&order).await["order"].clone();
        let version = |order: &Value| order["version"].as_u64().unwrap();
        assert_eq!(version(&now), version(&before) + u64::from(step != "stock"), "{step}");
        for time in ["created_at", "updated_at"] {
            assert_eq!(now[time], before[time], "{step}: the time of what was last, not an earlier one");
        }
        seen.insert(n, now["status"].clone());
        before = now;
    }
    assert_eq!((&before["status"], &before["stock_status"]), (&json!("paid"), &json!("allocated")));

    // A kept answer of the future is an answer all the same, and a day after it was given it is gone.
    let create = ApiRequest::finance("POST", ORDERS).header("Idempotency-Key", "k").json(&house.body());
    let first = create.send(&house.router).await;
    house.clock.advance_seconds(-60);
    assert_eq!(create.send(&house.router).await.text, first.text);
    house.clock.advance_seconds(60 + 24 * 3600);
    assert_ne!(create.send(&house.router).await.text, first.text);
}

#[tokio::test]
async fn decisions_from_wrong_clocks_are_told_apart_by_their_sequence() {
    let house = House::start().await;
    let order = house.order(&["confirm"]).await;
    let mut said = Vec::new();
    // The first was made by a clock far ahead, the last by one far behind.
    for (sequence, (status, seconds)) in [
        (StockStatus::Backordered, 200 * 365 * 86_400),
        (StockStatus::Allocated, -100 * 365 * 86_400),
        (StockStatus::Released, -200 * 365 * 86_400),
    ]
    .into_iter()
    .enumerate()
    {
        house.clock.advance_seconds(seconds);
        said.push(decision(&house, &order, status, 1 + sequence as u64));
    }
    assert!(house.clock.now().as_seconds() < 0, "before 1970");
    for body in [&said[1], &said[2], &said[0], &said[1]] {
        assert!(deliver(&house, &[body]).await.is_empty(), "{body}");
    }
    assert_eq!(house.read(&order).await["order"]["stock_status"], "released");
}
