//! What must add up when all is quiet: orders, stock and movements tell one story.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use erp_local::platform::Platform;
use serde_json::Value;

use crate::fixture::{DEADLINE, Fixture, concurrently};
use crate::target::Target;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// What a sales order came to.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// Its path.
    pub(crate) order: String,
    /// Where it stands.
    pub(crate) status: String,
    /// What inventory says.
    pub(crate) stock_status: String,
    /// How many of each item, its lines summed.
    pub(crate) demand: BTreeMap<String, i64>,
}

impl Outcome {
    fn read(order: &str, data: &Value) -> Self {
        let text =
            |pointer: &str| data.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut demand = BTreeMap::new();
        for line in data["items"].as_array().into_iter().flatten() {
            let item = line["item_id"].as_str().unwrap_or_default().to_owned();
            *demand.entry(item).or_default() += line["quantity"].as_i64().unwrap_or_default();
        }
        let (status, stock_status) = (text("/order/status"), text("/order/stock_status"));
        Self { order: order.to_owned(), status, stock_status, demand }
    }

    /// Whether inventory has no more to say.
    fn is_settled(&self) -> bool {
        match self.status.as_str() {
            "draft" => self.stock_status == "none",
            "confirmed" | "paid" => matches!(self.stock_status.as_str(), "allocated" | "backordered"),
            "cancelled" => matches!(self.stock_status.as_str(), "released" | "none"),
            _ => false,
        }
    }

    fn id(&self) -> &str {
        self.order.rsplit('/').next().unwrap_or_default()
    }
}

/// Waits until all is quiet and inventory has spoken on each order, and checks that everything adds up: `brought` is
/// what adjustments and receipts added to each item. Where the platform is on this machine, no message may be left.
pub(crate) async fn add_up(
    target: &Target,
    fixture: &Fixture,
    brought: &BTreeMap<String, i64>,
    orders: &[String],
) -> Vec<Outcome> {
    let began = Instant::now();
    loop {
        let outcomes = settle(target, fixture, orders).await;
        match balance(fixture, brought, &outcomes).await {
            Ok(()) => return outcomes,
            // Quiet is quiet. Somewhere else nobody knows whether it is: what follows may still be on its way.
            Err(reason) if target.platform().is_some() || began.elapsed() > DEADLINE => panic!("{reason}"),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Waits until the platform has nothing more to do and inventory has spoken on each order.
pub(crate) async fn settle(target: &Target, fixture: &Fixture, orders: &[String]) -> Vec<Outcome> {
    if let Some(platform) = target.platform() {
        quiet(platform).await;
    }
    let began = Instant::now();
    loop {
        let outcomes =
            concurrently(orders, async |order| Outcome::read(order, &fixture.read(order).await)).await;
        match outcomes.iter().find(|outcome| !outcome.is_settled()) {
            None => return outcomes,
            Some(open) if target.platform().is_some() => panic!("nothing goes on, and yet: {open:?}"),
            Some(open) if began.elapsed() > DEADLINE => panic!("not within {DEADLINE:?}: {open:?}"),
            Some(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Waits until nothing goes on; then no queue, and no dead-letter queue, may hold a message.
pub(crate) async fn quiet(platform: &Platform) {
    if let Err(busy) = platform.quiet(DEADLINE).await {
        panic!("{busy}; {:?}", platform.broker().depths());
    }
    let left: Vec<_> = platform.broker().depths().unwrap();
    let left: Vec<_> =
        left.iter().filter(|depth| depth.visible + depth.in_flight + depth.delayed > 0).collect();
    assert!(left.is_empty(), "messages are left: {left:?}");
}

/// Checks items against the orders that name them.
async fn balance(
    fixture: &Fixture,
    brought: &BTreeMap<String, i64>,
    outcomes: &[Outcome],
) -> Result<(), String> {
    let mut stocks = BTreeMap::new();
    for (item, brought) in brought {
        let stock = fixture.stock(item).await;
        let movements = fixture.pages(&format!("/api/items/{item}/movements")).await;
        let sum: i64 = movements.iter().filter_map(|movement| movement["change"].as_i64()).sum();
        let held = outcomes.iter().filter(|outcome| outcome.stock_status == "allocated");
        let held: i64 = held.filter_map(|outcome| outcome.demand.get(item)).sum();
        if stock < 0 || sum != stock || stock + held != *brought {
            return Err(format!(
                "of {item} {brought} came, orders hold {held}, there are {stock}, and the movements say {sum}: {movements:?}"
            ));
        }
        once_each(item, &movements, outcomes)?;
        stocks.insert(item.as_str(), stock);
    }
    let fits = |outcome: &&Outcome| {
        outcome
            .demand
            .iter()
            .all(|(item, quantity)| stocks.get(item.as_str()).is_none_or(|stock| stock >= quantity))
    };
    match outcomes.iter().filter(|outcome| outcome.stock_status == "backordered").find(fits) {
        Some(outcome) => Err(format!("an order waits beside stock that would do: {outcome:?}, {stocks:?}")),
        None => Ok(()),
    }
}

/// An order takes an item once, gives it back once, and only if it says so.
fn once_each(item: &str, movements: &[Value], outcomes: &[Outcome]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for movement in movements {
        let (kind, order) = (movement["kind"].as_str(), movement["order_id"].as_str());
        if let (Some(kind), Some(order)) = (kind, order)
            && !seen.insert((kind, order))
        {
            return Err(format!("{order} {kind} {item} twice: {movements:?}"));
        }
    }
    for outcome in outcomes.iter().filter(|outcome| outcome.demand.contains_key(item)) {
        let moved = |kind| seen.contains(&(kind, outcome.id()));
        let says = match outcome.stock_status.as_str() {
            "allocated" => moved("allocated") && !moved("released"),
            "released" => moved("allocated") == moved("released"),
            _ => !moved("allocated") && !moved("released"),
        };
        if !says {
            return Err(format!("{outcome:?} and the movements of {item} differ: {movements:?}"));
        }
    }
    Ok(())
}
