//! 409, 412 and 503: what cannot be done as things stand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use erp_local::dynamodb::{Call, Fault, Intercept};
use serde_json::{Value, json};

use crate::check;
use crate::shop::{SOON, Shop, contact, create, send, send_bare, unique};
use crate::site::Site;

#[tokio::test]
async fn one_address_is_one_contact_whatever_its_letter_case() {
    let site = Site::shared();
    let shop = Shop::open(&site).await;
    for path in ["/api/customers", "/api/vendors"] {
        let email = format!("{}@example.com", unique());
        let with = |email: &str| json!({"name": "Acme", "email": email});
        let created = create(&shop.inventory, path, &with(&format!("  {}  ", email.to_uppercase()))).await;
        assert_eq!(created.text_at("/email"), email);
        let taken = send(&shop.inventory, "POST", path, Some(&with(&email))).await;
        let body = check::problem(&taken, 409, "duplicate_email");
        assert_eq!(body["errors"][0]["pointer"], "/email");

        // Another contact cannot take it over; once its contact is deleted it is free.
        let other = create(&shop.inventory, path, &contact("Other")).await.text_at("/id");
        let other = format!("{path}/{other}");
        check::problem(
            &send(&shop.inventory, "PUT", &other, Some(&with(&email))).await,
            409,
            "duplicate_email",
        );
        let own = format!("{path}/{}", created.text_at("/id"));
        check::success(&send(&shop.finance, "DELETE", &own, None).await, 200);
        check::problem(&send(&shop.finance, "DELETE", &own, None).await, 404, "not_found");
        check::success(&send(&shop.inventory, "PUT", &other, Some(&with(&email))).await, 200);
    }
    let email = format!("{}@example.com", unique());
    let user = |email: &str| json!({"email": email, "password": "correct horse battery", "role": "inventory_manager"});
    create(&site.client(), "/api/auth/register", &user(&email)).await;
    let again = send(&site.client(), "POST", "/api/auth/register", Some(&user(&email.to_uppercase()))).await;
    check::problem(&again, 409, "duplicate_email");
}

#[tokio::test]
async fn one_sku_is_one_item_whatever_its_case_and_spaces() {
    let site = Site::shared();
    let shop = Shop::open(&site).await;
    let sku = unique();
    let with = |sku: &str| json!({"name": "Laptop", "sku": sku, "unit_price": 1});
    let created = create(&shop.inventory, "/api/items", &with(&format!("  {sku} "))).await;
    assert_eq!(created.text_at("/sku"), sku.to_uppercase());
    for same in [sku.clone(), sku.to_uppercase(), format!(" {sku}\t")] {
        let taken = send(&shop.inventory, "POST", "/api/items", Some(&with(&same))).await;
        assert_eq!(check::problem(&taken, 409, "duplicate_sku")["errors"][0]["pointer"], "/sku");
    }
}

#[tokio::test]
async fn a_transition_that_is_not_possible_names_the_status_found() {
    let site = Site::shared();
    let shop = Shop::open(&site).await;
    let item = shop.item("1.00", 10).await;
    let refused = async |order: &str, transitions: &[&str], found: &str| {
        for transition in transitions {
            let answer = send(&shop.finance, "POST", &format!("{order}/{transition}"), None).await;
            let body = check::problem(&answer, 409, "illegal_transition");
            assert!(body["detail"].as_str().is_some_and(|detail| detail.contains(found)), "{body}");
            assert_eq!(body["status_found"], found, "{body}");
        }
        let sale = order.contains("sales").then(|| shop.sale(&[(&item, 1)]));
        let wanted = sale.unwrap_or_else(
            || json!({"vendor_id": shop.vendor, "items": [{"item_id": item, "quantity": 1}]}),
        );
        let changed = send(&shop.finance, "PUT", order, Some(&wanted)).await;
        if found == "draft" {
            check::success(&changed, 200);
        } else {
            check::problem(&changed, 409, "illegal_transition");
        }
    };
    let sale = shop.order(&[(&item, 1)]).await;
    refused(&sale, &["pay"], "draft").await;
    shop.transition(&sale, "confirm").await;
    refused(&sale, &["confirm"], "confirmed").await;
    shop.transition(&sale, "pay").await;
    refused(&sale, &["confirm", "pay", "cancel"], "paid").await;
    let cancelled = shop.order(&[(&item, 1)]).await;
    shop.transition(&cancelled, "cancel").await;
    refused(&cancelled, &["confirm", "pay", "cancel"], "cancelled").await;

    let purchase = shop.purchase(&[(&item, 1)]).await;
    refused(&purchase, &["pay"], "draft").await;
    shop.transition(&purchase, "receive").await;
    refused(&purchase, &["receive", "cancel"], "received").await;
    shop.transition(&purchase, "pay").await;
    refused(&purchase, &["receive", "pay", "cancel"], "paid").await;
}

#[tokio::test]
async fn what_is_short_is_told_per_item() {
    let site = Site::shared();
    let shop = Shop::open(&site).await;
    let (few, many) = (shop.item("1.00", 2).await, shop.item("1.00", 9).await);
    let order = shop.order(&[(&few, 1), (&many, 9), (&few, 2)]).await;
    let answer =
        send(&shop.inventory, "POST", &format!("{order}/confirm"), Some(&json!({"require_stock": true})))
            .await;
    let body = check::problem(&answer, 409, "insufficient_stock");
    assert_eq!(body["shortages"], json!([{"item_id": few, "wanted": 3, "available": 2}]), "{body}");
    assert_eq!(shop.read(&order).await["order"]["status"], "draft");

    let path = format!("/api/items/{few}/stock");
    let below = send(&shop.inventory, "PUT", &path, Some(&json!({"quantity": -3}))).await;
    check::problem(&below, 409, "insufficient_stock");
    assert_eq!(shop.stock(&few).await, 2);
}

#[tokio::test]
async fn a_change_names_the_version_it_changes() {
    let site = Site::shared();
    let shop = Shop::open(&site).await;
    let customer = format!("/api/customers/{}", shop.customer);
    let tag =
        async |path: &str| send(&shop.inventory, "GET", path, None).await.header("etag").unwrap().to_owned();
    assert_eq!(tag(&customer).await, "\"1\"");
    let put = async |if_match: &str| {
        let body = Some(contact("Acme").to_string());
        shop.inventory.send_with("PUT", &customer, &[("if-match", if_match)], body).await.unwrap()
    };
    for other in ["\"2\"", "\"0\"", "W/\"1\"", "1", "\"one\"", "\"2\", \"3\"", ""] {
        check::problem(&put(other).await, 412, "version_mismatch");
    }
    let changed = put("\"1\"").await;
    check::success(&changed, 200);
    assert_eq!(changed.header("etag"), Some("\"2\""));
    check::problem(&put("\"1\"").await, 412, "version_mismatch");
    check::success(&put("\"7\", \"2\"").await, 200);
    check::success(&put("*").await, 200);
    assert_eq!(tag(&customer).await, "\"4\"");

    // Deletes and transitions too.
    let if_match = |tag| [("if-match", tag)];
    check::problem(
        &send_bare(&shop.finance, "DELETE", &customer, &if_match("\"1\"")).await,
        412,
        "version_mismatch",
    );
    let item = shop.item("1.00", 0).await;
    let order = shop.order(&[(&item, 1)]).await;
    let confirm = format!("{order}/confirm");
    check::problem(
        &send_bare(&shop.inventory, "POST", &confirm, &if_match("\"2\"")).await,
        412,
        "version_mismatch",
    );
    let confirmed = send_bare(&shop.inventory, "POST", &confirm, &if_match("\"1\"")).await;
    check::success(&confirmed, 200);
    let version = confirmed.data()["order"]["version"].clone();
    assert_eq!(confirmed.header("etag"), Some(format!("\"{version}\"").as_str()));

    // What inventory says later is no change of the order by a client: its version stays what the client knows.
    shop.wait_for_stock_status(&order, "backordered").await;
    let cancelled = send_bare(
        &shop.inventory,
        "POST",
        &format!("{order}/cancel"),
        &if_match(confirmed.header("etag").unwrap()),
    )
    .await;
    check::success(&cancelled, 200);

    let stock = format!("/api/items/{item}/stock");
    for (body, status) in
        [(json!({"set_to": 5, "expected": 1}), 412), (json!({"set_to": 5, "expected": 0}), 200)]
    {
        assert_eq!(send(&shop.inventory, "PUT", &stock, Some(&body)).await.status, status, "{body}");
    }
}

/// Every call to a table fails.
struct Down;

impl Intercept for Down {
    fn before(&self, call: &Call<'_>) -> Option<Fault> {
        let hang_up = || Fault::HangUp { after: Duration::from_millis(1) };
        (call.body["TableName"] == "erp-contact").then(hang_up)
    }

    fn after(&self, _: &Call<'_>) -> Option<Fault> {
        None
    }
}

#[tokio::test]
async fn a_dependency_that_is_down_is_told_as_such_and_comes_back() {
    let site = Site::own().await;
    let Some(platform) = site.platform_or_skip("a table that does not answer") else { return };
    let shop = Shop::open(&site).await;
    let item = shop.item("1.00", 0).await;
    let customer = format!("/api/customers/{}", shop.customer);
    let order = shop.sale(&[(&item, 1)]);
    platform.dynamodb().set_intercept(Some(Arc::new(Down)));
    check::problem(&send(&shop.inventory, "GET", &customer, None).await, 503, "service_unavailable");
    for _ in 0..8 {
        // The service that asks contacts is up, what it asks is not; after a while it does not even ask.
        let answer = send(&shop.inventory, "POST", "/api/sales/orders", Some(&order)).await;
        check::problem(&answer, 503, "service_unavailable");
    }
    let began = Instant::now();
    check::problem(
        &send(&shop.inventory, "POST", "/api/sales/orders", Some(&order)).await,
        503,
        "service_unavailable",
    );
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "the circuit breaker answers at once: {:?}",
        began.elapsed()
    );
    check::success(&send(&shop.inventory, "GET", "/api/items", None).await, 200);

    platform.dynamodb().set_intercept(None);
    check::success(&send(&shop.inventory, "GET", &customer, None).await, 200);
    let began = Instant::now();
    loop {
        let answer = send(&shop.inventory, "POST", "/api/sales/orders", Some(&order)).await;
        if answer.status == 201 {
            break;
        }
        check::problem(&answer, 503, "service_unavailable");
        assert!(began.elapsed() < SOON, "{}", answer.text);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let orders =
        send(&shop.inventory, "GET", &format!("/api/sales/orders?customer_id={}", shop.customer), None).await;
    assert_eq!(orders.json()["meta"]["count"], Value::from(1), "what was refused has no effect");
}
