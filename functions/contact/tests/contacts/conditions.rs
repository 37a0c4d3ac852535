//! Every condition of a write by itself: without it, the write would overwrite something. Duplicate random ids
//! do not occur in practice, so these tests make them.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use contact::domain::{Contact, ContactDetails, ContactError};
use contact::store::ContactStore;
use erp_contracts::data::ContactChanged;
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::time::SystemClock;
use erp_domain::{Clock, EmailAddress, Id, PartyKind};
use erp_service::{Change, Committer, IdempotencyKey, SaveError, ServiceError, StoredResponse, WriteRequest};
use erp_testkit::TestClock;
use erp_testkit::dynamo::rows;
use uuid::Uuid;

async fn store() -> ContactStore {
    super::start().await.1
}

fn details(email: &str) -> ContactDetails {
    let email = EmailAddress::parse(email).unwrap();
    ContactDetails { name: "Acme".into(), email, phone: String::new(), address: String::new() }
}

fn customer(id: Uuid, email: &str) -> Contact {
    Contact::create(Id::new(id), PartyKind::Customer, details(email), SystemClock.now())
}

fn changed(contact: &Contact, email: &str) -> Contact {
    contact.update(details(email), SystemClock.now())
}

/// Creates an event with this id.
fn event(id: Uuid, contact: &Contact) -> Event {
    let (now, data) = (SystemClock.now(), ContactChanged::from(contact));
    Event::new(id, EventKind::CustomerCreated, contact.id(), now, &Cause::default(), &data).unwrap()
}

fn new_event(contact: &Contact) -> Event {
    event(Uuid::now_v7(), contact)
}

type Saved = Result<Contact, SaveError<ContactError>>;

async fn insert(store: &ContactStore, contact: &Contact, event: &Event) -> Saved {
    store.insert(contact, event)?.save(store.table()).await
}

async fn replace(store: &ContactStore, old: &Contact, new: &Contact, event: &Event) -> Saved {
    store.replace(old, new, event)?.save(store.table()).await
}

async fn delete(store: &ContactStore, contact: &Contact) -> Saved {
    store.delete(contact, &new_event(contact))?.save(store.table()).await
}

fn is_taken(saved: &Saved) -> bool {
    let taken = ContactError::EmailTaken(PartyKind::Customer);
    matches!(saved, Err(SaveError::Failed(ServiceError::Rejected(error))) if *error == taken)
}

#[tokio::test]
async fn a_duplicate_id_overwrites_no_contact() {
    let (store, id) = (store().await, Uuid::now_v7());
    let first = customer(id, "a@example.com");
    insert(&store, &first, &new_event(&first)).await.unwrap();
    let before = rows(store.table()).await;
    let second = customer(id, "b@example.com");
    insert(&store, &second, &new_event(&second)).await.unwrap_err();
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn a_duplicate_event_id_overwrites_no_event() {
    let (store, id) = (store().await, Uuid::now_v7());
    let contact = customer(Uuid::now_v7(), "a@example.com");
    insert(&store, &contact, &event(id, &contact)).await.unwrap();
    let before = rows(store.table()).await;
    let new = changed(&contact, "a@example.com");
    replace(&store, &contact, &new, &event(id, &new)).await.unwrap_err();
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn an_email_address_is_taken_once() {
    let store = store().await;
    let first = customer(Uuid::now_v7(), "a@example.com");
    insert(&store, &first, &new_event(&first)).await.unwrap();
    let other = customer(Uuid::now_v7(), "b@example.com");
    insert(&store, &other, &new_event(&other)).await.unwrap();
    let before = rows(store.table()).await;
    let second = customer(Uuid::now_v7(), "a@example.com");
    let taken = insert(&store, &second, &new_event(&second)).await;
    assert!(is_taken(&taken), "{taken:?}");
    let new = changed(&other, "a@example.com");
    let taken = replace(&store, &other, &new, &new_event(&new)).await;
    assert!(is_taken(&taken), "{taken:?}");
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn a_stale_version_is_neither_replaced_nor_deleted() {
    let store = store().await;
    let old = customer(Uuid::now_v7(), "a@example.com");
    insert(&store, &old, &new_event(&old)).await.unwrap();
    let new = changed(&old, "a@example.com");
    replace(&store, &old, &new, &new_event(&new)).await.unwrap();
    let before = rows(store.table()).await;
    let late = replace(&store, &old, &new, &new_event(&new)).await;
    assert!(matches!(late, Err(SaveError::Stale)), "{late:?}");
    let late = delete(&store, &old).await;
    assert!(matches!(late, Err(SaveError::Stale)), "{late:?}");
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn an_email_address_of_another_contact_is_not_freed() {
    let store = store().await;
    let contact = customer(Uuid::now_v7(), "a@example.com");
    insert(&store, &contact, &new_event(&contact)).await.unwrap();
    // No code of the platform does this: the guard is given to another contact.
    let table = store.table();
    let update = table.client.update_item().table_name(&table.name);
    let update = update.key("pk", AttributeValue::S("EMAIL#CUSTOMER#a@example.com".into()));
    let update = update.key("sk", AttributeValue::S("GUARD".into())).update_expression("SET id = :id");
    let other = AttributeValue::S(Uuid::now_v7().to_string());
    update.expression_attribute_values(":id", other).send().await.unwrap();
    let before = rows(table).await;
    delete(&store, &contact).await.unwrap_err();
    let new = changed(&contact, "b@example.com");
    replace(&store, &contact, &new, &new_event(&new)).await.unwrap_err();
    assert_eq!(rows(table).await, before);
}

/// The key is bound between the look-up and the transaction, so the condition of the record alone decides.
#[tokio::test]
async fn a_response_is_stored_once_until_it_expires() {
    let store = store().await;
    let clock = Arc::new(TestClock::default());
    let committer = Committer::new(store.table().clone(), clock.clone(), Arc::new([]));
    let write = |request: &str| {
        let key = IdempotencyKey { key: "key".into(), scope: "scope".into(), request: request.into() };
        WriteRequest { key: Some(key), ..WriteRequest::default() }
    };
    let render = |contact: &Contact| {
        let body = contact.id().to_string();
        Ok(StoredResponse { status: 201, body, etag: None, location: None })
    };
    let decide = async |email: &str| -> Result<Change<Contact, ContactError>, ServiceError<ContactError>> {
        let contact = customer(Uuid::now_v7(), email);
        Ok(store.insert(&contact, &new_event(&contact))?)
    };
    let late = async || {
        let change = decide("b@example.com").await;
        committer.commit(&write("a"), || decide("c@example.com"), render).await?;
        change
    };
    let replayed = committer.commit(&write("a"), late, render).await.unwrap();
    assert!(replayed.replayed);
    let before = rows(store.table()).await;
    assert!(
        format!("{before:?}").contains("c@example.com") && !format!("{before:?}").contains("b@example.com")
    );
    let same = committer.commit(&write("a"), || decide("a@example.com"), render).await.unwrap();
    assert_eq!((same.replayed, &same.response), (true, &replayed.response));
    let other = committer.commit(&write("b"), || decide("d@example.com"), render).await;
    assert!(matches!(other, Err(ServiceError::KeyReused)), "{other:?}");
    assert_eq!(rows(store.table()).await, before);

    clock.advance_seconds(erp_service::IDEMPOTENCY_SECONDS);
    let expired = committer.commit(&write("b"), || decide("d@example.com"), render).await.unwrap();
    assert!(!expired.replayed);
}

/// Every attempt loads a version that a concurrent update replaces before the transaction.
#[tokio::test]
async fn a_change_that_loses_every_attempt_is_contended_and_binds_no_key() {
    let store = store().await;
    let contact = customer(Uuid::now_v7(), "a@example.com");
    insert(&store, &contact, &new_event(&contact)).await.unwrap();
    let committer = Committer::new(store.table().clone(), Arc::new(SystemClock), Arc::new([]));
    let key = IdempotencyKey { key: "key".into(), scope: "scope".into(), request: "request".into() };
    let write = WriteRequest { key: Some(key), ..WriteRequest::default() };
    let render = |contact: &Contact| {
        let body = contact.version().to_string();
        Ok(StoredResponse { status: 200, body, etag: None, location: None })
    };
    let decide =
        async |concurrent: bool| -> Result<Change<Contact, ContactError>, ServiceError<ContactError>> {
            let old = store.find(contact.kind(), contact.id()).await?.unwrap();
            let new = changed(&old, "a@example.com");
            if concurrent {
                replace(&store, &old, &new, &new_event(&new)).await.unwrap();
            }
            Ok(store.replace(&old, &new, &new_event(&new))?)
        };
    let lost = committer.commit(&write, || decide(true), render).await;
    assert!(matches!(lost, Err(ServiceError::Contended)), "{lost:?}");
    let attempts = store.find(contact.kind(), contact.id()).await.unwrap().unwrap().version() - 1;
    assert_eq!(attempts, 8, "bounded");
    let retried = committer.commit(&write, || decide(false), render).await.unwrap();
    assert_eq!((retried.replayed, retried.response.body.as_str()), (false, "10"));
}
