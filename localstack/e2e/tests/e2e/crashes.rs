//! No event is lost and none applied twice, whatever dies in between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use erp_client::Response;
use erp_local::dynamodb::{Call, Fault, Intercept};
use erp_local::platform::Platform;
use rustix::process::{Pid, Signal, kill_process};

use crate::assertions;
use crate::fixture::{Fixture, concurrently, random, send_until_accepted, unique};
use crate::ledger::add_up;
use crate::target::Target;

/// Processes that are killed.
const KILLS: usize = 36;
/// How often a function of a queue is killed at most. A message is given up when it was received five times in vain,
/// so none is given up for these kills alone.
const KILLS_OF_A_WORKER: usize = 4;
/// How often another function is killed at most.
const KILLS_OF_ANOTHER: usize = 10;
/// Whose, in turn; `erp-` stands before each.
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
async fn every_order_comes_through_while_processes_are_killed() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("processes that are killed") else { return };
    let fixture = Fixture::new(&target).await;
    let mut random = random("every_order_comes_through_while_processes_are_killed");
    let (items, brought) = stock(&fixture, 25).await;
    let sales: Vec<_> = (0..200).map(|_| sale(&mut random, &items)).collect();

    let (orders, kills) = tokio::join!(sell(&fixture, &sales), kill(platform, &mut random));
    eprintln!("killed: {kills:?}");
    told_one_story(&target, &fixture, &brought, &orders).await;
}

#[tokio::test]
async fn answers_of_the_database_that_get_lost_change_nothing() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("a database whose responses get lost") else { return };
    let fixture = Fixture::new(&target).await;
    let mut random = random("answers_of_the_database_that_get_lost_change_nothing");
    let (items, brought) = stock(&fixture, 10).await;
    let sales: Vec<_> = (0..60).map(|_| sale(&mut random, &items)).collect();
    let unreliable = Unreliable { random: Mutex::new(random), lost: Mutex::default() };
    let unreliable = Arc::new(unreliable);
    platform.dynamodb().set_intercept(Some(unreliable.clone()));
    let orders = sell(&fixture, &sales).await;
    if let Err(busy) = platform.quiet(crate::fixture::DEADLINE).await {
        panic!("{busy}");
    }
    platform.dynamodb().set_intercept(None);
    eprintln!("lost: {:?}", unreliable.lost.lock().unwrap());
    told_one_story(&target, &fixture, &brought, &orders).await;
}

/// Four items with this stock.
async fn stock(fixture: &Fixture, quantity: i64) -> (Vec<String>, BTreeMap<String, i64>) {
    let items = concurrently(0..4, async |_| fixture.create_item("1.00", quantity).await).await;
    let brought = items.iter().map(|item| (item.clone(), quantity)).collect();
    (items, brought)
}

/// One item or two, one of each or two.
fn sale(random: &mut fastrand::Rng, items: &[String]) -> Vec<(String, i64)> {
    let named = random.choose_multiple(items, random.clone().usize(1..3));
    named.into_iter().map(|item| (item.clone(), random.i64(1..3))).collect()
}

/// Creates and confirms orders as a client that does not give up.
async fn sell(fixture: &Fixture, sales: &[Vec<(String, i64)>]) -> Vec<String> {
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
        let order = created.header("location").unwrap().to_owned();
        let confirmed =
            send_until_accepted(&fixture.inventory, &format!("{order}/confirm"), &unique(), None).await;
        assertions::success(&confirmed, 200);
        order
    })
    .await
}

/// Kills one process after the other, those first that have something to do.
async fn kill(platform: &Platform, random: &mut fastrand::Rng) -> BTreeMap<String, usize> {
    let mut kills = BTreeMap::<String, usize>::new();
    let mut turns = VICTIMS.iter().cycle();
    while kills.values().sum::<usize>() < KILLS {
        let wanted = turns.next().map(|name| format!("erp-{name}"));
        let mut processes = platform.functions();
        processes.retain(|process| {
            kills.get(&process.function).is_none_or(|&kills| kills < most(&process.function))
        });
        random.shuffle(&mut processes);
        processes.sort_by_key(|process| (Some(&process.function) != wanted.as_ref(), !process.busy));
        if let Some(victim) = processes.first() {
            let pid = i32::try_from(victim.pid).ok().and_then(Pid::from_raw).unwrap();
            // It may have ended by itself since it was listed.
            if kill_process(pid, Signal::KILL).is_ok() {
                *kills.entry(victim.function.clone()).or_default() += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(random.u64(50..400))).await;
    }
    kills
}

fn most(function: &str) -> usize {
    if function.ends_with("-worker") { KILLS_OF_A_WORKER } else { KILLS_OF_ANOTHER }
}

/// The orders there are, what happened to them, stock and movements: they all say the same.
async fn told_one_story(
    target: &Target,
    fixture: &Fixture,
    brought: &BTreeMap<String, i64>,
    orders: &[String],
) {
    let outcomes = add_up(target, fixture, brought, orders).await;
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
    // All of it works on.
    let item = fixture.create_item("1.00", 1).await;
    let order = fixture.create_sales_order(&[(&item, 1)]).await;
    fixture.transition(&order, "confirm").await;
    fixture.wait_for_stock_status(&order, "allocated").await;
    let so = |response: &Response| response.json()["meta"]["count"] == 2;
    let movements = format!("/api/items/{item}/movements");
    let moved = fixture.inventory.wait_for("two movements", &movements, crate::fixture::DEADLINE, so).await;
    moved.unwrap_or_else(|error| panic!("{error}"));
}

/// Breaks off every twentieth call that writes before it runs, and as many after they succeeded.
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
