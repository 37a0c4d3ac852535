//! The data that the samples in `events/` refer to, with fixed ids.
//!
//! The stores write it into an embedded database, and its rows are copied from there. Event rows are not
//! copied: the relay would publish them, and the functions would process them while the samples are sent.

use contact::domain::{Contact, ContactDetails};
use contact::store::ContactStore;
use erp_aws::Table;
use erp_aws::outbox::EVENT_PREFIX;
use erp_aws::table::Row;
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::time::{RandomIds, SystemClock};
use erp_domain::{
    Clock, EmailAddress, Id, Ids, ItemId, Money, OrderId, PartyId, PartyKind, Quantity, Sku, Timestamp,
};
use erp_orders::{Currency, Lines, NewLine};
use erp_testkit::Dynamo;
use erp_testkit::dynamo::rows;
use inventory::domain::{Adjustment, Item, ItemDetails, Movement, MovementKind, Stock};
use inventory::store::InventoryStore;
use purchase::domain::PurchaseOrder;
use purchase::store::PurchaseStore;
use sales::domain::SalesOrder;
use sales::store::SalesStore;
use serde_json::json;
use uuid::Uuid;

/// The last two characters of an id show its type.
pub(crate) fn id<T>(end: u128) -> Id<T> {
    Id::new(Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 | end))
}

const INDEXES: [&str; 4] = ["list", "status", "party", "outbox"];

/// Writes all data into the tables of the contexts; `table_of` returns the table of a context.
pub(crate) async fn write(table_of: impl Fn(&str) -> Table) {
    let embedded = Dynamo::start().await;
    for context in ["contact", "inventory", "sales", "purchase"] {
        let source = embedded.table(context, &INDEXES).await;
        match context {
            "contact" => contacts(&source).await,
            "inventory" => items(&source).await,
            "sales" => sales_orders(&source).await,
            _ => purchase_orders(&source).await,
        }
        copy(&source, &table_of(context)).await;
    }
}

async fn copy(source: &Table, target: &Table) {
    let is_event = |row: &Row| row["sk"].as_s().unwrap().starts_with(EVENT_PREFIX);
    for row in rows(source).await.into_iter().filter(|row| !is_event(row)) {
        let put = target.client.put_item().table_name(&target.name).set_item(Some(row));
        put.send().await.unwrap();
    }
}

/// Returns an event that is not copied.
fn event(kind: EventKind) -> Event {
    Event::new(RandomIds.next(), kind, "sample", SystemClock.now(), &Cause::default(), &json!({})).unwrap()
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn customer() -> PartyId {
    id(0xc1)
}

fn vendor() -> PartyId {
    id(0xb1)
}

fn item() -> ItemId {
    id(0xa1)
}

async fn contacts(table: &Table) {
    let store = ContactStore::new(table.clone());
    for (id, kind, name, email) in [
        (customer(), PartyKind::Customer, "Blue Door Ltd", "orders@bluedoor.example"),
        (vendor(), PartyKind::Vendor, "Northern Laptops", "sales@northern.example"),
        (id(0xb2), PartyKind::Vendor, "Southern Laptops", "sales@southern.example"),
    ] {
        let details = ContactDetails {
            name: name.to_owned(),
            email: EmailAddress::parse(email).unwrap(),
            phone: String::new(),
            address: String::new(),
        };
        let contact = Contact::create(id, kind, details, now());
        let change = store.insert(&contact, &event(EventKind::CustomerCreated)).unwrap();
        change.save(table).await.unwrap();
    }
}

/// Writes an item with 50 in stock, and one without stock.
async fn items(table: &Table) {
    let store = InventoryStore::new(table.clone());
    for (id, sku) in [(item(), "machine"), (id(0xa2), "spare part")] {
        let details = ItemDetails {
            name: "Machine".to_owned(),
            description: String::new(),
            sku: Sku::parse(sku).unwrap(),
            unit_price: unit_price(),
        };
        let change = store.insert(&Item::create(id, details, now()), &event(EventKind::ItemCreated)).unwrap();
        change.save(table).await.unwrap();
    }
    let (_, old) = store.find(item()).await.unwrap().unwrap();
    let event = event(EventKind::StockAdjusted);
    let (new, movement) = received(&old, 50, event.id);
    let change = store.adjust(&old, &new, &movement, &event).unwrap();
    change.save(table).await.unwrap();
    // As if an order had waited for one piece: the next order reads the back-order queue.
    store.raise_bound(item(), 1, 0).unwrap().save(table).await.unwrap();
}

fn received(old: &Stock, quantity: i64, id: Uuid) -> (Stock, Movement) {
    let change = erp_domain::StockChange::new(quantity).unwrap();
    let (new, change) = old.adjust(Adjustment::By(change), now()).unwrap().unwrap();
    let movement = Movement {
        id,
        item_id: old.item_id(),
        change: change.get(),
        kind: MovementKind::Adjusted,
        order_id: None,
        reason: None,
        at: new.updated_at(),
    };
    (new, movement)
}

fn unit_price() -> Money {
    Money::from_minor(9_000_000).unwrap()
}

fn lines(quantity: i64) -> Lines {
    let quantity = Quantity::new(quantity).unwrap();
    Lines::new(&[NewLine { item_id: item(), quantity, unit_price: unit_price() }], &RandomIds).unwrap()
}

fn currency() -> Currency {
    "USD".parse().unwrap()
}

/// Writes a draft, a confirmed order and a cancelled one.
async fn sales_orders(table: &Table) {
    let store = SalesStore::new(table.clone());
    let insert = async |id: OrderId| {
        let draft = SalesOrder::draft(id, customer(), lines(20), &currency(), now());
        store.insert(&draft).unwrap().save(table).await.unwrap()
    };
    let (_, to_confirm, to_cancel) = (insert(id(0xd1)).await, insert(id(0xd2)).await, insert(id(0xd3)).await);
    for (old, new) in
        [(&to_confirm, to_confirm.confirm(now()).unwrap()), (&to_cancel, to_cancel.cancel(now()).unwrap())]
    {
        let change = store.advance(old, &new, RandomIds.next(), &Cause::default()).unwrap();
        change.save(table).await.unwrap();
    }
}

/// Writes a draft and a received order.
async fn purchase_orders(table: &Table) {
    let store = PurchaseStore::new(table.clone());
    let insert = async |id: OrderId| {
        let draft = PurchaseOrder::draft(id, vendor(), lines(50), &currency(), now());
        store.insert(&draft).unwrap().save(table).await.unwrap()
    };
    insert(id(0xe1)).await;
    let old = insert(id(0xe2)).await;
    let new = old.receive(now()).unwrap();
    let change = store.advance(&old, &new, RandomIds.next(), &Cause::default()).unwrap();
    change.save(table).await.unwrap();
}
