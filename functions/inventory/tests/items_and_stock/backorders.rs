//! Back-order queues: many waiting orders, and walks over several messages.

mod bounds;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use erp_contracts::EventKind::{
    BackordersRemaining, OrderAllocated, PurchaseReceived, SalesCancelled, SalesConfirmed,
};
use erp_contracts::data::BackorderPosition;
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::time::SystemClock;
use erp_domain::{Clock, Demand, Id, ItemId, Quantity, Timestamp};
use erp_service::SaveError;
use erp_testkit::dynamo::rows;
use inventory::domain::{Allocation, AllocationState, OrderDemand, Stock};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::orders::kinds;
use crate::{Inventory, order_event};

/// Calls of one event in tests of walks over several messages.
const FEW_CALLS: usize = 8;

/// The type of an action, such as `Query`, with the number of calls.
type Calls = BTreeMap<String, usize>;

fn count(calls: &Calls, operation: &str) -> usize {
    calls.get(operation).copied().unwrap_or_default()
}

fn demand(lines: &[(Uuid, i64)]) -> Demand {
    lines.iter().map(|&(item, quantity)| (Id::new(item), Quantity::new(quantity).unwrap())).collect()
}

/// Returns a row of a value whose attributes are those of the row.
fn keyed(pk: String, sk: String, value: &impl serde::Serialize) -> Value {
    let mut row = json!(value);
    row["pk"] = json!(pk);
    row["sk"] = json!(sk);
    row
}

impl Inventory {
    /// Writes orders that wait, as if confirmed one millisecond after the other; returns their ids, oldest first.
    async fn waiting(&self, count: usize, lines: &[(Uuid, i64)]) -> Vec<Uuid> {
        self.waiting_every(1, count, lines).await
    }

    /// As [`Inventory::waiting`], with a number of milliseconds between two orders.
    async fn waiting_every(&self, interval: i64, count: usize, lines: &[(Uuid, i64)]) -> Vec<Uuid> {
        let demand = demand(lines);
        let orders: Vec<OrderDemand> = (0..i64::try_from(count).unwrap())
            .map(|millis| OrderDemand {
                order_id: Id::new(Uuid::now_v7()),
                demand: demand.clone(),
                since: Timestamp::from_millis(1_700_000_000_000 + interval * millis),
            })
            .collect();
        let allocations = orders.iter().map(|order| {
            let allocation = Allocation::backordered(order, BTreeSet::new());
            keyed(format!("ORDER#{}", order.order_id), "ALLOCATION".into(), &allocation)
        });
        let queued = orders.iter().flat_map(|order| {
            order.demand.iter().map(|(item, quantity)| {
                let entry = json!({"order_id": order.order_id, "quantity": quantity, "since": order.since});
                keyed(format!("ITEM#{item}"), format!("WAITING#{}#{}", order.since, order.order_id), &entry)
            })
        });
        self.dynamo.import(&self.store.table().name, allocations.chain(queued));
        for (item, quantity) in demand.iter() {
            let waiting = i64::try_from(count).unwrap();
            let values = [(":all", waiting * quantity.get()), (":n", waiting), (":min", quantity.get())];
            let set = "SET backordered = backordered + :all, backorder_sequence = backorder_sequence + :n, \
                       smallest_backorder = :min";
            self.update_stock(item, set, &values).await;
        }
        orders.iter().map(|order| order.order_id.uuid()).collect()
    }

    async fn update_stock(&self, item: ItemId, update: &str, values: &[(&str, i64)]) {
        let table = self.store.table();
        let mut request = table.client.update_item().table_name(&table.name).update_expression(update);
        for (name, value) in values {
            request = request.expression_attribute_values(*name, AttributeValue::N(value.to_string()));
        }
        let request = request.key("pk", AttributeValue::S(format!("ITEM#{item}")));
        request.key("sk", AttributeValue::S("STOCK".into())).send().await.unwrap();
    }

    /// Adds stock as a user, and returns the event.
    async fn add(&self, item: Uuid, quantity: i64) -> Event {
        let path = format!("/api/items/{item}/stock");
        let response = self.send("PUT", &path, &json!({"quantity": quantity})).await;
        assert_eq!(response.status, 200, "{}", response.text);
        let events = self.take_outbox().await;
        events.into_iter().find(|event| event.kind == EventKind::StockAdjusted).unwrap()
    }

    /// Delivers an event; returns the calls that it takes.
    async fn calls_of(&self, event: &Event) -> Calls {
        self.calls.take();
        self.deliver(std::slice::from_ref(event)).await;
        self.calls.take()
    }

    /// Returns the event that continues the walk that an adjustment started, if there is one.
    async fn continuation(&self, item: Uuid, adjusted: &Event) -> Option<Event> {
        let table = self.store.table();
        let row = table.client.get_item().table_name(&table.name);
        let row = row.key("pk", AttributeValue::S(format!("ITEM#{item}")));
        let row = row.key("sk", AttributeValue::S(format!("WALK#{}", adjusted.id)));
        let row = row.send().await.unwrap().item?;
        Some(Event::parse(row["event"].as_s().unwrap()).unwrap())
    }

    /// Delivers the event of an increase of stock and those that continue its walk; returns the calls of each.
    async fn walk(&self, item: Uuid, adjusted: &Event) -> Vec<Calls> {
        let mut steps = vec![self.calls_of(adjusted).await];
        let mut last = None;
        while let Some(next) = self.continuation(item, adjusted).await.filter(|next| Some(next.id) != last) {
            steps.push(self.calls_of(&next).await);
            last = Some(next.id);
        }
        steps
    }

    async fn state(&self, order: Uuid) -> AllocationState {
        self.store.allocation(Id::new(order)).await.unwrap().unwrap().state()
    }

    async fn stock_row(&self, item: Uuid) -> Stock {
        let stock = self.store.stock(std::iter::once(Id::new(item))).await.unwrap();
        *stock.get(Id::new(item)).unwrap()
    }

    /// Returns the orders that wait.
    async fn waiting_orders(&self) -> Vec<Allocation> {
        let of_order = |row: &erp_aws::table::Row| row["sk"].as_s().unwrap() == "ALLOCATION";
        let rows = rows(self.store.table()).await.into_iter().filter(of_order);
        let allocations = rows.map(|row| erp_aws::table::read::<Allocation>(row).unwrap());
        allocations.filter(|allocation| allocation.state() == AllocationState::Backordered).collect()
    }

    /// Checks that the bound of no item is more than the smallest quantity that an order needs of it.
    async fn assert_bounds(&self, items: &[Uuid]) {
        let waiting = self.waiting_orders().await;
        for item in items {
            let needed = waiting.iter().filter_map(|allocation| allocation.demand().get(Id::new(*item)));
            let bound = self.stock_row(*item).await.smallest_backorder();
            let smallest = needed.map(Quantity::get).min().unwrap_or(i64::MAX);
            assert!(bound <= smallest, "{item}: {bound}, an order needs {smallest}");
        }
    }

    /// Checks that no order waits although the stock of its items is sufficient.
    async fn assert_no_order_waits_in_vain(&self) {
        for allocation in self.waiting_orders().await {
            let stock = self.store.stock(allocation.demand().items()).await.unwrap();
            assert!(!stock.suffices(allocation.demand()), "{allocation:?}, {stock:?}");
        }
    }
}

#[tokio::test]
async fn the_calls_of_a_new_order_do_not_grow_with_the_queue() {
    let mut calls = Vec::new();
    for orders in [50, 5000] {
        let inventory = Inventory::start().await;
        let (item, other) = (inventory.item(5).await, inventory.item(5).await);
        inventory.waiting(orders, &[(item, 10)]).await;
        let new = |item| order_event(SalesConfirmed, Uuid::now_v7(), &[(item, 1)]);
        let behind = inventory.calls_of(&new(item)).await;
        assert_eq!(
            behind,
            inventory.calls_of(&new(other)).await,
            "no order can be fulfilled: as if none waited"
        );
        assert_eq!(count(&behind, "Query"), 0);
        assert_eq!(kinds(&inventory.catch_up().await), [OrderAllocated; 2]);

        // The bound is too low: the order of 2 was cancelled.
        inventory.update_stock(Id::new(item), "SET smallest_backorder = :two", &[(":two", 2)]).await;
        let first_page = inventory.calls_of(&new(item)).await;
        assert_eq!(count(&first_page, "Query"), 1);
        // An order that is allocated from the first page of the queue.
        inventory.waiting(orders, &[(other, 2)]).await;
        let oldest_first = inventory.calls_of(&new(other)).await;
        assert_eq!(
            count(&oldest_first, "TransactWriteItems"),
            4,
            "two that waited; the new one fails, and is saved as back-ordered"
        );
        calls.push([behind, first_page, oldest_first]);
    }
    assert_eq!(calls[0], calls[1]);
}

#[tokio::test]
async fn stock_for_all_is_allocated_to_all_oldest_first_in_messages_of_limited_size() {
    let inventory = Inventory::start().await;
    let item = inventory.item(0).await;
    let orders = inventory.waiting(1000, &[(item, 1)]).await;
    let adjusted = inventory.add(item, 1000).await;
    let steps = inventory.walk(item, &adjusted).await;
    for calls in &steps {
        // One call reads the stock first, one saves the next event or the bound.
        assert!(calls.values().sum::<usize>() <= inventory.worker.backorder_calls + 2, "{calls:?}");
    }
    assert!(steps.len() > 10, "{}", steps.len());
    assert_eq!(inventory.stock(item).await, 0);
    let mut changes = Vec::new();
    for orders in orders.chunks(100) {
        let found = inventory.store.allocations(orders.iter().map(|id| Id::new(*id))).await.unwrap();
        for order in orders {
            let allocation = &found[&Id::new(*order)];
            assert_eq!(allocation.state(), AllocationState::Allocated);
            changes.push(allocation.changes()[0].id);
        }
    }
    assert!(changes.is_sorted(), "an order was allocated before an older one");
    assert_eq!(inventory.stock_row(item).await.smallest_backorder(), Stock::NO_BACKORDER);
}

#[tokio::test]
async fn no_order_starves_behind_thousands_that_need_more_than_there_is() {
    let inventory = Inventory::start().await;
    let item = inventory.item(0).await;
    inventory.waiting(4900, &[(item, 1000)]).await;
    let small = inventory.waiting_every(49, 100, &[(item, 1)]).await;
    let adjusted = inventory.add(item, 101).await;
    let steps = inventory.walk(item, &adjusted).await;
    for calls in &steps {
        assert!(calls.values().sum::<usize>() <= inventory.worker.backorder_calls + 2, "{calls:?}");
    }
    assert!((2..10).contains(&steps.len()), "{}", steps.len());
    for order in small {
        assert_eq!(inventory.state(order).await, AllocationState::Allocated);
    }
    let stock = inventory.stock_row(item).await;
    assert_eq!((stock.quantity().get(), stock.smallest_backorder()), (1, 1000));
}

#[tokio::test]
async fn stock_that_is_less_than_any_order_needs_reads_no_queue() {
    let inventory = Inventory::start().await;
    let item = inventory.item(0).await;
    inventory.waiting(60, &[(item, 10)]).await;
    let adjusted = inventory.add(item, 9).await;
    let calls = inventory.calls_of(&adjusted).await;
    assert_eq!(calls, Calls::from([("BatchGetItem".to_owned(), 1)]));
    // One more, and the oldest gets it: the walk ends there, because nothing is left.
    let adjusted = inventory.add(item, 1).await;
    let calls = inventory.calls_of(&adjusted).await;
    assert_eq!((count(&calls, "Query"), count(&calls, "TransactWriteItems")), (1, 1), "{calls:?}");
    assert_eq!(inventory.stock(item).await, 0);
}

#[tokio::test]
async fn an_order_whose_other_item_is_short_costs_no_transaction() {
    let inventory = Inventory::start().await;
    let (item, short) = (inventory.item(0).await, inventory.item(0).await);
    let orders = inventory.waiting(120, &[(item, 1), (short, 1)]).await;
    let last = inventory.waiting(1, &[(item, 1)]).await[0];
    // It is the oldest of the second group: at the head of the queue. The last of the first group gets the other item.
    let adjusted = inventory.add(item, 1000).await;
    let steps = inventory.walk(item, &adjusted).await;
    let transactions: usize = steps.iter().map(|calls| count(calls, "TransactWriteItems")).sum();
    assert_eq!((steps.len(), transactions), (1, 1), "{steps:?}");
    assert_eq!(inventory.state(last).await, AllocationState::Allocated);
    let adjusted = inventory.add(short, 1).await;
    inventory.walk(short, &adjusted).await;
    assert_eq!(inventory.state(orders[0]).await, AllocationState::Allocated);
    assert_eq!(inventory.waiting_orders().await.len(), 119);
}

#[tokio::test]
async fn a_walk_continues_once_however_often_its_messages_are_delivered() {
    let mut inventory = Inventory::start().await;
    inventory.worker.backorder_calls = FEW_CALLS;
    let item = inventory.item(0).await;
    let orders = inventory.waiting(30, &[(item, 1)]).await;
    let adjusted = inventory.add(item, 25).await;
    let mut delivered = vec![adjusted.clone()];
    inventory.deliver(&[adjusted.clone(), adjusted.clone()]).await;
    let mut last = None;
    while let Some(next) = inventory.continuation(item, &adjusted).await.filter(|next| Some(next.id) != last)
    {
        last = Some(next.id);
        // At the same time, twice, and everything before once more.
        let again = [next.clone()];
        tokio::join!(inventory.deliver(&again), inventory.deliver(&again));
        delivered.push(next);
        inventory.deliver(&delivered).await;
        assert!(delivered.len() <= 30, "as many messages as the walk has steps");
    }
    assert!(delivered.len() > 2, "{}", delivered.len());
    let mut allocated = 0;
    for order in &orders {
        allocated += usize::from(inventory.state(*order).await == AllocationState::Allocated);
    }
    assert_eq!((allocated, inventory.stock(item).await), (25, 0));
    for order in &orders[..25] {
        assert_eq!(inventory.state(*order).await, AllocationState::Allocated, "the oldest 25");
    }
    // Its row expires; a late delivery of any of its messages changes nothing.
    let before = inventory.waiting_orders().await;
    inventory.deliver(&delivered).await;
    assert_eq!(inventory.waiting_orders().await, before);
}

#[tokio::test]
async fn a_receipt_of_many_items_is_continued_item_by_item() {
    let mut inventory = Inventory::start().await;
    inventory.worker.backorder_calls = FEW_CALLS;
    let mut items = Vec::new();
    for _ in 0..4 {
        let item = inventory.item(0).await;
        inventory.waiting(5, &[(item, 2)]).await;
        items.push(item);
    }
    let lines: Vec<_> = items.iter().map(|item| (*item, 10)).collect();
    inventory.deliver(&[order_event(PurchaseReceived, Uuid::now_v7(), &lines)]).await;
    let events = inventory.catch_up().await;
    assert!(events.iter().any(|event| event.kind == BackordersRemaining));
    assert_eq!(kinds(&events), [OrderAllocated; 20]);
    for item in items {
        assert_eq!(inventory.stock(item).await, 0);
    }
}
