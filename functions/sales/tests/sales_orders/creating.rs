//! Drafts: prices, validation errors, updates.

use erp_domain::Money;
use erp_orders::MAX_LINES;
use erp_testkit::ApiRequest;
use serde_json::{Value, json};

use crate::{ORDERS, TestService, id};

#[tokio::test]
async fn an_order_is_priced_exactly_and_a_line_without_a_price_has_the_list_price() {
    let service = TestService::start().await;
    let (customer, laptop, cable) = (service.customer(), service.item(9_000_000, 0), service.item(999, 0));
    let body = json!({"customer_id": customer, "items": [
        {"item_id": laptop, "quantity": 20},
        {"item_id": cable, "quantity": 3, "unit_price": "0.10"},
        {"item_id": cable, "quantity": 1, "unit_price": 0},
    ]});
    let created = service.post(ORDERS, &body).await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert_eq!(created.json()["message"], "Sales order created successfully");
    assert_eq!(service.upstreams.queries(), 2, "one query to each context, however many lines");

    let id = id(&created.data());
    assert_eq!(created.header("Location"), Some(format!("{ORDERS}/{id}").as_str()));
    assert_eq!(created.header("ETag"), Some("\"1\""));
    assert!(created.text.contains(r#""total_amount":1800000.30"#), "{}", created.text);
    assert!(created.text.contains(r#""unit_price":0.10,"subtotal":0.30"#), "{}", created.text);

    let data = created.data();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut order: Vec<_> =
        "id customer_id status stock_status total_amount currency version created_at updated_at"
            .split(' ')
            .collect();
    order.sort_unstable();
    assert_eq!(names(&data), ["items", "order"]);
    assert_eq!(names(&data["order"]), order);
    assert_eq!(names(&data["items"][0]), ["id", "item_id", "order_id", "quantity", "subtotal", "unit_price"]);
    assert_eq!(data["order"]["customer_id"], json!(customer));
    assert_eq!(
        (&data["order"]["status"], &data["order"]["stock_status"], &data["order"]["currency"]),
        (&json!("draft"), &json!("none"), &json!("USD"))
    );
    let items: Vec<_> = (0..3).map(|n| data["items"][n]["item_id"].clone()).collect();
    assert_eq!(items, [json!(laptop), json!(cable), json!(cable)], "lines keep their order");
    assert_eq!(data["items"][2]["order_id"], json!(id));

    let found = service.get(&format!("{ORDERS}/{id}")).await;
    assert_eq!((found.status, found.header("ETag")), (200, Some("\"1\"")));
    assert_eq!(found.json()["message"], "Sales order retrieved successfully");
    assert!(created.text.contains(found.text.split_once(r#""data":"#).unwrap().1.trim_end_matches('}')));
    assert!(service.outbox().await.is_empty(), "a draft publishes no event");
}

#[tokio::test]
async fn every_validation_error_of_the_body_is_reported_at_once_without_a_query() {
    let service = TestService::start().await;
    let body = json!({"customer": 1, "items": [
        {"item_id": "x", "quantity": 0, "unit_price": 0.005},
        {"item_id": service.item(1, 1), "quantity": "5", "price": 1},
        7,
    ]});
    let rejected = service.post(ORDERS, &body).await;
    assert_eq!((rejected.status, rejected.code().as_str()), (400, "validation_failed"));
    let mut errors = rejected.invalid_fields();
    errors.sort_unstable();
    assert_eq!(
        errors,
        [
            "/customer",
            "/customer_id",
            "/items/0/item_id",
            "/items/0/quantity",
            "/items/0/unit_price",
            "/items/1/price",
            "/items/1/quantity",
            "/items/2",
        ]
    );
    assert_eq!(service.upstreams.queries(), 0);
    for body in [json!([]), json!({}), json!({"customer_id": null, "items": []})] {
        assert_eq!(service.post(ORDERS, &body).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn unknown_references_and_amounts_out_of_range_are_reported_at_once() {
    let service = TestService::start().await;
    let (known, expensive) = (service.item(100, 1), service.item(Money::MAX.minor(), 1));
    let unknown = "01890000-0000-7000-8000-000000000001";
    let body = json!({"customer_id": unknown, "items": [
        {"item_id": unknown, "quantity": 1},
        {"item_id": known, "quantity": 1},
        {"item_id": expensive, "quantity": 2},
        {"item_id": unknown, "quantity": 1},
    ]});
    let rejected = service.post(ORDERS, &body).await;
    assert_eq!((rejected.status, rejected.code().as_str()), (400, "validation_failed"));
    assert_eq!(
        rejected.invalid_fields(),
        ["/customer_id", "/items/0/item_id", "/items/2/quantity", "/items/3/item_id"]
    );

    let body = json!({"customer_id": service.customer(), "items": [
        {"item_id": expensive, "quantity": 1},
        {"item_id": known, "quantity": 1},
    ]});
    assert_eq!(service.post(ORDERS, &body).await.invalid_fields(), ["/items"], "the total");
    assert!(service.rows().await.is_empty(), "nothing was saved");
}

#[tokio::test]
async fn ninety_nine_lines_are_an_order_and_a_hundred_are_not() {
    let service = TestService::start().await;
    let (customer, item) = (service.customer(), service.item(100, 1));
    let body = |lines: usize| json!({"customer_id": customer, "items": vec![json!({"item_id": item, "quantity": 1}); lines]});
    assert_eq!(MAX_LINES, 99);
    let order = service.create(&body(99)).await;
    let confirmed = service.act(&id(&order), "confirm").await;
    assert_eq!((confirmed.status, confirmed.data()["items"].as_array().unwrap().len()), (200, 99));
    for lines in [0, 100] {
        let rejected = service.post(ORDERS, &body(lines)).await;
        assert_eq!((rejected.status, rejected.invalid_fields()), (400, vec!["/items".to_owned()]));
    }
}

#[tokio::test]
async fn while_an_upstream_is_down_nothing_is_saved_and_a_retry_succeeds() {
    let service = TestService::start().await;
    let (body, draft) = (service.body(), service.draft().await);
    service.upstreams.set_down(true);
    let create = ApiRequest::finance("POST", ORDERS).header("Idempotency-Key", "k").json(&body);
    let update = ApiRequest::finance("PUT", &format!("{ORDERS}/{draft}")).json(&body);
    let confirm = ApiRequest::finance("POST", &format!("{ORDERS}/{draft}/confirm"))
        .json(&json!({"require_stock": true}));
    let plain_confirm = ApiRequest::finance("POST", &format!("{ORDERS}/{draft}/confirm"));
    for request in [&create, &update, &confirm, &plain_confirm] {
        let failed = request.send(&service.router).await;
        assert_eq!((failed.status, failed.code().as_str()), (503, "service_unavailable"));
        assert!(failed.header("Retry-After").is_some());
        assert!(!failed.text.contains("is down"), "the cause is not public");
    }
    assert_eq!(service.rows().await.len(), 1, "only the draft");
    assert_eq!(service.read(&draft).await["order"]["version"], 1);
    service.upstreams.set_down(false);
    assert_eq!(create.send(&service.router).await.status, 201, "the key was not bound");
}

#[tokio::test]
async fn an_update_replaces_customer_and_lines() {
    let service = TestService::start().await;
    let body = service.body();
    let order = service.create(&body).await;
    let path = format!("{ORDERS}/{}", id(&order));
    let (customer, item) = (service.customer(), service.item(150, 0));
    let new = json!({"customer_id": customer, "items": [{"item_id": item, "quantity": 3}]});
    service.clock.advance_seconds(60);

    let put = ApiRequest::inventory("PUT", &path).json(&new);
    let stale = put.clone().header("If-Match", "\"7\"").send(&service.router).await;
    assert_eq!((stale.status, stale.code().as_str()), (412, "version_mismatch"));
    let updated = put.clone().header("If-Match", "\"1\"").send(&service.router).await;
    assert_eq!((updated.status, updated.header("ETag")), (200, Some("\"2\"")), "{}", updated.text);
    assert_eq!(updated.json()["message"], "Sales order updated successfully");
    assert!(updated.text.contains(r#""total_amount":4.50"#));
    assert_eq!(updated.data()["order"]["created_at"], order["order"]["created_at"]);
    assert_ne!(updated.data()["order"]["updated_at"], order["order"]["updated_at"]);
    assert_eq!(service.read(&id(&order)).await, updated.data());

    let of = async |customer: &Value| {
        let list = service.get(&format!("{ORDERS}?customer_id={}", customer.as_str().unwrap())).await;
        list.data().as_array().unwrap().len()
    };
    assert_eq!((of(&body["customer_id"]).await, of(&json!(customer)).await), (0, 1));

    assert_eq!(service.act(&id(&order), "confirm").await.status, 200);
    let rejected = put.send(&service.router).await;
    assert_eq!((rejected.status, rejected.code().as_str()), (409, "illegal_transition"));
    assert_eq!(rejected.json()["status_found"], "confirmed");
    assert_eq!(rejected.json()["detail"], "This sales order is confirmed; only drafts can be changed.");
    let unknown = ApiRequest::finance("PUT", &format!("{ORDERS}/{customer}")).json(&new);
    assert_eq!(unknown.send(&service.router).await.status, 404);
}
