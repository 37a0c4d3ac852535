//! The `localstack` program: what it leaves behind when it is killed, stopped, or done.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use erp_client::Client;
use rustix::process::Signal;
use tokio::sync::Notify;

use crate::books::add_up;
use crate::check;
use crate::program::{Serve, command, wait_until_gone};
use crate::shop::{Shop, each, persist, register, send, unique};
use crate::site::{Site, turn};

#[tokio::test]
async fn the_demo_shows_the_walk_and_succeeds() {
    let Some(_turn) = turn("the demo").await else { return };
    let output = command("demo").output().await.unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("All responses were as expected."), "{shown}");
}

#[tokio::test]
async fn a_served_platform_stops_when_it_is_told_to() {
    let Some(_turn) = turn("a program that is told to stop").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path()).await;
    let shop = Shop::at(&Client::new(serve.base())).await;
    let functions = serve.functions();
    assert!(functions.len() >= 3, "{functions:?}");
    let status = serve.end(Signal::TERM).await;
    assert_eq!(status.code(), Some(0));
    wait_until_gone(&functions).await;
    let nobody = shop.inventory.send("GET", "/api/items", None).await;
    assert!(nobody.is_err(), "{nobody:?}");
}

#[tokio::test]
async fn a_platform_that_was_killed_leaves_nothing_behind_and_loses_nothing() {
    let Some(_turn) = turn("a program that is killed").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path()).await;
    let client = Client::new(serve.base());
    let (_, token) = register(&client, "finance_manager").await;
    let finance = client.with_token(&token);
    let shop = Shop::with(finance.clone(), finance).await;
    let item = shop.item("1.00", 30).await;
    let orders = each(0..40, async |_| (shop.order(&[(&item, 1)]).await, unique())).await;

    // Killed in the middle of a burst: some were answered, some are on their way, some come too late.
    let (answered, half) = (AtomicUsize::new(0), Notify::new());
    let functions = serve.functions();
    let burst = each(&orders, async |(order, key)| {
        let confirm = format!("{order}/confirm");
        let sent = shop.finance.send_with("POST", &confirm, &[("idempotency-key", key)], None).await;
        if sent.is_ok_and(|answer| answer.status == 200) && answered.fetch_add(1, Ordering::Relaxed) == 20 {
            half.notify_one();
        }
    });
    let killed = async {
        half.notified().await;
        let functions = [functions, serve.functions()].concat();
        (serve.end(Signal::KILL).await, functions)
    };
    let (_, (status, functions)) = tokio::join!(burst, killed);
    assert_eq!(status.code(), None, "a signal ended it");
    assert!(functions.len() >= 3, "{functions:?}");
    wait_until_gone(&functions).await;

    let serve = Serve::start(folder.path()).await;
    let finance = Client::new(serve.base()).with_token(token);
    let shop = Shop { finance: finance.clone(), inventory: finance, ..shop };
    // Whoever heard nothing asks again, with the same key.
    each(&orders, async |(order, key)| {
        check::success(&persist(&shop.finance, &format!("{order}/confirm"), key, None).await, 200);
    })
    .await;
    let site = Site::There(serve.base().to_owned());
    let orders: Vec<String> = orders.into_iter().map(|(order, _)| order).collect();
    let outcomes = add_up(&site, &shop, &BTreeMap::from([(item, 30)]), &orders).await;
    let allocated = outcomes.iter().filter(|outcome| outcome.stock_status == "allocated").count();
    assert_eq!(allocated, 30);
    let health = send(&shop.finance, "GET", "/health", None).await;
    assert_eq!(health.json()["status"], "ok", "no message was given up: {}", health.text);
    assert_eq!(serve.end(Signal::TERM).await.code(), Some(0));
}
