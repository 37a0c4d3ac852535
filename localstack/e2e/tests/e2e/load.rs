//! Stock under load: no sale of what is not there, nothing lost, nothing counted twice.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;

use crate::books::{add_up, settle};
use crate::check;
use crate::shop::{Shop, each, persist, random, send, unique};
use crate::site::Site;

const SALES: usize = 60;
const CANCELLATIONS: usize = 15;
const RECEIPTS: usize = 8;
const ADJUSTMENTS: usize = 6;

#[tokio::test]
async fn sales_receipts_and_cancellations_at_once_add_up() {
    let site = Site::own().await;
    let shop = Shop::open(&site).await;
    let mut random = random("sales_receipts_and_cancellations_at_once_add_up");
    let mut brought = BTreeMap::new();
    for _ in 0..5 {
        let stock = random.i64(0..30);
        brought.insert(shop.item("1.00", stock).await, stock);
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
    let orders = each(&sales, async |lines| shop.order(&borrowed(lines)).await).await;
    let receipts = each(&receipts, async |lines| shop.purchase(&borrowed(lines)).await).await;

    let mut requests: Vec<(String, &str)> = orders.iter().map(|order| (order.clone(), "confirm")).collect();
    let cancelled = random.choose_multiple(&orders, CANCELLATIONS);
    requests.extend(cancelled.into_iter().map(|order| (order.clone(), "cancel")));
    requests.extend(receipts.into_iter().map(|purchase| (purchase, "receive")));
    requests.extend(adjustments.iter().map(|(item, _)| (item.clone(), "adjust")));
    random.shuffle(&mut requests);
    let adjustments = Mutex::new(adjustments);
    each(requests, async |(what, transition)| {
        if transition == "adjust" {
            let next = adjustments.lock().unwrap().pop();
            let (item, change) = next.unwrap();
            return shop.adjust(&item, change).await;
        }
        let answer = send(&shop.inventory, "POST", &format!("{what}/{transition}"), None).await;
        // What was cancelled before it was confirmed cannot be confirmed.
        if !(transition == "confirm" && answer.status == 409 && answer.json()["status_found"] == "cancelled")
        {
            check::success(&answer, 200);
        }
    })
    .await;

    let outcomes = add_up(&site, &shop, &brought, &orders).await;
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
    let site = Site::own().await;
    more_files();
    let shop = Shop::open(&site).await;
    let item = shop.item("1.00", 1).await;
    let orders = each(0..buyers, async |_| shop.order(&[(&item, 1)]).await).await;

    // Every request is on its way before the first is answered. Who is told to come back does, with the same key.
    let began = Instant::now();
    let confirmed = join_all(
        orders
            .iter()
            .map(async |order| persist(&shop.inventory, &format!("{order}/confirm"), &unique(), None).await),
    );
    for answer in confirmed.await {
        check::success(&answer, 200);
    }
    eprintln!("{buyers} confirmations answered within {:?}", began.elapsed());

    let outcomes = add_up(&site, &shop, &BTreeMap::from([(item.clone(), 1)]), &orders).await;
    let count = |status: &str| outcomes.iter().filter(|outcome| outcome.stock_status == status).count();
    assert_eq!((count("allocated"), count("backordered")), (1, buyers - 1));
    assert_eq!(shop.stock(&item).await, 0);
    let movements = shop.pages(&format!("/api/items/{item}/movements")).await;
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
    let site = Site::own().await;
    let shop = Shop::open(&site).await;
    let item = shop.item("1.00", 1).await;
    let orders = each(0..30, async |_| shop.order(&[(&item, 1)]).await).await;
    join_all(orders.iter().map(|order| shop.transition(order, "confirm"))).await;
    let outcomes = add_up(&site, &shop, &BTreeMap::from([(item.clone(), 1)]), &orders).await;
    let waiting: Vec<_> = outcomes.iter().filter(|outcome| outcome.stock_status == "backordered").collect();
    assert_eq!(waiting.len(), 29);

    // One more goes to who waits longest.
    let confirmed = async |order: &str| -> String {
        let history = shop.history(order).await;
        let event = history.iter().find(|event| event["type"] == "sales.order.confirmed");
        event.and_then(|event| event["time"].as_str()).unwrap_or_default().to_owned()
    };
    let since = each(waiting, async |outcome| (confirmed(&outcome.order).await, outcome.order.clone())).await;
    let longest = since.iter().map(|(time, _)| time.clone()).min().unwrap();
    shop.adjust(&item, 1).await;
    let before: Vec<String> = since.iter().map(|(_, order)| order.clone()).collect();
    let served = wait_until_one_is_served(&site, &shop, &before).await;
    assert_eq!(confirmed(&served).await, longest);
}

/// The one order of these that is allocated.
async fn wait_until_one_is_served(site: &Site, shop: &Shop, orders: &[String]) -> String {
    let began = Instant::now();
    loop {
        let outcomes = settle(site, shop, orders).await;
        let served: Vec<_> = outcomes.iter().filter(|outcome| outcome.stock_status == "allocated").collect();
        match served.as_slice() {
            [one] => return one.order.clone(),
            [] if began.elapsed() < crate::shop::SOON => tokio::time::sleep(Duration::from_millis(100)).await,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_receipt_serves_those_it_is_enough_for_and_a_cancellation_the_next() {
    let site = Site::shared();
    let shop = Shop::open(&site).await;
    let item = shop.item("1.00", 0).await;
    let (large, small) = (shop.order(&[(&item, 7)]).await, shop.order(&[(&item, 3)]).await);
    for order in [&large, &small] {
        shop.transition(order, "confirm").await;
        shop.wait_for_stock_status(order, "backordered").await;
    }
    // Too little for who waits longest does not hold up the next.
    let purchase = shop.purchase(&[(&item, 5)]).await;
    shop.transition(&purchase, "receive").await;
    shop.wait_for_stock_status(&small, "allocated").await;
    assert_eq!(shop.read(&large).await["order"]["stock_status"], Value::from("backordered"));
    shop.adjust(&item, 3).await;
    let still = shop.read(&large).await;
    assert_eq!(still["order"]["stock_status"], "backordered");
    shop.transition(&small, "cancel").await;
    shop.wait_for_stock_status(&large, "allocated").await;
    shop.wait_for_stock_status(&small, "released").await;
    assert_eq!(shop.stock(&item).await, 1);
}
