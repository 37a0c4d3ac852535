//! Every condition of a write by itself: what would be overwritten without it stays as it is. Ids that are drawn twice
//! are never seen in real life, and that is why they are made here.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use erp_contracts::data::{Change, ItemChanged};
use erp_contracts::{Along, Cause, Event, StoreError};
use erp_domain::item::{Item, ItemDetails};
use erp_domain::ports::SystemClock;
use erp_domain::stock::{Allocation, AllocationState, Move, Movement, MovementKind, Stock};
use erp_domain::{Clock, Id, Money, Sku};
use erp_testkit::dynamo::rows;
use inventory::ports::{AllocationConflict, AllocationStore, Conflict, ItemStore};
use inventory::store::DynamoStore;
use uuid::Uuid;

use crate::Inventory;

async fn store() -> DynamoStore {
    Inventory::start().await.store
}

fn details(sku: &str) -> ItemDetails {
    let sku = Sku::parse(sku).unwrap();
    ItemDetails { name: "thing".into(), description: String::new(), sku, unit_price: Money::ZERO }
}

fn item(id: Uuid, sku: &str) -> Item {
    Item::create(Id::new(id), details(sku), SystemClock.now())
}

fn changed(item: &Item, sku: &str) -> Item {
    item.update(details(sku), SystemClock.now())
}

/// An event with this id.
fn event(id: Uuid, item: &Item) -> Along {
    let kind = Change::Created.of_item();
    let data = ItemChanged::from(item);
    let event = Event::new(id, kind, item.id, SystemClock.now(), &Cause::default(), &data).unwrap();
    Along { event: Some(event), record: None }
}

fn fresh(item: &Item) -> Along {
    event(Uuid::now_v7(), item)
}

/// A new item, and its stock as it is read.
async fn saved(store: &DynamoStore, sku: &str) -> (Item, Stock) {
    let item = item(Uuid::now_v7(), sku);
    store.insert(&item, &fresh(&item)).await.unwrap();
    ItemStore::find(store, item.id).await.unwrap().unwrap()
}

fn movement(id: Uuid, item: &Item, change: i64) -> Movement {
    let (kind, at) = (MovementKind::Adjusted, SystemClock.now());
    Movement { id, item_id: item.id, change, kind, order_id: None, reason: None, at }
}

async fn delete_row(store: &DynamoStore, pk: String, sk: &str) {
    let table = store.table();
    let delete = table.client.delete_item().table_name(&table.name);
    let delete = delete.key("pk", AttributeValue::S(pk)).key("sk", AttributeValue::S(sk.into()));
    delete.send().await.unwrap();
}

#[tokio::test]
async fn an_id_that_is_drawn_twice_overwrites_neither_item_nor_stock() {
    let store = store().await;
    for left in ["ITEM", "STOCK"] {
        let (first, stock) = saved(&store, &format!("A-{left}")).await;
        store.adjust(&stock, Some(&movement(Uuid::now_v7(), &first, 7)), &fresh(&first)).await.unwrap();
        // Each of the two rows is protected without the other.
        delete_row(&store, format!("ITEM#{}", first.id), if left == "ITEM" { "STOCK" } else { "ITEM" }).await;
        let before = rows(store.table()).await;
        let second = item(first.id.uuid(), &format!("B-{left}"));
        store.insert(&second, &fresh(&second)).await.unwrap_err();
        assert_eq!(rows(store.table()).await, before, "{left}");
    }
}

#[tokio::test]
async fn an_event_id_that_is_drawn_twice_overwrites_no_event() {
    let (store, id) = (store().await, Uuid::now_v7());
    let old = item(Uuid::now_v7(), "A");
    store.insert(&old, &event(id, &old)).await.unwrap();
    let before = rows(store.table()).await;
    let new = changed(&old, "A");
    store.replace(&old, &new, &event(id, &new)).await.unwrap_err();
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn an_sku_is_taken_once() {
    let store = store().await;
    saved(&store, "A").await;
    let (other, _) = saved(&store, "B").await;
    let before = rows(store.table()).await;
    let second = item(Uuid::now_v7(), "A");
    let taken = store.insert(&second, &fresh(&second)).await;
    assert!(matches!(taken, Err(StoreError::Conflict(Conflict::SkuTaken))), "{taken:?}");
    let new = changed(&other, "A");
    let taken = store.replace(&other, &new, &fresh(&new)).await;
    assert!(matches!(taken, Err(StoreError::Conflict(Conflict::SkuTaken))), "{taken:?}");
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn what_was_read_too_long_ago_is_neither_replaced_nor_deleted_nor_moved() {
    let store = store().await;
    let (old, stock) = saved(&store, "A").await;
    let new = changed(&old, "A");
    store.replace(&old, &new, &fresh(&new)).await.unwrap();
    store.adjust(&stock, Some(&movement(Uuid::now_v7(), &new, 7)), &fresh(&new)).await.unwrap();
    let before = rows(store.table()).await;
    let late = [
        store.replace(&old, &new, &fresh(&new)).await,
        store.delete(&old, &fresh(&old)).await,
        store.adjust(&stock, Some(&movement(Uuid::now_v7(), &new, 7)), &fresh(&new)).await,
    ];
    for late in late {
        assert!(matches!(late, Err(StoreError::Conflict(Conflict::Stale))), "{late:?}");
    }
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn an_sku_that_another_holds_is_not_freed() {
    let store = store().await;
    let (item, _) = saved(&store, "A").await;
    // No code of ours does that: the SKU is given to another item.
    let table = store.table();
    let steal = table.client.update_item().table_name(&table.name);
    let steal = steal.key("pk", AttributeValue::S("SKU#A".into()));
    let steal = steal.key("sk", AttributeValue::S("GUARD".into())).update_expression("SET id = :id");
    let thief = AttributeValue::S(Uuid::now_v7().to_string());
    steal.expression_attribute_values(":id", thief).send().await.unwrap();
    let before = rows(table).await;
    store.delete(&item, &fresh(&item)).await.unwrap_err();
    let new = changed(&item, "B");
    store.replace(&item, &new, &fresh(&new)).await.unwrap_err();
    assert_eq!(rows(table).await, before);
}

#[tokio::test]
async fn a_movement_id_that_is_drawn_twice_overwrites_no_movement() {
    let (store, id) = (store().await, Uuid::now_v7());
    let (item, stock) = saved(&store, "A").await;
    store.adjust(&stock, Some(&movement(id, &item, 7)), &fresh(&item)).await.unwrap();
    let (_, stock) = ItemStore::find(&store, item.id).await.unwrap().unwrap();
    let before = rows(store.table()).await;
    store.adjust(&stock, Some(&movement(id, &item, -2)), &fresh(&item)).await.unwrap_err();
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn the_stock_of_an_item_that_is_gone_is_not_adjusted() {
    let store = store().await;
    let (item, stock) = saved(&store, "A").await;
    store.delete(&item, &fresh(&item)).await.unwrap();
    let before = rows(store.table()).await;
    let late = store.adjust(&stock, Some(&movement(Uuid::now_v7(), &item, 7)), &fresh(&item)).await;
    assert!(matches!(late, Err(StoreError::Conflict(Conflict::Stale))), "{late:?}");
    assert_eq!(rows(store.table()).await, before);
}

/// What inventory holds for an order of three of an item.
fn allocation(item: Id<Item>, state: AllocationState, kind: MovementKind) -> Allocation {
    Allocation {
        order_id: Id::new(Uuid::now_v7()),
        state,
        demand: BTreeMap::from([(item, 3)]),
        sequence: 1,
        since: SystemClock.now(),
        moves: vec![Move { id: Uuid::now_v7(), kind, at: SystemClock.now() }],
    }
}

#[tokio::test]
async fn an_order_is_decided_once_and_each_state_of_it_is_left_once() {
    let store = store().await;
    let (item, _) = saved(&store, "A").await;
    let received = allocation(item.id, AllocationState::Received, MovementKind::Received);
    AllocationStore::save(&store, None, &received, None).await.unwrap();
    let before = rows(store.table()).await;
    let again = AllocationStore::save(&store, None, &received, None).await;
    assert!(matches!(again, Err(StoreError::Conflict(AllocationConflict::Stale))), "{again:?}");
    assert_eq!(rows(store.table()).await, before);

    let held = allocation(item.id, AllocationState::Allocated, MovementKind::Allocated);
    AllocationStore::save(&store, None, &held, None).await.unwrap();
    let back = Move { id: Uuid::now_v7(), kind: MovementKind::Released, at: SystemClock.now() };
    let moves = held.moves.iter().copied().chain([back]).collect();
    let released = Allocation { state: AllocationState::Released, sequence: 2, moves, ..held.clone() };
    AllocationStore::save(&store, Some(&held), &released, None).await.unwrap();
    let before = rows(store.table()).await;
    let again = AllocationStore::save(&store, Some(&held), &released, None).await;
    assert!(matches!(again, Err(StoreError::Conflict(AllocationConflict::Stale))), "{again:?}");
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn stock_that_is_not_there_is_neither_taken_nor_added_to() {
    let store = store().await;
    let (item, _) = saved(&store, "A").await;
    let before = rows(store.table()).await;
    let takes = allocation(item.id, AllocationState::Allocated, MovementKind::Allocated);
    let brings = allocation(Id::new(Uuid::now_v7()), AllocationState::Received, MovementKind::Received);
    for impossible in [takes, brings] {
        let saved = AllocationStore::save(&store, None, &impossible, None).await;
        assert!(matches!(saved, Err(StoreError::Conflict(AllocationConflict::Short))), "{saved:?}");
    }
    assert_eq!(rows(store.table()).await, before);
}
