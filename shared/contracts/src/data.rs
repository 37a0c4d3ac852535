//! What each kind of event carries in `data`.

use erp_domain::contact::{Contact, ContactKind, Party};
use erp_domain::identity::{Role, User};
use erp_domain::item::Item;
use erp_domain::order::{Line, Order, Status, StockStatus, Transition, Transitioned};
use erp_domain::stock::Demand;
use erp_domain::{Email, Id, LineQuantity, Money, Sku, Timestamp};
use serde::{Deserialize, Serialize};

use crate::EventKind;

/// `contact.*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactChanged {
    /// The contact.
    pub id: Id<Party>,
    /// Its name.
    pub name: String,
    /// Its e-mail address.
    pub email: Email,
    /// Its version.
    pub version: u64,
}

impl From<&Contact> for ContactChanged {
    fn from(contact: &Contact) -> Self {
        Self {
            id: contact.id,
            name: contact.details.name.clone(),
            email: contact.details.email.clone(),
            version: contact.version,
        }
    }
}

/// What can happen to a contact or an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Created,
    /// It changed.
    Updated,
    /// It is gone.
    Deleted,
}

impl Change {
    /// The event of a contact.
    pub const fn of_contact(self, kind: ContactKind) -> EventKind {
        match (kind, self) {
            (ContactKind::Customer, Self::Created) => EventKind::CustomerCreated,
            (ContactKind::Customer, Self::Updated) => EventKind::CustomerUpdated,
            (ContactKind::Customer, Self::Deleted) => EventKind::CustomerDeleted,
            (ContactKind::Vendor, Self::Created) => EventKind::VendorCreated,
            (ContactKind::Vendor, Self::Updated) => EventKind::VendorUpdated,
            (ContactKind::Vendor, Self::Deleted) => EventKind::VendorDeleted,
        }
    }

    /// The event of an item.
    pub const fn of_item(self) -> EventKind {
        match self {
            Self::Created => EventKind::ItemCreated,
            Self::Updated => EventKind::ItemUpdated,
            Self::Deleted => EventKind::ItemDeleted,
        }
    }
}

/// `inventory.item.*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemChanged {
    /// The item.
    pub id: Id<Item>,
    /// Its name.
    pub name: String,
    /// Its SKU.
    pub sku: Sku,
    /// Its price.
    pub unit_price: Money,
    /// Its version.
    pub version: u64,
}

impl From<&Item> for ItemChanged {
    fn from(item: &Item) -> Self {
        Self {
            id: item.id,
            name: item.details.name.clone(),
            sku: item.details.sku.clone(),
            unit_price: item.details.unit_price,
            version: item.version,
        }
    }
}

/// `sales.order.*` and `purchase.order.*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderChanged {
    /// The order.
    pub order_id: Id<Order>,
    /// The customer or vendor.
    pub party_id: Id<Party>,
    /// The status it has now.
    pub status: Status,
    /// The status it had.
    pub previous_status: Status,
    /// What it costs.
    pub total_amount: Money,
    /// ISO 4217 code.
    pub currency: String,
    /// Its version.
    pub version: u64,
    /// What is ordered.
    pub items: Vec<OrderLine>,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// What is ordered.
    pub item_id: Id<Item>,
    /// How many.
    pub quantity: LineQuantity,
    /// What one costs.
    pub unit_price: Money,
}

impl From<&Line> for OrderLine {
    fn from(line: &Line) -> Self {
        Self { item_id: line.item_id, quantity: line.quantity, unit_price: line.unit_price }
    }
}

impl From<&Transitioned> for OrderChanged {
    fn from(done: &Transitioned) -> Self {
        let order = &done.order;
        Self {
            order_id: order.id,
            party_id: order.party_id,
            status: order.status,
            previous_status: done.from,
            total_amount: order.lines.total(),
            currency: order.currency.clone(),
            version: order.version,
            items: order.lines.as_slice().iter().map(OrderLine::from).collect(),
        }
    }
}

impl OrderChanged {
    /// How many of each item, duplicate lines summed.
    pub fn demand(&self) -> Demand {
        let mut demand = Demand::new();
        for line in &self.items {
            *demand.entry(line.item_id).or_insert(0) += line.quantity.get();
        }
        demand
    }
}

/// The event of a transition.
pub const fn order_event(done: &Transitioned) -> EventKind {
    use erp_domain::order::OrderKind as K;
    match (done.order.kind, done.transition) {
        (_, Transition::Confirm) => EventKind::SalesConfirmed,
        (_, Transition::Receive) => EventKind::PurchaseReceived,
        (K::Sales, Transition::Pay) => EventKind::SalesPaid,
        (K::Purchase, Transition::Pay) => EventKind::PurchasePaid,
        (K::Sales, Transition::Cancel) => EventKind::SalesCancelled,
        (K::Purchase, Transition::Cancel) => EventKind::PurchaseCancelled,
    }
}

/// `inventory.order.*`: what inventory decided about a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockDecided {
    /// The sale.
    pub order_id: Id<Order>,
    /// What it is now.
    pub stock_status: StockStatus,
    /// Tells newer news from older: it only grows.
    pub sequence: u64,
    /// What was taken, is waited for, or was given back.
    pub items: Vec<ItemQuantity>,
}

/// So many of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemQuantity {
    /// The item.
    pub item_id: Id<Item>,
    /// How many.
    pub quantity: i64,
}

/// `inventory.stock.adjusted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockAdjusted {
    /// The item.
    pub item_id: Id<Item>,
    /// By how many.
    pub change: i64,
    /// How many there are now.
    pub quantity: i64,
    /// Why, in the person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `auth.user.registered`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRegistered {
    /// The user.
    pub user_id: Id<User>,
    /// The user's address.
    pub email: Email,
    /// The user's role.
    pub role: Role,
}

/// `auth.password.reset_requested`: for whoever sends the mail. It holds no token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordResetRequested {
    /// The user.
    pub user_id: Id<User>,
    /// The user's address.
    pub email: Email,
    /// When the token ends.
    pub expires_at: Timestamp,
}
