//! Every condition of a write by itself: without it, a row would be overwritten. Ids are unique in practice, so the tests
//! use one twice.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use erp_contracts::data::ItemChanged;
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::time::SystemClock;
use erp_domain::{Clock, Id, ItemId, Money, Quantity, Sku, StockChange};
use erp_service::{Change, SaveError, ServiceError};
use erp_testkit::dynamo::rows;
use inventory::domain::{
    Adjustment, Allocation, ChangeStamp, InsufficientStock, Item, ItemDetails, ItemError, Movement,
    MovementKind, OrderDemand, Stock,
};
use inventory::store::InventoryStore;
use uuid::Uuid;

use crate::Inventory;

async fn store() -> InventoryStore {
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

/// Returns an event with this id.
fn event(id: Uuid, item: &Item) -> Event {
    let (kind, data) = (EventKind::ItemCreated, ItemChanged::from(item));
    Event::new(id, kind, item.id(), SystemClock.now(), &Cause::default(), &data).unwrap()
}

fn fresh(item: &Item) -> Event {
    event(Uuid::now_v7(), item)
}

async fn save<T, R>(
    store: &InventoryStore,
    change: Result<Change<T, R>, erp_aws::StoreError>,
) -> Result<T, SaveError<R>>
where
    R: Clone + PartialEq,
{
    change.unwrap().save(store.table()).await
}

/// Inserts a new item, and reads it with its stock.
async fn saved(store: &InventoryStore, sku: &str) -> (Item, Stock) {
    let item = item(Uuid::now_v7(), sku);
    save(store, store.insert(&item, &fresh(&item))).await.unwrap();
    store.find(item.id()).await.unwrap().unwrap()
}

/// Adjusts a stock as it was read; the movement has this id.
async fn adjust(
    store: &InventoryStore,
    id: Uuid,
    item: &Item,
    old: &Stock,
    change: i64,
) -> Result<Stock, SaveError<ItemError>> {
    let at = SystemClock.now();
    let adjustment = Adjustment::By(StockChange::new(change).unwrap());
    let (new, _) = old.adjust(adjustment, at).unwrap().unwrap();
    let kind = MovementKind::Adjusted;
    let movement = Movement { id, item_id: item.id(), change, kind, order_id: None, reason: None, at };
    save(store, store.adjust(old, &new, &movement, &fresh(item))).await
}

async fn delete_row(store: &InventoryStore, pk: String, sk: &str) {
    let table = store.table();
    let delete = table.client.delete_item().table_name(&table.name);
    let delete = delete.key("pk", AttributeValue::S(pk)).key("sk", AttributeValue::S(sk.into()));
    delete.send().await.unwrap();
}

#[tokio::test]
async fn a_repeated_id_overwrites_neither_item_nor_stock() {
    let store = store().await;
    for left in ["ITEM", "STOCK"] {
        let (first, stock) = saved(&store, &format!("A-{left}")).await;
        adjust(&store, Uuid::now_v7(), &first, &stock, 7).await.unwrap();
        // Each of the two rows is protected without the other.
        let other = if left == "ITEM" { "STOCK" } else { "ITEM" };
        delete_row(&store, format!("ITEM#{}", first.id()), other).await;
        let before = rows(store.table()).await;
        let second = item(first.id().uuid(), &format!("B-{left}"));
        save(&store, store.insert(&second, &fresh(&second))).await.unwrap_err();
        assert_eq!(rows(store.table()).await, before, "{left}");
    }
}

#[tokio::test]
async fn a_repeated_event_id_overwrites_no_event() {
    let (store, id) = (store().await, Uuid::now_v7());
    let old = item(Uuid::now_v7(), "A");
    save(&store, store.insert(&old, &event(id, &old))).await.unwrap();
    let before = rows(store.table()).await;
    let new = changed(&old, "A");
    save(&store, store.replace(&old, &new, &event(id, &new))).await.unwrap_err();
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn a_sku_is_taken_once() {
    let store = store().await;
    saved(&store, "A").await;
    let (other, _) = saved(&store, "B").await;
    let before = rows(store.table()).await;
    let second = item(Uuid::now_v7(), "A");
    let new = changed(&other, "A");
    let taken = [
        save(&store, store.insert(&second, &fresh(&second))).await,
        save(&store, store.replace(&other, &new, &fresh(&new))).await,
    ];
    for taken in taken {
        let is_taken = matches!(taken, Err(SaveError::Failed(ServiceError::Rejected(ItemError::SkuTaken))));
        assert!(is_taken, "{taken:?}");
    }
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn a_stale_item_is_neither_replaced_nor_deleted_and_a_stale_stock_is_not_adjusted() {
    let store = store().await;
    let (old, stock) = saved(&store, "A").await;
    let new = changed(&old, "A");
    save(&store, store.replace(&old, &new, &fresh(&new))).await.unwrap();
    let before = rows(store.table()).await;
    // The stock is still 0, so only the version keeps the item from being deleted.
    let late = [
        save(&store, store.replace(&old, &new, &fresh(&new))).await,
        save(&store, store.delete(&old, &fresh(&old))).await,
    ];
    for late in late {
        assert!(matches!(late, Err(SaveError::Stale)), "{late:?}");
    }
    assert_eq!(rows(store.table()).await, before);

    adjust(&store, Uuid::now_v7(), &new, &stock, 7).await.unwrap();
    let before = rows(store.table()).await;
    let late = adjust(&store, Uuid::now_v7(), &new, &stock, 7).await;
    assert!(matches!(late, Err(SaveError::Stale)), "{late:?}");
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn a_sku_that_is_reserved_for_another_item_is_not_freed() {
    let store = store().await;
    let (item, _) = saved(&store, "A").await;
    // No code does that: the SKU is reserved for another item.
    let table = store.table();
    let steal = table.client.update_item().table_name(&table.name);
    let steal = steal.key("pk", AttributeValue::S("SKU#A".into()));
    let steal = steal.key("sk", AttributeValue::S("GUARD".into())).update_expression("SET id = :id");
    let thief = AttributeValue::S(Uuid::now_v7().to_string());
    steal.expression_attribute_values(":id", thief).send().await.unwrap();
    let before = rows(table).await;
    save(&store, store.delete(&item, &fresh(&item))).await.unwrap_err();
    let new = changed(&item, "B");
    save(&store, store.replace(&item, &new, &fresh(&new))).await.unwrap_err();
    assert_eq!(rows(table).await, before);
}

#[tokio::test]
async fn a_repeated_movement_id_overwrites_no_movement() {
    let (store, id) = (store().await, Uuid::now_v7());
    let (item, stock) = saved(&store, "A").await;
    adjust(&store, id, &item, &stock, 7).await.unwrap();
    let (_, stock) = store.find(item.id()).await.unwrap().unwrap();
    let before = rows(store.table()).await;
    adjust(&store, id, &item, &stock, -2).await.unwrap_err();
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn the_stock_of_a_deleted_item_is_not_adjusted() {
    let store = store().await;
    let (item, stock) = saved(&store, "A").await;
    save(&store, store.delete(&item, &fresh(&item))).await.unwrap();
    let before = rows(store.table()).await;
    let late = adjust(&store, Uuid::now_v7(), &item, &stock, 7).await;
    assert!(matches!(late, Err(SaveError::Stale)), "{late:?}");
    assert_eq!(rows(store.table()).await, before);
}

/// An order of three of an item.
fn order(item: ItemId) -> OrderDemand {
    let demand = std::iter::once((item, Quantity::new(3).unwrap())).collect();
    OrderDemand { order_id: Id::new(Uuid::now_v7()), demand, since: SystemClock.now() }
}

fn stamp() -> ChangeStamp {
    ChangeStamp { id: Uuid::now_v7(), at: SystemClock.now() }
}

async fn save_allocation(
    store: &InventoryStore,
    old: Option<&Allocation>,
    new: &Allocation,
) -> Result<(), SaveError<InsufficientStock>> {
    let stock = store.stock(new.demand().items()).await.unwrap();
    save(store, store.save_allocation(old, new, None, &stock)).await
}

#[tokio::test]
async fn an_order_is_decided_once_and_each_state_of_it_is_left_once() {
    let store = store().await;
    let (item, _) = saved(&store, "A").await;
    let received = Allocation::received(&order(item.id()), stamp(), BTreeSet::new());
    save_allocation(&store, None, &received).await.unwrap();
    let before = rows(store.table()).await;
    let again = save_allocation(&store, None, &received).await;
    assert!(matches!(again, Err(SaveError::Stale)), "{again:?}");
    assert_eq!(rows(store.table()).await, before);

    let allocated = Allocation::allocated(&order(item.id()), stamp());
    save_allocation(&store, None, &allocated).await.unwrap();
    let released = allocated.release(stamp(), BTreeSet::new()).unwrap();
    save_allocation(&store, Some(&allocated), &released).await.unwrap();
    let before = rows(store.table()).await;
    let again = save_allocation(&store, Some(&allocated), &released).await;
    assert!(matches!(again, Err(SaveError::Stale)), "{again:?}");
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn no_stock_is_taken_that_is_not_there_and_none_is_added_to_an_item_that_does_not_exist() {
    let store = store().await;
    let (item, _) = saved(&store, "A").await;
    let before = rows(store.table()).await;
    let takes = Allocation::allocated(&order(item.id()), stamp());
    let short = save_allocation(&store, None, &takes).await;
    let is_short = matches!(short, Err(SaveError::Failed(ServiceError::Rejected(InsufficientStock))));
    assert!(is_short, "{short:?}");
    let missing = order(Id::new(Uuid::now_v7()));
    let adds = Allocation::received(&missing, stamp(), BTreeSet::new());
    let queues = Allocation::backordered(&missing, BTreeSet::new());
    for impossible in [adds, queues] {
        let stale = save_allocation(&store, None, &impossible).await;
        assert!(matches!(stale, Err(SaveError::Stale)), "{stale:?}");
    }
    assert_eq!(rows(store.table()).await, before);
}

/// The use case looks first; a change between its look and its write is detected by the condition alone.
#[tokio::test]
async fn an_item_that_came_into_use_meanwhile_is_not_deleted() {
    let store = store().await;
    let (stocked, stock) = saved(&store, "A").await;
    adjust(&store, Uuid::now_v7(), &stocked, &stock, 7).await.unwrap();
    let (sold_out, stock) = saved(&store, "B").await;
    adjust(&store, Uuid::now_v7(), &sold_out, &stock, 3).await.unwrap();
    let allocated = Allocation::allocated(&order(sold_out.id()), stamp());
    save_allocation(&store, None, &allocated).await.unwrap();
    let (awaited, _) = saved(&store, "C").await;
    let backordered = Allocation::backordered(&order(awaited.id()), BTreeSet::new());
    save_allocation(&store, None, &backordered).await.unwrap();
    let before = rows(store.table()).await;
    for item in [&stocked, &sold_out, &awaited] {
        let deleted = save(&store, store.delete(item, &fresh(item))).await;
        assert!(matches!(deleted, Err(SaveError::Stale)), "{deleted:?}");
    }
    assert_eq!(rows(store.table()).await, before);
}

#[tokio::test]
async fn an_item_whose_stock_row_is_older_than_the_counters_is_deleted() {
    let store = store().await;
    let (item, _) = saved(&store, "A").await;
    let table = store.table();
    let update = table.client.update_item().table_name(&table.name);
    let update = update.key("pk", AttributeValue::S(format!("ITEM#{}", item.id())));
    let update = update.key("sk", AttributeValue::S("STOCK".into()));
    update.update_expression("REMOVE allocated, backordered").send().await.unwrap();
    let (item, stock) = store.find(item.id()).await.unwrap().unwrap();
    assert_eq!(stock.check_unused(), Ok(()));
    save(&store, store.delete(&item, &fresh(&item))).await.unwrap();
    assert_eq!(store.find(item.id()).await.unwrap(), None);
}
