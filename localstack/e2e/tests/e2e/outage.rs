//! Two days without a relay: longer than a table's stream keeps its records.
//!
//! The functions are the real ones over a real DynamoDB, in this process, because here the clock must be ours. The
//! stream is what it is on AWS: a record for every event that was written, and gone after a day.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use axum::Router;
use erp_aws::responses::Answers;
use erp_aws::table::Row;
use erp_contracts::{Event, EventKind};
use erp_domain::contact::ContactKind;
use erp_domain::order::OrderKind;
use erp_domain::{Clock, Id, Ids, Money};
use erp_orders::Orders;
use erp_orders::config::Service;
use erp_testkit::{ApiRequest, Dynamo, TestClock};
use inventory::allocations::Allocations;
use relay::Relay;
use relay::outbox::DynamoOutbox;
use relay::publish::{Outcome, Publisher};
use relay::sweep::{DynamoUnpublished, Sweep};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixture::random;

const TABLES: [&str; 2] = ["sales", "inventory"];
const HOUR: i64 = 3600;
/// How long a stream keeps a record
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html>).
const RETENTION: i64 = 24 * HOUR;
const STOCK: i64 = 80;

/// Ids of the time that the test's clock shows.
struct TestIds(Arc<TestClock>);

impl Ids for TestIds {
    fn next(&self) -> Uuid {
        let millis = u64::try_from(self.0.now().as_millis()).unwrap();
        let nanos = u32::try_from(millis % 1000).unwrap() * 1_000_000;
        Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, millis / 1000, nanos))
    }
}

/// Notes what is published.
#[derive(Default)]
struct Topics(Mutex<Vec<Event>>);

#[async_trait]
impl Publisher for Topics {
    async fn publish(&self, _: &str, events: &[&Event]) -> Vec<Outcome> {
        self.0.lock().unwrap().extend(events.iter().map(|event| (*event).clone()));
        events.iter().map(|_| Outcome::Published).collect()
    }
}

/// A record of a stream: when it was written, in which table, and the row.
struct Record {
    at: i64,
    table: &'static str,
    row: Row,
}

struct House {
    dynamo: Dynamo,
    clock: Arc<TestClock>,
    sales: Router,
    orders: erp_orders::store::DynamoStore,
    inventory: Router,
    worker: Allocations,
    topics: Arc<Topics>,
    relay: Relay,
    streams: Mutex<Vec<Record>>,
    seen: Mutex<BTreeSet<String>>,
    party: Id<erp_domain::contact::Party>,
    item: Id<erp_domain::item::Item>,
}

impl House {
    async fn open() -> Self {
        let dynamo = Dynamo::start().await;
        let clock = Arc::new(TestClock::default());
        let ids = Arc::new(TestIds(clock.clone()));
        let topics = Arc::new(Topics::default());

        let stock = inventory::store::DynamoStore::new(dynamo.table("inventory", &["list", "outbox"]).await);
        let inventory = inventory::config::assemble(stock.clone()).into_router();
        let item = json!({"name": "Laptop", "sku": "lap-14", "unit_price": 1});
        let item = ApiRequest::inventory("POST", "/api/items").json(&item).send(&inventory).await;
        let item: Id<_> = item.data()["id"].as_str().unwrap().parse().unwrap();

        let world = Arc::new(erp_orders::testing::World::default());
        let party = Id::new(ids.next());
        world.add_party(ContactKind::Customer, party);
        world.add_item(item, Money::from_minor(100).unwrap(), STOCK);
        let table = dynamo.table("sales", &["list", "status", "party", "outbox"]).await;
        let orders = erp_orders::store::DynamoStore::new(table.clone(), OrderKind::Sales);
        let use_cases = Orders {
            kind: OrderKind::Sales,
            store: Arc::new(orders.clone()),
            parties: world.clone(),
            items: world,
            clock: clock.clone(),
            ids: ids.clone(),
            currency: "USD".to_owned(),
        };
        let responses = Arc::new(Answers { table, clock: clock.clone() });
        let sales = Service { orders: use_cases, responses }.app(sales::api::router).into_router();
        let outbox = Arc::new(DynamoOutbox { client: dynamo.client.clone() });
        Self {
            worker: Allocations { store: Arc::new(stock), clock: clock.clone(), ids },
            relay: Relay { publisher: topics.clone(), outbox },
            streams: Mutex::default(),
            seen: Mutex::default(),
            dynamo,
            clock,
            sales,
            orders,
            inventory,
            topics,
            party,
            item,
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let response = ApiRequest::finance("POST", path).json(body).send(&self.sales).await;
        assert!(response.status < 300, "{path}: {}", response.text);
        response.data()
    }

    /// A new order that is confirmed.
    async fn confirm(&self, quantity: i64) -> String {
        let body =
            json!({"customer_id": self.party, "items": [{"item_id": self.item, "quantity": quantity}]});
        let order = self.post("/api/sales/orders", &body).await["order"]["id"].as_str().unwrap().to_owned();
        self.post(&format!("/api/sales/orders/{order}/confirm"), &json!({})).await;
        order
    }

    /// The rows that wait to be published.
    async fn waiting(&self) -> Vec<(&'static str, Row)> {
        let mut rows = Vec::new();
        for table in TABLES {
            let scan = self.dynamo.client.scan().table_name(table).index_name("outbox").send().await.unwrap();
            rows.extend(scan.items.unwrap_or_default().into_iter().map(|row| (table, row)));
        }
        rows
    }

    /// Adds records for what was written since.
    async fn write_streams(&self) {
        for (table, row) in self.waiting().await {
            if self.seen.lock().unwrap().insert(row["outbox_sk"].as_s().unwrap().clone()) {
                self.streams.lock().unwrap().push(Record { at: self.clock.now().as_seconds(), table, row });
            }
        }
    }

    /// Forgets the records that are a day old; says how many.
    fn trim(&self) -> usize {
        let mut streams = self.streams.lock().unwrap();
        let before = streams.len();
        streams.retain(|record| record.at > self.clock.now().as_seconds() - RETENTION);
        before - streams.len()
    }

    /// The relay reads the next `count` records.
    async fn read_streams(&self, count: usize) {
        let records: Vec<Record> = {
            let mut streams = self.streams.lock().unwrap();
            let count = count.min(streams.len());
            streams.drain(..count).collect()
        };
        let record = |(n, Record { table, row, .. }): (usize, Record)| {
            json!({
                "eventID": n.to_string(), "eventName": "INSERT", "awsRegion": "us-east-1",
                "eventSourceARN": format!("arn:aws:dynamodb:us-east-1:000000000000:table/{table}/stream/now"),
                "dynamodb": {"Keys": {}, "NewImage": image(&row), "SequenceNumber": n.to_string(), "SizeBytes": 1,
                             "ApproximateCreationDateTime": 0, "StreamViewType": "NEW_IMAGE"},
            })
        };
        let records: Vec<Value> = records.into_iter().enumerate().map(record).collect();
        let batch = serde_json::from_value(json!({"Records": records})).unwrap();
        assert!(self.relay.relay(batch).await.batch_item_failures.is_empty());
    }

    async fn sweep(&self) -> usize {
        let tables = TABLES.map(str::to_owned).to_vec();
        let unpublished = Arc::new(DynamoUnpublished { client: self.dynamo.client.clone(), tables });
        let sweep = Sweep { relay: self.relay.clone(), unpublished, clock: self.clock.clone() };
        let swept = sweep.run().await.unwrap();
        assert!(swept.complete && swept.unreadable == 0, "{swept:?}");
        swept.found
    }

    /// Topics and queues: everything that was published comes to those who asked for it, in any order, some of it
    /// twice; what they publish in turn comes through the streams, until there is nothing left.
    async fn settle(&self, random: &mut fastrand::Rng) {
        loop {
            let mut events = std::mem::take(&mut *self.topics.0.lock().unwrap());
            if events.is_empty() {
                return;
            }
            let twice: Vec<Event> = events.iter().filter(|_| random.u8(..4) == 0).cloned().collect();
            events.extend(twice);
            random.shuffle(&mut events);
            let decided = |event: &&Event| {
                [EventKind::OrderAllocated, EventKind::OrderBackordered, EventKind::OrderReleased]
                    .contains(&event.kind)
            };
            let stock = |event: &&Event| event.kind != EventKind::OrderBackordered;
            for batch in events.iter().filter(stock).collect::<Vec<_>>().chunks(10) {
                let response = inventory::worker::work(&self.worker, messages(batch)).await;
                assert_eq!(response.batch_item_failures, []);
            }
            for batch in events.iter().filter(decided).collect::<Vec<_>>().chunks(10) {
                let response = sales::worker::handle_batch(&self.orders, messages(batch)).await;
                assert_eq!(response.batch_item_failures, []);
            }
            self.write_streams().await;
            self.read_streams(usize::MAX).await;
        }
    }

    async fn get(&self, router: &Router, path: &str) -> Value {
        let response = ApiRequest::finance("GET", path).send(router).await;
        assert_eq!(response.status, 200, "{path}: {}", response.text);
        response.data()
    }
}

fn messages(events: &[&Event]) -> SqsEvent {
    let mut batch = SqsEvent::default();
    for event in events {
        let mut message = SqsMessage::default();
        message.message_id = Some(Uuid::new_v4().to_string());
        message.body = Some(event.to_json().unwrap());
        batch.records.push(message);
    }
    batch
}

/// A row as a stream writes it: what the relay reads of it are texts and lists of texts.
fn image(row: &Row) -> Value {
    let value = |value: &aws_sdk_dynamodb::types::AttributeValue| {
        if let Ok(text) = value.as_s() {
            return Some(json!({"S": text}));
        }
        let list = value.as_l().ok()?.iter().map(|text| text.as_s().map(|text| json!({"S": text})));
        Some(json!({"L": list.collect::<Result<Vec<_>, _>>().ok()?}))
    };
    row.iter().filter_map(|(name, found)| Some((name.clone(), value(found)?))).collect()
}

#[tokio::test]
async fn nothing_is_lost_when_the_relay_is_away_for_two_days() {
    let mut random = random("nothing_is_lost_when_the_relay_is_away_for_two_days");
    let house = House::open().await;
    let adjust = json!({"quantity": STOCK});
    let path = format!("/api/items/{}/stock", house.item);
    assert_eq!(ApiRequest::finance("PUT", &path).json(&adjust).send(&house.inventory).await.status, 200);
    house.write_streams().await;
    house.read_streams(usize::MAX).await;
    house.settle(&mut random).await;

    // One order is served while all is well, and is cancelled later, when nobody hears of it.
    let early = house.confirm(7).await;
    house.write_streams().await;
    house.read_streams(usize::MAX).await;
    house.settle(&mut random).await;
    assert_eq!(house.get(&house.inventory, &path).await["quantity"], STOCK - 7);

    // Two days without a relay: an order an hour, more than there is; every fifth is cancelled after a while.
    let mut orders: Vec<(String, i64)> = Vec::new();
    let mut cancelled = BTreeSet::from([early.clone()]);
    for hour in 0..48 {
        house.clock.advance_seconds(HOUR);
        let quantity = random.i64(1..=6);
        orders.push((house.confirm(quantity).await, quantity));
        let victim = match hour {
            3 => Some(early.clone()),
            hour if hour % 5 == 4 => Some(orders[random.usize(..orders.len())].0.clone()),
            _ => None,
        };
        if let Some(order) = victim.filter(|order| *order == early || !cancelled.contains(order)) {
            house.post(&format!("/api/sales/orders/{order}/cancel"), &json!({})).await;
            cancelled.insert(order);
        }
        house.write_streams().await;
    }
    house.clock.advance_seconds(HOUR);
    orders.push((early, 7));
    assert!(house.topics.0.lock().unwrap().is_empty(), "nobody heard of anything");
    let written = house.waiting().await.len();
    let lost = house.trim();
    let kept = house.streams.lock().unwrap().len();
    assert_eq!(lost + kept, written);
    assert!(lost > 20 && kept > 20, "half of it is gone for the relay: {lost} of {written}");

    // The relay comes back and reads what its streams still have; in the middle of that, the sweep comes by.
    house.read_streams(kept / 2).await;
    assert_eq!(
        house.waiting().await.len(),
        written - kept / 2,
        "the relay alone would never find the others"
    );
    assert_eq!(house.sweep().await, written - kept / 2);
    house.read_streams(usize::MAX).await;
    assert_eq!(house.topics.0.lock().unwrap().len(), written + kept - kept / 2, "some of it goes out twice");
    house.settle(&mut random).await;
    assert_eq!((house.sweep().await, house.waiting().await.len()), (0, 0), "all of it is out");

    // What clients are told, what was taken, and what is there: one story.
    let mut held = 0;
    let mut outcomes = BTreeMap::new();
    for (order, quantity) in &orders {
        let data = house.get(&house.sales, &format!("/api/sales/orders/{order}")).await;
        let stock_status = data["order"]["stock_status"].as_str().unwrap().to_owned();
        let expected: &[&str] =
            if cancelled.contains(order) { &["released"] } else { &["allocated", "backordered"] };
        assert!(expected.contains(&stock_status.as_str()), "{order}: {data}");
        held += if stock_status == "allocated" { *quantity } else { 0 };
        outcomes.insert(order.clone(), stock_status);
    }
    let stock = house.get(&house.inventory, &path).await["quantity"].as_i64().unwrap();
    assert_eq!(stock, STOCK - held);
    let waits = orders.iter().filter(|(order, _)| outcomes[order] == "backordered");
    let short = waits.clone().all(|(_, quantity)| *quantity > stock);
    assert!(short && waits.count() > 0, "who waits, waits for want of stock: {stock}, {outcomes:?}");

    let movements = format!("/api/items/{}/movements?limit=100", house.item);
    let movements = house.get(&house.inventory, &movements).await;
    let mut by_order: HashMap<String, Vec<i64>> = HashMap::new();
    for movement in movements.as_array().unwrap().iter().filter(|movement| movement["order_id"].is_string()) {
        let order = movement["order_id"].as_str().unwrap().to_owned();
        by_order.entry(order).or_default().push(movement["change"].as_i64().unwrap());
    }
    for (order, quantity) in &orders {
        // Sorted: what was decided within one millisecond, which a clock that stands is, has no order.
        let mut changes = by_order.remove(order).unwrap_or_default();
        changes.sort_unstable();
        let expected: &[&[i64]] = match outcomes[order].as_str() {
            "allocated" => &[&[-*quantity]],
            "released" => &[&[], &[-*quantity, *quantity]],
            _ => &[&[]],
        };
        assert!(expected.contains(&changes.as_slice()), "{order} {}: {changes:?}", outcomes[order]);
    }
    assert!(by_order.is_empty(), "{by_order:?}");
    let changes = movements.as_array().unwrap().iter().map(|movement| movement["change"].as_i64().unwrap());
    assert_eq!(changes.sum::<i64>(), stock);
}
