//! Reports commits to the model: changed rows become facts. The only place that knows the rows and the model.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use erp_domain::PartyKind;
use serde_json::Value;
use uuid::Uuid;

use crate::backend::dynamo::{Change, Commit};
use crate::invocation::Function;
use crate::model::request::{ItemForm, PartyForm};
use crate::model::state::{Allocation, Item, Line, Order, Party, Stock, Times};
use crate::model::{Actor, Fact, Model, OrderKind};
use crate::simulation::CommitObserver;

/// Reports commits to a model.
#[derive(Clone)]
pub struct ModelObserver(pub Arc<Mutex<Model>>);

impl CommitObserver for ModelObserver {
    fn observe(&mut self, commit: &Commit) {
        let actor = actor(commit);
        let facts: Vec<Fact> = commit.changes.iter().flat_map(facts).collect();
        self.0.lock().unwrap().committed(commit.number, &actor, &facts);
    }
}

fn actor(commit: &Commit) -> Actor {
    let Some(invocation) = &commit.invocation else {
        return Actor::Unexpected("the test harness".to_owned());
    };
    match (invocation.function, invocation.attempt) {
        (
            Function::AuthApi
            | Function::ContactApi
            | Function::InventoryApi
            | Function::SalesApi
            | Function::PurchaseApi,
            Some(attempt),
        ) => Actor::Client(attempt),
        (Function::InventoryWorker, _) => Actor::Inventory(invocation.since),
        (Function::SalesWorker, _) => Actor::Decisions,
        (Function::Relay | Function::RelaySweep, _) => Actor::Relay,
        (other, _) => Actor::Unexpected(other.to_string()),
    }
}

/// Converts a changed row.
fn facts(change: &Change) -> Vec<Fact> {
    let place = &change.place;
    let new = change.new.as_deref().map(Row);
    let (head, id) = place.pk.split_once('#').unwrap_or((&place.pk, ""));
    let id: Option<Uuid> = id.parse().ok();
    let tail = place.sk.split('#').next().unwrap_or_default();
    let order_kind = if place.table.ends_with("purchase") { OrderKind::Purchase } else { OrderKind::Sales };
    match (head, tail, id, new) {
        ("CUSTOMER", "CONTACT", Some(id), new) => {
            vec![Fact::Party(PartyKind::Customer, id, new.map(party))]
        }
        ("VENDOR", "CONTACT", Some(id), new) => vec![Fact::Party(PartyKind::Vendor, id, new.map(party))],
        ("ITEM", "ITEM", Some(id), new) => vec![Fact::Item(id, new.map(item))],
        ("ITEM", "STOCK", Some(id), new) => {
            let (old, new) = (change.old.as_deref().map(|old| stock(Row(old))), new.map(stock));
            let bound = |row: Option<&Value>| row.map(|row| Row(row).number("smallest_backorder"));
            let (old_bound, new_bound) = (bound(change.old.as_deref()), bound(change.new.as_deref()));
            let changed = new_bound.filter(|_| old_bound != new_bound);
            // The counters of allocated and back-ordered quantities may change alone.
            let stock = if old == new { Fact::Other } else { Fact::Stock(id, new) };
            std::iter::once(stock).chain(changed.map(|bound| Fact::Bound(id, bound))).collect()
        }
        ("ITEM", "WALK", Some(_), Some(row)) => {
            let text = |row: Row<'_>| row.text("event");
            let is_new = change.old.as_deref().map(|old| text(Row(old))) != Some(text(row));
            vec![if is_new { event(&text(row)) } else { Fact::Other }]
        }
        ("ITEM", "MOVEMENT", Some(id), Some(row)) => {
            vec![Fact::Movement(id, row.uuid("id"), row.number("change"))]
        }
        ("ORDER", "ORDER", Some(id), Some(row)) => vec![Fact::Order(order_kind, id, order(row))],
        ("ORDER", "ALLOCATION", Some(id), Some(row)) => allocation(id, row, change.old.as_deref().map(Row)),
        ("USER", "USER", Some(id), Some(row)) => vec![Fact::User {
            id,
            email: row.text("email"),
            role: row.text("role").parse().unwrap(),
            times: row.times(),
            new: change.old.is_none(),
        }],
        ("RESET", "RESET", _, Some(row)) => vec![Fact::ResetRequested {
            email: row.text("email"),
            hash: place.pk.split_once('#').map(|(_, hash)| hash.to_owned()).unwrap_or_default(),
            until: row.number("expires_at"),
            user_exists: row.0.get("user_id").is_some(),
        }],
        ("RESET", "RESET", _, None) => {
            let hash = place.pk.split_once('#').map(|(_, hash)| hash.to_owned()).unwrap_or_default();
            vec![Fact::ResetUsed { hash }]
        }
        ("IDEMPOTENCY", "RESPONSE", _, Some(row)) => {
            let response = Row(&row.0["response"]["M"]);
            vec![Fact::StoredResponse {
                status: u16::try_from(response.number("status")).unwrap(),
                body: response.text("body"),
                until: row.number("expires_at"),
            }]
        }
        (_, "EVENT", _, Some(row)) if change.old.is_none() => {
            let mut facts = Vec::new();
            if row.0.get("outbox_pk").is_some() {
                facts.push(event(&row.text("event")));
            }
            if let ("ORDER", Some(id)) = (head, id) {
                facts.push(Fact::History(order_kind, id, place.sk["EVENT#".len()..].to_owned()));
            }
            facts
        }
        // Guards, counters of attempts, the back-order queue, and rows that the relay has marked as
        // published.
        _ => vec![Fact::Other],
    }
}

fn event(json: &str) -> Fact {
    let event: Value = serde_json::from_str(json).unwrap();
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    Fact::Event { id: text("id"), kind: text("type"), subject: text("subject") }
}

/// A row in DynamoDB JSON.
#[derive(Clone, Copy)]
pub struct Row<'a>(pub &'a Value);

impl Row<'_> {
    /// Returns a string; empty if absent.
    pub fn text(&self, name: &str) -> String {
        self.0[name]["S"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns a number; 0 if absent.
    pub fn number(&self, name: &str) -> i64 {
        self.0[name]["N"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Returns an id.
    pub fn uuid(&self, name: &str) -> Uuid {
        self.text(name).parse().unwrap()
    }

    /// Returns a version or sequence.
    pub fn version(&self, name: &str) -> u64 {
        self.number(name).unsigned_abs()
    }

    fn times(&self) -> Times {
        Times { created_at: self.text("created_at"), updated_at: self.text("updated_at") }
    }

    fn list(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.0[name]["L"].as_array().into_iter().flatten()
    }
}

fn party(row: Row<'_>) -> Party {
    let form = PartyForm {
        name: row.text("name"),
        email: row.text("email"),
        phone: row.text("phone"),
        address: row.text("address"),
    };
    Party { form, version: row.version("version"), times: row.times() }
}

fn item(row: Row<'_>) -> Item {
    let form = ItemForm {
        name: row.text("name"),
        description: row.text("description"),
        sku: row.text("sku"),
        unit_price: row.number("unit_price"),
    };
    Item { form, version: row.version("version"), times: row.times() }
}

fn stock(row: Row<'_>) -> Stock {
    Stock {
        quantity: row.number("quantity"),
        sequence: row.version("sequence"),
        updated_at: row.text("updated_at"),
    }
}

fn order(row: Row<'_>) -> Order {
    let line = |line: &Value| {
        let line = Row(&line["M"]);
        Line {
            id: line.uuid("id"),
            item: line.uuid("item_id"),
            quantity: line.number("quantity"),
            unit_price: line.number("unit_price"),
        }
    };
    Order {
        party: row.uuid("party_id"),
        status: row.text("status"),
        stock_status: row.0["stock_status"]["S"].as_str().map(str::to_owned),
        version: row.version("version"),
        lines: row.list("lines").map(line).collect(),
        times: row.times(),
    }
}

/// Converts an allocation row and the events added to it. The relay changes neither.
fn allocation(id: Uuid, row: Row<'_>, old: Option<Row<'_>>) -> Vec<Fact> {
    let events = |row: Row<'_>| row.list("events").map(Value::clone).collect::<Vec<_>>();
    let before = old.map(events).unwrap_or_default();
    let new = events(row);
    let added = new.iter().filter(|event| !before.contains(event)).filter_map(|event| event["S"].as_str());
    let mut facts: Vec<Fact> = added.map(event).collect();
    let state = parse_allocation(row);
    if old.map(parse_allocation).as_ref() != Some(&state) {
        facts.push(Fact::Allocation(id, state));
    }
    if facts.is_empty() { vec![Fact::Other] } else { facts }
}

fn parse_allocation(row: Row<'_>) -> Allocation {
    let demand = row.0["demand"]["M"].as_object().into_iter().flatten();
    let demand: BTreeMap<Uuid, i64> = demand
        .filter_map(|(item, quantity)| Some((item.parse().ok()?, quantity["N"].as_str()?.parse().ok()?)))
        .collect();
    let change = |change: &Value| {
        let change = Row(&change["M"]);
        (change.uuid("id"), if change.text("kind") == "allocated" { -1 } else { 1 })
    };
    let missing = row.list("missing").filter_map(|item| item["S"].as_str()?.parse().ok());
    Allocation {
        state: row.text("state"),
        demand,
        sequence: row.version("sequence"),
        missing: missing.collect(),
        changes: row.list("moves").map(change).collect(),
    }
}
