//! One key, one effect, one answer.

use erp_testkit::{ApiAnswer, ApiRequest};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{House, ORDERS, id};

fn replayed(answer: &ApiAnswer) -> bool {
    answer.header("Idempotent-Replayed") == Some("true")
}

#[tokio::test]
async fn a_creation_that_is_asked_for_twice_is_done_once_and_answered_alike() {
    let house = House::start().await;
    let create =
        |body: &Value| ApiRequest::finance("POST", ORDERS).header("Idempotency-Key", "k1").json(body);
    let body = house.body();
    let first = create(&body).send(&house.router).await;
    let again = create(&body).send(&house.router).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert!(!replayed(&first) && replayed(&again));
    assert_eq!(first.text, again.text);
    for name in ["ETag", "Location"] {
        assert_eq!(first.header(name), again.header(name), "{name}");
    }
    assert_eq!(house.count("ORDER#").await, 1);

    let other = create(&house.body()).send(&house.router).await;
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency_key_reused"));
    house.clock.advance_seconds(24 * 60 * 60 + 1);
    assert_eq!(create(&house.body()).send(&house.router).await.status, 201, "the key is free again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_has_expired_counts_as_none_though_its_row_is_there() {
    let house = House::start().await;
    let create = |body: &Value| ApiRequest::finance("POST", ORDERS).header("Idempotency-Key", "k").json(body);
    let first = create(&house.body()).send(&house.router).await;
    house.clock.advance_seconds(24 * 60 * 60 - 1);
    let early = create(&house.body()).send(&house.router).await;
    assert_eq!((early.status, early.code().as_str()), (422, "idempotency_key_reused"), "a second too early");
    house.clock.advance_seconds(1);
    assert_eq!(house.count("IDEMPOTENCY#").await, 1, "nobody deleted it");

    // Free to the second, for whoever comes first of many: one effect, one answer, in the place of the old one.
    let body = house.body();
    let created = together(&house, &create(&body)).await;
    assert!(created.iter().all(|answer| answer.status == 201 && answer.text == created[0].text));
    assert_ne!(created[0].text, first.text);
    assert_eq!((house.count("ORDER#").await, house.count("IDEMPOTENCY#").await), (2, 1));
}

#[tokio::test]
async fn a_condition_is_part_of_what_was_asked() {
    let house = House::start().await;
    let order = house.draft().await;
    let put = |tag: &str, body: &Value| {
        ApiRequest::finance("PUT", &format!("{ORDERS}/{order}"))
            .header("Idempotency-Key", "k")
            .header("If-Match", tag)
            .json(body)
    };
    let body = house.body();
    let first = put("\"1\"", &body).send(&house.router).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let other = put("\"2\"", &body).send(&house.router).await;
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency_key_reused"));
    let again = put("\"1\"", &body).send(&house.router).await;
    assert!(replayed(&again) && again.text == first.text, "not 412, though the version has moved on");
}

#[tokio::test]
async fn a_key_is_visible_ascii() {
    let house = House::start().await;
    for bad in ["clé", "ключ"] {
        let create = ApiRequest::finance("POST", ORDERS).header("Idempotency-Key", bad).json(&house.body());
        let refused = create.send(&house.router).await;
        assert_eq!((refused.status, refused.faults()), (400, vec!["Idempotency-Key".to_owned()]), "{bad:?}");
    }
    assert_eq!(house.count("ORDER#").await, 0);
}

#[tokio::test]
async fn a_refusal_is_answered_alike_too() {
    let house = House::start().await;
    let body = json!({"customer_id": "01890000-0000-7000-8000-000000000001", "items": house.body()["items"]});
    let create = ApiRequest::finance("POST", ORDERS).header("Idempotency-Key", "k").json(&body);
    let first = create.send(&house.router).await;
    house.world.add_party(
        erp_domain::contact::ContactKind::Customer,
        body["customer_id"].as_str().unwrap().parse().unwrap(),
    );
    let again = create.send(&house.router).await;
    assert_eq!((first.status, again.status), (400, 400));
    assert_eq!(first.text, again.text);
    assert!(replayed(&again));
}

#[tokio::test]
async fn a_confirmation_that_is_asked_for_twice_is_done_once_and_answered_alike() {
    let house = House::start().await;
    let order = house.draft().await;
    let confirm =
        ApiRequest::finance("POST", &format!("{ORDERS}/{order}/confirm")).header("Idempotency-Key", "k1");
    let first = confirm.send(&house.router).await;
    assert_eq!(house.act(&order, "pay").await.status, 200);
    let again = confirm.send(&house.router).await;
    assert_eq!((first.status, again.status), (200, 200));
    assert!(!replayed(&first) && replayed(&again));
    assert_eq!(first.text, again.text, "as it was then");
    assert_eq!(house.outbox().await.len(), 2, "confirmed and paid");

    let without = house.act(&order, "confirm").await;
    assert_eq!(without.status, 409, "without the key it is another request");
    let same_key_elsewhere =
        ApiRequest::finance("POST", &format!("{ORDERS}/{order}/cancel")).header("Idempotency-Key", "k1");
    assert_eq!(same_key_elsewhere.send(&house.router).await.status, 409, "the same key of another route");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_many_times_at_once_has_one_effect_and_one_answer() {
    let house = House::start().await;
    let create = ApiRequest::finance("POST", ORDERS).header("Idempotency-Key", "c").json(&house.body());
    let created = together(&house, &create).await;
    assert!(created.iter().all(|answer| answer.status == 201 && answer.text == created[0].text));
    assert_eq!(created.iter().filter(|answer| !replayed(answer)).count(), 1);
    assert_eq!(house.count("ORDER#").await, 1);

    let path = format!("{ORDERS}/{}/confirm", id(&created[0].data()));
    let confirm = ApiRequest::finance("POST", &path).header("Idempotency-Key", "c");
    let confirmed = together(&house, &confirm).await;
    assert!(confirmed.iter().all(|answer| answer.status == 200 && answer.text == confirmed[0].text));
    assert_eq!(house.outbox().await.len(), 1);
}

async fn together(house: &House, request: &ApiRequest) -> Vec<ApiAnswer> {
    let mut running = JoinSet::new();
    for _ in 0..8 {
        let (router, request) = (house.router.clone(), request.clone());
        running.spawn(async move { request.send(&router).await });
    }
    running.join_all().await
}
