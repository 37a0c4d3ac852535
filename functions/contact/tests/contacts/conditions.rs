//! Every condition of a write by itself: what would be overwritten without it stays as it is. Ids that are drawn twice
//! are never seen in real life, and that is why they are made here.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use contact::ports::{Conflict, ContactStore};
use contact::store::DynamoStore;
use erp_aws::answers::Answers;
use erp_contracts::data::{Change, ContactChanged};
use erp_contracts::{
    Along, Answer, AnswerStore, Cause, Event, IdempotencyKey, IdempotencyRecord, StoreError,
};
use erp_domain::contact::{Contact, ContactDetails, ContactKind};
use erp_domain::ports::SystemClock;
use erp_domain::{Clock, Email, Id};
use erp_testkit::dynamo::rows;
use uuid::Uuid;

async fn store() -> DynamoStore {
    super::start().await.1
}

fn details(email: &str) -> ContactDetails {
    let email = Email::parse(email).unwrap();
    ContactDetails { name: "Acme".into(), email, phone: String::new(), address: String::new() }
}

fn customer(id: Uuid, email: &str) -> Contact {
    Contact::create(Id::new(id), ContactKind::Customer, details(email), SystemClock.now())
}

fn changed(contact: &Contact, email: &str) -> Contact {
    contact.update(details(email), SystemClock.now())
}

/// An event with this id.
fn event(id: Uuid, contact: &Contact) -> Along {
    let kind = Change::Created.of_contact(contact.kind);
    let data = ContactChanged::from(contact);
    let event = Event::new(id, kind, contact.id, SystemClock.now(), &Cause::default(), &data).unwrap();
    Along { event: Some(event), record: None }
}

#[tokio::test]
async fn an_id_that_is_drawn_twice_overwrites_no_contact() {
    let (store, id) = (store().await, Uuid::now_v7());
    let first = customer(id, "a@example.com");
    store.insert(&first, &event(Uuid::now_v7(), &first)).await.unwrap();
    let before = rows(store.table()).await;
    let second = customer(id, "b@example.com");
    store.insert(&second, &event(Uuid::now_v7(), &second)).await.unwrap_err();
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn an_event_id_that_is_drawn_twice_overwrites_no_event() {
    let (store, id) = (store().await, Uuid::now_v7());
    let contact = customer(Uuid::now_v7(), "a@example.com");
    store.insert(&contact, &event(id, &contact)).await.unwrap();
    let before = rows(store.table()).await;
    let new = changed(&contact, "a@example.com");
    store.replace(&contact, &new, &event(id, &new)).await.unwrap_err();
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn an_address_is_taken_once() {
    let store = store().await;
    let first = customer(Uuid::now_v7(), "a@example.com");
    store.insert(&first, &event(Uuid::now_v7(), &first)).await.unwrap();
    let other = customer(Uuid::now_v7(), "b@example.com");
    store.insert(&other, &event(Uuid::now_v7(), &other)).await.unwrap();
    let before = rows(store.table()).await;
    let second = customer(Uuid::now_v7(), "a@example.com");
    let taken = store.insert(&second, &event(Uuid::now_v7(), &second)).await;
    assert!(matches!(taken, Err(StoreError::Conflict(Conflict::EmailTaken))), "{taken:?}");
    let new = changed(&other, "a@example.com");
    let taken = store.replace(&other, &new, &event(Uuid::now_v7(), &new)).await;
    assert!(matches!(taken, Err(StoreError::Conflict(Conflict::EmailTaken))), "{taken:?}");
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn what_was_read_too_long_ago_is_neither_replaced_nor_deleted() {
    let store = store().await;
    let old = customer(Uuid::now_v7(), "a@example.com");
    store.insert(&old, &event(Uuid::now_v7(), &old)).await.unwrap();
    let new = changed(&old, "a@example.com");
    store.replace(&old, &new, &event(Uuid::now_v7(), &new)).await.unwrap();
    let before = rows(store.table()).await;
    let late = store.replace(&old, &new, &event(Uuid::now_v7(), &new)).await;
    assert!(matches!(late, Err(StoreError::Conflict(Conflict::Stale))), "{late:?}");
    let late = store.delete(&old, &event(Uuid::now_v7(), &old)).await;
    assert!(matches!(late, Err(StoreError::Conflict(Conflict::Stale))), "{late:?}");
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn an_address_that_another_holds_is_not_freed() {
    let store = store().await;
    let contact = customer(Uuid::now_v7(), "a@example.com");
    store.insert(&contact, &event(Uuid::now_v7(), &contact)).await.unwrap();
    // No code of ours does that: the address is given to somebody else.
    let table = store.table();
    let steal = table.client.update_item().table_name(&table.name);
    let steal = steal.key("pk", AttributeValue::S("EMAIL#CUSTOMER#a@example.com".into()));
    let steal = steal.key("sk", AttributeValue::S("GUARD".into())).update_expression("SET id = :id");
    let thief = AttributeValue::S(Uuid::now_v7().to_string());
    steal.expression_attribute_values(":id", thief).send().await.unwrap();
    let before = rows(table).await;
    store.delete(&contact, &event(Uuid::now_v7(), &contact)).await.unwrap_err();
    let new = changed(&contact, "b@example.com");
    store.replace(&contact, &new, &event(Uuid::now_v7(), &new)).await.unwrap_err();
    assert_eq!(rows(table).await, before);
}

#[tokio::test]
async fn an_answer_is_kept_once_until_it_expires() {
    let store = store().await;
    let answers = Answers { table: store.table().clone(), clock: Arc::new(SystemClock) };
    let now = SystemClock.now();
    let record = |status, now: erp_domain::Timestamp| IdempotencyRecord {
        key: IdempotencyKey { scope: "scope".into(), fingerprint: "print".into() },
        answer: Answer { status, body: "{}".into(), etag: None, location: None },
        created_at: now,
        expires_at: now.plus_seconds(60),
    };
    answers.keep_answer(&record(409, now)).await.unwrap();
    let before = rows(store.table()).await;
    let second = answers.keep_answer(&record(412, now)).await;
    assert!(matches!(second, Err(StoreError::Answered)), "{second:?}");
    let contact = customer(Uuid::now_v7(), "a@example.com");
    let along = Along { record: Some(record(201, now)), ..event(Uuid::now_v7(), &contact) };
    let second = store.insert(&contact, &along).await;
    assert!(matches!(second, Err(StoreError::Answered)), "{second:?}");
    assert_eq!(rows(store.table()).await, before);
    answers.keep_answer(&record(412, now.plus_seconds(61))).await.unwrap();
}
