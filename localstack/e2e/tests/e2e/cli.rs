//! The `localstack` program: what it leaves behind when it is killed, stopped, or done.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use erp_client::Client;
use rustix::process::Signal;
use tokio::sync::Notify;

use crate::assertions;
use crate::fixture::{Fixture, concurrently, register, send, send_until_accepted, unique};
use crate::ledger::add_up;
use crate::program::{Serve, command, wait_until_gone};
use crate::target::{Target, slot};

#[tokio::test]
async fn the_demo_shows_the_walk_and_succeeds() {
    let Some(_slot) = slot("the demo").await else { return };
    let output = command("demo").output().await.unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("All responses were as expected."), "{shown}");
}

#[tokio::test]
async fn a_served_platform_stops_when_it_is_told_to() {
    let Some(_slot) = slot("a program that is told to stop").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path()).await;
    let fixture = Fixture::with_client(&Client::new(serve.base())).await;
    let functions = serve.functions();
    assert!(functions.len() >= 3, "{functions:?}");
    let status = serve.end(Signal::TERM).await;
    assert_eq!(status.code(), Some(0));
    wait_until_gone(&functions).await;
    let nobody = fixture.inventory.send("GET", "/api/items", None).await;
    assert!(nobody.is_err(), "{nobody:?}");
}

#[tokio::test]
async fn a_platform_that_was_killed_leaves_nothing_behind_and_loses_nothing() {
    let Some(_slot) = slot("a program that is killed").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path()).await;
    let client = Client::new(serve.base());
    let (_, token) = register(&client, "finance_manager").await;
    let finance = client.with_token(&token);
    let fixture = Fixture::with_users(finance.clone(), finance).await;
    let item = fixture.create_item("1.00", 30).await;
    let orders =
        concurrently(0..40, async |_| (fixture.create_sales_order(&[(&item, 1)]).await, unique())).await;

    // Killed in the middle of a burst: some were answered, some are on their way, some come too late.
    let (answered, half) = (AtomicUsize::new(0), Notify::new());
    let functions = serve.functions();
    let burst = concurrently(&orders, async |(order, key)| {
        let confirm = format!("{order}/confirm");
        let sent = fixture.finance.send_with("POST", &confirm, &[("idempotency-key", key)], None).await;
        if sent.is_ok_and(|response| response.status == 200) && answered.fetch_add(1, Ordering::Relaxed) == 20
        {
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
    let fixture = Fixture { finance: finance.clone(), inventory: finance, ..fixture };
    // Whoever heard nothing asks again, with the same key.
    concurrently(&orders, async |(order, key)| {
        assertions::success(
            &send_until_accepted(&fixture.finance, &format!("{order}/confirm"), key, None).await,
            200,
        );
    })
    .await;
    let target = Target::Remote(serve.base().to_owned());
    let orders: Vec<String> = orders.into_iter().map(|(order, _)| order).collect();
    let outcomes = add_up(&target, &fixture, &BTreeMap::from([(item, 30)]), &orders).await;
    let allocated = outcomes.iter().filter(|outcome| outcome.stock_status == "allocated").count();
    assert_eq!(allocated, 30);
    let health = send(&fixture.finance, "GET", "/health", None).await;
    assert_eq!(health.json()["status"], "ok", "no message was given up: {}", health.text);
    assert_eq!(serve.end(Signal::TERM).await.code(), Some(0));
}
