//! One `Idempotency-Key`, one effect, one response.

use erp_domain::{Money, PartyKind};
use erp_testkit::{ApiRequest, ApiResponse};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{ORDERS, TestService, id};

fn replayed(response: &ApiResponse) -> bool {
    response.header("Idempotent-Replayed") == Some("true")
}

#[tokio::test]
async fn a_repeated_creation_has_one_effect_and_the_same_response() {
    let service = TestService::start().await;
    let create =
        |body: &Value| ApiRequest::finance("POST", ORDERS).header("Idempotency-Key", "k1").json(body);
    let body = service.body();
    let first = create(&body).send(&service.router).await;
    let again = create(&body).send(&service.router).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert!(!replayed(&first) && replayed(&again));
    assert_eq!(first.text, again.text);
    for name in ["ETag", "Location"] {
        assert_eq!(first.header(name), again.header(name), "{name}");
    }
    assert_eq!(service.count("ORDER#").await, 1);

    let other = create(&service.body()).send(&service.router).await;
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency_key_reused"));
    service.clock.advance_seconds(24 * 60 * 60 + 1);
    assert_eq!(create(&service.body()).send(&service.router).await.status, 201, "the key is free again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_record_frees_the_key_before_its_row_is_deleted() {
    let service = TestService::start().await;
    let create = |body: &Value| ApiRequest::finance("POST", ORDERS).header("Idempotency-Key", "k").json(body);
    let first = create(&service.body()).send(&service.router).await;
    service.clock.advance_seconds(24 * 60 * 60 - 1);
    let early = create(&service.body()).send(&service.router).await;
    assert_eq!((early.status, early.code().as_str()), (422, "idempotency_key_reused"), "a second too early");
    service.clock.advance_seconds(1);
    assert_eq!(service.count("IDEMPOTENCY#").await, 1, "TTL has not deleted it yet");

    // Of many requests at that second one has an effect, and its record replaces the expired one.
    let body = service.body();
    let created = send_concurrently(&service, &create(&body)).await;
    assert!(created.iter().all(|response| response.status == 201 && response.text == created[0].text));
    assert_ne!(created[0].text, first.text);
    assert_eq!((service.count("ORDER#").await, service.count("IDEMPOTENCY#").await), (2, 1));
}

#[tokio::test]
async fn the_precondition_identifies_the_request() {
    let service = TestService::start().await;
    let order = service.draft().await;
    let put = |tag: &str, body: &Value| {
        ApiRequest::finance("PUT", &format!("{ORDERS}/{order}"))
            .header("Idempotency-Key", "k")
            .header("If-Match", tag)
            .json(body)
    };
    let body = service.body();
    let first = put("\"1\"", &body).send(&service.router).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let other = put("\"2\"", &body).send(&service.router).await;
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency_key_reused"));
    let again = put("\"1\"", &body).send(&service.router).await;
    assert!(replayed(&again) && again.text == first.text, "not 412, though the version has moved on");
}

#[tokio::test]
async fn a_key_is_visible_ascii() {
    let service = TestService::start().await;
    for bad in ["clé", "ключ"] {
        let create = ApiRequest::finance("POST", ORDERS).header("Idempotency-Key", bad).json(&service.body());
        let rejected = create.send(&service.router).await;
        assert_eq!(
            (rejected.status, rejected.invalid_fields()),
            (400, vec!["Idempotency-Key".to_owned()]),
            "{bad:?}"
        );
    }
    assert_eq!(service.count("ORDER#").await, 0);
}

#[tokio::test]
async fn a_rejected_request_binds_no_key() {
    let service = TestService::start().await;
    let unknown = "01890000-0000-7000-8000-000000000001";
    let invalid = json!({"customer_id": unknown, "items": service.body()["items"]});
    let create = |body: &Value| ApiRequest::finance("POST", ORDERS).header("Idempotency-Key", "k").json(body);
    for body in [&invalid, &json!({"items": 1})] {
        assert_eq!(create(body).send(&service.router).await.status, 400);
    }
    // The same request, once the reason is gone.
    service.upstreams.add_party(PartyKind::Customer, unknown.parse().unwrap());
    let created = create(&invalid).send(&service.router).await;
    assert_eq!((created.status, replayed(&created)), (201, false), "{}", created.text);
    assert!(replayed(&create(&invalid).send(&service.router).await));
}

#[tokio::test]
async fn a_corrected_request_may_reuse_the_key_of_a_rejected_one() {
    let service = TestService::start().await;
    let create = |body: &Value| ApiRequest::finance("POST", ORDERS).header("Idempotency-Key", "k").json(body);
    let mut body = service.body();
    body["items"][0]["quantity"] = json!(0);
    assert_eq!(create(&body).send(&service.router).await.status, 400);
    body["items"][0]["quantity"] = json!(1);
    assert_eq!(create(&body).send(&service.router).await.status, 201);
    assert_eq!(service.count("ORDER#").await, 1);
}

#[tokio::test]
async fn a_confirmation_rejected_for_stock_succeeds_under_the_same_key_once_stock_is_available() {
    let service = TestService::start().await;
    let item = service.item(100, 1);
    let body = json!({"customer_id": service.customer(), "items": [{"item_id": item, "quantity": 2}]});
    let order = id(&service.create(&body).await);
    let confirm = ApiRequest::finance("POST", &format!("{ORDERS}/{order}/confirm"))
        .header("Idempotency-Key", "k")
        .json(&json!({"require_stock": true}));
    let rejected = confirm.send(&service.router).await;
    assert_eq!((rejected.status, rejected.code().as_str()), (409, "insufficient_stock"));
    service.upstreams.add_item(item, Money::from_minor(100).unwrap(), 2);
    let confirmed = confirm.send(&service.router).await;
    assert_eq!((confirmed.status, replayed(&confirmed)), (200, false), "{}", confirmed.text);
}

#[tokio::test]
async fn key_order_and_white_space_do_not_make_another_request() {
    let service = TestService::start().await;
    let (customer, item) = (service.customer(), service.item(100, 1));
    let bodies = [
        format!(r#"{{"customer_id":"{customer}","items":[{{"item_id":"{item}","quantity":1}}]}}"#),
        format!(r#" {{"items": [ {{"quantity": 1, "item_id": "{item}"}} ], "customer_id": "{customer}"}}"#),
    ];
    let mut responses = Vec::new();
    for body in &bodies {
        let create = ApiRequest::finance("POST", ORDERS).header("Idempotency-Key", "k");
        responses.push(create.text(body, "application/json").send(&service.router).await);
    }
    assert_eq!((responses[0].status, &responses[0].text), (201, &responses[1].text));
    assert!(replayed(&responses[1]));
    assert_eq!(service.count("ORDER#").await, 1);
}

#[tokio::test]
async fn the_spelling_of_an_id_in_the_path_does_not_make_another_request() {
    let service = TestService::start().await;
    let order = service.draft().await;
    let body = service.body();
    let spellings = [order.clone(), order.to_uppercase(), order.replace('-', "%2d")];
    for (n, spelling) in spellings.iter().enumerate() {
        let put = ApiRequest::finance("PUT", &format!("{ORDERS}/{spelling}"));
        let put = put.header("Idempotency-Key", "k").json(&body).send(&service.router).await;
        assert_eq!((put.status, replayed(&put)), (200, n > 0), "{spelling}: {}", put.text);
    }
    assert_eq!(service.read(&order).await["order"]["version"], 2, "one effect");
}

#[tokio::test]
async fn a_key_is_given_once() {
    let service = TestService::start().await;
    let create = ApiRequest::finance("POST", ORDERS).json(&service.body());
    let create = create.header("Idempotency-Key", "a").header("Idempotency-Key", "b");
    let rejected = create.send(&service.router).await;
    assert_eq!((rejected.status, rejected.invalid_fields()), (400, vec!["Idempotency-Key".to_owned()]));
}

#[tokio::test]
async fn a_repeated_confirmation_has_one_effect_and_the_same_response() {
    let service = TestService::start().await;
    let order = service.draft().await;
    let confirm =
        ApiRequest::finance("POST", &format!("{ORDERS}/{order}/confirm")).header("Idempotency-Key", "k1");
    let first = confirm.send(&service.router).await;
    assert_eq!(service.act(&order, "pay").await.status, 200);
    let again = confirm.send(&service.router).await;
    assert_eq!((first.status, again.status), (200, 200));
    assert!(!replayed(&first) && replayed(&again));
    assert_eq!(first.text, again.text, "the response of that time");
    assert_eq!(service.outbox().await.len(), 2, "one event each for confirm and pay");

    let without = service.act(&order, "confirm").await;
    assert_eq!(without.status, 409, "without the key it is another request");
    let same_key_elsewhere =
        ApiRequest::finance("POST", &format!("{ORDERS}/{order}/cancel")).header("Idempotency-Key", "k1");
    assert_eq!(same_key_elsewhere.send(&service.router).await.status, 409, "the same key of another route");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_with_one_key_have_one_effect_and_one_response() {
    let service = TestService::start().await;
    let create = ApiRequest::finance("POST", ORDERS).header("Idempotency-Key", "c").json(&service.body());
    let created = send_concurrently(&service, &create).await;
    assert!(created.iter().all(|response| response.status == 201 && response.text == created[0].text));
    assert_eq!(created.iter().filter(|response| !replayed(response)).count(), 1);
    assert_eq!(service.count("ORDER#").await, 1);

    let path = format!("{ORDERS}/{}/confirm", id(&created[0].data()));
    let confirm = ApiRequest::finance("POST", &path).header("Idempotency-Key", "c");
    let confirmed = send_concurrently(&service, &confirm).await;
    assert!(confirmed.iter().all(|response| response.status == 200 && response.text == confirmed[0].text));
    assert_eq!(service.outbox().await.len(), 1);
}

async fn send_concurrently(service: &TestService, request: &ApiRequest) -> Vec<ApiResponse> {
    let mut running = JoinSet::new();
    for _ in 0..8 {
        let (router, request) = (service.router.clone(), request.clone());
        running.spawn(async move { request.send(&router).await });
    }
    running.join_all().await
}
