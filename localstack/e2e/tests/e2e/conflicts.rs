//! 409, 412 and 503: rejections that depend on the current state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use erp_local::dynamodb::{Call, Fault, Intercept};
use serde_json::{Value, json};

use crate::assertions;
use crate::fixture::{
    DEADLINE, Fixture, contact, create, registration, send, send_bare, unique, unique_email,
};
use crate::target::Target;

#[tokio::test]
async fn an_email_address_identifies_one_contact_in_any_letter_case() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    for path in ["/api/customers", "/api/vendors"] {
        let email = unique_email();
        let body = |email: &str| json!({"name": "Acme", "email": email});
        let created = create(&fixture.inventory, path, &body(&format!("  {}  ", email.to_uppercase()))).await;
        assert_eq!(created.text_at("/email"), email);
        let taken = send(&fixture.inventory, "POST", path, Some(&body(&email))).await;
        let problem = assertions::problem(&taken, 409, "duplicate_email");
        assert_eq!(problem["errors"][0]["pointer"], "/email");

        // Another contact cannot use the address until its contact is deleted.
        let other = create(&fixture.inventory, path, &contact("Other")).await.text_at("/id");
        let other = format!("{path}/{other}");
        assertions::problem(
            &send(&fixture.inventory, "PUT", &other, Some(&body(&email))).await,
            409,
            "duplicate_email",
        );
        let own = format!("{path}/{}", created.text_at("/id"));
        assertions::success(&send(&fixture.finance, "DELETE", &own, None).await, 200);
        assertions::problem(&send(&fixture.finance, "DELETE", &own, None).await, 404, "not_found");
        assertions::success(&send(&fixture.inventory, "PUT", &other, Some(&body(&email))).await, 200);
    }
    let email = unique_email();
    create(&target.client(), "/api/auth/register", &registration(&email)).await;
    let again =
        send(&target.client(), "POST", "/api/auth/register", Some(&registration(&email.to_uppercase())))
            .await;
    assertions::problem(&again, 409, "duplicate_email");
}

#[tokio::test]
async fn a_sku_identifies_one_item_in_any_letter_case() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let sku = unique();
    let body = |sku: &str| json!({"name": "Laptop", "sku": sku, "unit_price": 1});
    let created = create(&fixture.inventory, "/api/items", &body(&format!("  {sku} "))).await;
    assert_eq!(created.text_at("/sku"), sku.to_uppercase());
    for same in [sku.clone(), sku.to_uppercase(), format!(" {sku}\t")] {
        let taken = send(&fixture.inventory, "POST", "/api/items", Some(&body(&same))).await;
        assert_eq!(assertions::problem(&taken, 409, "duplicate_sku")["errors"][0]["pointer"], "/sku");
    }
}

#[tokio::test]
async fn an_illegal_transition_names_the_current_status() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 10).await;
    let assert_rejected = async |order: &str, transitions: &[&str], found: &str| {
        for transition in transitions {
            let response = send(&fixture.finance, "POST", &format!("{order}/{transition}"), None).await;
            let problem = assertions::problem(&response, 409, "illegal_transition");
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(found)), "{problem}");
            assert_eq!(problem["status_found"], found, "{problem}");
        }
        let sale = order.contains("sales").then(|| fixture.sales_order_request(&[(&item, 1)]));
        let body = sale.unwrap_or_else(
            || json!({"vendor_id": fixture.vendor, "items": [{"item_id": item, "quantity": 1}]}),
        );
        let changed = send(&fixture.finance, "PUT", order, Some(&body)).await;
        if found == "draft" {
            assertions::success(&changed, 200);
        } else {
            assertions::problem(&changed, 409, "illegal_transition");
        }
    };
    let sale = fixture.create_sales_order(&[(&item, 1)]).await;
    assert_rejected(&sale, &["pay"], "draft").await;
    fixture.transition(&sale, "confirm").await;
    assert_rejected(&sale, &["confirm"], "confirmed").await;
    fixture.transition(&sale, "pay").await;
    assert_rejected(&sale, &["confirm", "pay", "cancel"], "paid").await;
    let cancelled = fixture.create_sales_order(&[(&item, 1)]).await;
    fixture.transition(&cancelled, "cancel").await;
    assert_rejected(&cancelled, &["confirm", "pay", "cancel"], "cancelled").await;

    let purchase = fixture.create_purchase_order(&[(&item, 1)]).await;
    assert_rejected(&purchase, &["pay"], "draft").await;
    fixture.transition(&purchase, "receive").await;
    assert_rejected(&purchase, &["receive", "cancel"], "received").await;
    fixture.transition(&purchase, "pay").await;
    assert_rejected(&purchase, &["receive", "pay", "cancel"], "paid").await;
}

#[tokio::test]
async fn a_shortage_is_reported_per_item() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let (few, many) = (fixture.create_item("1.00", 2).await, fixture.create_item("1.00", 9).await);
    let order = fixture.create_sales_order(&[(&few, 1), (&many, 9), (&few, 2)]).await;
    let response =
        send(&fixture.inventory, "POST", &format!("{order}/confirm"), Some(&json!({"require_stock": true})))
            .await;
    let body = assertions::problem(&response, 409, "insufficient_stock");
    assert_eq!(body["shortages"], json!([{"item_id": few, "wanted": 3, "available": 2}]), "{body}");
    assert_eq!(fixture.read(&order).await["order"]["status"], "draft");

    let path = format!("/api/items/{few}/stock");
    let below = send(&fixture.inventory, "PUT", &path, Some(&json!({"quantity": -3}))).await;
    assertions::problem(&below, 409, "insufficient_stock");
    assert_eq!(fixture.stock(&few).await, 2);
}

#[tokio::test]
async fn a_change_with_another_version_in_if_match_is_rejected() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let customer = format!("/api/customers/{}", fixture.customer);
    let tag = async |path: &str| {
        send(&fixture.inventory, "GET", path, None).await.header("etag").unwrap().to_owned()
    };
    assert_eq!(tag(&customer).await, "\"1\"");
    let put = async |if_match: &str| {
        let body = Some(contact("Acme").to_string());
        fixture.inventory.send_with("PUT", &customer, &[("if-match", if_match)], body).await.unwrap()
    };
    for other in [
        "\"2\"",
        "\"0\"",
        "W/\"1\"",
        "1",
        "\"one\"",
        "\"2\", \"3\"",
        "",
        "\"+1\"",
        "\"01\"",
        "\" 1\"",
        "\"1",
        "+1",
    ] {
        assertions::problem(&put(other).await, 412, "version_mismatch");
    }
    let changed = put("\"1\"").await;
    assertions::success(&changed, 200);
    assert_eq!(changed.header("etag"), Some("\"2\""));
    assertions::problem(&put("\"1\"").await, 412, "version_mismatch");
    assertions::success(&put("\"7\", \"2\"").await, 200);
    assertions::success(&put("*").await, 200);
    assert_eq!(tag(&customer).await, "\"4\"");

    // Also for deletions and transitions.
    let if_match = |tag| [("if-match", tag)];
    assertions::problem(
        &send_bare(&fixture.finance, "DELETE", &customer, &if_match("\"1\"")).await,
        412,
        "version_mismatch",
    );
    let item = fixture.create_item("1.00", 0).await;
    let order = fixture.create_sales_order(&[(&item, 1)]).await;
    let confirm = format!("{order}/confirm");
    assertions::problem(
        &send_bare(&fixture.inventory, "POST", &confirm, &if_match("\"2\"")).await,
        412,
        "version_mismatch",
    );
    let confirmed = send_bare(&fixture.inventory, "POST", &confirm, &if_match("\"1\"")).await;
    assertions::success(&confirmed, 200);
    let version = confirmed.data()["order"]["version"].clone();
    assert_eq!(confirmed.header("etag"), Some(format!("\"{version}\"").as_str()));

    // A later decision of inventory does not change the version, so the ETag of the client stays valid.
    fixture.wait_for_stock_status(&order, "backordered").await;
    let cancelled = send_bare(
        &fixture.inventory,
        "POST",
        &format!("{order}/cancel"),
        &if_match(confirmed.header("etag").unwrap()),
    )
    .await;
    assertions::success(&cancelled, 200);

    let stock = format!("/api/items/{item}/stock");
    for (body, status) in
        [(json!({"set_to": 5, "expected": 1}), 412), (json!({"set_to": 5, "expected": 0}), 200)]
    {
        assert_eq!(send(&fixture.inventory, "PUT", &stock, Some(&body)).await.status, status, "{body}");
    }
}

#[tokio::test]
async fn an_item_in_use_is_not_deleted() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 2).await;
    let path = format!("/api/items/{item}");
    let assert_in_use = async |available: i64, allocated: i64, backordered: i64| {
        let response = send(&fixture.finance, "DELETE", &path, None).await;
        let problem = assertions::problem(&response, 409, "in_use");
        let figures = ["available", "allocated", "backordered"].map(|name| problem[name].as_i64());
        assert_eq!(figures, [available, allocated, backordered].map(Some), "{problem}");
    };
    assert_in_use(2, 0, 0).await;
    let (first, second) =
        (fixture.create_sales_order(&[(&item, 2)]).await, fixture.create_sales_order(&[(&item, 1)]).await);
    for (order, stock_status) in [(&first, "allocated"), (&second, "backordered")] {
        fixture.transition(order, "confirm").await;
        fixture.wait_for_stock_status(order, stock_status).await;
    }
    assert_in_use(0, 2, 1).await;
    for order in [&second, &first] {
        fixture.transition(order, "cancel").await;
        fixture.wait_for_stock_status(order, "released").await;
    }
    assert_in_use(2, 0, 0).await;
    fixture.adjust(&item, -2).await;
    assertions::success(&send(&fixture.finance, "DELETE", &path, None).await, 200);
}

#[tokio::test]
async fn a_draft_of_a_deleted_party_is_not_confirmed_or_received() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 1).await;
    let sale = fixture.create_sales_order(&[(&item, 1)]).await;
    let purchase = fixture.create_purchase_order(&[(&item, 1)]).await;
    for (party, order, transition, field) in [
        (format!("/api/customers/{}", fixture.customer), &sale, "confirm", "customer_id"),
        (format!("/api/vendors/{}", fixture.vendor), &purchase, "receive", "vendor_id"),
    ] {
        assertions::success(&send(&fixture.finance, "DELETE", &party, None).await, 200);
        let response = send(&fixture.finance, "POST", &format!("{order}/{transition}"), None).await;
        let problem = assertions::problem(&response, 409, "party_gone");
        assert!(party.ends_with(problem[field].as_str().unwrap()), "{problem}");
        assert_eq!(fixture.read(order).await["order"]["status"], "draft");
        fixture.transition(order, "cancel").await;
    }
    assert_eq!(fixture.stock(&item).await, 1);
}

/// Fails every call to the table of contacts.
struct ContactTableDown;

impl Intercept for ContactTableDown {
    fn before(&self, call: &Call<'_>) -> Option<Fault> {
        let hang_up = || Fault::HangUp { after: Duration::from_millis(1) };
        (call.body["TableName"] == "erp-contact").then(hang_up)
    }

    fn after(&self, _: &Call<'_>) -> Option<Fault> {
        None
    }
}

#[tokio::test]
async fn an_outage_of_a_dependency_is_503_until_it_recovers() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("an outage of a table") else { return };
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 0).await;
    let customer = format!("/api/customers/{}", fixture.customer);
    let order = fixture.sales_order_request(&[(&item, 1)]);
    platform.dynamodb().set_intercept(Some(Arc::new(ContactTableDown)));
    assertions::problem(&send(&fixture.inventory, "GET", &customer, None).await, 503, "service_unavailable");
    for _ in 0..8 {
        // Sales is up, contact is not. After a while the circuit breaker of sales opens.
        let response = send(&fixture.inventory, "POST", "/api/sales/orders", Some(&order)).await;
        assertions::problem(&response, 503, "service_unavailable");
    }
    let start = Instant::now();
    assertions::problem(
        &send(&fixture.inventory, "POST", "/api/sales/orders", Some(&order)).await,
        503,
        "service_unavailable",
    );
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "an open circuit breaker rejects at once: {:?}",
        start.elapsed()
    );
    assertions::success(&send(&fixture.inventory, "GET", "/api/items", None).await, 200);

    platform.dynamodb().set_intercept(None);
    assertions::success(&send(&fixture.inventory, "GET", &customer, None).await, 200);
    let start = Instant::now();
    loop {
        let response = send(&fixture.inventory, "POST", "/api/sales/orders", Some(&order)).await;
        if response.status == 201 {
            break;
        }
        assertions::problem(&response, 503, "service_unavailable");
        assert!(start.elapsed() < DEADLINE, "{}", response.text);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let orders =
        send(&fixture.inventory, "GET", &format!("/api/sales/orders?customer_id={}", fixture.customer), None)
            .await;
    assert_eq!(orders.json()["meta"]["count"], Value::from(1), "rejected requests have no effect");
}
