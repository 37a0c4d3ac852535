//! Items and orders, made by the services' own stores and workers; the test carries the events.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::Table;
use erp_aws::table::Row;
use erp_contracts::data::{OrderChanged, order_event};
use erp_contracts::{Along, Cause, Event, EventKind};
use erp_domain::item::{Item, ItemDetails};
use erp_domain::order::{Lines, NewLine, Order, OrderKind, Transition};
use erp_domain::ports::{RandomIds, SystemClock};
use erp_domain::stock::{Movement, MovementKind};
use erp_domain::{Clock, Id, Ids, LineQuantity, Money, Sku};
use erp_orders::ports::OrderStore as _;
use erp_orders::store::DynamoStore as Orders;
use erp_testkit::{Dynamo, TestClock};
use inventory::allocations::Allocations;
use inventory::ports::ItemStore as _;
use inventory::store::DynamoStore as Inventory;
use operator::config::Tables;
use operator::reconcile::{Books, Patience};

/// Long after everything that a test does.
pub(crate) const LATER: i64 = 3600;

/// A deployment without queues.
pub(crate) struct Shop {
    /// Its tables.
    pub(crate) tables: Tables,
    pub(crate) inventory: Inventory,
    pub(crate) worker: Allocations,
    sales: Orders,
    purchase: Orders,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let dynamo = Dynamo::start().await;
        dynamo.table("erp-auth", &["outbox"]).await;
        dynamo.table("erp-contact", &["list", "outbox"]).await;
        dynamo.table("erp-inventory", &["list", "outbox"]).await;
        for orders in ["erp-sales", "erp-purchase"] {
            dynamo.table(orders, &["list", "status", "party", "outbox"]).await;
        }
        let tables = Tables::of_stack(&dynamo.client, "erp");
        let inventory = Inventory::new(tables.inventory.clone());
        let (store, clock) = (Arc::new(inventory.clone()), Arc::new(SystemClock));
        Self {
            worker: Allocations { store, clock, ids: Arc::new(RandomIds) },
            inventory,
            sales: Orders::new(tables.sales.clone(), OrderKind::Sales),
            purchase: Orders::new(tables.purchase.clone(), OrderKind::Purchase),
            tables,
        }
    }

    /// The books as they are looked at so many seconds from now.
    pub(crate) fn books(&self, seconds: i64) -> Books {
        let patience = Patience { second_look: Duration::ZERO, ..Patience::default() };
        let clock = Arc::new(TestClock::at(SystemClock.now().plus_seconds(seconds).as_millis()));
        Books { clock, ..self.tables.clone().books(patience) }
    }

    /// A new item with so many in stock.
    pub(crate) async fn item(&self, quantity: i64) -> Id<Item> {
        let details = ItemDetails {
            name: "thing".to_owned(),
            description: String::new(),
            sku: Sku::parse(&RandomIds.next().to_string()).unwrap(),
            unit_price: Money::from_minor(100).unwrap(),
        };
        let item = Item::create(Id::new(RandomIds.next()), details, SystemClock.now());
        self.inventory.insert(&item, &Along { event: None, record: None }).await.unwrap();
        self.adjust(item.id, quantity, None).await;
        item.id
    }

    /// More of an item, by hand; nobody is told.
    pub(crate) async fn adjust(&self, item_id: Id<Item>, change: i64, reason: Option<String>) {
        let (_, stock) = self.inventory.find(item_id).await.unwrap().unwrap();
        let (id, at) = (RandomIds.next(), SystemClock.now());
        let kind = MovementKind::Adjusted;
        let movement = Movement { id, item_id, change, kind, order_id: None, reason, at };
        self.inventory.adjust(&stock, Some(&movement), &Along { event: None, record: None }).await.unwrap();
    }

    fn orders(&self, kind: OrderKind) -> &Orders {
        match kind {
            OrderKind::Sales => &self.sales,
            OrderKind::Purchase => &self.purchase,
        }
    }

    /// A new draft, in no table.
    pub(crate) fn draft(&self, kind: OrderKind, item_id: Id<Item>, quantity: i64) -> Order {
        let quantity = LineQuantity::new(quantity).unwrap();
        let line = NewLine { item_id, quantity, unit_price: Money::from_minor(100).unwrap() };
        let lines = Lines::price(&[line], &RandomIds).unwrap();
        let (id, party) = (Id::new(RandomIds.next()), Id::new(RandomIds.next()));
        Order::draft(id, kind, party, lines, "USD".to_owned(), SystemClock.now())
    }

    /// Saves an order as it is; nobody is told.
    pub(crate) async fn save(&self, order: &Order) {
        self.orders(order.kind).insert(order, &Along { event: None, record: None }).await.unwrap();
    }

    /// An order that has just gone through a transition; its event stands in the outbox.
    pub(crate) async fn order(&self, item: Id<Item>, quantity: i64, transition: Transition) -> Order {
        let kind = if transition == Transition::Receive { OrderKind::Purchase } else { OrderKind::Sales };
        let draft = self.draft(kind, item, quantity);
        self.save(&draft).await;
        self.advance(draft, transition).await
    }

    /// Does a transition; its event stands in the outbox.
    pub(crate) async fn advance(&self, order: Order, transition: Transition) -> Order {
        let done = order.apply(transition, SystemClock.now()).unwrap();
        let (id, at, data) = (RandomIds.next(), SystemClock.now(), OrderChanged::from(&done));
        let event = Event::new(id, order_event(&done), order.id, at, &Cause::default(), &data).unwrap();
        let along = Along { event: Some(event), record: None };
        self.orders(order.kind).advance(&order, &done, &along).await.unwrap();
        done.order
    }

    /// Does the work of relay and queues until nothing is left.
    pub(crate) async fn settle(&self) {
        loop {
            let mut events = Vec::new();
            for table in [&self.tables.inventory, &self.tables.sales, &self.tables.purchase] {
                events.extend(take_outbox(table).await);
            }
            if events.is_empty() {
                return;
            }
            for event in &events {
                self.deliver(event).await;
            }
        }
    }

    /// Delivers an event to those who want it.
    pub(crate) async fn deliver(&self, event: &Event) {
        let failed = inventory::worker::work(&self.worker, batch(event)).await.batch_item_failures;
        assert!(failed.is_empty(), "{failed:?}");
        if event.kind.service() == "inventory" && event.kind != EventKind::StockAdjusted {
            let failed = sales::worker::handle_batch(&self.sales, batch(event)).await.batch_item_failures;
            assert!(failed.is_empty(), "{failed:?}");
        }
    }

    /// An order of each fate, all of it long over: one holds 4, one waits for 20, one gave 3 back, one was cancelled
    /// before it was confirmed, one brought 5; 11 are left.
    pub(crate) async fn fates(&self) -> Fates {
        let item = self.item(10).await;
        let holds = self.order(item, 4, Transition::Confirm).await;
        self.settle().await;
        let waits = self.order(item, 20, Transition::Confirm).await;
        let gives_back = self.order(item, 3, Transition::Confirm).await;
        self.settle().await;
        self.advance(gives_back, Transition::Cancel).await;
        self.order(item, 1, Transition::Cancel).await;
        self.order(item, 5, Transition::Receive).await;
        self.save(&self.draft(OrderKind::Sales, item, 1)).await;
        self.settle().await;
        Fates { item, holds, waits }
    }
}

/// Those of the orders that tests do something to.
pub(crate) struct Fates {
    pub(crate) item: Id<Item>,
    pub(crate) holds: Order,
    pub(crate) waits: Order,
}

pub(crate) fn batch(event: &Event) -> SqsEvent {
    let mut message = SqsMessage::default();
    message.message_id = Some(event.id.to_string());
    message.body = Some(event.to_json().unwrap());
    let mut batch = SqsEvent::default();
    batch.records.push(message);
    batch
}

/// The events that stand in an outbox, oldest first; afterwards it is empty.
pub(crate) async fn take_outbox(table: &Table) -> Vec<Event> {
    let scan = table.client.scan().table_name(&table.name).index_name("outbox");
    let mut events = Vec::new();
    for row in scan.send().await.unwrap().items.unwrap_or_default() {
        let single = row.get("event").and_then(|event| event.as_s().ok());
        let several = row.get("events").and_then(|events| events.as_l().ok()).into_iter().flatten();
        let texts = single.into_iter().chain(several.filter_map(|event| event.as_s().ok()));
        events.extend(texts.map(|text| Event::parse(text).unwrap()));
        change(table, &row, "REMOVE outbox_pk, outbox_sk, events", &[]).await;
    }
    events.sort_by_key(|event| event.id);
    events
}

/// Changes a row behind everybody's back.
pub(crate) async fn change(table: &Table, row: &Row, update: &str, values: &[(&str, AttributeValue)]) {
    let mut request = table
        .client
        .update_item()
        .table_name(&table.name)
        .key("pk", row["pk"].clone())
        .key("sk", row["sk"].clone())
        .update_expression(update);
    for (name, value) in values {
        match name.strip_prefix('#') {
            Some(attribute) => request = request.expression_attribute_names(*name, attribute),
            None => request = request.expression_attribute_values(*name, value.clone()),
        }
    }
    request.send().await.unwrap();
}

/// Takes a row away behind everybody's back.
pub(crate) async fn delete(table: &Table, row: &Row) {
    let request = table.client.delete_item().table_name(&table.name);
    request.key("pk", row["pk"].clone()).key("sk", row["sk"].clone()).send().await.unwrap();
}

/// The rows of a table whose keys begin like this.
pub(crate) async fn rows(table: &Table, pk: impl ToString, sk: &str) -> Vec<Row> {
    let found = table
        .client
        .query()
        .table_name(&table.name)
        .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
        .expression_attribute_values(":pk", AttributeValue::S(pk.to_string()))
        .expression_attribute_values(":sk", AttributeValue::S(sk.to_owned()));
    found.send().await.unwrap().items.unwrap_or_default()
}
