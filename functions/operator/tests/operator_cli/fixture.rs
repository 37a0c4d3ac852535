//! Items and orders, written by the contexts' own stores and workers; the tests deliver the events.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::Table;
use erp_aws::table::Row;
use erp_contracts::data::StockAdjusted;
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::time::{RandomIds, SystemClock};
use erp_domain::{Clock, Id, Ids, ItemId, Money, Quantity, Sku, StockChange};
use erp_orders::{Currency, Lines, NewLine};
use erp_testkit::sqs::deadline;
use erp_testkit::{Dynamo, FakeSqs, TestClock};
use inventory::domain::{Adjustment, Item, ItemDetails, Movement, MovementKind};
use inventory::service::{Allocations, BACKORDER_CALLS};
use inventory::store::InventoryStore;
use operator::config::Tables;
use operator::reconcile::{GracePeriod, Ledger};
use purchase::domain::PurchaseOrder;
use purchase::store::PurchaseStore;
use sales::domain::{SalesOrder, Transitioned};
use sales::store::SalesStore;

/// Seconds after which everything that a test does is older than the grace period.
pub(crate) const LATER: i64 = 3600;

/// A deployment whose queues only record calls.
pub(crate) struct Fixture {
    /// The database.
    pub(crate) dynamo: Dynamo,
    /// Its tables.
    pub(crate) tables: Tables,
    inventory: InventoryStore,
    worker: Allocations,
    sqs: FakeSqs,
    sales: SalesStore,
    purchase: PurchaseStore,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        let dynamo = Dynamo::start().await;
        dynamo.table("erp-auth", &["outbox"]).await;
        dynamo.table("erp-contact", &["list", "outbox"]).await;
        dynamo.table("erp-inventory", &["list", "outbox"]).await;
        for orders in ["erp-sales", "erp-purchase"] {
            dynamo.table(orders, &["list", "status", "party", "outbox"]).await;
        }
        dynamo.table("erp-reconciliation", &[]).await;
        let tables = Tables::of_stack(&dynamo.client, "erp");
        let inventory = InventoryStore::new(tables.inventory.clone());
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
        Self {
            worker: Allocations { store: inventory.clone(), clock, ids, backorder_calls: BACKORDER_CALLS },
            sqs: FakeSqs::start().await,
            inventory,
            sales: SalesStore::new(tables.sales.clone()),
            purchase: PurchaseStore::new(tables.purchase.clone()),
            tables,
            dynamo,
        }
    }

    /// Returns the ledger as it is reconciled in that many seconds.
    pub(crate) fn ledger(&self, seconds: i64) -> Ledger {
        let clock = TestClock::at(SystemClock.now().plus_seconds(seconds).as_millis());
        ledger(&self.tables, Arc::new(clock))
    }

    /// Creates an item with that many in stock.
    pub(crate) async fn item(&self, quantity: i64) -> ItemId {
        let details = ItemDetails {
            name: "thing".to_owned(),
            description: String::new(),
            sku: Sku::parse(&RandomIds.next().to_string()).unwrap(),
            unit_price: Money::from_minor(100).unwrap(),
        };
        let item = Item::create(Id::new(RandomIds.next()), details, SystemClock.now());
        let event = event(EventKind::ItemCreated, item.id(), &());
        self.inventory.insert(&item, &event).unwrap().save(&self.tables.inventory).await.unwrap();
        self.mark_published(item.id(), &event).await;
        self.adjust(item.id(), quantity, None).await;
        item.id()
    }

    /// Adjusts the stock of an item; the event is not delivered.
    pub(crate) async fn adjust(&self, item_id: ItemId, change: i64, reason: Option<String>) {
        let (_, old) = self.inventory.find(item_id).await.unwrap().unwrap();
        let at = SystemClock.now();
        let adjustment = Adjustment::By(StockChange::new(change).unwrap());
        let (new, _) = old.adjust(adjustment, at).unwrap().unwrap();
        let data = StockAdjusted { item_id, change, quantity: new.quantity().get(), reason: None };
        let event = event(EventKind::StockAdjusted, item_id, &data);
        let (id, kind) = (event.id, MovementKind::Adjusted);
        let movement = Movement { id, item_id, change, kind, order_id: None, reason, at };
        let saved = self.inventory.adjust(&old, &new, &movement, &event).unwrap();
        saved.save(&self.tables.inventory).await.unwrap();
        self.mark_published(item_id, &event).await;
    }

    /// Deletes an item that is unused; the event is not delivered.
    pub(crate) async fn delete_item(&self, item_id: ItemId) {
        let (item, _) = self.inventory.find(item_id).await.unwrap().unwrap();
        let event = event(EventKind::ItemDeleted, item_id, &());
        self.inventory.delete(&item, &event).unwrap().save(&self.tables.inventory).await.unwrap();
        self.mark_published(item_id, &event).await;
    }

    /// Removes an event of an item from the outbox.
    async fn mark_published(&self, item_id: ItemId, event: &Event) {
        let key = [("pk", format!("ITEM#{item_id}")), ("sk", format!("EVENT#{}", event.id))];
        let row: Row = key.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into();
        change(&self.tables.inventory, &row, "REMOVE outbox_pk, outbox_sk", &[]).await;
    }

    /// Creates a draft without saving it.
    pub(crate) fn unsaved_draft(&self, item_id: ItemId, quantity: i64) -> SalesOrder {
        let (id, customer_id) = (Id::new(RandomIds.next()), Id::new(RandomIds.next()));
        SalesOrder::draft(id, customer_id, lines(item_id, quantity), &currency(), SystemClock.now())
    }

    /// Creates a draft.
    pub(crate) async fn draft(&self, item_id: ItemId, quantity: i64) -> SalesOrder {
        let order = self.unsaved_draft(item_id, quantity);
        self.save(&order).await;
        order
    }

    /// Saves an order without an event.
    pub(crate) async fn save(&self, order: &SalesOrder) {
        self.sales.insert(order).unwrap().save(&self.tables.sales).await.unwrap();
    }

    /// Creates and confirms an order; its event is in the outbox.
    pub(crate) async fn confirm(&self, item_id: ItemId, quantity: i64) -> SalesOrder {
        let draft = self.draft(item_id, quantity).await;
        self.advance(&draft, draft.confirm(SystemClock.now()).unwrap()).await
    }

    /// Cancels an order; its event is in the outbox.
    pub(crate) async fn cancel(&self, order: &SalesOrder) -> SalesOrder {
        self.advance(order, order.cancel(SystemClock.now()).unwrap()).await
    }

    async fn advance(&self, old: &SalesOrder, transitioned: Transitioned) -> SalesOrder {
        let change = self.sales.advance(old, &transitioned, RandomIds.next(), &Cause::default());
        change.unwrap().save(&self.tables.sales).await.unwrap();
        transitioned.order().clone()
    }

    /// Creates and receives a purchase order; its event is in the outbox.
    pub(crate) async fn receive(&self, item_id: ItemId, quantity: i64) -> PurchaseOrder {
        let (id, vendor_id) = (Id::new(RandomIds.next()), Id::new(RandomIds.next()));
        let now = SystemClock.now();
        let draft = PurchaseOrder::draft(id, vendor_id, lines(item_id, quantity), &currency(), now);
        self.purchase.insert(&draft).unwrap().save(&self.tables.purchase).await.unwrap();
        let received = draft.receive(now).unwrap();
        let change = self.purchase.advance(&draft, &received, RandomIds.next(), &Cause::default());
        change.unwrap().save(&self.tables.purchase).await.unwrap();
        received.order().clone()
    }

    /// Delivers events until every outbox is empty.
    pub(crate) async fn deliver_all(&self) {
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

    /// Delivers an event to its workers.
    pub(crate) async fn deliver(&self, event: &Event) {
        let queue = self.sqs.queue();
        let response = inventory::worker::work(&self.worker, &queue, batch(event), deadline()).await;
        assert!(response.batch_item_failures.is_empty(), "{response:?}");
        if event.kind.service() == "inventory" && event.kind != EventKind::StockAdjusted {
            let response = sales::worker::handle_batch(&self.sales, &queue, batch(event), deadline()).await;
            assert!(response.batch_item_failures.is_empty(), "{response:?}");
        }
        let dead = self.sqs.dead_letters();
        assert!(dead.is_empty(), "{dead:?}");
    }

    /// Creates an order with each outcome, and delivers all events: 4 allocated, 20 back-ordered, 3 returned,
    /// 1 cancelled before its confirmation, 5 received; 11 are left.
    pub(crate) async fn orders(&self) -> Orders {
        let item = self.item(10).await;
        let allocated = self.confirm(item, 4).await;
        self.deliver_all().await;
        let backordered = self.confirm(item, 20).await;
        let returned = self.confirm(item, 3).await;
        self.deliver_all().await;
        self.cancel(&returned).await;
        let draft = self.draft(item, 1).await;
        self.cancel(&draft).await;
        self.receive(item, 5).await;
        self.draft(item, 1).await;
        self.deliver_all().await;
        Orders { item, allocated, backordered }
    }
}

/// Returns a view of the tables without a delay between two checks.
pub(crate) fn ledger(tables: &Tables, clock: Arc<TestClock>) -> Ledger {
    let grace_period = GracePeriod { recheck_delay: Duration::ZERO, ..GracePeriod::default() };
    Ledger { clock, ..tables.clone().ledger(grace_period) }
}

/// The orders of [`Fixture::orders`] that tests change.
pub(crate) struct Orders {
    pub(crate) item: ItemId,
    pub(crate) allocated: SalesOrder,
    pub(crate) backordered: SalesOrder,
}

fn currency() -> Currency {
    "USD".parse().unwrap()
}

fn lines(item_id: ItemId, quantity: i64) -> Lines {
    let quantity = Quantity::of_line(quantity).unwrap();
    let line = NewLine { item_id, quantity, unit_price: Money::from_minor(100).unwrap() };
    Lines::new(&[line], &RandomIds).unwrap()
}

fn event(kind: EventKind, item_id: ItemId, data: &impl serde::Serialize) -> Event {
    Event::new(RandomIds.next(), kind, item_id, SystemClock.now(), &Cause::default(), data).unwrap()
}

pub(crate) fn batch(event: &Event) -> SqsEvent {
    let mut message = SqsMessage::default();
    message.message_id = Some(event.id.to_string());
    message.body = Some(event.to_json().unwrap());
    let mut batch = SqsEvent::default();
    batch.records.push(message);
    batch
}

/// Removes the events from the outbox of a table and returns them, oldest first.
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

/// Changes a row without the rules of its context.
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

/// Deletes a row without the rules of its context.
pub(crate) async fn delete(table: &Table, row: &Row) {
    let request = table.client.delete_item().table_name(&table.name);
    request.key("pk", row["pk"].clone()).key("sk", row["sk"].clone()).send().await.unwrap();
}

/// Returns the rows of a partition whose sort keys start with `sk`.
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
