//! Customers and vendors, over the real SDK and an embedded DynamoDB.
#![expect(clippy::unwrap_used, reason = "tests: there a panic is the report")]

mod conditions;

use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use contact::store::DynamoStore;
use erp_contracts::question::ContactQuestion;
use erp_domain::Clock;
use erp_domain::contact::ContactKind;
use erp_domain::ports::SystemClock;
use erp_testkit::dynamo::{MAX_ITEM_BYTES, item_bytes};
use erp_testkit::{ApiRequest, Dynamo};
use serde_json::{Value, json};

async fn start() -> (Router, DynamoStore) {
    let table = Dynamo::start().await.table("contact", &["list", "outbox"]).await;
    let store = DynamoStore::new(table);
    (contact::config::assemble(store.clone()).into_router(), store)
}

fn acme() -> Value {
    json!({"name": "Acme", "email": "Orders@Acme.example", "phone": "1", "address": "Main Street"})
}

#[tokio::test]
async fn a_customer_lives_from_create_to_delete() {
    let (router, store) = start().await;
    let created = ApiRequest::inventory("POST", "/api/customers").json(&acme()).send(&router).await;
    assert_eq!((created.status, &created.json()["message"]), (201, &json!("Customer created successfully")));
    assert_eq!(created.data()["email"], "orders@acme.example");
    assert_eq!(created.header("etag"), Some("\"1\""));
    assert_eq!(created.header("x-request-id"), Some("test-request"));
    let path = created.header("location").unwrap().to_owned();

    let got = ApiRequest::inventory("GET", &path).send(&router).await;
    assert_eq!(got.data(), created.data());

    let renamed = json!({"name": "Acme Ltd", "email": "new@acme.example"});
    let stale =
        ApiRequest::inventory("PUT", &path).header("If-Match", "\"7\"").json(&renamed).send(&router).await;
    assert_eq!((stale.status, stale.code().as_str()), (412, "version_mismatch"));
    let updated =
        ApiRequest::inventory("PUT", &path).header("If-Match", "\"1\"").json(&renamed).send(&router).await;
    assert_eq!((updated.status, updated.header("etag")), (200, Some("\"2\"")));
    assert_eq!(updated.data()["phone"], "", "PUT replaces the whole");

    // The address it had is free, the one it has is not.
    let again = ApiRequest::inventory("POST", "/api/customers").json(&acme()).send(&router).await;
    assert_eq!(again.status, 201);
    let taken = ApiRequest::inventory("POST", "/api/customers")
        .json(&json!({"name": "x", "email": "NEW@acme.example"}))
        .send(&router)
        .await;
    assert_eq!(
        (taken.status, taken.code().as_str(), taken.faults()),
        (409, "duplicate_email", vec!["/email".into()])
    );

    let id = created.data()["id"].as_str().unwrap().parse().unwrap();
    let ask = ContactQuestion { kind: ContactKind::Customer, id };
    assert!(contact::query::answer(&store, ask).await.unwrap().exists);
    let not_a_vendor = ContactQuestion { kind: ContactKind::Vendor, id };
    assert!(!contact::query::answer(&store, not_a_vendor).await.unwrap().exists);

    assert_eq!(ApiRequest::inventory("DELETE", &path).send(&router).await.status, 403);
    let deleted = ApiRequest::finance("DELETE", &path).send(&router).await;
    assert_eq!((deleted.status, &deleted.json()["message"]), (200, &json!("Customer deleted successfully")));
    assert_eq!(ApiRequest::finance("GET", &path).send(&router).await.status, 404);
    assert_eq!(ApiRequest::finance("DELETE", &path).send(&router).await.status, 404);
    assert!(!contact::query::answer(&store, ask).await.unwrap().exists);
    let reused = json!({"name": "y", "email": "new@acme.example"});
    assert_eq!(ApiRequest::finance("POST", "/api/customers").json(&reused).send(&router).await.status, 201);
}

#[tokio::test]
async fn one_key_has_one_effect_and_one_answer() {
    let (router, _) = start().await;
    let post = |key: &str, body: &Value| {
        ApiRequest::inventory("POST", "/api/vendors").header("Idempotency-Key", key).json(body)
    };
    // At once and one after the other: all the same.
    let request = post("k1", &acme());
    let (a, b, c) = tokio::join!(request.send(&router), request.send(&router), request.send(&router));
    let d = request.send(&router).await;
    for answer in [&a, &b, &c, &d] {
        assert_eq!((answer.status, &answer.text), (201, &a.text));
        assert_eq!(answer.header("location"), a.header("location"));
    }
    assert_eq!(d.header("idempotent-replayed"), Some("true"));
    let list = ApiRequest::inventory("GET", "/api/vendors").send(&router).await;
    assert_eq!(list.json()["meta"]["count"], 1);

    let mut other = acme();
    other["name"] = json!("Other");
    let reused = post("k1", &other).send(&router).await;
    assert_eq!((reused.status, reused.code().as_str()), (422, "idempotency_key_reused"));

    // A refusal is an answer too, even when the reason for it is gone.
    let refused = post("k2", &acme()).send(&router).await;
    assert_eq!(refused.status, 409);
    let path = a.header("location").unwrap().to_owned();
    assert_eq!(ApiRequest::finance("DELETE", &path).send(&router).await.status, 200);
    let replayed = post("k2", &acme()).send(&router).await;
    assert_eq!((replayed.status, &replayed.text), (409, &refused.text));
    // Another caller's key is another key.
    let caller = ApiRequest::finance("POST", "/api/vendors").header("Idempotency-Key", "k2").json(&acme());
    assert_eq!(caller.send(&router).await.status, 201);
    let long = "k".repeat(256);
    assert_eq!(post(&long, &acme()).send(&router).await.faults(), ["Idempotency-Key"]);
}

#[tokio::test]
async fn an_answer_that_has_expired_counts_as_none_though_its_row_is_there() {
    let (router, store) = start().await;
    let create = async || {
        ApiRequest::inventory("POST", "/api/customers")
            .header("Idempotency-Key", "k")
            .json(&acme())
            .send(&router)
            .await
    };
    let first = create().await;
    assert_eq!((first.status, create().await.text), (201, first.text));

    let table = store.table();
    let rows = table.client.scan().table_name(&table.name).send().await.unwrap().items.unwrap();
    let mortal: Vec<_> = rows.iter().filter(|row| row.contains_key("expires_at")).collect();
    assert_eq!(mortal.len(), 1, "no other kind of row expires: {mortal:?}");
    let update = table.client.update_item().table_name(&table.name);
    let update = update.key("pk", mortal[0]["pk"].clone()).key("sk", mortal[0]["sk"].clone());
    let now = AttributeValue::N(SystemClock.now().as_seconds().to_string());
    let update = update.update_expression("SET expires_at = :now").expression_attribute_values(":now", now);
    update.send().await.unwrap();

    let again = create().await;
    assert_eq!((again.status, again.code().as_str()), (409, "duplicate_email"), "a new request");
    assert_eq!(create().await.header("idempotent-replayed"), Some("true"), "and this is its answer");
}

#[tokio::test]
async fn the_longest_texts_fit_into_their_rows() {
    let (router, store) = start().await;
    for letter in ["🦀", "\""] {
        let longest = json!({
            "name": letter.repeat(255), "phone": letter.repeat(50), "address": letter.repeat(500),
            "email": format!("{}@{}.example", longest_local_part(letter), "a".repeat(60)),
        });
        let create = ApiRequest::inventory("POST", "/api/vendors").header("Idempotency-Key", letter.len());
        let created = create.json(&longest).send(&router).await;
        assert_eq!(created.status, 201, "{}", created.text);
        assert_eq!(created.data()["address"], longest["address"]);
    }
    let table = store.table();
    let rows = table.client.scan().table_name(&table.name).send().await.unwrap().items.unwrap();
    let largest = rows.iter().map(item_bytes).max().unwrap();
    assert!(largest < MAX_ITEM_BYTES / 8, "far from the limit: {largest} bytes");
}

/// An address's longest local part, another for each letter.
fn longest_local_part(letter: &str) -> String {
    format!("{}{}", letter.len(), "b".repeat(60))
}

#[tokio::test]
async fn a_list_is_read_to_its_end_while_it_grows() {
    let (router, _) = start().await;
    let mut made = Vec::new();
    for n in 0..25 {
        let body = json!({"name": format!("c{n}"), "email": format!("c{n}@x.example")});
        let created = ApiRequest::inventory("POST", "/api/customers").json(&body).send(&router).await;
        made.insert(0, created.data()["name"].as_str().unwrap().to_owned());
    }
    let names = |answer: &erp_testkit::ApiAnswer| -> Vec<String> {
        let rows = answer.data();
        rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    let mut seen = Vec::new();
    let mut path = "/api/customers?limit=7".to_owned();
    loop {
        let page = ApiRequest::inventory("GET", &path).send(&router).await;
        seen.extend(names(&page));
        let late = json!({"name": "late", "email": format!("late{}@x.example", seen.len())});
        assert_eq!(
            ApiRequest::inventory("POST", "/api/customers").json(&late).send(&router).await.status,
            201
        );
        match page.json()["meta"]["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/customers?limit=7&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, made, "newest first, each once, and none that came later");

    let all = names(&ApiRequest::inventory("GET", "/api/customers?limit=100").send(&router).await);
    let skipped = ApiRequest::inventory("GET", "/api/customers/?page=3&size=10").send(&router).await;
    assert_eq!(names(&skipped), all[20..]);
    assert_eq!(skipped.json()["meta"], json!({"limit": 10, "offset": 20, "count": 9, "next_cursor": null}));
    let beyond = ApiRequest::inventory("GET", "/api/customers?offset=500").send(&router).await;
    assert_eq!(beyond.json()["meta"]["count"], 0);
}

#[tokio::test]
async fn a_bad_request_says_all_that_is_wrong() {
    let (router, _) = start().await;
    let post = || ApiRequest::inventory("POST", "/api/customers");
    let faults =
        post().json(&json!({"name": "", "email": "nope", "phone": 5, "vip": true})).send(&router).await;
    assert_eq!((faults.status, faults.code().as_str()), (400, "validation_failed"));
    assert_eq!(faults.faults(), ["/name", "/email", "/phone", "/vip"]);
    assert_eq!(faults.header("content-type"), Some("application/problem+json"));
    let body = faults.json();
    assert_eq!((&body["instance"], &body["request_id"]), (&json!("/api/customers"), &json!("test-request")));

    assert_eq!(post().text("{", "application/json").send(&router).await.code(), "malformed_json");
    assert_eq!(post().text("{}", "text/plain").send(&router).await.status, 415);
    let large = json!({"name": "a".repeat(1024 * 1024)});
    assert_eq!(post().json(&large).send(&router).await.status, 413);
    for verb in ["PATCH", "HEAD"] {
        let answer = ApiRequest::inventory(verb, "/api/customers").send(&router).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET,POST")), "{verb}");
    }
    assert_eq!(ApiRequest::inventory("GET", "/api/nothing").send(&router).await.status, 404);
    let id = ApiRequest::inventory("GET", "/api/customers/42").send(&router).await;
    assert_eq!((id.status, id.faults()), (400, vec!["id".to_owned()]));
    let unknown = "/api/customers/01890000-0000-7000-8000-000000000005";
    assert_eq!(ApiRequest::inventory("GET", unknown).send(&router).await.status, 404);
    assert_eq!(
        ApiRequest::inventory("GET", "/api/customers?limit=0&colour=red").send(&router).await.faults(),
        ["limit", "colour"]
    );
}

#[tokio::test]
async fn nobody_acts_without_the_authorizers_word() {
    let (router, _) = start().await;
    let none = ApiRequest::new("GET", "/api/customers").send(&router).await;
    assert_eq!((none.status, none.header("www-authenticate")), (401, Some("Bearer")));
    let ended = erp_domain::Timestamp::from_millis(0);
    let expired = ApiRequest::finance("GET", "/api/customers").expires(ended).send(&router).await;
    assert_eq!(expired.status, 401, "the gateway may remember a token for longer than it lasts");
    let service = erp_domain::identity::Caller::Service { name: "reports".into() };
    let read = ApiRequest::new("GET", "/api/customers").caller(service.clone()).send(&router).await;
    let write = ApiRequest::new("POST", "/api/customers").caller(service).json(&acme()).send(&router).await;
    assert_eq!((read.status, write.status), (200, 403));
}

#[tokio::test]
async fn two_who_change_the_same_version_do_not_overwrite_each_other() {
    let (router, _) = start().await;
    let created = ApiRequest::inventory("POST", "/api/customers").json(&acme()).send(&router).await;
    let path = created.header("location").unwrap().to_owned();
    let change = |n: usize| {
        let body = json!({"name": format!("n{n}"), "email": "orders@acme.example"});
        ApiRequest::inventory("PUT", &path).header("If-Match", "\"1\"").json(&body)
    };
    let requests: Vec<_> = (0..10).map(change).collect();
    let answers = futures_util::future::join_all(requests.iter().map(|request| request.send(&router))).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200], vec![412; 9]].concat());
}
