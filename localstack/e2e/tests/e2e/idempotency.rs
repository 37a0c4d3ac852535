//! Requests with an `Idempotency-Key`.

use std::time::Instant;

use erp_client::{Client, Response};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::assertions;
use crate::fixture::{
    DEADLINE, Fixture, contact, location, registration, retry_after, send_text, unique, unique_email,
};
use crate::target::Target;

async fn send_with_key(
    client: &Client,
    method: &str,
    path: &str,
    key: &str,
    body: Option<&Value>,
) -> Response {
    let result =
        client.send_with(method, path, &[("idempotency-key", key)], body.map(Value::to_string)).await;
    result.unwrap_or_else(|error| panic!("{error}"))
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

/// Asserts that all responses are the same, and that exactly one is not a stored one.
#[track_caller]
fn assert_one_effect(responses: &[Response], status: u16) {
    for response in responses {
        assertions::success(response, status);
        assert_eq!(response.text, responses[0].text);
        assert_eq!(response.header("etag"), responses[0].header("etag"));
        assert_eq!(response.header("location"), responses[0].header("location"));
    }
    assert_eq!(
        responses.iter().filter(|response| !replayed(response)).count(),
        1,
        "one response is the first"
    );
}

#[tokio::test]
async fn a_repeated_request_has_one_effect_and_one_response() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 100).await;
    let sale = fixture.sales_order_request(&[(&item, 3)]);
    let orders = format!("/api/sales/orders?customer_id={}", fixture.customer);

    // One after the other, and ten concurrently.
    let key = unique();
    let create =
        async || send_with_key(&fixture.inventory, "POST", "/api/sales/orders", &key, Some(&sale)).await;
    let sequential = [create().await, create().await];
    assert!(!replayed(&sequential[0]));
    assert_one_effect(&sequential, 201);
    let key = unique();
    let concurrent = join_all(
        (0..10).map(|_| send_with_key(&fixture.inventory, "POST", "/api/sales/orders", &key, Some(&sale))),
    )
    .await;
    assert_one_effect(&concurrent, 201);
    assert_eq!(fixture.pages(&orders).await.len(), 2);

    for responses in [sequential.as_slice(), &concurrent] {
        let order = &location(&fixture.inventory, &responses[0]);
        let (key, confirm) = (unique(), format!("{order}/confirm"));
        let confirmed =
            join_all((0..10).map(|_| send_with_key(&fixture.inventory, "POST", &confirm, &key, None))).await;
        assert_one_effect(&confirmed, 200);
        fixture.wait_for_stock_status(order, "allocated").await;
        // Also after later changes of the order.
        let late = send_with_key(&fixture.inventory, "POST", &confirm, &key, None).await;
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
        join_all((0..10).map(|_| send_with_key(&fixture.inventory, "PUT", &stock, &key, Some(&body)))).await;
    assert_one_effect(&adjusted, 200);
    assert_eq!(fixture.stock(&item).await, 100);
}

#[tokio::test]
async fn a_repeated_registration_is_no_duplicate() {
    let target = Target::shared();
    let body = registration(&unique_email());
    let key = unique();
    let client = target.client();
    let responses =
        join_all((0..3).map(|_| send_with_key(&client, "POST", "/api/auth/register", &key, Some(&body))))
            .await;
    assert_one_effect(&responses, 201);
    let other = send_with_key(&client, "POST", "/api/auth/register", &unique(), Some(&body)).await;
    assertions::problem(&other, 409, "duplicate_email");
}

#[tokio::test]
async fn a_key_belongs_to_its_caller_route_and_body() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let (key, body) = (unique(), contact("Acme"));
    let first = send_with_key(&fixture.inventory, "POST", "/api/customers", &key, Some(&body)).await;
    assertions::success(&first, 201);

    let other_body =
        send_with_key(&fixture.inventory, "POST", "/api/customers", &key, Some(&contact("Acme"))).await;
    assertions::problem(&other_body, 422, "idempotency_key_reused");
    let other_route = send_with_key(&fixture.inventory, "POST", "/api/vendors", &key, Some(&body)).await;
    assert!(other_route.status == 201 && !replayed(&other_route), "{}", other_route.text);
    let other_caller = send_with_key(&fixture.finance, "POST", "/api/customers", &key, Some(&body)).await;
    assertions::problem(&other_caller, 409, "duplicate_email");
    let other_caller =
        send_with_key(&fixture.finance, "POST", "/api/vendors", &key, Some(&contact("Acme"))).await;
    assert!(other_caller.status == 201 && !replayed(&other_caller), "{}", other_caller.text);

    let again = send_with_key(&fixture.inventory, "POST", "/api/customers", &key, Some(&body)).await;
    assert!(replayed(&again) && again.text == first.text, "{}", again.text);
}

#[tokio::test]
async fn a_rejection_does_not_bind_a_key() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 0).await;
    let order = fixture.create_sales_order(&[(&item, 1)]).await;
    let (inventory, confirm) = (&fixture.inventory, format!("{order}/confirm"));

    // The stock is insufficient; after a receipt the same request is carried out.
    let (key, body) = (unique(), json!({"require_stock": true}));
    let rejected = send_with_key(inventory, "POST", &confirm, &key, Some(&body)).await;
    assertions::problem(&rejected, 409, "insufficient_stock");
    fixture.adjust(&item, 1).await;
    let confirmed = send_with_key(inventory, "POST", &confirm, &key, Some(&body)).await;
    assertions::success(&confirmed, 200);
    assert!(!replayed(&confirmed));

    // A corrected body may have the key of the invalid one.
    let key = unique();
    let invalid =
        send_with_key(inventory, "POST", "/api/customers", &key, Some(&json!({"name": "Acme"}))).await;
    assertions::validation_errors(&invalid, &["/email"]);
    let valid = send_with_key(inventory, "POST", "/api/customers", &key, Some(&contact("Acme"))).await;
    assertions::success(&valid, 201);
}

#[tokio::test]
async fn a_lost_race_is_503_and_succeeds_with_the_same_key() {
    const UPDATES: u64 = 60;
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let customer = format!("/api/customers/{}", fixture.customer);
    let keys: Vec<_> = (0..UPDATES).map(|_| (unique(), contact("Acme"))).collect();
    let put = async |(key, body): &(String, Value)| {
        let start = Instant::now();
        loop {
            let response = send_with_key(&fixture.inventory, "PUT", &customer, key, Some(body)).await;
            match response.status {
                503 => drop(assertions::problem(&response, 503, "service_unavailable")),
                _ => return response,
            }
            assert!(start.elapsed() < DEADLINE, "{}", response.text);
            tokio::time::sleep(retry_after(Some(&response))).await;
        }
    };
    let mut versions = Vec::new();
    for response in join_all(keys.iter().map(put)).await {
        versions.push(assertions::success(&response, 200)["version"].as_u64().unwrap());
    }
    versions.sort_unstable();
    assert_eq!(versions, (2..UPDATES + 2).collect::<Vec<_>>(), "every update took effect once");
}

#[tokio::test]
async fn a_request_is_the_same_by_its_meaning() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 0).await;
    let (upper_case, encoded) = (item.to_uppercase(), item.replace('-', "%2d"));
    let key = unique();
    let mut responses = Vec::new();
    for (id, body) in [
        (&item, r#"{"quantity":3,"reason":"delivery"}"#),
        (&upper_case, "{ \"reason\": \"delivery\",\n \"quantity\": 3 }"),
        (&encoded, r#"{"quantity":3,"reason":"delivery"}"#),
    ] {
        let (path, headers) = (format!("/api/items/{id}/stock"), [("idempotency-key", key.as_str())]);
        responses.push(send_text(&fixture.inventory, "PUT", &path, &headers, body).await);
    }
    assert_one_effect(&responses, 200);
    assert_eq!(fixture.stock(&item).await, 3);
}

#[tokio::test]
async fn a_key_has_1_to_255_visible_characters_and_is_given_once() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    for bad in [String::new(), "  ".to_owned(), "k".repeat(256)] {
        let response =
            send_with_key(&fixture.inventory, "POST", "/api/customers", &bad, Some(&contact("Acme"))).await;
        assertions::validation_errors(&response, &["Idempotency-Key"]);
    }
    let (headers, body) =
        ([("idempotency-key", "first"), ("idempotency-key", "last")], contact("Acme").to_string());
    let twice = send_text(&fixture.inventory, "POST", "/api/customers", &headers, &body).await;
    assertions::validation_errors(&twice, &["Idempotency-Key"]);
    // Keys differ by every character, and by letter case.
    let longest = "k".repeat(254);
    for good in
        ["k", "K", " ~!\"#$%&'()*+,/:;<=>?@[\\]^`{|} ", &format!("{longest}1"), &format!("{longest}2")]
    {
        let body = contact("Acme");
        let response = send_with_key(&fixture.inventory, "POST", "/api/customers", good, Some(&body)).await;
        assertions::success(&response, 201);
        assert!(!replayed(&response), "{good}");
        let again =
            send_with_key(&fixture.inventory, "POST", "/api/customers", good.trim(), Some(&body)).await;
        assert!(replayed(&again) && again.text == response.text, "{good}: {}", again.text);
    }
}
