//! What there is when the samples are fed to the functions: the ids that they name, written by the stores.

use contact::ports::ContactStore;
use erp_aws::Table;
use erp_contracts::Along;
use erp_domain::contact::{Contact, ContactDetails, ContactKind, Party};
use erp_domain::item::{Item, ItemDetails};
use erp_domain::order::{Lines, NewLine, Order, OrderKind, Status, StockStatus};
use erp_domain::ports::{RandomIds, SystemClock};
use erp_domain::stock::{Movement, MovementKind};
use erp_domain::{Clock, Email, Id, Ids, LineQuantity, Money, Sku};
use erp_orders::ports::OrderStore;
use inventory::ports::ItemStore;
use uuid::Uuid;

/// Nothing goes along: what was there before is no news.
const ALONE: Along = Along { event: None, record: None };

/// The ids of the samples end in two characters that tell what they are of.
fn id<T>(end: u128) -> Id<T> {
    Id::new(Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 | end))
}

fn customer() -> Id<Party> {
    id(0xc1)
}

fn vendor() -> Id<Party> {
    id(0xb1)
}

fn item() -> Id<Item> {
    id(0xa1)
}

/// Writes everything into the tables that `table` gives by the names of their services.
pub(crate) async fn seed(table: impl Fn(&str) -> Table) {
    let contacts = contact::store::DynamoStore::new(table("contact"));
    for (id, kind, name, email) in [
        (customer(), ContactKind::Customer, "Blue Door Ltd", "orders@bluedoor.example"),
        (vendor(), ContactKind::Vendor, "Northern Laptops", "sales@northern.example"),
        (id(0xb2), ContactKind::Vendor, "Southern Laptops", "sales@southern.example"),
    ] {
        let details = ContactDetails {
            name: name.to_owned(),
            email: Email::parse(email).unwrap(),
            phone: String::new(),
            address: String::new(),
        };
        let contact = Contact::create(id, kind, details, SystemClock.now());
        contacts.insert(&contact, &ALONE).await.unwrap();
    }
    items(&inventory::store::DynamoStore::new(table("inventory"))).await;
    let sales = [(0xd1, Status::Draft), (0xd2, Status::Confirmed), (0xd3, Status::Cancelled)];
    orders(table("sales"), OrderKind::Sales, customer(), 20, &sales).await;
    orders(
        table("purchase"),
        OrderKind::Purchase,
        vendor(),
        50,
        &[(0xe1, Status::Draft), (0xe2, Status::Received)],
    )
    .await;
}

/// One item, of which there are 50.
async fn items(store: &inventory::store::DynamoStore) {
    let details = ItemDetails {
        name: "Machine".to_owned(),
        description: String::new(),
        sku: Sku::parse("machine").unwrap(),
        unit_price: Money::from_minor(9_000_000).unwrap(),
    };
    ItemStore::insert(store, &Item::create(item(), details, SystemClock.now()), &ALONE).await.unwrap();
    let (_, stock) = ItemStore::find(store, item()).await.unwrap().unwrap();
    let found = Movement {
        id: RandomIds.next(),
        item_id: item(),
        change: 50,
        kind: MovementKind::Adjusted,
        order_id: None,
        reason: None,
        at: SystemClock.now(),
    };
    store.adjust(&stock, Some(&found), &ALONE).await.unwrap();
}

async fn orders(table: Table, kind: OrderKind, party: Id<Party>, quantity: i64, orders: &[(u128, Status)]) {
    let store = erp_orders::store::DynamoStore::new(table, kind);
    for (end, status) in orders {
        let line = NewLine {
            item_id: item(),
            quantity: LineQuantity::new(quantity).unwrap(),
            unit_price: Money::from_minor(9_000_000).unwrap(),
        };
        let lines = Lines::price(&[line], &RandomIds).unwrap();
        let mut order = Order::draft(id(*end), kind, party, lines, "USD".to_owned(), SystemClock.now());
        order.status = *status;
        if *status == Status::Confirmed {
            order.stock_status = StockStatus::Pending;
        }
        store.insert(&order, &ALONE).await.unwrap();
    }
}
