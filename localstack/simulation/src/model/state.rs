//! The entities, and their representation in responses.

use std::collections::{BTreeMap, BTreeSet};

use erp_domain::PartyKind;
use erp_domain::identity::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use super::OrderKind;
use super::request::{ItemForm, PartyForm};

/// Creation and last change, as in responses. The model accepts the times and ids of the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// Creation.
    pub created_at: String,
    /// Last change.
    pub updated_at: String,
}

/// A customer or vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// The editable data.
    pub form: PartyForm,
    /// Version, from 1.
    pub version: u64,
    /// Times.
    pub times: Times,
}

/// An item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The editable data.
    pub form: ItemForm,
    /// Version, from 1.
    pub version: u64,
    /// Times.
    pub times: Times,
}

/// The stock of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock {
    /// Available quantity.
    pub quantity: i64,
    /// Number of changes.
    pub sequence: u64,
    /// Time of the last change.
    pub updated_at: String,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its id.
    pub id: Uuid,
    /// The item.
    pub item: Uuid,
    /// The quantity.
    pub quantity: i64,
    /// Minor units.
    pub unit_price: i64,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Customer or vendor.
    pub party: Uuid,
    /// The status.
    pub status: String,
    /// The stock status of a sales order.
    pub stock_status: Option<String>,
    /// Version, from 1; counts changes by clients.
    pub version: u64,
    /// The lines.
    pub lines: Vec<Line>,
    /// Times.
    pub times: Times,
}

impl Order {
    /// Returns the total, in minor units.
    pub fn total(&self) -> i64 {
        self.lines.iter().map(|line| line.quantity * line.unit_price).sum()
    }

    /// Returns the quantity per item.
    pub fn demand(&self) -> BTreeMap<Uuid, i64> {
        let mut demand = BTreeMap::new();
        for line in &self.lines {
            *demand.entry(line.item).or_default() += line.quantity;
        }
        demand
    }
}

/// The allocation of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    /// `backordered`, `allocated`, `released` or `received`.
    pub state: String,
    /// The quantity per item.
    pub demand: BTreeMap<Uuid, i64>,
    /// Sequence, from 1.
    pub sequence: u64,
    /// Deleted items of the demand, whose stock does not change.
    pub missing: BTreeSet<Uuid>,
    /// The changes of stock, oldest first: id and sign (-1 taken, 1 added).
    pub changes: Vec<(Uuid, i64)>,
}

impl Allocation {
    /// Returns whether stock of an item is allocated to the order, or the order is in its back-order queue.
    pub fn uses(&self, item: Uuid) -> bool {
        matches!(self.state.as_str(), "allocated" | "backordered") && self.demand.contains_key(&item)
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The id.
    pub id: Uuid,
    /// The role.
    pub role: Role,
    /// The password.
    pub password: String,
    /// Times.
    pub times: Times,
}

/// A response stored under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// Identifies the request.
    pub fingerprint: String,
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// Expiry, in seconds since the epoch.
    pub until: i64,
}

/// Returns an amount as in responses.
pub fn money(minor: i64) -> Value {
    serde_json::from_str(&format!("{}.{:02}", minor / 100, minor % 100)).unwrap()
}

impl Party {
    /// Returns the response data.
    pub fn show(&self, id: Uuid) -> Value {
        let PartyForm { name, email, phone, address } = &self.form;
        json!({
            "id": id, "name": name, "email": email, "phone": phone, "address": address,
            "version": self.version,
            "created_at": self.times.created_at, "updated_at": self.times.updated_at,
        })
    }
}

impl Item {
    /// Returns the response data.
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
    /// Returns the response data.
    pub fn show(&self, item: Uuid) -> Value {
        json!({"item_id": item, "quantity": self.quantity, "updated_at": self.updated_at})
    }
}

impl Order {
    /// Returns the response data in lists.
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
        if let Some(stock_status) = &self.stock_status {
            shown["stock_status"] = json!(stock_status);
        }
        shown
    }

    /// Returns the response data.
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
