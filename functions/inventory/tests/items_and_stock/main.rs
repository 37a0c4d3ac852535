//! Items and stock, over the real SDK and an embedded DynamoDB.
#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

mod backorders;
mod conditions;
mod deletion;
mod limits;
mod orders;
mod requests;
mod stock;

use std::sync::Arc;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use axum::Router;
use erp_contracts::data::{OrderChanged, OrderLine};
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::time::{RandomIds, SystemClock};
use erp_domain::{Clock, Id, Money, Quantity};
use erp_testkit::sqs::deadline;
use erp_testkit::{ApiRequest, ApiResponse, CallCounter, Dynamo, FakeSqs};
use inventory::service::{Allocations, BACKORDER_CALLS};
use inventory::store::InventoryStore;
use serde_json::{Value, json};
use uuid::Uuid;

/// The maximum number of items of an order.
const MAX_ITEMS: usize = 99;

/// The inventory context with its worker, and the queue that returns its own events to it.
struct Inventory {
    router: Router,
    store: InventoryStore,
    worker: Allocations,
    dynamo: Dynamo,
    calls: CallCounter,
    sqs: FakeSqs,
}

impl Inventory {
    async fn start() -> Self {
        let dynamo = Dynamo::start().await;
        let table = dynamo.table("inventory", &["list", "outbox"]).await;
        let calls = CallCounter::default();
        let store = InventoryStore::new(calls.table(&table));
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
        let router = inventory::config::build(store.clone(), clock.clone(), ids.clone()).into_router();
        let worker = Allocations { store: store.clone(), clock, ids, backorder_calls: BACKORDER_CALLS };
        Self { router, store, worker, dynamo, calls, sqs: FakeSqs::start().await }
    }

    /// Sends a request of an inventory manager.
    async fn send(&self, method: &str, path: &str, body: &Value) -> ApiResponse {
        ApiRequest::inventory(method, path).json(body).send(&self.router).await
    }

    /// Creates an item with a quantity in stock.
    async fn item(&self, quantity: i64) -> Uuid {
        let sku = Uuid::now_v7().to_string();
        let body = json!({"name": "thing", "sku": sku, "unit_price": "1.50"});
        let created = self.send("POST", "/api/items", &body).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let id: Uuid = created.data()["id"].as_str().unwrap().parse().unwrap();
        if quantity > 0 {
            let path = format!("/api/items/{id}/stock");
            let set = self.send("PUT", &path, &json!({"set_to": quantity})).await;
            assert_eq!(set.status, 200, "{}", set.text);
            self.catch_up().await;
        }
        id
    }

    async fn stock(&self, item: Uuid) -> i64 {
        let path = format!("/api/items/{item}/stock");
        let response = ApiRequest::inventory("GET", &path).send(&self.router).await;
        response.data()["quantity"].as_i64().unwrap()
    }

    /// Returns the changes of the item's stock, oldest first.
    async fn movements(&self, item: Uuid) -> Vec<i64> {
        let path = format!("/api/items/{item}/movements?limit=100");
        let response = ApiRequest::inventory("GET", &path).send(&self.router).await;
        let rows = response.data();
        let changes = rows.as_array().unwrap().iter().rev().map(|row| row["change"].as_i64().unwrap());
        changes.collect()
    }

    /// Delivers events to the worker in one batch; none fails.
    async fn deliver(&self, events: &[Event]) {
        let response = self.work(batch(events)).await;
        assert_eq!(response.batch_item_failures, vec![]);
        assert_eq!(self.sqs.dead_letters(), [""; 0]);
    }

    /// Delivers a batch to the worker.
    async fn work(&self, batch: SqsEvent) -> SqsBatchResponse {
        inventory::worker::work(&self.worker, &self.sqs.queue(), batch, deadline()).await
    }

    /// Does the work of the relay and of the queue for inventory's own events, until there are none left.
    async fn catch_up(&self) -> Vec<Event> {
        let mut all = Vec::new();
        loop {
            let events = self.take_outbox().await;
            if events.is_empty() {
                return all;
            }
            let consumed = [
                EventKind::StockAdjusted,
                EventKind::OrderAllocated,
                EventKind::OrderReleased,
                EventKind::BackordersRemaining,
            ];
            let own: Vec<_> = events.iter().filter(|event| consumed.contains(&event.kind)).cloned().collect();
            self.deliver(&own).await;
            all.extend(events);
        }
    }

    async fn take_outbox(&self) -> Vec<Event> {
        let table = self.store.table();
        let rows = table.client.scan().table_name(&table.name).index_name("outbox").send().await.unwrap();
        let mut events = Vec::new();
        for row in rows.items.unwrap_or_default() {
            let single = row.get("event").and_then(|event| event.as_s().ok());
            let several = row.get("events").and_then(|events| events.as_l().ok()).into_iter().flatten();
            let texts = single.into_iter().chain(several.filter_map(|event| event.as_s().ok()));
            events.extend(texts.map(|text| Event::parse(text).unwrap()));
            let update = table.client.update_item().table_name(&table.name);
            let update = update.key("pk", row["pk"].clone()).key("sk", row["sk"].clone());
            update.update_expression("REMOVE outbox_pk, outbox_sk, events").send().await.unwrap();
        }
        events.sort_by_key(|event| event.id);
        events
    }
}

fn batch(events: &[Event]) -> SqsEvent {
    let mut batch = SqsEvent::default();
    for event in events {
        let mut message = SqsMessage::default();
        message.message_id = Some(event.id.to_string());
        message.body = Some(event.to_json().unwrap());
        batch.records.push(message);
    }
    batch
}

/// Returns an event of an order, as its context publishes it.
fn order_event(kind: EventKind, order: Uuid, lines: &[(Uuid, i64)]) -> Event {
    let status = match kind {
        EventKind::SalesConfirmed => "confirmed",
        EventKind::PurchaseReceived => "received",
        _ => "cancelled",
    };
    let line = |&(item, quantity): &(Uuid, i64)| OrderLine {
        item_id: Id::new(item),
        quantity: Quantity::of_line(quantity).unwrap(),
        unit_price: Money::ZERO,
    };
    let data = OrderChanged {
        order_id: Id::new(order),
        party_id: Id::new(Uuid::nil()),
        status,
        previous_status: "draft",
        total_amount: Money::ZERO,
        currency: "USD".into(),
        version: 2,
        items: lines.iter().map(line).collect(),
    };
    Event::new(Uuid::now_v7(), kind, order, SystemClock.now(), &Cause::default(), &data).unwrap()
}
