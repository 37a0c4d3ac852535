//! An outage of the relay of two days: longer than a table's stream keeps its records.
//!
//! The functions run in this process, over a real DynamoDB, because the test sets the clock. The streams are
//! simulated: a record for every event row, deleted after a day as on AWS.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use axum::Router;
use erp_aws::Table;
use erp_aws::table::Row;
use erp_contracts::{Event, EventKind};
use erp_domain::{Clock, Id, Ids, ItemId, Money, PartyId, PartyKind};
use erp_orders::Currency;
use erp_orders::upstream::testing::FakeUpstreams;
use erp_testkit::sqs::deadline;
use erp_testkit::{ApiRequest, Dynamo, FakeSns, FakeSqs, TestClock};
use inventory::service::{Allocations, BACKORDER_CALLS};
use inventory::store::InventoryStore;
use relay::Relay;
use relay::sweep::Sweep;
use relay::topics::Topics;
use sales::service::SalesOrders;
use sales::store::SalesStore;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixture::random;

const HOUR: i64 = 3600;
/// Retention of stream records, in seconds
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html>).
const RETENTION: i64 = 24 * HOUR;
const STOCK: i64 = 80;

/// Generates ids with the time of the test's clock.
struct TestIds(Arc<TestClock>);

impl Ids for TestIds {
    fn next(&self) -> Uuid {
        let millis = u64::try_from(self.0.now().as_millis()).unwrap();
        let nanos = u32::try_from(millis % 1000).unwrap() * 1_000_000;
        Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, millis / 1000, nanos))
    }
}

/// A record of a stream.
struct Record {
    written_at: i64,
    table: String,
    row: Row,
}

struct Platform {
    clock: Arc<TestClock>,
    sales: Router,
    orders: SalesStore,
    inventory: Router,
    worker: Allocations,
    sqs: FakeSqs,
    sns: FakeSns,
    relay: Relay,
    tables: [Table; 2],
    streams: Mutex<Vec<Record>>,
    recorded: Mutex<BTreeSet<String>>,
    customer: PartyId,
    item: ItemId,
}

impl Platform {
    async fn start() -> Self {
        let dynamo = Dynamo::start().await;
        let clock = Arc::new(TestClock::default());
        let ids = Arc::new(TestIds(clock.clone()));
        let sns = FakeSns::start().await;

        let inventory_table = dynamo.table("inventory", &["list", "outbox"]).await;
        let stock = InventoryStore::new(inventory_table.clone());
        let inventory = inventory::config::build(stock.clone(), clock.clone(), ids.clone()).into_router();
        let item = json!({"name": "Laptop", "sku": "lap-14", "unit_price": 1});
        let item = ApiRequest::inventory("POST", "/api/items").json(&item).send(&inventory).await;
        let item: ItemId = item.data()["id"].as_str().unwrap().parse().unwrap();

        let upstreams = Arc::new(FakeUpstreams::default());
        let customer = Id::new(ids.next());
        upstreams.add_party(PartyKind::Customer, customer);
        upstreams.add_item(item, Money::from_minor(100).unwrap(), STOCK);
        let sales_table = dynamo.table("sales", &["list", "status", "party", "outbox"]).await;
        let currency: Currency = "USD".parse().unwrap();
        let orders = SalesStore::new(sales_table.clone());
        let store = orders.clone();
        let service = SalesOrders { store, upstreams, clock: clock.clone(), ids: ids.clone(), currency };
        let sales = sales::config::build(service).into_router();

        let topic =
            |context: &'static str| (context, format!("arn:aws:sns:us-east-1:000000000000:erp-{context}"));
        let client = aws_sdk_sns::Client::new(&sns.sdk_config());
        let topics = Topics { client, arns: ["sales", "inventory"].map(topic).into() };
        Self {
            worker: Allocations { store: stock, clock: clock.clone(), ids, backorder_calls: BACKORDER_CALLS },
            relay: Relay { topics, dynamodb: dynamo.client.clone() },
            orders,
            tables: [sales_table, inventory_table],
            streams: Mutex::default(),
            recorded: Mutex::default(),
            clock,
            sales,
            inventory,
            sqs: FakeSqs::start().await,
            sns,
            customer,
            item,
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let response = ApiRequest::finance("POST", path).json(body).send(&self.sales).await;
        assert!(response.status < 300, "{path}: {}", response.text);
        response.data()
    }

    /// Creates and confirms an order. Returns its id.
    async fn confirm(&self, quantity: i64) -> String {
        let body =
            json!({"customer_id": self.customer, "items": [{"item_id": self.item, "quantity": quantity}]});
        let order = self.post("/api/sales/orders", &body).await["order"]["id"].as_str().unwrap().to_owned();
        self.post(&format!("/api/sales/orders/{order}/confirm"), &json!({})).await;
        order
    }

    /// Returns the unpublished event rows.
    async fn unpublished(&self) -> Vec<(String, Row)> {
        let mut rows = Vec::new();
        for Table { client, name, .. } in &self.tables {
            let scan = client.scan().table_name(name).index_name("outbox").send().await.unwrap();
            rows.extend(scan.items.unwrap_or_default().into_iter().map(|row| (name.clone(), row)));
        }
        rows
    }

    /// Adds stream records for the rows that were written since the last call.
    async fn write_streams(&self) {
        for (table, row) in self.unpublished().await {
            if self.recorded.lock().unwrap().insert(row["outbox_sk"].as_s().unwrap().clone()) {
                let written_at = self.clock.now().as_seconds();
                self.streams.lock().unwrap().push(Record { written_at, table, row });
            }
        }
    }

    /// Deletes the records that are older than the retention. Returns their number.
    fn trim(&self) -> usize {
        let mut streams = self.streams.lock().unwrap();
        let before = streams.len();
        streams.retain(|record| record.written_at > self.clock.now().as_seconds() - RETENTION);
        before - streams.len()
    }

    /// Delivers the next `count` records to the relay.
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
        assert!(self.relay.relay(batch, deadline()).await.batch_item_failures.is_empty());
    }

    async fn sweep(&self) -> usize {
        let (relay, tables) = (self.relay.clone(), self.tables.to_vec());
        let report = Sweep { relay, tables, clock: self.clock.clone() }.run(deadline()).await.unwrap();
        assert!(report.complete && report.unreadable == 0, "{report:?}");
        report.found
    }

    /// Delivers the published events to the workers that subscribe to them, in random order and some of them
    /// twice, and relays the events that the workers write, until there are no more.
    async fn drain(&self, random: &mut fastrand::Rng) {
        loop {
            let published = self.sns.take();
            let mut events: Vec<Event> =
                published.iter().map(|published| Event::parse(&published.message).unwrap()).collect();
            if events.is_empty() {
                return;
            }
            let twice: Vec<Event> = events.iter().filter(|_| random.u8(..4) == 0).cloned().collect();
            events.extend(twice);
            random.shuffle(&mut events);
            let is_decision = |event: &&Event| {
                [EventKind::OrderAllocated, EventKind::OrderBackordered, EventKind::OrderReleased]
                    .contains(&event.kind)
            };
            let queue = self.sqs.queue();
            let for_inventory = |event: &&Event| event.kind != EventKind::OrderBackordered;
            for batch in events.iter().filter(for_inventory).collect::<Vec<_>>().chunks(10) {
                let response =
                    inventory::worker::work(&self.worker, &queue, messages(batch), deadline()).await;
                assert_eq!(response.batch_item_failures, []);
            }
            for batch in events.iter().filter(is_decision).collect::<Vec<_>>().chunks(10) {
                let batch = messages(batch);
                let response = sales::worker::handle_batch(&self.orders, &queue, batch, deadline()).await;
                assert_eq!(response.batch_item_failures, []);
            }
            assert_eq!(self.sqs.dead_letters(), [""; 0]);
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

/// Returns the image of a row in a stream record. The relay reads strings and lists of strings.
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
async fn no_event_is_lost_in_an_outage_of_the_relay_of_two_days() {
    let mut random = random("no_event_is_lost_in_an_outage_of_the_relay_of_two_days");
    let platform = Platform::start().await;
    let adjust = json!({"quantity": STOCK});
    let path = format!("/api/items/{}/stock", platform.item);
    assert_eq!(ApiRequest::finance("PUT", &path).json(&adjust).send(&platform.inventory).await.status, 200);
    platform.write_streams().await;
    platform.read_streams(usize::MAX).await;
    platform.drain(&mut random).await;

    // One order is allocated before the outage and cancelled during it.
    let early = platform.confirm(7).await;
    platform.write_streams().await;
    platform.read_streams(usize::MAX).await;
    platform.drain(&mut random).await;
    assert_eq!(platform.get(&platform.inventory, &path).await["quantity"], STOCK - 7);

    // The outage: an order per hour, more than the stock; every fifth is cancelled later.
    let mut orders: Vec<(String, i64)> = Vec::new();
    let mut cancelled = BTreeSet::from([early.clone()]);
    for hour in 0..48 {
        platform.clock.advance_seconds(HOUR);
        let quantity = random.i64(1..=6);
        orders.push((platform.confirm(quantity).await, quantity));
        let to_cancel = match hour {
            3 => Some(early.clone()),
            hour if hour % 5 == 4 => Some(orders[random.usize(..orders.len())].0.clone()),
            _ => None,
        };
        if let Some(order) = to_cancel.filter(|order| *order == early || !cancelled.contains(order)) {
            platform.post(&format!("/api/sales/orders/{order}/cancel"), &json!({})).await;
            cancelled.insert(order);
        }
        platform.write_streams().await;
    }
    platform.clock.advance_seconds(HOUR);
    orders.push((early, 7));
    assert!(platform.sns.published().is_empty(), "nothing is published");
    let written = platform.unpublished().await.len();
    let lost = platform.trim();
    let kept = platform.streams.lock().unwrap().len();
    assert_eq!(lost + kept, written);
    assert!(lost > 20 && kept > 20, "about half of the records are deleted: {lost} of {written}");

    // The relay reads the records that are left; the sweep runs in between.
    platform.read_streams(kept / 2).await;
    assert_eq!(
        platform.unpublished().await.len(),
        written - kept / 2,
        "the relay alone does not find the others"
    );
    assert_eq!(platform.sweep().await, written - kept / 2);
    platform.read_streams(usize::MAX).await;
    assert_eq!(platform.sns.published().len(), written + kept - kept / 2, "some events are published twice");
    platform.drain(&mut random).await;
    assert_eq!(
        (platform.sweep().await, platform.unpublished().await.len()),
        (0, 0),
        "everything is published"
    );

    // The stock statuses of the orders, the stock and the movements are consistent.
    let mut allocated = 0;
    let mut outcomes = BTreeMap::new();
    for (order, quantity) in &orders {
        let data = platform.get(&platform.sales, &format!("/api/sales/orders/{order}")).await;
        let stock_status = data["order"]["stock_status"].as_str().unwrap().to_owned();
        let expected: &[&str] =
            if cancelled.contains(order) { &["released"] } else { &["allocated", "backordered"] };
        assert!(expected.contains(&stock_status.as_str()), "{order}: {data}");
        allocated += if stock_status == "allocated" { *quantity } else { 0 };
        outcomes.insert(order.clone(), stock_status);
    }
    let stock = platform.get(&platform.inventory, &path).await["quantity"].as_i64().unwrap();
    assert_eq!(stock, STOCK - allocated);
    let backordered = orders.iter().filter(|(order, _)| outcomes[order] == "backordered");
    let short = backordered.clone().all(|(_, quantity)| *quantity > stock);
    assert!(short && backordered.count() > 0, "back-orders exceed the stock of {stock}: {outcomes:?}");

    let movements = format!("/api/items/{}/movements?limit=100", platform.item);
    let movements = platform.get(&platform.inventory, &movements).await;
    let mut by_order: HashMap<String, Vec<i64>> = HashMap::new();
    for movement in movements.as_array().unwrap().iter().filter(|movement| movement["order_id"].is_string()) {
        let order = movement["order_id"].as_str().unwrap().to_owned();
        by_order.entry(order).or_default().push(movement["change"].as_i64().unwrap());
    }
    for (order, quantity) in &orders {
        // Sorted: the clock stands still, and decisions of the same millisecond have no order.
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
