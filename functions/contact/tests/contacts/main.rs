//! Customers and vendors, over the real SDK and an embedded DynamoDB.
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod conditions;
mod idempotency;
mod requests;
mod text;

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use contact::store::ContactStore;
use erp_contracts::query::PartyQuery;
use erp_domain::time::{RandomIds, SystemClock};
use erp_domain::{Clock, PartyKind};
use erp_testkit::dynamo::{MAX_ITEM_BYTES, item_bytes};
use erp_testkit::{ApiRequest, Dynamo};
use serde_json::{Value, json};

async fn start() -> (Router, ContactStore) {
    let table = Dynamo::start().await.table("contact", &["list", "outbox"]).await;
    let store = ContactStore::new(table);
    let app = contact::config::build(store.clone(), Arc::new(SystemClock), Arc::new(RandomIds));
    (app.into_router(), store)
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
    assert_eq!(updated.data()["phone"], "", "PUT replaces all fields");

    // The previous address is free, the current one is not.
    let again = ApiRequest::inventory("POST", "/api/customers").json(&acme()).send(&router).await;
    assert_eq!(again.status, 201);
    let taken = ApiRequest::inventory("POST", "/api/customers")
        .json(&json!({"name": "x", "email": "NEW@acme.example"}))
        .send(&router)
        .await;
    assert_eq!(
        (taken.status, taken.code().as_str(), taken.invalid_fields()),
        (409, "duplicate_email", vec!["/email".into()])
    );

    let id = created.data()["id"].as_str().unwrap().parse().unwrap();
    let query = PartyQuery { kind: PartyKind::Customer, id };
    assert!(contact::query::respond(&store, query).await.unwrap().exists);
    let not_a_vendor = PartyQuery { kind: PartyKind::Vendor, id };
    assert!(!contact::query::respond(&store, not_a_vendor).await.unwrap().exists);

    assert_eq!(ApiRequest::inventory("DELETE", &path).send(&router).await.status, 403);
    let deleted = ApiRequest::finance("DELETE", &path).send(&router).await;
    assert_eq!((deleted.status, &deleted.json()["message"]), (200, &json!("Customer deleted successfully")));
    assert_eq!(ApiRequest::finance("GET", &path).send(&router).await.status, 404);
    assert_eq!(ApiRequest::finance("DELETE", &path).send(&router).await.status, 404);
    assert!(!contact::query::respond(&store, query).await.unwrap().exists);
    let reused = json!({"name": "y", "email": "new@acme.example"});
    assert_eq!(ApiRequest::finance("POST", "/api/customers").json(&reused).send(&router).await.status, 201);
}

#[tokio::test]
async fn a_list_is_read_to_its_end_while_it_grows() {
    let (router, _) = start().await;
    let mut created_names = Vec::new();
    for n in 0..25 {
        let body = json!({"name": format!("c{n}"), "email": format!("c{n}@x.example")});
        let created = ApiRequest::inventory("POST", "/api/customers").json(&body).send(&router).await;
        created_names.insert(0, created.data()["name"].as_str().unwrap().to_owned());
    }
    let names = |response: &erp_testkit::ApiResponse| -> Vec<String> {
        let rows = response.data();
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
    assert_eq!(seen, created_names, "newest first, each once, without rows added later");

    let all = names(&ApiRequest::inventory("GET", "/api/customers?limit=100").send(&router).await);
    let skipped = ApiRequest::inventory("GET", "/api/customers/?page=3&size=10").send(&router).await;
    assert_eq!(names(&skipped), all[20..]);
    assert_eq!(skipped.json()["meta"], json!({"limit": 10, "offset": 20, "count": 9, "next_cursor": null}));
    let beyond = ApiRequest::inventory("GET", "/api/customers?offset=500").send(&router).await;
    assert_eq!(beyond.json()["meta"]["count"], 0);
}

#[tokio::test]
async fn a_request_without_the_authorizers_context_is_unauthorized() {
    let (router, _) = start().await;
    let none = ApiRequest::new("GET", "/api/customers").send(&router).await;
    assert_eq!((none.status, none.header("www-authenticate")), (401, Some("Bearer")));
    let ended = erp_domain::Timestamp::from_millis(0);
    let expired = ApiRequest::finance("GET", "/api/customers").expires(ended).send(&router).await;
    assert_eq!(expired.status, 401, "the gateway may cache an authorization beyond the expiry of its token");
    let service = erp_domain::identity::Caller::Service { name: "reports".into() };
    let read = ApiRequest::new("GET", "/api/customers").caller(service.clone()).send(&router).await;
    let write = ApiRequest::new("POST", "/api/customers").caller(service).json(&acme()).send(&router).await;
    assert_eq!((read.status, write.status), (200, 403));
}

#[tokio::test]
async fn concurrent_updates_of_one_version_do_not_overwrite_each_other() {
    let (router, _) = start().await;
    let created = ApiRequest::inventory("POST", "/api/customers").json(&acme()).send(&router).await;
    let path = created.header("location").unwrap().to_owned();
    let change = |n: usize| {
        let body = json!({"name": format!("n{n}"), "email": "orders@acme.example"});
        ApiRequest::inventory("PUT", &path).header("If-Match", "\"1\"").json(&body)
    };
    let requests: Vec<_> = (0..10).map(change).collect();
    let responses =
        futures_util::future::join_all(requests.iter().map(|request| request.send(&router))).await;
    let mut statuses: Vec<_> = responses.iter().map(|response| response.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200], vec![412; 9]].concat());
}
