//! Stock under load: no sale of what is not there, nothing lost, nothing counted twice.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;

use crate::assertions;
use crate::fixture::{Fixture, concurrently, random, send, send_until_accepted, unique};
use crate::ledger::{assert_balanced, settle};
use crate::target::Target;

const SALES: usize = 60;
const CANCELLATIONS: usize = 15;
const RECEIPTS: usize = 8;
const ADJUSTMENTS: usize = 6;

#[tokio::test]
async fn sales_receipts_and_cancellations_at_once_add_up() {
    let target = Target::own().await;
    let fixture = Fixture::new(&target).await;
    let mut random = random("sales_receipts_and_cancellations_at_once_add_up");
    let mut brought = BTreeMap::new();
    for _ in 0..5 {
        let stock = random.i64(0..30);
        brought.insert(fixture.create_item("1.00", stock).await, stock);
    }
    let items: Vec<String> = brought.keys().cloned().collect();

    let mut lines = |most: i64| -> Vec<(String, i64)> {
        let count = random.usize(1..4);
        (0..count).map(|_| (items[random.usize(..items.len())].clone(), random.i64(1..=most))).collect()
    };
    let sales: Vec<_> = (0..SALES).map(|_| lines(6)).collect();
    let receipts: Vec<_> = (0..RECEIPTS).map(|_| lines(12)).collect();
    let adjustments: Vec<_> = (0..ADJUSTMENTS).map(|_| lines(5)[0].clone()).collect();
    for (item, quantity) in receipts.iter().flatten().chain(&adjustments) {
        *brought.entry(item.clone()).or_default() += quantity;
    }
    let orders = concurrently(&sales, async |lines| fixture.create_sales_order(&borrowed(lines)).await).await;
    let receipts =
        concurrently(&receipts, async |lines| fixture.create_purchase_order(&borrowed(lines)).await).await;

    let mut requests: Vec<(String, &str)> = orders.iter().map(|order| (order.clone(), "confirm")).collect();
    let cancelled = random.choose_multiple(&orders, CANCELLATIONS);
    requests.extend(cancelled.into_iter().map(|order| (order.clone(), "cancel")));
    requests.extend(receipts.into_iter().map(|purchase| (purchase, "receive")));
    requests.extend(adjustments.iter().map(|(item, _)| (item.clone(), "adjust")));
    random.shuffle(&mut requests);
    let adjustments = Mutex::new(adjustments);
    concurrently(requests, async |(what, transition)| {
        if transition == "adjust" {
            let next = adjustments.lock().unwrap().pop();
            let (item, change) = next.unwrap();
            return fixture.adjust(&item, change).await;
        }
        let response = send(&fixture.inventory, "POST", &format!("{what}/{transition}"), None).await;
        // What was cancelled before it was confirmed cannot be confirmed.
        if !(transition == "confirm"
            && response.status == 409
            && response.json()["status_found"] == "cancelled")
        {
            assertions::success(&response, 200);
        }
    })
    .await;

    let outcomes = assert_balanced(&target, &fixture, &brought, &orders).await;
    let count = |status: &str| outcomes.iter().filter(|outcome| outcome.status == status).count();
    assert_eq!((count("confirmed"), count("cancelled")), (SALES - CANCELLATIONS, CANCELLATIONS));
}

fn borrowed(lines: &[(String, i64)]) -> Vec<(&str, i64)> {
    lines.iter().map(|(item, quantity)| (item.as_str(), *quantity)).collect()
}

#[tokio::test]
async fn the_last_one_is_sold_once_to_a_hundred_who_want_it() {
    sell_the_last_one(100).await;
}

#[tokio::test]
#[ignore = "a minute of work; cargo test --test e2e -- --ignored a_thousand"]
async fn the_last_one_is_sold_once_to_a_thousand_who_want_it() {
    sell_the_last_one(1000).await;
}

/// So many confirm an order for the only one there is, all at once.
async fn sell_the_last_one(buyers: usize) {
    let target = Target::own().await;
    more_files();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 1).await;
    let orders = concurrently(0..buyers, async |_| fixture.create_sales_order(&[(&item, 1)]).await).await;

    // Every request is on its way before the first is answered. Who is told to come back does, with the same key.
    let began = Instant::now();
    let confirmed = join_all(orders.iter().map(async |order| {
        send_until_accepted(&fixture.inventory, &format!("{order}/confirm"), &unique(), None).await
    }));
    for response in confirmed.await {
        assertions::success(&response, 200);
    }
    eprintln!("{buyers} confirmations answered within {:?}", began.elapsed());

    let outcomes = assert_balanced(&target, &fixture, &BTreeMap::from([(item.clone(), 1)]), &orders).await;
    let count = |status: &str| outcomes.iter().filter(|outcome| outcome.stock_status == status).count();
    assert_eq!((count("allocated"), count("backordered")), (1, buyers - 1));
    assert_eq!(fixture.stock(&item).await, 0);
    let movements = fixture.pages(&format!("/api/items/{item}/movements")).await;
    let changes: Vec<_> = movements.iter().map(|movement| movement["change"].as_i64()).collect();
    assert_eq!(changes, [Some(-1), Some(1)], "one was brought, and one was sold, once");
    eprintln!("{buyers} orders settled within {:?}", began.elapsed());
}

/// A thousand connections, and both ends of each are in this process: more than many machines let a program have
/// unless it asks.
fn more_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        // macOS takes no more for a program, whatever it says is the most.
        const ENOUGH: u64 = 10_240;
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let wanted = maximum.map_or(ENOUGH, |most| most.min(ENOUGH));
        if current.is_some_and(|current| current < wanted) {
            setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).unwrap();
        }
    }
}

#[tokio::test]
async fn who_waits_longest_is_served_next() {
    let target = Target::own().await;
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 1).await;
    let orders = concurrently(0..30, async |_| fixture.create_sales_order(&[(&item, 1)]).await).await;
    join_all(orders.iter().map(|order| fixture.transition(order, "confirm"))).await;
    let outcomes = assert_balanced(&target, &fixture, &BTreeMap::from([(item.clone(), 1)]), &orders).await;
    let waiting: Vec<_> = outcomes.iter().filter(|outcome| outcome.stock_status == "backordered").collect();
    assert_eq!(waiting.len(), 29);

    // One more goes to who waits longest.
    let confirmed = async |order: &str| -> String {
        let history = fixture.history(order).await;
        let event = history.iter().find(|event| event["type"] == "sales.order.confirmed");
        event.and_then(|event| event["time"].as_str()).unwrap_or_default().to_owned()
    };
    let since =
        concurrently(waiting, async |outcome| (confirmed(&outcome.order).await, outcome.order.clone())).await;
    let longest = since.iter().map(|(time, _)| time.clone()).min().unwrap();
    fixture.adjust(&item, 1).await;
    let before: Vec<String> = since.iter().map(|(_, order)| order.clone()).collect();
    let served = wait_until_one_is_served(&target, &fixture, &before).await;
    assert_eq!(confirmed(&served).await, longest);
}

/// The one order of these that is allocated.
async fn wait_until_one_is_served(target: &Target, fixture: &Fixture, orders: &[String]) -> String {
    let began = Instant::now();
    loop {
        let outcomes = settle(target, fixture, orders).await;
        let served: Vec<_> = outcomes.iter().filter(|outcome| outcome.stock_status == "allocated").collect();
        match served.as_slice() {
            [one] => return one.order.clone(),
            [] if began.elapsed() < crate::fixture::DEADLINE => {
                tokio::time::sleep(Duration::from_millis(100)).await
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_receipt_serves_those_it_is_enough_for_and_a_cancellation_the_next() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 0).await;
    let (large, small) =
        (fixture.create_sales_order(&[(&item, 7)]).await, fixture.create_sales_order(&[(&item, 3)]).await);
    for order in [&large, &small] {
        fixture.transition(order, "confirm").await;
        fixture.wait_for_stock_status(order, "backordered").await;
    }
    // Too little for who waits longest does not hold up the next.
    let purchase = fixture.create_purchase_order(&[(&item, 5)]).await;
    fixture.transition(&purchase, "receive").await;
    fixture.wait_for_stock_status(&small, "allocated").await;
    assert_eq!(fixture.read(&large).await["order"]["stock_status"], Value::from("backordered"));
    fixture.adjust(&item, 3).await;
    let still = fixture.read(&large).await;
    assert_eq!(still["order"]["stock_status"], "backordered");
    fixture.transition(&small, "cancel").await;
    fixture.wait_for_stock_status(&large, "allocated").await;
    fixture.wait_for_stock_status(&small, "released").await;
    assert_eq!(fixture.stock(&item).await, 1);
}
