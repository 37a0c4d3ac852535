//! One `Idempotency-Key`, one effect, one response.

use erp_client::{Client, Response};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::assertions;
use crate::fixture::{Fixture, contact, send_text, unique};
use crate::target::Target;

async fn with_key(client: &Client, method: &str, path: &str, key: &str, body: Option<&Value>) -> Response {
    let sent = client.send_with(method, path, &[("idempotency-key", key)], body.map(Value::to_string)).await;
    sent.unwrap_or_else(|error| panic!("{error}"))
}

fn replayed(response: &Response) -> bool {
    match response.header("idempotent-replayed") {
        None => false,
        Some(value) => {
            assert_eq!(value, "true");
            true
        }
    }
}

/// They all say the same, and one of them was the first.
#[track_caller]
fn one_effect(responses: &[Response], status: u16) {
    for response in responses {
        assertions::success(response, status);
        assert_eq!(response.text, responses[0].text);
        assert_eq!(response.header("etag"), responses[0].header("etag"));
        assert_eq!(response.header("location"), responses[0].header("location"));
    }
    assert_eq!(
        responses.iter().filter(|response| !replayed(response)).count(),
        1,
        "one of them was the first"
    );
}

#[tokio::test]
async fn the_same_request_again_has_one_effect_and_one_answer() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 100).await;
    let sale = fixture.sales_order_request(&[(&item, 3)]);
    let orders = format!("/api/sales/orders?customer_id={}", fixture.customer);

    // One after the other, and ten at once.
    let key = unique();
    let create = async || with_key(&fixture.inventory, "POST", "/api/sales/orders", &key, Some(&sale)).await;
    let one_by_one = [create().await, create().await];
    assert!(!replayed(&one_by_one[0]));
    one_effect(&one_by_one, 201);
    let key = unique();
    let at_once = join_all(
        (0..10).map(|_| with_key(&fixture.inventory, "POST", "/api/sales/orders", &key, Some(&sale))),
    )
    .await;
    one_effect(&at_once, 201);
    assert_eq!(fixture.pages(&orders).await.len(), 2);

    for responses in [one_by_one.as_slice(), &at_once] {
        let order = responses[0].header("location").unwrap();
        let (key, confirm) = (unique(), format!("{order}/confirm"));
        let confirmed =
            join_all((0..10).map(|_| with_key(&fixture.inventory, "POST", &confirm, &key, None))).await;
        one_effect(&confirmed, 200);
        fixture.wait_for_stock_status(order, "allocated").await;
        // Much later, when the order has moved on, the response is still the first.
        let late = with_key(&fixture.inventory, "POST", &confirm, &key, None).await;
        assert!(replayed(&late) && late.text == confirmed[0].text, "{}", late.text);
        let history = fixture.history(order).await;
        assert_eq!(
            history.iter().filter(|event| event["type"] == "sales.order.confirmed").count(),
            1,
            "{history:?}"
        );
    }
    assert_eq!(fixture.stock(&item).await, 94);

    let stock = format!("/api/items/{item}/stock");
    let key = unique();
    let body = json!({"quantity": 6});
    let adjusted =
        join_all((0..10).map(|_| with_key(&fixture.inventory, "PUT", &stock, &key, Some(&body)))).await;
    one_effect(&adjusted, 200);
    assert_eq!(fixture.stock(&item).await, 100);
}

#[tokio::test]
async fn registering_again_with_the_same_key_is_no_duplicate() {
    let target = Target::shared();
    let body = json!({"email": format!("{}@example.com", unique()), "password": "correct horse battery", "role": "inventory_manager"});
    let key = unique();
    let client = target.client();
    let responses =
        join_all((0..3).map(|_| with_key(&client, "POST", "/api/auth/register", &key, Some(&body)))).await;
    one_effect(&responses, 201);
    let other = with_key(&client, "POST", "/api/auth/register", &unique(), Some(&body)).await;
    assertions::problem(&other, 409, "duplicate_email");
}

#[tokio::test]
async fn a_key_belongs_to_its_caller_route_and_body() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let (key, body) = (unique(), contact("Acme"));
    let first = with_key(&fixture.inventory, "POST", "/api/customers", &key, Some(&body)).await;
    assertions::success(&first, 201);

    let other_body =
        with_key(&fixture.inventory, "POST", "/api/customers", &key, Some(&contact("Acme"))).await;
    assertions::problem(&other_body, 422, "idempotency_key_reused");
    let other_route = with_key(&fixture.inventory, "POST", "/api/vendors", &key, Some(&body)).await;
    assert!(other_route.status == 201 && !replayed(&other_route), "{}", other_route.text);
    let other_caller = with_key(&fixture.finance, "POST", "/api/customers", &key, Some(&body)).await;
    assertions::problem(&other_caller, 409, "duplicate_email");
    let other_caller = with_key(&fixture.finance, "POST", "/api/vendors", &key, Some(&contact("Acme"))).await;
    assert!(other_caller.status == 201 && !replayed(&other_caller), "{}", other_caller.text);

    let again = with_key(&fixture.inventory, "POST", "/api/customers", &key, Some(&body)).await;
    assert!(replayed(&again) && again.text == first.text, "{}", again.text);
}

#[tokio::test]
async fn a_refusal_is_the_answer_to_its_key_too() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 0).await;
    let order = fixture.create_sales_order(&[(&item, 1)]).await;
    let key = unique();
    let pay = async |key: &str| with_key(&fixture.finance, "POST", &format!("{order}/pay"), key, None).await;
    let refused = pay(&key).await;
    assertions::problem(&refused, 409, "illegal_transition");
    fixture.transition(&order, "confirm").await;
    let again = pay(&key).await;
    assert_eq!((again.status, &again.text), (409, &refused.text), "the key has its response");
    assert!(replayed(&again));
    assertions::success(&pay(&unique()).await, 200);
}

#[tokio::test]
async fn a_key_has_one_to_255_characters() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    for bad in [String::new(), "  ".to_owned(), "k".repeat(256)] {
        let response =
            with_key(&fixture.inventory, "POST", "/api/customers", &bad, Some(&contact("Acme"))).await;
        assertions::validation_errors(&response, &["Idempotency-Key"]);
    }
    // Of several, API Gateway's event has the last where functions look.
    let twice = [("idempotency-key", "first"), ("idempotency-key", "last")];
    let body = contact("Acme");
    let given = send_text(&fixture.inventory, "POST", "/api/customers", &twice, &body.to_string()).await;
    assertions::success(&given, 201);
    let again = with_key(&fixture.inventory, "POST", "/api/customers", "last", Some(&body)).await;
    assert!(replayed(&again) && again.text == given.text, "{}", again.text);
    // Keys are told apart to the last character, and by their letter case.
    let longest = "k".repeat(254);
    for good in
        ["k", "K", " ~!\"#$%&'()*+,/:;<=>?@[\\]^`{|} ", &format!("{longest}1"), &format!("{longest}2")]
    {
        let body = contact("Acme");
        let response = with_key(&fixture.inventory, "POST", "/api/customers", good, Some(&body)).await;
        assertions::success(&response, 201);
        assert!(!replayed(&response), "{good}");
        let again = with_key(&fixture.inventory, "POST", "/api/customers", good.trim(), Some(&body)).await;
        assert!(replayed(&again) && again.text == response.text, "{good}: {}", again.text);
    }
}
