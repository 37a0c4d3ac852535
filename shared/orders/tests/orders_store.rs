//! The questions to contact and inventory, over HTTP to something that answers as Lambda does; and the conditions of
//! the store, one by one. How they hold when many write at once is tested with sales orders.
#![expect(clippy::unwrap_used, reason = "tests: there a panic is the report")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use erp_aws::ask::Asker;
use erp_contracts::{Along, StoreError};
use erp_domain::contact::ContactKind;
use erp_domain::order::{Lines, NewLine, Order, OrderKind, Transition};
use erp_domain::ports::RandomIds;
use erp_domain::{Clock, Id, Ids, LineQuantity, Money};
use erp_orders::ask::{ContactFunction, InventoryFunction};
use erp_orders::ports::{Items, OrderStore, Parties, Stale};
use erp_orders::store::DynamoStore;
use erp_testkit::{Dynamo, TestClock};
use serde_json::{Value, json};

/// What was asked: the function and the payload.
type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// Answers every question with `answer`, or with an error of the function.
async fn lambda(answer: Result<Value, &'static str>) -> (aws_sdk_lambda::Client, Asked) {
    let asked = Asked::default();
    let state = (asked.clone(), answer);
    let invoke = async |Path(function): Path<String>,
                        State((asked, answer)): State<(Asked, Result<Value, &'static str>)>,
                        body: String|
           -> Response {
        asked.lock().unwrap().push((function, serde_json::from_str(&body).unwrap()));
        match answer {
            Ok(answer) => answer.to_string().into_response(),
            Err(message) => {
                let error = json!({"errorMessage": message}).to_string();
                (StatusCode::OK, [("x-amz-function-error", "Unhandled")], error).into_response()
            }
        }
    };
    let path = "/2015-03-31/functions/{function}/invocations";
    let router = axum::Router::new().route(path, axum::routing::post(invoke)).with_state(state);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    let config = aws_sdk_lambda::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::for_tests())
        .endpoint_url(endpoint);
    (aws_sdk_lambda::Client::from_conf(config.build()), asked)
}

fn id<T>() -> Id<T> {
    Id::new(RandomIds.next())
}

#[tokio::test]
async fn contact_is_asked_for_one_customer_or_vendor() {
    for exists in [true, false] {
        let (client, asked) = lambda(Ok(json!({"exists": exists}))).await;
        let contact = ContactFunction(Asker::new(client, "contact-query".to_owned()));
        let party = id();
        assert_eq!(contact.exists(ContactKind::Vendor, party).await.unwrap(), exists);
        let question = json!({"kind": "vendor", "id": party});
        assert_eq!(*asked.lock().unwrap(), [("contact-query".to_owned(), question)]);
    }
}

#[tokio::test]
async fn inventory_is_asked_once_for_all_items() {
    let [there, gone] = [id(), id()];
    let answer = json!({"items": [{"id": there, "unit_price": 90000.00, "quantity": 7}]});
    let (client, asked) = lambda(Ok(answer)).await;
    let inventory = InventoryFunction(Asker::new(client, "inventory-query".to_owned()));
    let facts = inventory.facts(BTreeSet::from([there, gone])).await.unwrap();
    assert_eq!(facts.keys().collect::<Vec<_>>(), [&there]);
    assert_eq!((facts[&there].unit_price.minor(), facts[&there].quantity), (9_000_000, 7));
    let question = json!({"items": [there, gone]});
    assert_eq!(*asked.lock().unwrap(), [("inventory-query".to_owned(), question)]);
}

#[tokio::test]
async fn an_error_of_the_other_side_is_no_answer() {
    let (client, asked) = lambda(Err("the table is down")).await;
    let contact = ContactFunction(Asker::new(client.clone(), "contact-query".to_owned()));
    let unanswered = contact.exists(ContactKind::Customer, id()).await.unwrap_err();
    assert!(unanswered.0.to_string().contains("the table is down"), "for the log: {}", unanswered.0);
    assert_eq!(asked.lock().unwrap().len(), 2, "asked again once");
    let inventory = InventoryFunction(Asker::new(client, "inventory-query".to_owned()));
    assert!(inventory.facts(BTreeSet::from([id()])).await.is_err());
}

#[tokio::test]
async fn a_write_on_what_is_no_longer_there_is_stale_and_writes_nothing() {
    let table = Dynamo::start().await.table("sales", &["list", "status", "party", "outbox"]).await;
    let store = DynamoStore::new(table, OrderKind::Sales);
    let (now, along) = (TestClock::default().now(), Along { event: None, record: None });
    let line = |quantity| {
        let quantity = LineQuantity::new(quantity).unwrap();
        let line = NewLine { item_id: id(), quantity, unit_price: Money::from_minor(150).unwrap() };
        Lines::price(&[line], &RandomIds).unwrap()
    };
    let stale = |written| assert!(matches!(written, Err(StoreError::Conflict(Stale))), "{written:?}");

    let read = Order::draft(id(), OrderKind::Sales, id(), line(1), "USD".to_owned(), now);
    store.insert(&read, &along).await.unwrap();
    assert!(store.insert(&read, &along).await.is_err(), "an id is used once");
    let revised = read.revise(id(), line(2), now).unwrap();
    store.revise(&read, &revised, &along).await.unwrap();

    // The same status, but another version.
    stale(store.revise(&read, &read.revise(id(), line(3), now).unwrap(), &along).await);
    stale(store.advance(&read, &read.apply(Transition::Confirm, now).unwrap(), &along).await);
    stale(store.advance(&read, &read.apply(Transition::Cancel, now).unwrap(), &along).await);
    assert_eq!(store.find(read.id).await.unwrap(), Some(revised.clone()));

    // The same version, but another status: nothing writes that, and it is refused all the same.
    let done = revised.apply(Transition::Cancel, now).unwrap();
    store.advance(&revised, &done, &along).await.unwrap();
    let claimed = Order { version: done.order.version, ..revised.clone() };
    stale(store.revise(&claimed, &claimed.revise(id(), line(3), now).unwrap(), &along).await);
    stale(store.advance(&claimed, &claimed.apply(Transition::Confirm, now).unwrap(), &along).await);
    stale(store.advance(&claimed, &claimed.apply(Transition::Cancel, now).unwrap(), &along).await);
    assert_eq!(store.find(read.id).await.unwrap(), Some(done.order));
}
