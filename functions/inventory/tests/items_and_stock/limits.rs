//! The largest orders and texts, wrong clocks, and expired idempotency records.

use aws_sdk_dynamodb::types::AttributeValue;
use erp_contracts::EventKind::{
    OrderAllocated, OrderBackordered, OrderReleased, PurchaseReceived, SalesCancelled, SalesConfirmed,
};
use erp_domain::time::SystemClock;
use erp_domain::{Clock, Quantity, Timestamp};
use erp_testkit::dynamo::{MAX_ITEM_BYTES, item_bytes};
use erp_testkit::{ApiRequest, ApiResponse};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::orders::kinds;
use crate::{Inventory, MAX_ITEMS, order_event};

impl Inventory {
    async fn rows(&self) -> Vec<erp_aws::table::Row> {
        let table = self.store.table();
        let mut rows = Vec::new();
        let mut start = None;
        loop {
            let scan = table.client.scan().table_name(&table.name).set_exclusive_start_key(start);
            let page = scan.send().await.unwrap();
            rows.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                return rows;
            }
        }
    }

    /// Returns a number of every row whose sort key starts with `sk`.
    async fn numbers(&self, sk: &str, name: &str) -> Vec<i64> {
        let rows = self.rows().await;
        let rows = rows.iter().filter(|row| row["sk"].as_s().unwrap().starts_with(sk));
        rows.map(|row| row[name].as_n().unwrap().parse().unwrap()).collect()
    }

    /// Lets every idempotency record expire, and deletes none.
    async fn expire_records(&self) -> usize {
        let table = self.store.table();
        let rows = self.rows().await;
        let records: Vec<_> = rows.iter().filter(|row| row.contains_key("expires_at")).collect();
        for row in &records {
            assert!(row["pk"].as_s().unwrap().starts_with("IDEMPOTENCY#"), "another kind of row: {row:?}");
            let over = AttributeValue::N(SystemClock.now().as_seconds().to_string());
            let update = table.client.update_item().table_name(&table.name);
            let update = update.key("pk", row["pk"].clone()).key("sk", row["sk"].clone());
            let update = update.update_expression("SET expires_at = :over");
            update.expression_attribute_values(":over", over).send().await.unwrap();
        }
        records.len()
    }

    async fn with_key(&self, method: &str, path: &str, body: &Value) -> ApiResponse {
        let request = ApiRequest::inventory(method, path).header("Idempotency-Key", "k");
        request.json(body).send(&self.router).await
    }
}

#[tokio::test]
async fn the_largest_order_changes_all_its_items_at_once_and_its_row_contains_all_its_events() {
    let inventory = Inventory::start().await;
    let mut lines = Vec::new();
    for _ in 0..MAX_ITEMS {
        lines.push((inventory.item(0).await, Quantity::MAX_LINE));
    }
    inventory.take_outbox().await;
    assert_eq!(
        lines.len() + 1,
        erp_aws::transaction::MAX_ACTIONS,
        "99 items and their order fill a transaction"
    );
    // It is back-ordered, fulfilled by a receipt and cancelled, and no event is relayed meanwhile.
    let (sale, receipt) = (Uuid::now_v7(), Uuid::now_v7());
    inventory.deliver(&[order_event(SalesConfirmed, sale, &lines)]).await;
    inventory.deliver(&[order_event(PurchaseReceived, receipt, &lines)]).await;
    assert_eq!(inventory.numbers("STOCK", "quantity").await, vec![0; 99], "all of it is taken");
    inventory.deliver(&[order_event(SalesCancelled, sale, &lines)]).await;
    let all = vec![Quantity::MAX_LINE; 99];
    assert_eq!(inventory.numbers("STOCK", "quantity").await, all, "all of it is returned");

    let rows = inventory.rows().await;
    let key = format!("ORDER#{sale}");
    let row = rows.iter().find(|row| row["pk"].as_s().unwrap() == &key).unwrap();
    assert_eq!(row["events"].as_l().unwrap().len(), 3);
    let bytes = item_bytes(row);
    assert!(bytes < MAX_ITEM_BYTES / 8, "far from the limit: {bytes} bytes");
    let events = inventory.catch_up().await;
    assert_eq!(kinds(&events), [OrderBackordered, OrderAllocated, OrderReleased]);
    let event = events.iter().map(|event| event.to_json().unwrap().len()).max().unwrap();
    assert!(event * 10 < 256 * 1024, "ten of them fit into one PublishBatch: {event} bytes each");
    let mut moved = inventory.numbers("MOVEMENT#", "change").await;
    moved.sort_unstable();
    assert_eq!(
        moved,
        [vec![-Quantity::MAX_LINE; 99], all.clone(), all].concat(),
        "out, in, and back, each item"
    );
}

#[tokio::test]
async fn the_longest_texts_fit_into_their_rows() {
    let inventory = Inventory::start().await;
    // Four bytes a letter, and two more in JSON where it is quoted.
    let (crab, quote) = ("🦀", "\"");
    for (n, letter) in [crab, quote].into_iter().enumerate() {
        let body = json!({
            "name": letter.repeat(255), "description": letter.repeat(2000), "sku": format!("{n}{}", letter.repeat(99)),
            "unit_price": "9999999999999.99",
        });
        let created = inventory.with_key("POST", "/api/items", &body).await;
        // The second has the key of the first, and is created without a key.
        let created = match created.status {
            422 => ApiRequest::inventory("POST", "/api/items").json(&body).send(&inventory.router).await,
            _ => created,
        };
        assert_eq!(created.status, 201, "{}", created.text);
        let stock = format!("/api/items/{}/stock", created.data()["id"].as_str().unwrap());
        let reason = json!({"set_to": 1_000_000_000_000_i64, "reason": letter.repeat(500)});
        assert_eq!(inventory.with_key("PUT", &stock, &reason).await.status, 200);
    }
    let largest = inventory.rows().await.iter().map(item_bytes).max().unwrap();
    assert!(largest < MAX_ITEM_BYTES / 8, "far from the limit: {largest} bytes");
}

#[tokio::test]
async fn an_event_from_a_wrong_clock_is_queued_by_its_time() {
    let inventory = Inventory::start().await;
    let item = inventory.item(0).await;
    let day = 86_400_000;
    let now = SystemClock.now().as_millis();
    // From the last possible time to the first; the events arrive in this order.
    let times = [i64::MAX, now + 400 * 365 * day, now + 2 * day, now, now - 2 * day, 0, -day, i64::MIN];
    let mut sales = Vec::new();
    for at in times {
        let sale = Uuid::now_v7();
        let mut event = order_event(SalesConfirmed, sale, &[(item, 1)]);
        event.time = Timestamp::from_millis(at);
        inventory.deliver(&[event.clone(), event]).await;
        sales.push(sale.to_string());
    }
    assert_eq!(kinds(&inventory.catch_up().await), [OrderBackordered; 8]);
    let mut fulfilled = Vec::new();
    for _ in times {
        inventory.deliver(&[order_event(PurchaseReceived, Uuid::now_v7(), &[(item, 1)])]).await;
        let events = inventory.catch_up().await;
        fulfilled.extend(events.into_iter().filter(|e| e.kind == OrderAllocated).map(|e| e.subject));
    }
    sales.reverse();
    assert_eq!(fulfilled, sales, "each once, sorted by the time of the confirmation");
    assert_eq!(inventory.stock(item).await, 0);

    // Receipts and cancellations are dated by the clock of the worker, not by the event.
    let mut cancelled = order_event(SalesCancelled, sales[0].parse().unwrap(), &[(item, 1)]);
    cancelled.time = Timestamp::from_millis(i64::MAX);
    inventory.deliver(&[cancelled.clone(), cancelled]).await;
    inventory.catch_up().await;
    assert_eq!(inventory.stock(item).await, 1);
    let path = format!("/api/items/{item}/movements?limit=100");
    let movements = ApiRequest::inventory("GET", &path).send(&inventory.router).await.data();
    let soon = SystemClock.now().plus_seconds(1).to_string();
    let dates =
        movements.as_array().unwrap().iter().map(|row| row["created_at"].as_str().unwrap().to_owned());
    assert!(
        dates.clone().count() == 17 && dates.clone().all(|at| at < soon),
        "{:?}",
        dates.collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn an_expired_idempotency_record_counts_as_none_though_its_row_exists() {
    let inventory = Inventory::start().await;
    let item = inventory.item(0).await;
    let (stock, by) = (format!("/api/items/{item}/stock"), json!({"quantity": 5}));
    let new = json!({"name": "thing", "sku": "one", "unit_price": 1});
    for _ in 0..2 {
        assert_eq!(inventory.with_key("PUT", &stock, &by).await.data()["quantity"], 5);
        assert_eq!(inventory.with_key("POST", "/api/items", &new).await.status, 201);
    }
    assert_eq!(inventory.expire_records().await, 2);
    assert_eq!(inventory.with_key("PUT", &stock, &by).await.data()["quantity"], 10, "a new request");
    let again = inventory.with_key("POST", "/api/items", &new).await;
    assert_eq!((again.status, again.code().as_str()), (409, "duplicate_sku"), "a new request");
    // The new record replaces the expired one. A rejection is not stored.
    let replayed = inventory.with_key("PUT", &stock, &by).await;
    assert_eq!(replayed.data()["quantity"], 10);
    assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
    let rejected = inventory.with_key("POST", "/api/items", &new).await;
    assert_eq!((rejected.status, rejected.header("idempotent-replayed")), (409, None));
    let rows = inventory.rows().await;
    let records = rows.iter().filter(|row| row["pk"].as_s().unwrap().starts_with("IDEMPOTENCY#"));
    assert_eq!(records.count(), 2);
}
