//! One `Idempotency-Key`, one effect, one answer.

use erp_client::{Client, Response};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::check;
use crate::shop::{Shop, contact, send_text, unique};
use crate::site::Site;

async fn with_key(client: &Client, method: &str, path: &str, key: &str, body: Option<&Value>) -> Response {
    let sent = client.send_with(method, path, &[("idempotency-key", key)], body.map(Value::to_string)).await;
    sent.unwrap_or_else(|error| panic!("{error}"))
}

fn replayed(answer: &Response) -> bool {
    match answer.header("idempotent-replayed") {
        None => false,
        Some(value) => {
            assert_eq!(value, "true");
            true
        }
    }
}

/// They all say the same, and one of them was the first.
#[track_caller]
fn one_effect(answers: &[Response], status: u16) {
    for answer in answers {
        check::success(answer, status);
        assert_eq!(answer.text, answers[0].text);
        assert_eq!(answer.header("etag"), answers[0].header("etag"));
        assert_eq!(answer.header("location"), answers[0].header("location"));
    }
    assert_eq!(answers.iter().filter(|answer| !replayed(answer)).count(), 1, "one of them was the first");
}

#[tokio::test]
async fn the_same_request_again_has_one_effect_and_one_answer() {
    let site = Site::shared();
    let shop = Shop::open(&site).await;
    let item = shop.item("1.00", 100).await;
    let sale = shop.sale(&[(&item, 3)]);
    let orders = format!("/api/sales/orders?customer_id={}", shop.customer);

    // One after the other, and ten at once.
    let key = unique();
    let create = async || with_key(&shop.inventory, "POST", "/api/sales/orders", &key, Some(&sale)).await;
    let one_by_one = [create().await, create().await];
    assert!(!replayed(&one_by_one[0]));
    one_effect(&one_by_one, 201);
    let key = unique();
    let at_once =
        join_all((0..10).map(|_| with_key(&shop.inventory, "POST", "/api/sales/orders", &key, Some(&sale))))
            .await;
    one_effect(&at_once, 201);
    assert_eq!(shop.pages(&orders).await.len(), 2);

    for answers in [one_by_one.as_slice(), &at_once] {
        let order = answers[0].header("location").unwrap();
        let (key, confirm) = (unique(), format!("{order}/confirm"));
        let confirmed =
            join_all((0..10).map(|_| with_key(&shop.inventory, "POST", &confirm, &key, None))).await;
        one_effect(&confirmed, 200);
        shop.wait_for_stock_status(order, "allocated").await;
        // Much later, when the order has moved on, the answer is still the first.
        let late = with_key(&shop.inventory, "POST", &confirm, &key, None).await;
        assert!(replayed(&late) && late.text == confirmed[0].text, "{}", late.text);
        let history = shop.history(order).await;
        assert_eq!(
            history.iter().filter(|event| event["type"] == "sales.order.confirmed").count(),
            1,
            "{history:?}"
        );
    }
    assert_eq!(shop.stock(&item).await, 94);

    let stock = format!("/api/items/{item}/stock");
    let key = unique();
    let body = json!({"quantity": 6});
    let adjusted =
        join_all((0..10).map(|_| with_key(&shop.inventory, "PUT", &stock, &key, Some(&body)))).await;
    one_effect(&adjusted, 200);
    assert_eq!(shop.stock(&item).await, 100);
}

#[tokio::test]
async fn registering_again_with_the_same_key_is_no_duplicate() {
    let site = Site::shared();
    let body = json!({"email": format!("{}@example.com", unique()), "password": "correct horse battery", "role": "inventory_manager"});
    let key = unique();
    let client = site.client();
    let answers =
        join_all((0..3).map(|_| with_key(&client, "POST", "/api/auth/register", &key, Some(&body)))).await;
    one_effect(&answers, 201);
    let other = with_key(&client, "POST", "/api/auth/register", &unique(), Some(&body)).await;
    check::problem(&other, 409, "duplicate_email");
}

#[tokio::test]
async fn a_key_belongs_to_its_caller_route_and_body() {
    let site = Site::shared();
    let shop = Shop::open(&site).await;
    let (key, body) = (unique(), contact("Acme"));
    let first = with_key(&shop.inventory, "POST", "/api/customers", &key, Some(&body)).await;
    check::success(&first, 201);

    let other_body = with_key(&shop.inventory, "POST", "/api/customers", &key, Some(&contact("Acme"))).await;
    check::problem(&other_body, 422, "idempotency_key_reused");
    let other_route = with_key(&shop.inventory, "POST", "/api/vendors", &key, Some(&body)).await;
    assert!(other_route.status == 201 && !replayed(&other_route), "{}", other_route.text);
    let other_caller = with_key(&shop.finance, "POST", "/api/customers", &key, Some(&body)).await;
    check::problem(&other_caller, 409, "duplicate_email");
    let other_caller = with_key(&shop.finance, "POST", "/api/vendors", &key, Some(&contact("Acme"))).await;
    assert!(other_caller.status == 201 && !replayed(&other_caller), "{}", other_caller.text);

    let again = with_key(&shop.inventory, "POST", "/api/customers", &key, Some(&body)).await;
    assert!(replayed(&again) && again.text == first.text, "{}", again.text);
}

#[tokio::test]
async fn a_refusal_is_the_answer_to_its_key_too() {
    let site = Site::shared();
    let shop = Shop::open(&site).await;
    let item = shop.item("1.00", 0).await;
    let order = shop.order(&[(&item, 1)]).await;
    let key = unique();
    let pay = async |key: &str| with_key(&shop.finance, "POST", &format!("{order}/pay"), key, None).await;
    let refused = pay(&key).await;
    check::problem(&refused, 409, "illegal_transition");
    shop.transition(&order, "confirm").await;
    let again = pay(&key).await;
    assert_eq!((again.status, &again.text), (409, &refused.text), "the key has its answer");
    assert!(replayed(&again));
    check::success(&pay(&unique()).await, 200);
}

#[tokio::test]
async fn a_key_has_one_to_255_characters() {
    let site = Site::shared();
    let shop = Shop::open(&site).await;
    for bad in [String::new(), "  ".to_owned(), "k".repeat(256)] {
        let answer = with_key(&shop.inventory, "POST", "/api/customers", &bad, Some(&contact("Acme"))).await;
        check::faults(&answer, &["Idempotency-Key"]);
    }
    // Of several, API Gateway's event has the last where functions look.
    let twice = [("idempotency-key", "first"), ("idempotency-key", "last")];
    let body = contact("Acme");
    let given = send_text(&shop.inventory, "POST", "/api/customers", &twice, &body.to_string()).await;
    check::success(&given, 201);
    let again = with_key(&shop.inventory, "POST", "/api/customers", "last", Some(&body)).await;
    assert!(replayed(&again) && again.text == given.text, "{}", again.text);
    // Keys are told apart to the last character, and by their letter case.
    let longest = "k".repeat(254);
    for good in
        ["k", "K", " ~!\"#$%&'()*+,/:;<=>?@[\\]^`{|} ", &format!("{longest}1"), &format!("{longest}2")]
    {
        let body = contact("Acme");
        let answer = with_key(&shop.inventory, "POST", "/api/customers", good, Some(&body)).await;
        check::success(&answer, 201);
        assert!(!replayed(&answer), "{good}");
        let again = with_key(&shop.inventory, "POST", "/api/customers", good.trim(), Some(&body)).await;
        assert!(replayed(&again) && again.text == answer.text, "{good}: {}", again.text);
    }
}
