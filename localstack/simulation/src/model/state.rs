//! What things are, and how they are shown.

use std::collections::BTreeMap;

use erp_domain::PartyKind;
use erp_domain::identity::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use super::OrderKind;
use super::request::{ItemForm, PartyForm};

/// When something was made and last changed, as it is shown. The model takes times and ids as it is told them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// Made.
    pub created_at: String,
    /// Last changed.
    pub updated_at: String,
}

/// A customer or vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// What the client said.
    pub form: PartyForm,
    /// 1, and one more with each change.
    pub version: u64,
    /// When.
    pub times: Times,
}

/// An item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What the client said.
    pub form: ItemForm,
    /// 1, and one more with each change.
    pub version: u64,
    /// When.
    pub times: Times,
}

/// How many there are of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock {
    /// So many.
    pub quantity: i64,
    /// 0, and one more with each change.
    pub sequence: u64,
    /// When it last changed.
    pub updated_at: String,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its id.
    pub id: Uuid,
    /// Of which item.
    pub item: Uuid,
    /// How many.
    pub quantity: i64,
    /// Minor units.
    pub unit_price: i64,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Customer or vendor.
    pub party: Uuid,
    /// Where it stands.
    pub status: String,
    /// What inventory says.
    pub stock_status: String,
    /// 1, and one more with each change by a client.
    pub version: u64,
    /// The lines.
    pub lines: Vec<Line>,
    /// When.
    pub times: Times,
}

impl Order {
    /// What it costs, in minor units.
    pub fn total(&self) -> i64 {
        self.lines.iter().map(|line| line.quantity * line.unit_price).sum()
    }

    /// How many of each item.
    pub fn demand(&self) -> BTreeMap<Uuid, i64> {
        let mut demand = BTreeMap::new();
        for line in &self.lines {
            *demand.entry(line.item).or_default() += line.quantity;
        }
        demand
    }
}

/// What inventory holds for an order: `backordered`, `allocated`, `released` or `received`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    /// Where it stands.
    pub state: String,
    /// How many of each item.
    pub demand: BTreeMap<Uuid, i64>,
    /// 1, and one more with each change.
    pub sequence: u64,
    /// The ids of the times that stock moved, oldest first, with what each item moved by: -1 out, 1 in.
    pub moves: Vec<(Uuid, i64)>,
}

impl Allocation {
    /// Whether the order holds stock of an item, or waits for it.
    pub fn uses(&self, item: Uuid) -> bool {
        matches!(self.state.as_str(), "allocated" | "backordered") && self.demand.contains_key(&item)
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: Uuid,
    /// Their role.
    pub role: Role,
    /// Their password.
    pub password: String,
    /// When.
    pub times: Times,
}

/// An answer that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// Of the request that it answers.
    pub fingerprint: String,
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// Until when, in seconds since the epoch.
    pub until: i64,
}

/// An amount as it is shown.
pub fn money(minor: i64) -> Value {
    serde_json::from_str(&format!("{}.{:02}", minor / 100, minor % 100)).unwrap_or_default()
}

impl Party {
    /// As it is shown.
    pub fn show(&self, id: Uuid) -> Value {
        let PartyForm { name, email, phone, address } = &self.form;
        json!({
            "id": id, "name": name, "email": email, "phone": phone, "address": address, "version": self.version,
            "created_at": self.times.created_at, "updated_at": self.times.updated_at,
        })
    }
}

impl Item {
    /// As it is shown.
    pub fn show(&self, id: Uuid) -> Value {
        let ItemForm { name, description, sku, unit_price } = &self.form;
        json!({
            "id": id, "name": name, "description": description, "sku": sku, "unit_price": money(*unit_price),
            "version": self.version,
            "created_at": self.times.created_at, "updated_at": self.times.updated_at,
        })
    }
}

impl Stock {
    /// As it is shown.
    pub fn show(&self, item: Uuid) -> Value {
        json!({"item_id": item, "quantity": self.quantity, "updated_at": self.updated_at})
    }
}

impl Order {
    /// As lists show it.
    pub fn show_summary(&self, kind: OrderKind, id: Uuid) -> Value {
        let mut shown = json!({
            "id": id, "status": self.status, "total_amount": money(self.total()), "currency": "USD",
            "version": self.version,
            "created_at": self.times.created_at, "updated_at": self.times.updated_at,
        });
        match kind.party() {
            PartyKind::Customer => shown["customer_id"] = json!(self.party),
            PartyKind::Vendor => shown["vendor_id"] = json!(self.party),
        }
        if kind == OrderKind::Sales {
            shown["stock_status"] = json!(self.stock_status);
        }
        shown
    }

    /// As it is shown.
    pub fn show(&self, kind: OrderKind, id: Uuid) -> Value {
        let line = |line: &Line| {
            json!({
                "id": line.id, "order_id": id, "item_id": line.item, "quantity": line.quantity,
                "unit_price": money(line.unit_price), "subtotal": money(line.unit_price * line.quantity),
            })
        };
        json!({
            "order": self.show_summary(kind, id),
            "items": self.lines.iter().map(line).collect::<Vec<_>>(),
        })
    }
}
