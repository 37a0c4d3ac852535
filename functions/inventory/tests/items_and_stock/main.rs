//! Items and stock, over the real SDK and an embedded DynamoDB.
#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

mod conditions;
mod limits;
mod orders;
mod stock;

use std::sync::Arc;

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use axum::Router;
use erp_contracts::data::{OrderChanged, OrderLine};
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::order::Status;
use erp_domain::ports::{RandomIds, SystemClock};
use erp_domain::{Clock, Id, LineQuantity, Money};
use erp_testkit::{ApiRequest, Dynamo};
use inventory::allocations::Allocations;
use inventory::store::DynamoStore;
use serde_json::json;
use uuid::Uuid;

/// Inventory with its worker, and the queue between its own decisions and itself.
struct Inventory {
    router: Router,
    store: DynamoStore,
    worker: Allocations,
}

impl Inventory {
    async fn start() -> Self {
        let table = Dynamo::start().await.table("inventory", &["list", "outbox"]).await;
        let store = DynamoStore::new(table);
        let router = inventory::config::assemble(store.clone()).into_router();
        let worker = Allocations {
            store: Arc::new(store.clone()),
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
        };
        Self { router, store, worker }
    }

    /// A new item with so many in stock.
    async fn item(&self, quantity: i64) -> Uuid {
        let sku = Uuid::now_v7().to_string();
        let body = json!({"name": "thing", "sku": sku, "unit_price": "1.50"});
        let created = ApiRequest::inventory("POST", "/api/items").json(&body).send(&self.router).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let id: Uuid = created.data()["id"].as_str().unwrap().parse().unwrap();
        if quantity > 0 {
            let path = format!("/api/items/{id}/stock");
            let set = ApiRequest::inventory("PUT", &path)
                .json(&json!({"set_to": quantity}))
                .send(&self.router)
                .await;
            assert_eq!(set.status, 200, "{}", set.text);
            self.catch_up().await;
        }
        id
    }

    async fn stock(&self, item: Uuid) -> i64 {
        let path = format!("/api/items/{item}/stock");
        let answer = ApiRequest::inventory("GET", &path).send(&self.router).await;
        answer.data()["quantity"].as_i64().unwrap()
    }

    /// The changes of the item's stock, oldest first.
    async fn movements(&self, item: Uuid) -> Vec<i64> {
        let path = format!("/api/items/{item}/movements?limit=100");
        let answer = ApiRequest::inventory("GET", &path).send(&self.router).await;
        let rows = answer.data();
        let changes = rows.as_array().unwrap().iter().rev().map(|row| row["change"].as_i64().unwrap());
        changes.collect()
    }

    /// Delivers events to the worker, in one batch; nothing fails.
    async fn deliver(&self, events: &[Event]) {
        let response = inventory::worker::work(&self.worker, batch(events)).await;
        assert_eq!(response.batch_item_failures, vec![]);
    }

    /// Does the relay's and the queue's work for inventory's own events, until there are none left.
    async fn catch_up(&self) -> Vec<Event> {
        let mut all = Vec::new();
        loop {
            let events = self.take_outbox().await;
            if events.is_empty() {
                return all;
            }
            let follow = [EventKind::StockAdjusted, EventKind::OrderAllocated, EventKind::OrderReleased];
            let own: Vec<_> = events.iter().filter(|event| follow.contains(&event.kind)).cloned().collect();
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

/// What the order's service says of it.
fn order_event(kind: EventKind, order: Uuid, lines: &[(Uuid, i64)]) -> Event {
    let status = match kind {
        EventKind::SalesConfirmed => Status::Confirmed,
        EventKind::PurchaseReceived => Status::Received,
        _ => Status::Cancelled,
    };
    let line = |&(item, quantity): &(Uuid, i64)| OrderLine {
        item_id: Id::new(item),
        quantity: LineQuantity::new(quantity).unwrap(),
        unit_price: Money::ZERO,
    };
    let data = OrderChanged {
        order_id: Id::new(order),
        party_id: Id::new(Uuid::nil()),
        status,
        previous_status: Status::Draft,
        total_amount: Money::ZERO,
        currency: "USD".into(),
        version: 2,
        items: lines.iter().map(line).collect(),
    };
    Event::new(Uuid::now_v7(), kind, order, SystemClock.now(), &Cause::default(), &data).unwrap()
}
