//! Invariants of the quiescent state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use erp_domain::identity::Role;
use erp_domain::{Clock, PartyKind};
use serde_json::Value;
use uuid::Uuid;

use crate::client::{Shared, render};
use crate::gateway::{AuthPath, Request};
use crate::model::request::{Caller, ClientRequest, Command};
use crate::model::{Model, OrderKind};
use crate::observer::Row;

/// Checks the final state and records violations in the model.
pub async fn inspect(shared: &Arc<Shared>, poison: &BTreeSet<String>) {
    let mut violations = Vec::new();
    let mut checks: BTreeMap<&'static str, u64> = BTreeMap::new();
    {
        let mut check = |promise: &'static str, holds: bool, message: String| {
            *checks.entry(promise).or_default() += 1;
            if !holds {
                violations.push(format!("{promise}, final state: {message}"));
            }
        };
        let model = shared.model.lock().unwrap();
        check_events(shared, &model, poison, &mut check);
        check_orders(&model, &mut check);
        check_stock(shared, &model, &mut check);
        check_counters(shared, &model, &mut check);
        check_backorder_queues(shared, &model, &mut check);
    }
    {
        let mut model = shared.model.lock().unwrap();
        model.violations.extend(violations);
        for (promise, count) in checks {
            *model.checks.entry(promise).or_default() += count;
        }
    }
    read_everything(shared).await;
}

type Check<'a> = dyn FnMut(&'static str, bool, String) + 'a;

/// Every event is published, and the only dead letters are poison messages.
fn check_events(shared: &Shared, model: &Model, poison: &BTreeSet<String>, check: &mut Check<'_>) {
    let published = shared.simulation.broker().published.clone();
    for (id, kind) in &model.events {
        check("P2", published.contains_key(id), format!("{kind} {id} was never published"));
    }
    for id in published.keys() {
        check("P2", model.events.contains_key(id), format!("{id} was published without a commit"));
    }
    let mut missing = poison.clone();
    for (queue, dead) in shared.simulation.dead_letters() {
        // A worker that is killed, or gets no response, sends a dead letter again.
        let is_poison = poison.contains(&dead.body);
        missing.remove(&dead.body);
        check("P2", is_poison, format!("a valid message is a dead letter of {queue}: {}", dead.body));
    }
    let all_dead = missing.is_empty();
    check("P2", all_dead, format!("poison messages missing from the dead-letter queues: {missing:?}"));
    let unpublished = shared.simulation.read(|dynamo| {
        let rows = dynamo.rows().iter().filter(|(_, row)| row.get("outbox_pk").is_some());
        rows.map(|(place, _)| format!("{place:?}")).collect::<Vec<_>>()
    });
    check("P2", unpublished.is_empty(), format!("left in the outbox: {unpublished:?}"));
}

/// Orders agree with their allocations, and no order is back-ordered while its stock is sufficient.
fn check_orders(model: &Model, check: &mut Check<'_>) {
    for ((kind, id), order) in &model.orders {
        let Some(order) = order.now() else { continue };
        let allocation = model.allocations.get(id).and_then(|allocation| allocation.now());
        let state = allocation.map(|allocation| allocation.state.as_str());
        let agrees = match (*kind, order.status.as_str()) {
            (_, "draft") | ("purchase", "cancelled") => state.is_none(),
            ("sales", "cancelled") => state == Some("released"),
            ("sales", _) => matches!(state, Some("allocated" | "backordered")),
            _ => state == Some("received"),
        };
        check("P2", agrees, format!("{kind} {id} is {}, its allocation is {allocation:?}", order.status));
        if *kind == "sales" {
            let expected = Some(state.unwrap_or("none"));
            let shown = order.stock_status.as_deref();
            check(
                "P2",
                shown == expected,
                format!("{id} has the stock status {shown:?}, expected {expected:?}"),
            );
        }
        // An order of a deleted item waits for ever.
        if let Some(allocation) = allocation.filter(|allocation| allocation.state == "backordered") {
            let demand = &allocation.demand;
            let insufficient = model.was_insufficient(demand, usize::MAX, usize::MAX);
            check(
                "P1",
                insufficient,
                format!("{id} is back-ordered although its stock is sufficient: {demand:?}"),
            );
        }
    }
}

/// Stock is the sum of its movements. The movements of a deleted item add up to 0.
fn check_stock(shared: &Shared, model: &Model, check: &mut Check<'_>) {
    for ((item, id), by) in &model.movements {
        let written = model.written.get(&(*item, *id)).map(|(_, by)| *by);
        let equal = written == Some(*by);
        check("P3", equal, format!("movement {id} of {item} by {by}: the row has {written:?}"));
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
    let items: BTreeSet<&String> = sums.keys().chain(quantities.keys()).collect();
    for item in items {
        let sum = sums.get(item).copied().unwrap_or_default();
        let quantity = quantities.get(item).copied().unwrap_or_default();
        check("P3", sum == quantity, format!("{item}: {quantity} in stock, movements add up to {sum}"));
    }
}

/// The counters of a stock row are the sums over the allocations.
fn check_counters(shared: &Shared, model: &Model, check: &mut Check<'_>) {
    let mut sums: BTreeMap<(Uuid, &str), i64> = BTreeMap::new();
    for allocation in model.allocations.values().filter_map(|allocation| allocation.now()) {
        let stocked = allocation.demand.iter().filter(|(item, _)| !allocation.missing.contains(item));
        for (item, quantity) in stocked {
            *sums.entry((*item, &allocation.state)).or_default() += quantity;
        }
    }
    for (place, row) in shared.simulation.rows("erp-inventory") {
        let item: Option<Uuid> = place.pk.strip_prefix("ITEM#").and_then(|id| id.parse().ok());
        let Some(item) = item.filter(|_| place.sk == "STOCK") else { continue };
        for counter in ["allocated", "backordered"] {
            let value = Row(&row).number(counter);
            let sum = sums.get(&(item, counter)).copied().unwrap_or_default();
            check("P3", value == sum, format!("{item}: the counter {counter} is {value}, expected {sum}"));
        }
    }
}

/// Back-ordered orders, and no others, are in the back-order queue of each of their items.
fn check_backorder_queues(shared: &Shared, model: &Model, check: &mut Check<'_>) {
    let mut queued = BTreeSet::new();
    for (place, row) in shared.simulation.rows("erp-inventory") {
        if place.sk.starts_with("WAITING#") {
            let item: Option<Uuid> = place.pk.strip_prefix("ITEM#").and_then(|id| id.parse().ok());
            queued.extend(item.map(|item| (Row(&row).uuid("order_id"), item)));
        }
    }
    let backordered = model.allocations.iter().filter_map(|(id, allocation)| {
        let allocation = allocation.now().filter(|allocation| allocation.state == "backordered")?;
        Some(allocation.demand.keys().map(|item| (*id, *item)).collect::<Vec<_>>())
    });
    let backordered: BTreeSet<_> = backordered.flatten().collect();
    let missing: Vec<_> = backordered.difference(&queued).collect();
    check("P2", missing.is_empty(), format!("back-ordered and not queued: {missing:?}"));
    let stale: Vec<_> = queued.difference(&backordered).collect();
    check("P2", stale.is_empty(), format!("queued and not back-ordered: {stale:?}"));
}

/// Reads every entity and every list through the API; the model checks the responses.
async fn read_everything(shared: &Arc<Shared>) {
    let commands: Vec<Command> = {
        let model = shared.model.lock().unwrap();
        let contact = |kind: &str| match kind {
            "vendor" => PartyKind::Vendor,
            _ => PartyKind::Customer,
        };
        let order = |kind: &str| match kind {
            "purchase" => OrderKind::Purchase,
            _ => OrderKind::Sales,
        };
        let parties = model.parties.keys().map(|(kind, id)| Command::GetParty(contact(kind), *id));
        let items = model
            .items
            .keys()
            .flat_map(|id| [Command::GetItem(*id), Command::GetStock(*id), Command::ListMovements(*id, 100)]);
        let orders = model.orders.keys().flat_map(|(kind, id)| {
            [Command::GetOrder(order(kind), *id), Command::ListEvents(order(kind), *id)]
        });
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
    for command in commands {
        let response = send(shared, command).await;
        if response.is_none() {
            shared
                .model
                .lock()
                .unwrap()
                .violations
                .push("responses, final state: no response without a fault".to_owned());
        }
    }
    // Not in the head of the loop, which would hold the lock during the requests.
    let lists = expected_lists(&shared.model.lock().unwrap());
    for (path, expected) in lists {
        read_pages(shared, &path, &expected).await;
    }
}

/// Returns every list with the ids that it must contain, newest first.
fn expected_lists(model: &Model) -> Vec<(String, Vec<String>)> {
    let newest_first = |mut ids: Vec<String>| {
        ids.sort_unstable();
        ids.reverse();
        ids
    };
    let parties = |kind: &'static str| {
        let existing = model.parties.iter().filter(|((of, _), party)| *of == kind && party.now().is_some());
        (format!("/api/{kind}s"), newest_first(existing.map(|((_, id), _)| id.to_string()).collect()))
    };
    let orders = |kind: &'static str| {
        let existing = model.orders.keys().filter(|(of, _)| *of == kind);
        (format!("/api/{kind}/orders"), newest_first(existing.map(|(_, id)| id.to_string()).collect()))
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
async fn read_pages(shared: &Arc<Shared>, path: &str, expected: &[String]) {
    let mut listed: Vec<String> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let query = cursor.as_ref().map_or(String::new(), |cursor| format!("&cursor={cursor}"));
        let http_request = http_request(shared, "GET", format!("{path}?limit=7{query}"), None);
        let response = shared.simulation.send(&http_request, &AuthPath::Gateway, 0).await;
        let body = response.map_or(Value::Null, |response| response.json());
        let rows = body["data"].as_array().cloned().unwrap_or_default();
        listed.extend(rows.iter().filter_map(|row| row["id"].as_str().map(str::to_owned)));
        cursor = body["meta"]["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() || listed.len() > expected.len() {
            break;
        }
    }
    let mut model = shared.model.lock().unwrap();
    *model.checks.entry("responses").or_default() += 1;
    if listed != expected {
        model
            .violations
            .push(format!("responses, final state: {path} lists {listed:?}, expected {expected:?}"));
    }
}

async fn send(shared: &Arc<Shared>, command: Command) -> Option<erp_testkit::ApiResponse> {
    let (method, path, body) = render(&command);
    let http_request = http_request(shared, method, path.clone(), body.clone());
    let caller =
        Caller::User(Uuid::from_u128(1 + Role::FinanceManager as u128).to_string(), Role::FinanceManager);
    let path = path.split('?').next().unwrap_or_default().to_owned();
    let request = Arc::new(ClientRequest { caller, command, method, path, body, key: None, if_match: None });
    shared.try_once(&request, &http_request, &AuthPath::Gateway).await
}

fn http_request(shared: &Arc<Shared>, method: &'static str, path: String, body: Option<Value>) -> Request {
    let caller = erp_testkit::request::user(Role::FinanceManager);
    let signed = shared.simulation.tokens.sign(&caller, Uuid::nil(), shared.simulation.clock.now());
    let token = signed.ok().map(|(token, _)| token);
    Request { method, path, token, headers: Vec::new(), body }
}
