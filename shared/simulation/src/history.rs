//! What clients do, drawn from a seed.
//!
//! A step says what is done with dice instead of ids: what they point at is decided when the step's turn comes, out of
//! what is there. So any step can be left out of a history, and the rest still makes sense.

use erp_domain::contact::ContactKind;
use erp_domain::identity::Role;
use erp_domain::order::OrderKind;
use fastrand::Rng;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::model::Model;
use crate::model::ask::{Access, Adjust, ItemForm, LineForm, PartyForm, Step as OrderStep, What};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a route")]
pub enum Verb {
    Register,
    Login,
    Forgot,
    Reset,
    ServiceToken,
    CreateParty,
    UpdateParty,
    DeleteParty,
    GetParty,
    ListParties,
    CreateItem,
    UpdateItem,
    DeleteItem,
    GetItem,
    ListItems,
    GetStock,
    AdjustStock,
    ListMovements,
    CreateSale,
    CreatePurchase,
    UpdateOrder,
    Confirm,
    Receive,
    Pay,
    Cancel,
    GetOrder,
    ListOrders,
    ListEvents,
    Malformed,
}

/// Verbs with how often they come up.
const WEIGHTS: [(Verb, u32); 29] = [
    (Verb::Register, 2),
    (Verb::Login, 2),
    (Verb::Forgot, 2),
    (Verb::Reset, 2),
    (Verb::ServiceToken, 2),
    (Verb::CreateParty, 20),
    (Verb::UpdateParty, 14),
    (Verb::DeleteParty, 12),
    (Verb::GetParty, 8),
    (Verb::ListParties, 4),
    (Verb::CreateItem, 16),
    (Verb::UpdateItem, 14),
    (Verb::DeleteItem, 6),
    (Verb::GetItem, 8),
    (Verb::ListItems, 4),
    (Verb::GetStock, 16),
    (Verb::AdjustStock, 40),
    (Verb::ListMovements, 6),
    (Verb::CreateSale, 130),
    (Verb::CreatePurchase, 60),
    (Verb::UpdateOrder, 50),
    (Verb::Confirm, 150),
    (Verb::Receive, 55),
    (Verb::Pay, 60),
    (Verb::Cancel, 75),
    (Verb::GetOrder, 50),
    (Verb::ListOrders, 14),
    (Verb::ListEvents, 12),
    (Verb::Malformed, 6),
];

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A finance manager.
    Finance,
    /// An inventory manager.
    Inventory,
    /// Another program.
    Service,
    /// Whoever logged in last.
    LoggedIn,
    /// Somebody without a token.
    Nobody,
    /// Somebody with a token that somebody else signed.
    Forger,
    /// Somebody whose token has ended.
    Late,
}

/// What is done about the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// None is sent.
    None,
    /// A new one.
    New,
    /// An earlier request is sent again.
    Again,
    /// An earlier key is sent with another body.
    OtherBody,
}

/// One thing that a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Which client.
    pub client: usize,
    /// What.
    pub verb: Verb,
    /// Who.
    pub who: Who,
    /// About the key.
    pub key: Key,
    /// About `If-Match`: none, the version there is, or another.
    pub version: Option<bool>,
    /// Whether the gateway is passed by.
    pub back_door: bool,
    /// Milliseconds before it is done.
    pub pause: u64,
    /// What it is done with.
    pub dice: [u32; 6],
}

/// A history of so many steps.
pub fn draw(random: &mut Rng, steps: usize, clients: usize) -> Vec<Step> {
    (0..steps).map(|_| step(random, clients)).collect()
}

fn step(random: &mut Rng, clients: usize) -> Step {
    let total: u32 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
    let mut left = random.u32(..total);
    let verb = WEIGHTS.iter().find(|(_, weight)| {
        let found = left < *weight;
        left = left.saturating_sub(*weight);
        found
    });
    let verb = verb.map_or(Verb::GetOrder, |(verb, _)| *verb);
    let who = match random.u32(..100) {
        0..55 => Who::Finance,
        55..84 => Who::Inventory,
        84..90 => Who::LoggedIn,
        90..94 => Who::Service,
        94..96 => Who::Nobody,
        96..98 => Who::Forger,
        _ => Who::Late,
    };
    let key = match random.u32(..100) {
        0..15 => Key::None,
        15..85 => Key::New,
        85..96 => Key::Again,
        _ => Key::OtherBody,
    };
    let version = match random.u32(..100) {
        0..70 => None,
        70..92 => Some(true),
        _ => Some(false),
    };
    Step {
        client: random.usize(..clients),
        verb,
        who,
        key,
        version,
        back_door: random.u32(..100) < 60,
        pause: if random.u32(..10) == 0 { random.u64(..2_000) } else { random.u64(..40) },
        dice: std::array::from_fn(|_| random.u32(..)),
    }
}

/// The steps by which a shop opens: contacts, items, and stock to begin with.
pub fn opening(random: &mut Rng) -> Vec<Step> {
    let plain = |random: &mut Rng, verb| Step {
        client: 0,
        verb,
        who: Who::Finance,
        key: Key::New,
        version: None,
        back_door: false,
        pause: 0,
        dice: std::array::from_fn(|_| random.u32(..)),
    };
    let verbs =
        [(Verb::CreateParty, 8), (Verb::CreateItem, 6), (Verb::CreatePurchase, 4), (Verb::Receive, 4)];
    verbs.into_iter().flat_map(|(verb, times)| vec![verb; times]).map(|verb| plain(random, verb)).collect()
}

/// What a step asks for, out of what is there; nothing if there is nothing to do it with.
pub fn resolve(step: &Step, model: &Model, reset_tokens: &[String]) -> Option<What> {
    let [a, b, c, d, e, f] = step.dice;
    let contact = if a % 3 == 0 { ContactKind::Vendor } else { ContactKind::Customer };
    let order = if a % 3 == 0 { OrderKind::Purchase } else { OrderKind::Sales };
    let limit = if c % 3 == 0 { 100 } else { 1 + c as usize % 10 };
    let email = format!("user{}@example.com", b % 6);
    Some(match step.verb {
        Verb::Register => {
            let role = if c % 2 == 0 { Role::FinanceManager } else { Role::InventoryManager };
            What::Register { email, password: password(d), role }
        }
        Verb::Login => {
            let known = model.users.get(&email).and_then(|user| user.now());
            let right = known.map(|user| user.password.clone()).filter(|_| c % 3 > 0);
            What::Login { email, password: right.unwrap_or_else(|| "not the password".to_owned()) }
        }
        Verb::Forgot => What::Forgot { email },
        Verb::Reset => {
            let token = reset_tokens.get(b as usize % reset_tokens.len().max(1)).cloned();
            What::Reset { token: token.unwrap_or_else(|| "no token".to_owned()), password: password(d) }
        }
        Verb::ServiceToken => What::ServiceToken { right: b % 3 > 0 },
        Verb::CreateParty => What::CreateParty(contact, party_form(b, c)),
        Verb::UpdateParty => What::UpdateParty(contact, party(model, contact, b)?, party_form(c, d)),
        Verb::DeleteParty => What::DeleteParty(contact, party(model, contact, b)?),
        Verb::GetParty => What::GetParty(contact, party(model, contact, b)?),
        Verb::ListParties => What::ListParties(contact, limit),
        Verb::CreateItem => What::CreateItem(item_form(b, c)),
        Verb::UpdateItem => What::UpdateItem(item(model, b)?, item_form(c, d)),
        Verb::DeleteItem => What::DeleteItem(item(model, b)?),
        Verb::GetItem => What::GetItem(item(model, b)?),
        Verb::ListItems => What::ListItems(limit),
        Verb::GetStock => What::GetStock(item(model, b)?),
        Verb::AdjustStock => {
            let id = item(model, b)?;
            let seen = model.stock.get(&id).and_then(|stock| stock.now()).map(|stock| stock.quantity);
            let how = match c % 6 {
                0 => Adjust::To(i64::from(d % 30), None),
                1 => Adjust::To(i64::from(d % 30), seen.map(|seen| seen + i64::from(e % 3 == 0))),
                2 => Adjust::By(-1 - i64::from(d % 20)),
                _ => Adjust::By(1 + i64::from(d % 12)),
            };
            What::AdjustStock(id, how)
        }
        Verb::ListMovements => What::ListMovements(item(model, b)?, limit),
        Verb::CreateSale => What::CreateOrder(
            OrderKind::Sales,
            party(model, ContactKind::Customer, b)?,
            lines(model, c, d, e)?,
        ),
        Verb::CreatePurchase => What::CreateOrder(
            OrderKind::Purchase,
            party(model, ContactKind::Vendor, b)?,
            lines(model, c, d, e)?,
        ),
        Verb::UpdateOrder => {
            let id = order_of(model, order, Some("draft"), b)?;
            What::UpdateOrder(order, id, party(model, order.party(), c)?, lines(model, d, e, f)?)
        }
        Verb::Confirm => {
            let id = order_of(model, OrderKind::Sales, Some("draft"), b)?;
            What::Advance(OrderKind::Sales, id, OrderStep::Confirm, c % 8 == 0)
        }
        Verb::Receive => {
            let id = order_of(model, OrderKind::Purchase, Some("draft"), b)?;
            What::Advance(OrderKind::Purchase, id, OrderStep::Receive, false)
        }
        Verb::Pay => {
            let wanted = if order == OrderKind::Sales { "confirmed" } else { "received" };
            What::Advance(order, order_of(model, order, Some(wanted), b)?, OrderStep::Pay, false)
        }
        Verb::Cancel => {
            let wanted = if c % 2 == 0 { "confirmed" } else { "draft" };
            What::Advance(order, order_of(model, order, Some(wanted), b)?, OrderStep::Cancel, false)
        }
        Verb::GetOrder => What::GetOrder(order, order_of(model, order, None, b)?),
        Verb::ListOrders => {
            let statuses = ["draft", if a % 3 == 0 { "received" } else { "confirmed" }, "paid", "cancelled"];
            let status = (d % 2 == 0).then(|| statuses[e as usize % 4]);
            let party = if f % 3 == 0 { party(model, order.party(), f / 3) } else { None };
            What::ListOrders { kind: order, status, party, limit }
        }
        Verb::ListEvents => What::ListEvents(order, order_of(model, order, None, b)?),
        Verb::Malformed => What::Malformed { access: Access::Manager },
    })
}

/// Bodies that are refused, with where they go.
pub fn malformed(dice: u32) -> (&'static str, &'static str, Value) {
    let bodies = [
        ("POST", "/api/items", json!({"name": "", "sku": "X", "unit_price": -1})),
        ("POST", "/api/customers", json!({"name": "n", "email": "no address"})),
        ("POST", "/api/sales/orders", json!({"customer_id": "x", "items": []})),
        ("POST", "/api/purchase/orders", json!({"vendor_id": Uuid::nil(), "items": [{"quantity": 0}]})),
        ("POST", "/api/items", json!({"name": "n", "sku": "S", "unit_price": 0.001})),
        ("POST", "/api/sales/orders", json!([])),
    ];
    bodies[dice as usize % bodies.len()].clone()
}

fn password(dice: u32) -> String {
    format!("correct horse {}", dice % 100)
}

fn party_form(dice: u32, more: u32) -> PartyForm {
    PartyForm {
        name: format!("Name {}", more % 1000),
        email: format!("party{}@example.com", dice % 25),
        phone: if more.is_multiple_of(2) { String::new() } else { format!("+43 {}", more % 10_000) },
        address: format!("Street {}", dice % 100),
    }
}

fn item_form(dice: u32, more: u32) -> ItemForm {
    ItemForm {
        name: format!("Item {}", more % 1000),
        description: if more.is_multiple_of(2) { String::new() } else { "as described".to_owned() },
        sku: format!("SKU-{}", dice % 20),
        unit_price: i64::from(more % 100_000),
    }
}

/// One of these: mostly among the first few, so that many want the same.
fn pick(ids: &[Uuid], dice: u32) -> Option<Uuid> {
    let few = if dice.is_multiple_of(4) { ids.len() } else { ids.len().min(5) };
    (few > 0).then(|| ids[(dice / 4) as usize % few])
}

fn party(model: &Model, kind: ContactKind, dice: u32) -> Option<Uuid> {
    let of_kind = model.parties.iter().filter(|((of, _), _)| *of == kind.as_str());
    let (there, gone): (Vec<_>, Vec<_>) = of_kind.partition(|(_, party)| party.now().is_some());
    let ids = |list: Vec<(&(&str, Uuid), _)>| list.into_iter().map(|((_, id), _)| *id).collect::<Vec<_>>();
    if dice.is_multiple_of(20) { pick(&ids(gone), dice / 20) } else { pick(&ids(there), dice) }
}

fn item(model: &Model, dice: u32) -> Option<Uuid> {
    let (there, gone): (Vec<_>, Vec<_>) = model.items.iter().partition(|(_, item)| item.now().is_some());
    let ids = |list: Vec<(&Uuid, _)>| list.into_iter().map(|(id, _)| *id).collect::<Vec<_>>();
    if dice.is_multiple_of(25) { pick(&ids(gone), dice / 25) } else { pick(&ids(there), dice) }
}

/// An order: mostly one of the newest that stand there.
fn order_of(model: &Model, kind: OrderKind, status: Option<&str>, dice: u32) -> Option<Uuid> {
    let all = model.orders.iter().rev().filter(|((of, _), _)| *of == kind.as_str());
    let fits = |status: &str, order: Option<&crate::model::state::Order>| {
        order.is_some_and(|order| order.status == status)
    };
    let standing: Vec<Uuid> = all
        .clone()
        .filter(|(_, order)| status.is_none_or(|status| dice.is_multiple_of(10) || fits(status, order.now())))
        .map(|((_, id), _)| *id)
        .collect();
    let few = standing.len().min(12);
    (few > 0).then(|| standing[(dice / 10) as usize % few])
}

fn lines(model: &Model, a: u32, b: u32, c: u32) -> Option<Vec<LineForm>> {
    let many = match a % 20 {
        0 => 12,
        1..4 => 4,
        4..10 => 2,
        _ => 1,
    };
    let line = |n: u32| {
        let dice = b.wrapping_mul(2 * n + 1).wrapping_add(c >> n);
        Some(LineForm {
            item: item(model, dice)?,
            quantity: 1 + i64::from((dice >> 8) % 9),
            unit_price: (dice >> 16).is_multiple_of(3).then(|| i64::from((dice >> 18) % 5_000)),
        })
    };
    (0..many).map(line).collect()
}
