//! Invariants of the quiescent state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use erp_domain::PartyKind;
use erp_domain::identity::Role;
use serde_json::Value;
use uuid::Uuid;

use crate::client::{Shared, render};
use crate::gateway::{AuthPath, Request};
use crate::model::{Model, OrderKind};
use crate::model::request::{ClientRequest, Caller, Command};
use crate::observer::Row;

/// Checks the final state and records violations in the model.
pub async fn inspect(shared: &Arc<Shared>, poison: &BTreeSet<String>) {
    let mut found = Vec::new();
    let mut checks: BTreeMap<&'static str, u64> = BTreeMap::new();
    {
        let mut judge = |promise: &'static str, holds: bool, what: String| {
            *checks.entry(promise).or_default() += 1;
            if !holds {
                found.push(format!("{promise}, at rest: {what}"));
            }
        };
        let model = shared.model.lock().unwrap();
        events(shared, &model, poison, &mut judge);
        orders(&model, &mut judge);
        stock(shared, &model, &mut judge);
        lines(shared, &model, &mut judge);
    }
    {
        let mut model = shared.model.lock().unwrap();
        model.violations.extend(found);
        for (promise, count) in checks {
            *model.checks.entry(promise).or_default() += count;
        }
    }
    look(shared).await;
}

type Judge<'a> = dyn FnMut(&'static str, bool, String) + 'a;

/// Every event is published, and the only dead letters are poison messages.
fn events(shared: &Shared, model: &Model, poison: &BTreeSet<String>, judge: &mut Judge<'_>) {
    let published = shared.simulation.broker().published.clone();
    for (id, kind) in &model.events {
        judge("P2", published.contains_key(id), format!("{kind} {id} was never published"));
    }
    for id in published.keys() {
        judge("P2", model.events.contains_key(id), format!("{id} was published and never happened"));
    }
    let mut left = poison.clone();
    for (queue, dead) in shared.simulation.dead_letters() {
        judge("P2", left.remove(&dead.body), format!("a good message is dead in {queue}: {}", dead.body));
    }
    judge("P2", left.is_empty(), format!("poison that is in no dead-letter queue: {left:?}"));
    let waiting = shared.simulation.read(|dynamo| {
        let rows = dynamo.rows().iter().filter(|(_, row)| row.get("outbox_pk").is_some());
        rows.map(|(place, _)| format!("{place:?}")).collect::<Vec<_>>()
    });
    judge("P2", waiting.is_empty(), format!("left in the outbox: {waiting:?}"));
}

/// Orders agree with their allocations, and no order is back-ordered while its stock is available.
fn orders(model: &Model, judge: &mut Judge<'_>) {
    for ((kind, id), order) in &model.orders {
        let Some(order) = order.now() else { continue };
        let held = model.allocations.get(id).and_then(|allocation| allocation.now());
        let state = held.map(|held| held.state.as_str());
        let agrees = match (*kind, order.status.as_str()) {
            (_, "draft") | ("purchase", "cancelled") => state.is_none(),
            ("sales", "cancelled") => state == Some("released"),
            ("sales", _) => matches!(state, Some("allocated" | "backordered")),
            _ => state == Some("received"),
        };
        judge("P2", agrees, format!("{kind} {id} is {} and inventory holds {held:?}", order.status));
        if *kind == "sales" {
            let shown = state.unwrap_or("none");
            judge(
                "P2",
                order.stock_status == shown,
                format!("{id} shows {}, is {shown}", order.stock_status),
            );
        }
        if let Some(held) = held.filter(|held| held.state == "backordered") {
            let enough = held.demand.iter().all(|(item, wanted)| {
                model
                    .stock
                    .get(item)
                    .and_then(|stock| stock.now())
                    .is_some_and(|stock| stock.quantity >= *wanted)
            });
            judge("P1", !enough, format!("{id} waits for what is there: {:?}", held.demand));
        }
    }
}

/// Stock is the sum of its movements.
fn stock(shared: &Shared, model: &Model, judge: &mut Judge<'_>) {
    for ((item, id), by) in &model.movements {
        let written = model.written.get(&(*item, *id)).map(|(_, by)| *by);
        judge(
            "P3",
            written == Some(*by),
            format!("movement {id} of {item} by {by} is written as {written:?}"),
        );
    }
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    let mut quantities: BTreeMap<String, i64> = BTreeMap::new();
    for (place, row) in shared.simulation.rows("erp-inventory") {
        let row = Row(&row);
        if place.sk.starts_with("MOVEMENT#") {
            *sums.entry(place.pk).or_default() += row.number("change");
        } else if place.sk == "STOCK" {
            quantities.insert(place.pk, row.number("quantity"));
        }
    }
    for (item, quantity) in quantities {
        let sum = sums.get(&item).copied().unwrap_or_default();
        judge("P3", sum == quantity, format!("{item}: {quantity} in stock, movements add up to {sum}"));
    }
}

/// Back-ordered orders, and no others, are in the back-order queue of each of their items.
fn lines(shared: &Shared, model: &Model, judge: &mut Judge<'_>) {
    let mut places = BTreeSet::new();
    for (place, row) in shared.simulation.rows("erp-inventory") {
        if place.sk.starts_with("WAITING#") {
            let item: Option<Uuid> = place.pk.strip_prefix("ITEM#").and_then(|id| id.parse().ok());
            places.extend(item.map(|item| (Row(&row).uuid("order_id"), item)));
        }
    }
    let waits = model.allocations.iter().filter_map(|(id, allocation)| {
        let held = allocation.now().filter(|held| held.state == "backordered")?;
        Some(held.demand.keys().map(|item| (*id, *item)).collect::<Vec<_>>())
    });
    let waits: BTreeSet<_> = waits.flatten().collect();
    let missing: Vec<_> = waits.difference(&places).collect();
    judge("P2", missing.is_empty(), format!("wait and do not stand in line: {missing:?}"));
    let forgotten: Vec<_> = places.difference(&waits).collect();
    judge("P2", forgotten.is_empty(), format!("stand in line and do not wait: {forgotten:?}"));
}

/// Reads everything over the API; the model checks the responses.
async fn look(shared: &Arc<Shared>) {
    let asks: Vec<Command> = {
        let model = shared.model.lock().unwrap();
        let contact = |word: &str| match word {
            "vendor" => PartyKind::Vendor,
            _ => PartyKind::Customer,
        };
        let order = |word: &str| match word {
            "purchase" => OrderKind::Purchase,
            _ => OrderKind::Sales,
        };
        let parties = model.parties.keys().map(|(kind, id)| Command::GetParty(contact(kind), *id));
        let items = model
            .items
            .keys()
            .flat_map(|id| [Command::GetItem(*id), Command::GetStock(*id), Command::ListMovements(*id, 100)]);
        let orders = model
            .orders
            .keys()
            .flat_map(|(kind, id)| [Command::GetOrder(order(kind), *id), Command::ListEvents(order(kind), *id)]);
        let lists = [PartyKind::Customer, PartyKind::Vendor].map(|kind| Command::ListParties(kind, 100));
        let statuses = [OrderKind::Sales, OrderKind::Purchase].into_iter().flat_map(|kind| {
            [None, Some("draft"), Some("paid"), Some("cancelled")].map(|status| Command::ListOrders {
                kind,
                status,
                party: None,
                limit: 100,
            })
        });
        parties
            .chain(items)
            .chain(orders)
            .chain(lists)
            .chain(statuses)
            .chain([Command::ListItems(100)])
            .collect()
    };
    for what in asks {
        let answer = ask(shared, what).await;
        if answer.is_none() {
            shared.model.lock().unwrap().violations.push("nothing is wrong, and yet no answer".to_owned());
        }
    }
    // Not in the head of the loop, which would hold the lock during the requests.
    let lists = everything(&shared.model.lock().unwrap());
    for (path, expected) in lists {
        walk(shared, &path, &expected).await;
    }
}

/// Returns every list with the ids that it must contain, newest first.
fn everything(model: &Model) -> Vec<(String, Vec<String>)> {
    let newest_first = |mut ids: Vec<String>| {
        ids.sort_unstable();
        ids.reverse();
        ids
    };
    let parties = |kind: &'static str| {
        let there = model.parties.iter().filter(|((of, _), party)| *of == kind && party.now().is_some());
        (format!("/api/{kind}s"), newest_first(there.map(|((_, id), _)| id.to_string()).collect()))
    };
    let orders = |kind: &'static str| {
        let there = model.orders.keys().filter(|(of, _)| *of == kind);
        (format!("/api/{kind}/orders"), newest_first(there.map(|(_, id)| id.to_string()).collect()))
    };
    let items = model.items.iter().filter(|(_, item)| item.now().is_some()).map(|(id, _)| id.to_string());
    vec![
        parties("customer"),
        parties("vendor"),
        orders("sales"),
        orders("purchase"),
        ("/api/items".to_owned(), newest_first(items.collect())),
    ]
}

/// Reads a list page by page.
async fn walk(shared: &Arc<Shared>, path: &str, expected: &[String]) {
    let mut found: Vec<String> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let query = cursor.as_ref().map_or(String::new(), |cursor| format!("&cursor={cursor}"));
        let request = request(shared, "GET", format!("{path}?limit=7{query}"), None);
        let answer = shared.simulation.send(&request, &AuthPath::Gateway, 0).await;
        let body = answer.map_or(Value::Null, |answer| answer.json());
        let rows = body["data"].as_array().cloned().unwrap_or_default();
        found.extend(rows.iter().filter_map(|row| row["id"].as_str().map(str::to_owned)));
        cursor = body["meta"]["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() || found.len() > expected.len() {
            break;
        }
    }
    let mut model = shared.model.lock().unwrap();
    *model.checks.entry("answers").or_default() += 1;
    if found != expected {
        model.violations.push(format!("answers, at rest: {path} lists {found:?}, not {expected:?}"));
    }
}

async fn ask(shared: &Arc<Shared>, what: Command) -> Option<erp_testkit::ApiResponse> {
    let (method, path, body) = render(&what);
    let request = request(shared, method, path.clone(), body.clone());
    let caller =
        Caller::User(Uuid::from_u128(1 + Role::FinanceManager as u128).to_string(), Role::FinanceManager);
    let path = path.split('?').next().unwrap_or_default().to_owned();
    let ask = Arc::new(ClientRequest { caller, what, method, path, body, key: None, if_match: None });
    shared.try_once(&ask, &request, &AuthPath::Gateway).await
}

fn request(shared: &Arc<Shared>, method: &'static str, path: String, body: Option<Value>) -> Request {
    use erp_domain::Clock;
    let caller = erp_testkit::request::user(Role::FinanceManager);
    let signed = shared.simulation.tokens.sign(&caller, Uuid::nil(), shared.simulation.clock.now());
    let token = signed.ok().map(|(token, _)| token);
    Request { method, path, token, headers: Vec::new(), body }
}
