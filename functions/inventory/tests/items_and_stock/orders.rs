//! Allocations, back-orders, receipts and releases.

use erp_contracts::EventKind::{
    OrderAllocated, OrderBackordered, OrderReleased, PurchaseReceived, SalesCancelled, SalesConfirmed,
};
use erp_contracts::{Event, EventKind};
use uuid::Uuid;

use crate::{Inventory, batch, order_event};

pub(crate) fn kinds(events: &[Event]) -> Vec<EventKind> {
    events
        .iter()
        .map(|event| event.kind)
        .filter(|kind| kind.as_str().starts_with("inventory.order"))
        .collect()
}

#[tokio::test]
async fn a_purchase_adds_stock_and_a_sale_takes_stock() {
    let inventory = Inventory::start().await;
    let item = inventory.item(0).await;
    let received = order_event(PurchaseReceived, Uuid::now_v7(), &[(item, 30), (item, 20)]);
    inventory.deliver(&[received.clone(), received.clone()]).await;
    assert_eq!(inventory.stock(item).await, 50, "twice delivered, once added, both lines");

    let sale = Uuid::now_v7();
    let confirmed = order_event(SalesConfirmed, sale, &[(item, 20)]);
    inventory.deliver(&[confirmed.clone(), confirmed.clone()]).await;
    inventory.deliver(&[confirmed, received]).await;
    let events = inventory.catch_up().await;
    assert_eq!(kinds(&events), [OrderAllocated]);
    assert_eq!(events.last().unwrap().subject, sale.to_string());
    assert_eq!(inventory.stock(item).await, 30);
    assert_eq!(inventory.movements(item).await, [50, -20]);
}

#[tokio::test]
async fn an_order_is_allocated_whole_or_not_at_all() {
    let inventory = Inventory::start().await;
    let (many, few) = (inventory.item(10).await, inventory.item(1).await);
    let sale = Uuid::now_v7();
    inventory.deliver(&[order_event(SalesConfirmed, sale, &[(many, 5), (few, 1), (few, 1)])]).await;
    assert_eq!(
        kinds(&inventory.catch_up().await),
        [OrderBackordered],
        "the two lines of 1 are 2 of the same"
    );
    assert_eq!(
        (inventory.stock(many).await, inventory.stock(few).await),
        (10, 1),
        "a back-ordered order has no stock"
    );

    inventory.deliver(&[order_event(PurchaseReceived, Uuid::now_v7(), &[(few, 1)])]).await;
    assert_eq!(kinds(&inventory.catch_up().await), [OrderAllocated]);
    assert_eq!((inventory.stock(many).await, inventory.stock(few).await), (5, 0));
    assert_eq!(
        (inventory.movements(many).await, inventory.movements(few).await),
        (vec![10, -5], vec![1, 1, -2])
    );
}

#[tokio::test]
async fn arriving_stock_fulfils_back_orders_oldest_first() {
    let inventory = Inventory::start().await;
    let item = inventory.item(0).await;
    let sales: Vec<Uuid> = (0..4).map(|_| Uuid::now_v7()).collect();
    for (sale, quantity) in sales.iter().zip([3, 4, 2, 3]) {
        inventory.deliver(&[order_event(SalesConfirmed, *sale, &[(item, quantity)])]).await;
        // The queue is sorted by the millisecond of the confirmation.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert_eq!(kinds(&inventory.catch_up().await), [OrderBackordered; 4]);

    // A user adds 5: the first gets its 3, the second would need 4, the third gets its 2.
    let path = format!("/api/items/{item}/stock");
    let add = erp_testkit::ApiRequest::inventory("PUT", &path).json(&serde_json::json!({"quantity": 5}));
    assert_eq!(add.send(&inventory.router).await.status, 200);
    let allocated = |events: Vec<Event>| -> Vec<String> {
        events.into_iter().filter(|event| event.kind == OrderAllocated).map(|event| event.subject).collect()
    };
    assert_eq!(allocated(inventory.catch_up().await), [sales[0].to_string(), sales[2].to_string()]);

    // The first is cancelled: its 3 go to the fourth, since the second still needs 4.
    inventory.deliver(&[order_event(SalesCancelled, sales[0], &[(item, 3)])]).await;
    assert_eq!(allocated(inventory.catch_up().await), [sales[3].to_string()]);
    // A new order does not overtake a waiting one for which stock is sufficient.
    let receipt = order_event(PurchaseReceived, Uuid::now_v7(), &[(item, 6)]);
    let new = Uuid::now_v7();
    let confirm = order_event(SalesConfirmed, new, &[(item, 3)]);
    inventory.deliver(&[receipt, confirm]).await;
    assert_eq!(allocated(inventory.catch_up().await), [sales[1].to_string()]);
    assert_eq!(inventory.stock(item).await, 2);
    assert_eq!(inventory.movements(item).await.iter().sum::<i64>(), 2);
}

#[tokio::test]
async fn a_cancelled_order_has_no_stock_in_whatever_order_its_events_arrive() {
    let inventory = Inventory::start().await;
    let item = inventory.item(10).await;
    let sale = Uuid::now_v7();
    let confirmed = order_event(SalesConfirmed, sale, &[(item, 4)]);
    let cancelled = order_event(SalesCancelled, sale, &[(item, 4)]);
    for history in [
        vec![&cancelled, &confirmed],
        vec![&confirmed, &cancelled],
        vec![&confirmed, &cancelled, &confirmed, &cancelled],
    ] {
        inventory.deliver(&history.into_iter().cloned().collect::<Vec<_>>()).await;
        inventory.catch_up().await;
        assert_eq!(inventory.stock(item).await, 10);
    }
    let other = Uuid::now_v7();
    let history =
        [SalesConfirmed, SalesCancelled, SalesConfirmed].map(|kind| order_event(kind, other, &[(item, 4)]));
    inventory.deliver(&history).await;
    let events = inventory.catch_up().await;
    assert_eq!(
        kinds(&events),
        [OrderAllocated, OrderReleased],
        "both are published, though one row contains them"
    );
    assert_eq!(inventory.stock(item).await, 10);
    assert_eq!(inventory.movements(item).await, [10, -4, 4]);
}

#[tokio::test]
async fn the_last_one_is_sold_once() {
    let inventory = Inventory::start().await;
    let item = inventory.item(1).await;
    let events: Vec<Event> =
        (0..40).map(|_| order_event(SalesConfirmed, Uuid::now_v7(), &[(item, 1)])).collect();
    let workers = events.chunks(5).map(|chunk| inventory.deliver(chunk));
    futures_util::future::join_all(workers).await;
    let mut decided = kinds(&inventory.catch_up().await);
    decided.sort_unstable();
    assert_eq!(decided, [vec![OrderAllocated], vec![OrderBackordered; 39]].concat());
    assert_eq!(inventory.stock(item).await, 0);
}

#[tokio::test]
async fn no_order_waits_while_stock_is_sufficient() {
    for _ in 0..10 {
        let inventory = Inventory::start().await;
        let item = inventory.item(0).await;
        let sale = order_event(SalesConfirmed, Uuid::now_v7(), &[(item, 1)]);
        let receipt = order_event(PurchaseReceived, Uuid::now_v7(), &[(item, 1)]);
        tokio::join!(
            inventory.deliver(std::slice::from_ref(&sale)),
            inventory.deliver(std::slice::from_ref(&receipt))
        );
        inventory.catch_up().await;
        assert_eq!(inventory.stock(item).await, 0, "it is fulfilled, whichever came first");
        assert_eq!(inventory.movements(item).await.iter().sum::<i64>(), 0);
    }
}

#[tokio::test]
async fn a_poison_message_fails_alone() {
    let inventory = Inventory::start().await;
    let item = inventory.item(5).await;
    let good = |quantity| order_event(SalesConfirmed, Uuid::now_v7(), &[(item, quantity)]);
    let mut events = batch(&[good(1), good(1), good(1)]);
    events.records[0].body = Some("nonsense".into());
    events.records[1].body = Some(events.records[1].body.clone().unwrap().replace("\"items\"", "\"stuff\""));
    let poison: Vec<_> = events.records[..2].iter().map(|record| record.body.clone().unwrap()).collect();
    let response = inventory.work(events).await;
    assert_eq!(response.batch_item_failures, vec![]);
    assert_eq!(inventory.sqs.dead_letters(), poison);
    assert_eq!(inventory.stock(item).await, 4);
}

#[tokio::test]
async fn a_queue_entry_left_by_a_slow_delivery_is_removed() {
    let inventory = Inventory::start().await;
    let item = inventory.item(5).await;
    let sale = Uuid::now_v7();
    let confirmed = order_event(SalesConfirmed, sale, &[(item, 5)]);
    inventory.deliver(std::slice::from_ref(&confirmed)).await;
    assert_eq!(kinds(&inventory.catch_up().await), [OrderAllocated]);

    // Another delivery of the same event had found too little stock before, and queues the order only now.
    let item_id = erp_domain::Id::new(item);
    let found = inventory.store.allocation(erp_domain::Id::new(sale)).await.unwrap().unwrap();
    inventory.store.enqueue_backorder(found.order()).await.unwrap();
    let queue = || inventory.store.backorders(item_id, None, 10);
    assert_eq!(queue().await.unwrap().len(), 1);

    inventory.deliver(&[confirmed]).await;
    assert_eq!(queue().await.unwrap(), []);
    assert_eq!(inventory.stock(item).await, 0);
}
