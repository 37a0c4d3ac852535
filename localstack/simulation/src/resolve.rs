//! The targets of a step, chosen from what exists when it starts.

use erp_domain::PartyKind;
use erp_domain::identity::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::model::request::{Access, Adjust, Command, ItemForm, LineForm, PartyForm, Transition};
use crate::model::{Model, OrderKind};
use crate::workload::{Step, Verb};

/// Creates the operation of a step; `None` if there is no target for it.
pub fn resolve(step: &Step, model: &Model, reset_tokens: &[String]) -> Option<Command> {
    let [a, b, c, d, e, f] = step.draws;
    let contact = if a % 3 == 0 { PartyKind::Vendor } else { PartyKind::Customer };
    let order = if a % 3 == 0 { OrderKind::Purchase } else { OrderKind::Sales };
    let limit = if c % 3 == 0 { 100 } else { 1 + c as usize % 10 };
    let email = format!("user{}@example.com", b % 6);
    Some(match step.verb {
        Verb::Register => {
            let role = if c % 2 == 0 { Role::FinanceManager } else { Role::InventoryManager };
            Command::Register { email, password: password(d), role }
        }
        Verb::Login => {
            let known = model.users.get(&email).and_then(|user| user.now());
            let password = known.map(|user| user.password.clone()).filter(|_| c % 3 > 0);
            Command::Login { email, password: password.unwrap_or_else(|| "not the password".to_owned()) }
        }
        Verb::ForgotPassword => Command::ForgotPassword { email },
        Verb::ResetPassword => {
            let token = reset_tokens.get(b as usize % reset_tokens.len().max(1)).cloned();
            Command::ResetPassword {
                token: token.unwrap_or_else(|| "no token".to_owned()),
                password: password(d),
            }
        }
        Verb::ServiceToken => Command::ServiceToken { valid: b % 3 > 0 },
        Verb::CreateParty => Command::CreateParty(contact, party_form(b, c)),
        Verb::UpdateParty => Command::UpdateParty(contact, party(model, contact, b)?, party_form(c, d)),
        Verb::DeleteParty => Command::DeleteParty(contact, party(model, contact, b)?),
        Verb::GetParty => Command::GetParty(contact, party(model, contact, b)?),
        Verb::ListParties => Command::ListParties(contact, limit),
        Verb::CreateItem => Command::CreateItem(item_form(b, c)),
        Verb::UpdateItem => Command::UpdateItem(item(model, b)?, item_form(c, d)),
        Verb::DeleteItem => {
            let unused = if c.is_multiple_of(2) { unused_item(model, b) } else { None };
            Command::DeleteItem(unused.or_else(|| item(model, b))?)
        }
        Verb::GetItem => Command::GetItem(item(model, b)?),
        Verb::ListItems => Command::ListItems(limit),
        Verb::GetStock => Command::GetStock(item(model, b)?),
        Verb::AdjustStock => {
            let id = item(model, b)?;
            let current = model.stock.get(&id).and_then(|stock| stock.now()).map(|stock| stock.quantity);
            let adjust = match c % 6 {
                0 => Adjust::To(if e.is_multiple_of(3) { 0 } else { i64::from(d % 30) }, None),
                1 => Adjust::To(i64::from(d % 30), current.map(|current| current + i64::from(e % 3 == 0))),
                2 => Adjust::By(-1 - i64::from(d % 20)),
                _ => Adjust::By(1 + i64::from(d % 12)),
            };
            Command::AdjustStock(id, adjust)
        }
        Verb::ListMovements => Command::ListMovements(item(model, b)?, limit),
        Verb::CreateSale => Command::CreateOrder(
            OrderKind::Sales,
            party(model, PartyKind::Customer, b)?,
            lines(model, c, d, e)?,
        ),
        Verb::CreatePurchase => Command::CreateOrder(
            OrderKind::Purchase,
            party(model, PartyKind::Vendor, b)?,
            lines(model, c, d, e)?,
        ),
        Verb::UpdateOrder => {
            let id = order_of(model, order, Some("draft"), b)?;
            Command::UpdateOrder(order, id, party(model, order.party(), c)?, lines(model, d, e, f)?)
        }
        Verb::Confirm => {
            let id = order_of(model, OrderKind::Sales, Some("draft"), b)?;
            Command::Advance(OrderKind::Sales, id, Transition::Confirm, c % 8 == 0)
        }
        Verb::Receive => {
            let id = order_of(model, OrderKind::Purchase, Some("draft"), b)?;
            Command::Advance(OrderKind::Purchase, id, Transition::Receive, false)
        }
        Verb::Pay => {
            let status = if order == OrderKind::Sales { "confirmed" } else { "received" };
            Command::Advance(order, order_of(model, order, Some(status), b)?, Transition::Pay, false)
        }
        Verb::Cancel => {
            let status = if c % 2 == 0 { "confirmed" } else { "draft" };
            Command::Advance(order, order_of(model, order, Some(status), b)?, Transition::Cancel, false)
        }
        Verb::GetOrder => Command::GetOrder(order, order_of(model, order, None, b)?),
        Verb::ListOrders => {
            let statuses = ["draft", if a % 3 == 0 { "received" } else { "confirmed" }, "paid", "cancelled"];
            let status = (d % 2 == 0).then(|| statuses[e as usize % 4]);
            let party = if f % 3 == 0 { party(model, order.party(), f / 3) } else { None };
            Command::ListOrders { kind: order, status, party, limit }
        }
        Verb::ListEvents => Command::ListEvents(order, order_of(model, order, None, b)?),
        Verb::Malformed => Command::Malformed { access: Access::Manager },
    })
}

/// Returns an invalid body with its route.
pub fn malformed(draws: u32) -> (&'static str, &'static str, Value) {
    let bodies = [
        ("POST", "/api/items", json!({"name": "", "sku": "X", "unit_price": -1})),
        ("POST", "/api/customers", json!({"name": "n", "email": "no address"})),
        ("POST", "/api/sales/orders", json!({"customer_id": "x", "items": []})),
        ("POST", "/api/purchase/orders", json!({"vendor_id": Uuid::nil(), "items": [{"quantity": 0}]})),
        ("POST", "/api/items", json!({"name": "n", "sku": "S", "unit_price": 0.001})),
        ("POST", "/api/sales/orders", json!([])),
    ];
    bodies[draws as usize % bodies.len()].clone()
}

fn password(draws: u32) -> String {
    format!("correct horse {}", draws % 100)
}

fn party_form(draws: u32, more: u32) -> PartyForm {
    PartyForm {
        name: format!("Name {}", more % 1000),
        email: format!("party{}@example.com", draws % 25),
        phone: if more.is_multiple_of(2) { String::new() } else { format!("+43 {}", more % 10_000) },
        address: format!("Street {}", draws % 100),
    }
}

fn item_form(draws: u32, more: u32) -> ItemForm {
    ItemForm {
        name: format!("Item {}", more % 1000),
        description: if more.is_multiple_of(2) { String::new() } else { "as described".to_owned() },
        sku: format!("SKU-{}", draws % 20),
        unit_price: i64::from(more % 100_000),
    }
}

/// Picks an id, mostly among the first few, so that operations contend for it.
fn pick(ids: &[Uuid], draws: u32) -> Option<Uuid> {
    let count = if draws.is_multiple_of(4) { ids.len() } else { ids.len().min(5) };
    (count > 0).then(|| ids[(draws / 4) as usize % count])
}

fn party(model: &Model, kind: PartyKind, draws: u32) -> Option<Uuid> {
    let of_kind = model.parties.iter().filter(|((of, _), _)| *of == kind.as_str());
    let (existing, deleted): (Vec<_>, Vec<_>) = of_kind.partition(|(_, party)| party.now().is_some());
    let ids = |list: Vec<(&(&str, Uuid), _)>| list.into_iter().map(|((_, id), _)| *id).collect::<Vec<_>>();
    if draws.is_multiple_of(20) { pick(&ids(deleted), draws / 20) } else { pick(&ids(existing), draws) }
}

fn item(model: &Model, draws: u32) -> Option<Uuid> {
    let (existing, deleted): (Vec<_>, Vec<_>) =
        model.items.iter().partition(|(_, item)| item.now().is_some());
    let ids = |list: Vec<(&Uuid, _)>| list.into_iter().map(|(id, _)| *id).collect::<Vec<_>>();
    if draws.is_multiple_of(25) { pick(&ids(deleted), draws / 25) } else { pick(&ids(existing), draws) }
}

/// Picks an item that can be deleted.
fn unused_item(model: &Model, draws: u32) -> Option<Uuid> {
    let mut items: Vec<Uuid> = model
        .stock
        .iter()
        .filter_map(|(id, stock)| {
            let is_empty = stock.now().is_some_and(|stock| stock.quantity == 0);
            is_empty.then_some(*id)
        })
        .collect();
    let allocations: Vec<_> = model.allocations.values().filter_map(|allocation| allocation.now()).collect();
    items.retain(|id| !allocations.iter().any(|allocation| allocation.uses(*id)));
    pick(&items, draws)
}

/// Picks an order, mostly one of the newest in a status.
fn order_of(model: &Model, kind: OrderKind, status: Option<&str>, draws: u32) -> Option<Uuid> {
    let all = model.orders.iter().rev().filter(|((of, _), _)| *of == kind.as_str());
    let fits = |status: &str, order: Option<&crate::model::state::Order>| {
        order.is_some_and(|order| order.status == status)
    };
    let matching: Vec<Uuid> = all
        .clone()
        .filter(|(_, order)| {
            status.is_none_or(|status| draws.is_multiple_of(10) || fits(status, order.now()))
        })
        .map(|((_, id), _)| *id)
        .collect();
    let count = matching.len().min(12);
    (count > 0).then(|| matching[(draws / 10) as usize % count])
}

fn lines(model: &Model, a: u32, b: u32, c: u32) -> Option<Vec<LineForm>> {
    let count = match a % 20 {
        0 => 12,
        1..4 => 4,
        4..10 => 2,
        _ => 1,
    };
    let line = |n: u32| {
        let draws = b.wrapping_mul(2 * n + 1).wrapping_add(c >> n);
        Some(LineForm {
            item: item(model, draws)?,
            quantity: 1 + i64::from((draws >> 8) % 9),
            unit_price: (draws >> 16).is_multiple_of(3).then(|| i64::from((draws >> 18) % 5_000)),
        })
    };
    (0..count).map(line).collect()
}
