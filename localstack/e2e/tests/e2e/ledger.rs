//! Orders, stock and movements must add up once all events are processed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use erp_local::platform::Platform;
use serde_json::Value;

use crate::fixture::{DEADLINE, Fixture, concurrently};
use crate::target::Target;

/// Pause between two checks.
const PAUSE: Duration = Duration::from_millis(250);

/// The final state of a sales order.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// Path of the order.
    pub(crate) order: String,
    /// Status, such as `confirmed`.
    pub(crate) status: String,
    /// Stock status, such as `allocated`.
    pub(crate) stock_status: String,
    /// Quantity of each item, the sum of its lines.
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

    /// Returns whether inventory has made its decision.
    fn is_decided(&self) -> bool {
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

/// Waits until inventory has decided on all orders, and asserts that stock, movements and orders add up. `received` is
/// what adjustments and receipts added to each item. On a local platform no message may be left.
pub(crate) async fn assert_balanced(
    target: &Target,
    fixture: &Fixture,
    received: &BTreeMap<String, i64>,
    orders: &[String],
) -> Vec<Outcome> {
    let start = Instant::now();
    loop {
        let outcomes = wait_for_decisions(target, fixture, orders).await;
        match balance(fixture, received, &outcomes).await {
            Ok(()) => return outcomes,
            // A local platform is idle here. On a remote one, events may still be in flight.
            Err(reason) if target.platform().is_some() || start.elapsed() > DEADLINE => panic!("{reason}"),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Waits until the platform is idle and inventory has decided on every order.
pub(crate) async fn wait_for_decisions(
    target: &Target,
    fixture: &Fixture,
    orders: &[String],
) -> Vec<Outcome> {
    if let Some(platform) = target.platform() {
        assert_idle(platform).await;
    }
    let start = Instant::now();
    loop {
        let outcomes =
            concurrently(orders, async |order| Outcome::read(order, &fixture.read(order).await)).await;
        match outcomes.iter().find(|outcome| !outcome.is_decided()) {
            None => return outcomes,
            Some(open) if target.platform().is_some() => {
                panic!("the platform is idle, but an order has no decision: {open:?}")
            }
            Some(open) if start.elapsed() > DEADLINE => panic!("not within {DEADLINE:?}: {open:?}"),
            Some(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Waits until the platform is idle. Then no queue, and no dead-letter queue, may hold a message.
pub(crate) async fn assert_idle(platform: &Platform) {
    if let Err(busy) = platform.wait_until_idle(DEADLINE).await {
        panic!("{busy}; {:?}", platform.broker().depths());
    }
    let left: Vec<_> = platform.broker().depths().unwrap();
    let left: Vec<_> =
        left.iter().filter(|depth| depth.visible + depth.in_flight + depth.delayed > 0).collect();
    assert!(left.is_empty(), "messages are left: {left:?}");
}

/// Compares the stock and movements of items with the orders that contain them.
async fn balance(
    fixture: &Fixture,
    received: &BTreeMap<String, i64>,
    outcomes: &[Outcome],
) -> Result<(), String> {
    let mut stocks = BTreeMap::new();
    for (item, received) in received {
        let stock = fixture.stock(item).await;
        let movements = fixture.pages(&format!("/api/items/{item}/movements")).await;
        let sum: i64 = movements.iter().filter_map(|movement| movement["change"].as_i64()).sum();
        let allocated = outcomes.iter().filter(|outcome| outcome.stock_status == "allocated");
        let allocated: i64 = allocated.filter_map(|outcome| outcome.demand.get(item)).sum();
        if stock < 0 || sum != stock || stock + allocated != *received {
            return Err(format!(
                "{item}: received {received}, allocated {allocated}, stock {stock}, sum {sum}: {movements:?}"
            ));
        }
        check_movements(item, &movements, outcomes)?;
        stocks.insert(item.as_str(), stock);
    }
    let fits = |outcome: &&Outcome| {
        outcome
            .demand
            .iter()
            .all(|(item, quantity)| stocks.get(item.as_str()).is_none_or(|stock| stock >= quantity))
    };
    match outcomes.iter().filter(|outcome| outcome.stock_status == "backordered").find(fits) {
        Some(outcome) => Err(format!("backordered despite sufficient stock: {outcome:?}, {stocks:?}")),
        None => Ok(()),
    }
}

/// An order allocates an item at most once and releases it at most once, as its stock status implies.
fn check_movements(item: &str, movements: &[Value], outcomes: &[Outcome]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for movement in movements {
        let (kind, order) = (movement["kind"].as_str(), movement["order_id"].as_str());
        if let (Some(kind), Some(order)) = (kind, order)
            && !seen.insert((kind, order))
        {
            return Err(format!("two movements `{kind}` of {item} for {order}: {movements:?}"));
        }
    }
    for outcome in outcomes.iter().filter(|outcome| outcome.demand.contains_key(item)) {
        let moved = |kind| seen.contains(&(kind, outcome.id()));
        let consistent = match outcome.stock_status.as_str() {
            "allocated" => moved("allocated") && !moved("released"),
            "released" => moved("allocated") == moved("released"),
            _ => !moved("allocated") && !moved("released"),
        };
        if !consistent {
            return Err(format!("{outcome:?} contradicts the movements of {item}: {movements:?}"));
        }
    }
    Ok(())
}
