//! Deletion of items: never while they are in use, and orders that name a deleted item.

use erp_contracts::Event;
use erp_contracts::EventKind::{
    OrderAllocated, OrderBackordered, OrderReleased, PurchaseReceived, SalesCancelled, SalesConfirmed,
};
use erp_domain::Id;
use erp_testkit::{ApiRequest, ApiResponse};
use inventory::ledger::LedgerReader;
use serde_json::json;
use uuid::Uuid;

use crate::orders::kinds;
use crate::{Inventory, order_event};

impl Inventory {
    async fn delete(&self, item: Uuid) -> ApiResponse {
        ApiRequest::finance("DELETE", &format!("/api/items/{item}")).send(&self.router).await
    }

    /// Delivers events and everything that follows from them.
    async fn process(&self, events: &[Event]) -> Vec<Event> {
        self.deliver(events).await;
        self.catch_up().await
    }

    /// Checks that the item cannot be deleted, and the figures that the response gives for it.
    async fn assert_in_use(&self, item: Uuid, available: i64, allocated: i64, backordered: i64) {
        let response = self.delete(item).await;
        assert_eq!((response.status, response.code().as_str()), (409, "in_use"), "{}", response.text);
        let problem = response.json();
        let figures = ["available", "allocated", "backordered"].map(|name| problem[name].as_i64());
        assert_eq!(figures, [Some(available), Some(allocated), Some(backordered)]);
    }
}

#[tokio::test]
async fn an_item_in_use_is_not_deleted() {
    let inventory = Inventory::start().await;
    let item = inventory.item(5).await;
    inventory.assert_in_use(item, 5, 0, 0).await;

    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    inventory.process(&[order_event(SalesConfirmed, first, &[(item, 5)])]).await;
    inventory.assert_in_use(item, 0, 5, 0).await;
    inventory.process(&[order_event(SalesConfirmed, second, &[(item, 3)])]).await;
    inventory.assert_in_use(item, 0, 5, 3).await;

    // The first order is cancelled, so its stock fulfils the second.
    inventory.process(&[order_event(SalesCancelled, first, &[(item, 5)])]).await;
    inventory.assert_in_use(item, 2, 3, 0).await;
    inventory.process(&[order_event(SalesCancelled, second, &[(item, 3)])]).await;
    inventory.assert_in_use(item, 5, 0, 0).await;

    let path = format!("/api/items/{item}/stock");
    assert_eq!(inventory.send("PUT", &path, &json!({"set_to": 0})).await.status, 200);
    assert_eq!(inventory.delete(item).await.status, 200);
    assert_eq!(inventory.delete(item).await.status, 404);
}

#[tokio::test]
async fn an_item_that_only_back_orders_need_is_not_deleted() {
    let inventory = Inventory::start().await;
    let item = inventory.item(0).await;
    let sale = Uuid::now_v7();
    let events = inventory.process(&[order_event(SalesConfirmed, sale, &[(item, 3), (item, 1)])]).await;
    assert_eq!(kinds(&events), [OrderBackordered]);
    inventory.assert_in_use(item, 0, 0, 4).await;
    inventory.process(&[order_event(SalesCancelled, sale, &[(item, 3), (item, 1)])]).await;
    assert_eq!(inventory.delete(item).await.status, 200);
}

#[tokio::test]
async fn nothing_is_allocated_from_a_deleted_item() {
    let inventory = Inventory::start().await;
    let (item, deleted) = (inventory.item(9).await, inventory.item(0).await);
    assert_eq!(inventory.delete(deleted).await.status, 200);

    let sale = Uuid::now_v7();
    let lines = [(item, 4), (deleted, 1)];
    let confirmed = order_event(SalesConfirmed, sale, &lines);
    let events = inventory.process(&[confirmed.clone(), confirmed]).await;
    assert_eq!(kinds(&events), [OrderBackordered]);
    inventory.assert_in_use(item, 9, 0, 4).await;
    // Goods of the deleted item are not stocked; those of the other item are, and the order still waits.
    let received = order_event(PurchaseReceived, Uuid::now_v7(), &[(deleted, 8), (item, 1)]);
    let events = inventory.process(&[received.clone(), received]).await;
    assert_eq!(kinds(&events), []);
    assert_eq!(inventory.movements(item).await, [9, 1]);
    inventory.assert_in_use(item, 10, 0, 4).await;

    let events = inventory.process(&[order_event(SalesCancelled, sale, &lines)]).await;
    assert_eq!(kinds(&events), [OrderReleased]);
    inventory.assert_in_use(item, 10, 0, 0).await;
    let ledger = LedgerReader::new(inventory.store.table().clone());
    let balance = ledger.balance(Id::new(deleted)).await.unwrap().unwrap();
    let figures = (balance.item_exists, balance.stock, balance.movements, balance.sum);
    assert_eq!(figures, (false, None, 0, 0));
}

#[tokio::test]
async fn the_movements_of_a_deleted_item_add_up_to_nothing() {
    let inventory = Inventory::start().await;
    let item = inventory.item(5).await;
    let path = format!("/api/items/{item}/stock");
    assert_eq!(inventory.send("PUT", &path, &json!({"quantity": -5})).await.status, 200);
    assert_eq!(inventory.delete(item).await.status, 200);
    let ledger = LedgerReader::new(inventory.store.table().clone());
    let balance = ledger.balance(Id::new(item)).await.unwrap().unwrap();
    let figures = (balance.item_exists, balance.stock, balance.movements, balance.sum);
    assert_eq!(figures, (false, None, 2, 0));
}

/// Whichever of the two comes first: the item exists and is allocated or back-ordered, or it is deleted and the order
/// waits.
#[tokio::test]
async fn a_deletion_and_an_order_at_the_same_time_exclude_each_other() {
    for _ in 0..10 {
        let inventory = Inventory::start().await;
        let item = inventory.item(0).await;
        let sale = order_event(SalesConfirmed, Uuid::now_v7(), &[(item, 1)]);
        let (deleted, ()) =
            tokio::join!(inventory.delete(item), inventory.deliver(std::slice::from_ref(&sale)));
        assert_eq!(kinds(&inventory.catch_up().await), [OrderBackordered]);
        match deleted.status {
            200 => assert_eq!(inventory.delete(item).await.status, 404),
            409 => {
                inventory.assert_in_use(item, 0, 0, 1).await;
                let received = order_event(PurchaseReceived, Uuid::now_v7(), &[(item, 1)]);
                assert_eq!(kinds(&inventory.process(&[received]).await), [OrderAllocated]);
                inventory.assert_in_use(item, 0, 1, 0).await;
            }
            other => panic!("{other}: {}", deleted.text),
        }
    }
}
