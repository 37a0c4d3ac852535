//! Items, and adjustments of their stock.

use erp_contracts::EventKind::{PurchaseReceived, SalesCancelled, SalesConfirmed};
use erp_contracts::query::ItemsQuery;
use erp_domain::{Id, Quantity, StockLevel};
use erp_testkit::ApiRequest;
use serde_json::json;
use uuid::Uuid;

use crate::{Inventory, MAX_ITEMS, order_event};

#[tokio::test]
async fn an_item_lives_from_create_to_delete() {
    let inventory = Inventory::start().await;
    let router = &inventory.router;
    let body = json!({"name": "Laptop", "description": "14 inch", "sku": " lap-1 ", "unit_price": 1800});
    let created = ApiRequest::inventory("POST", "/api/items").json(&body).send(router).await;
    assert_eq!((created.status, &created.json()["message"]), (201, &json!("Item created successfully")));
    assert!(created.text.contains(r#""unit_price":1800.00"#), "{}", created.text);
    assert_eq!(created.data()["sku"], "LAP-1");
    let path = created.header("location").unwrap().to_owned();

    let taken = ApiRequest::inventory("POST", "/api/items").json(&body).send(router).await;
    assert_eq!((taken.status, taken.code().as_str()), (409, "duplicate_sku"));
    let invalid = ApiRequest::inventory("POST", "/api/items")
        .text(r#"{"name": "x", "sku": "", "unit_price": 0.005}"#, "application/json")
        .send(router)
        .await;
    assert_eq!(invalid.invalid_fields(), ["/sku", "/unit_price"]);

    let cheaper = json!({"name": "Laptop", "sku": "lap-2", "unit_price": "1799.99"});
    let updated = ApiRequest::inventory("PUT", &path).json(&cheaper).send(router).await;
    assert!(updated.text.contains(r#""unit_price":1799.99"#) && updated.header("etag") == Some("\"2\""));
    assert_eq!(
        ApiRequest::inventory("POST", "/api/items").json(&body).send(router).await.status,
        201,
        "LAP-1 is free"
    );

    assert_eq!(ApiRequest::finance("DELETE", &path).send(router).await.status, 200);
    for gone in [path.clone(), format!("{path}/stock"), format!("{path}/movements")] {
        assert_eq!(ApiRequest::finance("GET", &gone).send(router).await.status, 404, "{gone}");
    }
    let adjust =
        ApiRequest::finance("PUT", &format!("{path}/stock")).json(&json!({"quantity": 1})).send(router).await;
    assert_eq!(adjust.status, 404);
}

#[tokio::test]
async fn stock_is_adjusted_and_every_change_is_a_movement() {
    let inventory = Inventory::start().await;
    let item = inventory.item(0).await;
    let path = format!("/api/items/{item}/stock");
    let put = |body: serde_json::Value| ApiRequest::inventory("PUT", &path).json(&body);
    let added = put(json!({"quantity": 10, "reason": "found"})).send(&inventory.router).await;
    assert_eq!((added.status, added.data()["quantity"].as_i64()), (200, Some(10)));
    assert_eq!(put(json!({"quantity": -3})).send(&inventory.router).await.data()["quantity"], 7);
    let short = put(json!({"quantity": -8})).send(&inventory.router).await;
    assert_eq!(
        (short.status, short.code().as_str(), &short.json()["available"]),
        (409, "insufficient_stock", &json!(7))
    );
    assert_eq!(
        put(json!({"set_to": 20, "expected": 7})).send(&inventory.router).await.data()["quantity"],
        20
    );
    let moved = put(json!({"set_to": 1, "expected": 7})).send(&inventory.router).await;
    assert_eq!((moved.status, &moved.json()["quantity"]), (412, &json!(20)));
    assert_eq!(put(json!({"set_to": 20})).send(&inventory.router).await.status, 200, "no change is no error");
    for (body, field) in [
        (json!({}), "/quantity"),
        (json!({"quantity": 0}), "/quantity"),
        (json!({"quantity": 1.5}), "/quantity"),
        (json!({"quantity": 1, "set_to": 1}), "/set_to"),
        (json!({"quantity": 1, "expected": 1}), "/expected"),
        (json!({"set_to": -1}), "/set_to"),
        (json!({"quantity": 1_000_000_000_000_i64}), "/quantity"),
        (json!({"quantity": 9e18}), "/quantity"),
    ] {
        let rejected = put(body.clone()).send(&inventory.router).await;
        assert_eq!((rejected.status, rejected.invalid_fields()), (400, vec![field.to_owned()]), "{body}");
    }
    assert_eq!(inventory.stock(item).await, 20);
    assert_eq!(inventory.movements(item).await, [10, -3, 13]);
    let list =
        ApiRequest::inventory("GET", &format!("/api/items/{item}/movements")).send(&inventory.router).await;
    let first = &list.data()[2];
    assert_eq!(
        (&first["kind"], &first["reason"], &first["order_id"]),
        (&json!("adjusted"), &json!("found"), &json!(null))
    );
}

#[tokio::test]
async fn concurrent_adjustments_are_all_counted() {
    let inventory = Inventory::start().await;
    let item = inventory.item(0).await;
    let path = format!("/api/items/{item}/stock");
    let requests: Vec<_> = (0..12)
        .map(|n| {
            ApiRequest::inventory("PUT", &path)
                .header("Idempotency-Key", n % 6)
                .json(&json!({"quantity": 1 + n % 6}))
        })
        .collect();
    let responses =
        futures_util::future::join_all(requests.iter().map(|request| request.send(&inventory.router))).await;
    assert!(responses.iter().all(|response| response.status == 200), "{responses:?}");
    assert_eq!(inventory.stock(item).await, 21, "1 + … + 6: each key once");
    assert_eq!(inventory.movements(item).await.iter().sum::<i64>(), 21);
}

#[tokio::test]
async fn received_and_returned_goods_are_counted_beyond_what_a_user_may_enter() {
    let inventory = Inventory::start().await;
    let most = StockLevel::MAX;
    let item = inventory.item(most).await;
    let path = format!("/api/items/{item}/stock");
    let put = async |body: serde_json::Value| {
        ApiRequest::inventory("PUT", &path).json(&body).send(&inventory.router).await
    };
    // A sale takes some, a user fills up, then the sale is cancelled, and as much arrives again.
    let sale = Uuid::now_v7();
    let lines = [(item, Quantity::MAX_LINE)];
    inventory.deliver(&[order_event(SalesConfirmed, sale, &lines)]).await;
    assert_eq!(put(json!({"quantity": Quantity::MAX_LINE})).await.data()["quantity"], most);
    inventory.deliver(&[order_event(SalesCancelled, sale, &lines)]).await;
    inventory.deliver(&[order_event(PurchaseReceived, Uuid::now_v7(), &lines)]).await;
    inventory.catch_up().await;
    let total = most + 2 * Quantity::MAX_LINE;
    assert_eq!(inventory.stock(item).await, total);
    assert_eq!(inventory.movements(item).await.iter().sum::<i64>(), total);

    // A user may reduce it, not raise it; sales take it as any other.
    for (body, field) in [
        (json!({"quantity": 1}), "/quantity"),
        (json!({"set_to": most + 1}), "/set_to"),
        (json!({"set_to": i64::MAX}), "/set_to"),
        (json!({"quantity": i64::MAX}), "/quantity"),
        (json!({"quantity": i64::MIN}), "/quantity"),
    ] {
        let rejected = put(body.clone()).await;
        assert_eq!((rejected.status, rejected.invalid_fields()), (400, vec![field.to_owned()]), "{body}");
    }
    assert_eq!(put(json!({"quantity": -1})).await.data()["quantity"], total - 1);
    inventory.deliver(&[order_event(SalesConfirmed, Uuid::now_v7(), &lines)]).await;
    assert_eq!(inventory.stock(item).await, total - 1 - Quantity::MAX_LINE);
    let emptied = put(json!({"set_to": 0, "expected": total - 1 - Quantity::MAX_LINE})).await;
    assert_eq!((emptied.status, &emptied.data()["quantity"]), (200, &json!(0)), "in one adjustment");
    inventory.catch_up().await;
    assert_eq!(inventory.movements(item).await.iter().sum::<i64>(), 0);
}

#[tokio::test]
async fn the_largest_receipt_adds_up() {
    let inventory = Inventory::start().await;
    let item = inventory.item(0).await;
    // Ninety-nine lines of one item, each with the maximum of a line: they are summed before they are applied.
    let lines = [(item, Quantity::MAX_LINE); MAX_ITEMS];
    let all = 99 * Quantity::MAX_LINE;
    inventory.deliver(&[order_event(PurchaseReceived, Uuid::now_v7(), &lines)]).await;
    assert_eq!(inventory.stock(item).await, all);
    let sale = Uuid::now_v7();
    inventory.deliver(&[order_event(SalesConfirmed, sale, &lines)]).await;
    assert_eq!(inventory.stock(item).await, 0);
    inventory.deliver(&[order_event(SalesCancelled, sale, &lines)]).await;
    inventory.catch_up().await;
    assert_eq!(inventory.movements(item).await, [all, -all, all]);
}

#[tokio::test]
async fn a_query_returns_the_items_that_exist() {
    let inventory = Inventory::start().await;
    let (a, b) = (inventory.item(3).await, inventory.item(0).await);
    let ids = [a, b, Uuid::now_v7(), a].map(Id::new).to_vec();
    let mut items =
        inventory::query::query_items(&inventory.store, ItemsQuery { items: ids }).await.unwrap().items;
    items.sort_by_key(|item| item.quantity);
    let snapshots: Vec<_> =
        items.iter().map(|item| (item.id.uuid(), item.unit_price.minor(), item.quantity)).collect();
    assert_eq!(snapshots, [(b, 150, 0), (a, 150, 3)]);
}
