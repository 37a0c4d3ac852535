//! Stock under load: nothing is oversold, lost or counted twice.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;

use crate::assertions;
use crate::fixture::{DEADLINE, Fixture, concurrently, random, send, send_until_accepted_within, unique};
use crate::ledger::{assert_balanced, wait_for_decisions};
use crate::target::Target;

const SALES: usize = 60;
const CANCELLATIONS: usize = 15;
const RECEIPTS: usize = 8;
const ADJUSTMENTS: usize = 6;
/// Time limit of the confirmation of the last unit, per buyer, on a machine under load.
const PER_BUYER: Duration = Duration::from_millis(400);

#[tokio::test]
async fn concurrent_sales_receipts_and_cancellations_add_up() {
    let target = Target::own().await;
    let fixture = Fixture::new(&target).await;
    let mut random = random("concurrent_sales_receipts_and_cancellations_add_up");
    let mut received = BTreeMap::new();
    for _ in 0..5 {
        let stock = random.i64(0..30);
        received.insert(fixture.create_item("1.00", stock).await, stock);
    }
    let items: Vec<String> = received.keys().cloned().collect();

    let mut lines = |max: i64| -> Vec<(String, i64)> {
        let count = random.usize(1..4);
        (0..count).map(|_| (items[random.usize(..items.len())].clone(), random.i64(1..=max))).collect()
    };
    let sales: Vec<_> = (0..SALES).map(|_| lines(6)).collect();
    let receipts: Vec<_> = (0..RECEIPTS).map(|_| lines(12)).collect();
    let adjustments: Vec<_> = (0..ADJUSTMENTS).map(|_| lines(5)[0].clone()).collect();
    for (item, quantity) in receipts.iter().flatten().chain(&adjustments) {
        *received.entry(item.clone()).or_default() += quantity;
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
    concurrently(requests, async |(subject, transition)| {
        if transition == "adjust" {
            let next = adjustments.lock().unwrap().pop();
            let (item, change) = next.unwrap();
            return fixture.adjust(&item, change).await;
        }
        let response = send(&fixture.inventory, "POST", &format!("{subject}/{transition}"), None).await;
        // A cancelled draft cannot be confirmed.
        if !(transition == "confirm"
            && response.status == 409
            && response.json()["status_found"] == "cancelled")
        {
            assertions::success(&response, 200);
        }
    })
    .await;

    let outcomes = assert_balanced(&target, &fixture, &received, &orders).await;
    let count = |status: &str| outcomes.iter().filter(|outcome| outcome.status == status).count();
    assert_eq!((count("confirmed"), count("cancelled")), (SALES - CANCELLATIONS, CANCELLATIONS));
}

fn borrowed(lines: &[(String, i64)]) -> Vec<(&str, i64)> {
    lines.iter().map(|(item, quantity)| (item.as_str(), *quantity)).collect()
}

#[tokio::test]
async fn the_last_unit_is_sold_once_to_a_hundred_buyers() {
    sell_the_last_unit(100).await;
}

#[tokio::test]
#[ignore = "a minute of work; cargo test --test e2e -- --ignored a_thousand"]
async fn the_last_unit_is_sold_once_to_a_thousand_buyers() {
    sell_the_last_unit(1000).await;
}

/// Confirms this many orders for the last unit of an item, all at once.
async fn sell_the_last_unit(buyers: usize) {
    let target = Target::own().await;
    raise_open_file_limit();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 1).await;
    let orders = concurrently(0..buyers, async |_| fixture.create_sales_order(&[(&item, 1)]).await).await;

    let deadline = DEADLINE.max(PER_BUYER * u32::try_from(buyers).unwrap());
    // Requests with 429 or 5xx are retried with the same key.
    let start = Instant::now();
    let confirm = async |order: &String| {
        let confirm = format!("{order}/confirm");
        send_until_accepted_within(deadline, &fixture.inventory, &confirm, &unique(), None).await
    };
    let confirmed = match target.platform() {
        // All requests are sent before the first response.
        Some(_) => join_all(orders.iter().map(confirm)).await,
        // Another emulator runs fewer functions at once than the requests and their queries need.
        None => concurrently(&orders, confirm).await,
    };
    for response in confirmed {
        assertions::success(&response, 200);
    }
    eprintln!("{buyers} confirmations completed within {:?}", start.elapsed());
    if let Some(platform) = target.platform() {
        platform.wait_until_idle(deadline).await.unwrap_or_else(|busy| panic!("{busy}"));
    }

    let outcomes = assert_balanced(&target, &fixture, &BTreeMap::from([(item.clone(), 1)]), &orders).await;
    let count = |status: &str| outcomes.iter().filter(|outcome| outcome.stock_status == status).count();
    assert_eq!((count("allocated"), count("backordered")), (1, buyers - 1));
    assert_eq!(fixture.stock(&item).await, 0);
    let movements = fixture.pages(&format!("/api/items/{item}/movements")).await;
    let changes: Vec<_> = movements.iter().map(|movement| movement["change"].as_i64()).collect();
    assert_eq!(changes, [Some(-1), Some(1)], "one receipt, one sale");
    eprintln!("{buyers} orders allocated or back-ordered within {:?}", start.elapsed());
}

/// Raises the limit of open files: both ends of a thousand connections are in this process.
fn raise_open_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        // macOS does not accept more, regardless of the maximum that it reports.
        const NEEDED: u64 = 10_240;
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let needed = maximum.map_or(NEEDED, |maximum| maximum.min(NEEDED));
        if current.is_some_and(|current| current < needed) {
            setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).unwrap();
        }
    }
}

#[tokio::test]
async fn the_oldest_backorder_is_fulfilled_first() {
    let target = Target::own().await;
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 1).await;
    let orders = concurrently(0..30, async |_| fixture.create_sales_order(&[(&item, 1)]).await).await;
    concurrently(&orders, async |order| fixture.transition(order, "confirm").await).await;
    let outcomes = assert_balanced(&target, &fixture, &BTreeMap::from([(item.clone(), 1)]), &orders).await;
    let backordered: Vec<_> =
        outcomes.iter().filter(|outcome| outcome.stock_status == "backordered").collect();
    assert_eq!(backordered.len(), 29);

    // One more unit is allocated to the oldest back-order.
    let confirmed = async |order: &str| -> String {
        let history = fixture.history(order).await;
        let event = history.iter().find(|event| event["type"] == "sales.order.confirmed");
        event.and_then(|event| event["time"].as_str()).unwrap_or_default().to_owned()
    };
    let since =
        concurrently(backordered, async |outcome| (confirmed(&outcome.order).await, outcome.order.clone()))
            .await;
    let oldest = since.iter().map(|(time, _)| time.clone()).min().unwrap();
    fixture.adjust(&item, 1).await;
    let before: Vec<String> = since.iter().map(|(_, order)| order.clone()).collect();
    let fulfilled = wait_until_one_is_fulfilled(&target, &fixture, &before).await;
    assert_eq!(confirmed(&fulfilled).await, oldest);
}

/// Waits until one of the orders is allocated. Returns it.
async fn wait_until_one_is_fulfilled(target: &Target, fixture: &Fixture, orders: &[String]) -> String {
    let start = Instant::now();
    loop {
        let outcomes = wait_for_decisions(target, fixture, orders).await;
        let fulfilled: Vec<_> =
            outcomes.iter().filter(|outcome| outcome.stock_status == "allocated").collect();
        match fulfilled.as_slice() {
            [one] => return one.order.clone(),
            [] if start.elapsed() < DEADLINE => tokio::time::sleep(Duration::from_millis(100)).await,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_receipt_fulfils_the_backorders_that_it_covers() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 0).await;
    let (large, small) =
        (fixture.create_sales_order(&[(&item, 7)]).await, fixture.create_sales_order(&[(&item, 3)]).await);
    for order in [&large, &small] {
        fixture.transition(order, "confirm").await;
        fixture.wait_for_stock_status(order, "backordered").await;
    }
    // A back-order that is too large does not block the next one.
    let purchase = fixture.create_purchase_order(&[(&item, 5)]).await;
    fixture.transition(&purchase, "receive").await;
    fixture.wait_for_stock_status(&small, "allocated").await;
    assert_eq!(fixture.read(&large).await["order"]["stock_status"], Value::from("backordered"));
    fixture.adjust(&item, 3).await;
    let data = fixture.read(&large).await;
    assert_eq!(data["order"]["stock_status"], "backordered");
    fixture.transition(&small, "cancel").await;
    fixture.wait_for_stock_status(&large, "allocated").await;
    fixture.wait_for_stock_status(&small, "released").await;
    assert_eq!(fixture.stock(&item).await, 1);
}
