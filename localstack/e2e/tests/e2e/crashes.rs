//! Crashes: no event is lost and none is applied twice when processes are killed or responses of the database
//! are lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use erp_client::Response;
use erp_local::dynamodb::{Call, Fault, Intercept};
use erp_local::lambda::ProcessInfo;
use erp_local::platform::Platform;
use rustix::process::{Pid, Signal, kill_process};

use crate::assertions;
use crate::fixture::{Fixture, concurrently, location, random, send_until_accepted, unique};
use crate::ledger::assert_balanced;
use crate::target::Target;

/// Number of processes that are killed.
const KILLS: usize = 36;
/// Maximum kills of a function.
const MAX_KILLS: usize = 10;
/// Functions to kill, in turn, without the prefix `erp-`.
const VICTIMS: [&str; 8] = [
    "inventory-worker",
    "relay",
    "sales-api",
    "sales-worker",
    "inventory-worker",
    "relay",
    "inventory-query",
    "contact-query",
];

#[tokio::test]
async fn every_order_is_processed_while_processes_are_killed() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("killed processes") else { return };
    let fixture = Fixture::new(&target).await;
    let mut random = random("every_order_is_processed_while_processes_are_killed");
    let (items, received) = stock(&fixture, 25).await;
    let sales: Vec<_> = (0..200).map(|_| random_lines(&mut random, &items)).collect();

    let (orders, kills) = tokio::join!(sell(&fixture, &sales), kill(platform, &mut random));
    eprintln!("killed: {kills:?}");
    assert_consistent(&target, &fixture, &received, &orders).await;
}

#[tokio::test]
async fn lost_responses_of_the_database_change_no_outcome() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("lost responses of the database") else { return };
    let fixture = Fixture::new(&target).await;
    let mut random = random("lost_responses_of_the_database_change_no_outcome");
    let (items, received) = stock(&fixture, 10).await;
    let sales: Vec<_> = (0..60).map(|_| random_lines(&mut random, &items)).collect();
    let unreliable = Unreliable { random: Mutex::new(random), lost: Mutex::default() };
    let unreliable = Arc::new(unreliable);
    platform.dynamodb().set_intercept(Some(unreliable.clone()));
    let orders = sell(&fixture, &sales).await;
    if let Err(busy) = platform.wait_until_idle(crate::fixture::DEADLINE).await {
        panic!("{busy}");
    }
    platform.dynamodb().set_intercept(None);
    eprintln!("lost: {:?}", unreliable.lost.lock().unwrap());
    assert_consistent(&target, &fixture, &received, &orders).await;
}

/// Creates four items with this stock.
pub(crate) async fn stock(fixture: &Fixture, quantity: i64) -> (Vec<String>, BTreeMap<String, i64>) {
    let items = concurrently(0..4, async |_| fixture.create_item("1.00", quantity).await).await;
    let received = items.iter().map(|item| (item.clone(), quantity)).collect();
    (items, received)
}

/// Returns one or two lines with a quantity of one or two.
fn random_lines(random: &mut fastrand::Rng, items: &[String]) -> Vec<(String, i64)> {
    let named = random.choose_multiple(items, random.clone().usize(1..3));
    named.into_iter().map(|item| (item.clone(), random.i64(1..3))).collect()
}

/// Creates and confirms orders, and retries until each request succeeds.
pub(crate) async fn sell(fixture: &Fixture, sales: &[Vec<(String, i64)>]) -> Vec<String> {
    concurrently(sales, async |lines| {
        let lines: Vec<_> = lines.iter().map(|(item, quantity)| (item.as_str(), *quantity)).collect();
        let created = send_until_accepted(
            &fixture.inventory,
            "/api/sales/orders",
            &unique(),
            Some(&fixture.sales_order_request(&lines)),
        )
        .await;
        assertions::success(&created, 201);
        let order = location(&fixture.inventory, &created);
        let confirmed =
            send_until_accepted(&fixture.inventory, &format!("{order}/confirm"), &unique(), None).await;
        assertions::success(&confirmed, 200);
        order
    })
    .await
}

/// Kills one process after the other, busy ones first.
async fn kill(platform: &Platform, random: &mut fastrand::Rng) -> BTreeMap<String, usize> {
    let mut kills = BTreeMap::<String, usize>::new();
    let mut functions = VICTIMS.iter().cycle();
    while kills.values().sum::<usize>() < KILLS {
        let preferred = functions.next().map(|name| format!("erp-{name}"));
        let mut processes = platform.functions();
        processes.retain(|process| kills.get(&process.function).is_none_or(|&kills| kills < MAX_KILLS));
        random.shuffle(&mut processes);
        processes.sort_by_key(|process| (Some(&process.function) != preferred.as_ref(), !process.busy));
        if let Some(victim) = processes.first()
            && kill_9(victim)
        {
            *kills.entry(victim.function.clone()).or_default() += 1;
        }
        tokio::time::sleep(Duration::from_millis(random.u64(50..400))).await;
    }
    kills
}

/// Kills a process. Returns `false` if it has ended since it was listed.
pub(crate) fn kill_9(process: &ProcessInfo) -> bool {
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::KILL).is_ok()
}

/// Asserts that orders, events, stock and movements are consistent, and that the platform still works.
pub(crate) async fn assert_consistent(
    target: &Target,
    fixture: &Fixture,
    received: &BTreeMap<String, i64>,
    orders: &[String],
) {
    let outcomes = assert_balanced(target, fixture, received, orders).await;
    assert!(outcomes.iter().all(|outcome| outcome.status == "confirmed"), "{outcomes:?}");
    let listed = fixture.pages(&format!("/api/sales/orders?customer_id={}", fixture.customer)).await;
    assert_eq!(listed.len(), orders.len(), "every order was created once");
    concurrently(orders, async |order| {
        let history = fixture.history(order).await;
        let count = |kind: &str| history.iter().filter(|event| event["type"] == kind).count();
        assert_eq!(count("sales.order.confirmed"), 1, "{order}: {history:?}");
        assert!(count("inventory.order.allocated") <= 1, "{order}: {history:?}");
    })
    .await;
    // The platform still works.
    let item = fixture.create_item("1.00", 1).await;
    let order = fixture.create_sales_order(&[(&item, 1)]).await;
    fixture.transition(&order, "confirm").await;
    fixture.wait_for_stock_status(&order, "allocated").await;
    let two_movements = |response: &Response| response.json()["meta"]["count"] == 2;
    let movements = format!("/api/items/{item}/movements");
    let result = fixture
        .inventory
        .wait_for("two movements", &movements, crate::fixture::DEADLINE, two_movements)
        .await;
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// Cuts the connection of every twentieth write before it runs, and of as many after they succeeded.
struct Unreliable {
    random: Mutex<fastrand::Rng>,
    lost: Mutex<BTreeMap<(String, &'static str), usize>>,
}

impl Unreliable {
    fn lose(&self, call: &Call<'_>, when: &'static str) -> Option<Fault> {
        let writes = ["TransactWriteItems", "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"]
            .contains(&call.operation);
        let lost = writes && self.random.lock().unwrap().u8(..20) == 0;
        lost.then(|| {
            *self.lost.lock().unwrap().entry((call.operation.to_owned(), when)).or_default() += 1;
            Fault::HangUp { after: Duration::from_millis(5) }
        })
    }
}

impl Intercept for Unreliable {
    fn before(&self, call: &Call<'_>) -> Option<Fault> {
        self.lose(call, "before")
    }

    fn after(&self, call: &Call<'_>) -> Option<Fault> {
        self.lose(call, "after")
    }
}
