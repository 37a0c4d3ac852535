//! The `erp-local` program: it succeeds, stops and survives a kill without leaving processes behind.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use erp_client::Client;
use rustix::process::Signal;
use tokio::sync::Notify;

use crate::assertions;
use crate::fixture::{Fixture, concurrently, register, send, send_until_accepted, unique};
use crate::ledger::assert_balanced;
use crate::program::{Serve, command, wait_until_gone};
use crate::target::{Target, slot};

#[tokio::test]
async fn the_demo_prints_the_walkthrough_and_succeeds() {
    let Some(_slot) = slot("the demo").await else { return };
    let output = command("demo").output().await.unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("All responses were as expected."), "{shown}");
}

#[tokio::test]
async fn sigterm_stops_the_platform_and_its_functions() {
    let Some(_slot) = slot("SIGTERM").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path()).await;
    let fixture = Fixture::with_client(&Client::new(serve.base())).await;
    let functions = serve.functions();
    assert!(functions.len() >= 3, "{functions:?}");
    let status = serve.end(Signal::TERM).await;
    assert_eq!(status.code(), Some(0));
    wait_until_gone(&functions).await;
    let response = fixture.inventory.send("GET", "/api/items", None).await;
    assert!(response.is_err(), "{response:?}");
}

#[tokio::test]
async fn sigkill_leaves_no_process_behind_and_loses_no_event() {
    let Some(_slot) = slot("SIGKILL").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path()).await;
    let client = Client::new(serve.base());
    let (_, token) = register(&client, "finance_manager").await;
    let finance = client.with_token(&token);
    let fixture = Fixture::with_users(finance.clone(), finance).await;
    let item = fixture.create_item("1.00", 30).await;
    let orders =
        concurrently(0..40, async |_| (fixture.create_sales_order(&[(&item, 1)]).await, unique())).await;

    // The kill comes in the middle of a burst: some requests have a response, some are in flight, some are
    // not sent.
    let (confirmed, half) = (AtomicUsize::new(0), Notify::new());
    let functions = serve.functions();
    let burst = concurrently(&orders, async |(order, key)| {
        let confirm = format!("{order}/confirm");
        let result = fixture.finance.send_with("POST", &confirm, &[("idempotency-key", key)], None).await;
        if result.is_ok_and(|response| response.status == 200)
            && confirmed.fetch_add(1, Ordering::Relaxed) == 20
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
    assert_eq!(status.code(), None, "ended by a signal");
    assert!(functions.len() >= 3, "{functions:?}");
    wait_until_gone(&functions).await;

    let serve = Serve::start(folder.path()).await;
    let finance = Client::new(serve.base()).with_token(token);
    let fixture = Fixture { finance: finance.clone(), inventory: finance, ..fixture };
    // Requests without a response are retried with the same key.
    concurrently(&orders, async |(order, key)| {
        assertions::success(
            &send_until_accepted(&fixture.finance, &format!("{order}/confirm"), key, None).await,
            200,
        );
    })
    .await;
    let target = Target::Remote(serve.base().to_owned());
    let orders: Vec<String> = orders.into_iter().map(|(order, _)| order).collect();
    let outcomes = assert_balanced(&target, &fixture, &BTreeMap::from([(item, 30)]), &orders).await;
    let allocated = outcomes.iter().filter(|outcome| outcome.stock_status == "allocated").count();
    assert_eq!(allocated, 30);
    let health = send(&fixture.finance, "GET", "/health", None).await;
    assert_eq!(health.json()["status"], "ok", "no dead letters: {}", health.text);
    assert_eq!(serve.end(Signal::TERM).await.code(), Some(0));
}
