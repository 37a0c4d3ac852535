//! Batches of workers that are killed, or whose time is over: no valid message becomes a dead letter, and the
//! progress is kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use erp_local::dynamodb::{Call, Fault, Intercept};
use erp_local::platform::Platform;
use tokio::sync::watch;

use crate::crashes::{assert_consistent, kill_9, sell, stock};
use crate::fixture::{DEADLINE, Fixture, concurrently, random};
use crate::ledger::assert_idle;
use crate::queues::Queues;
use crate::target::Target;

/// Counts the successful transactions of a function.
struct Commits {
    /// The access key of its role.
    caller: String,
    count: watch::Sender<usize>,
}

impl Commits {
    fn of(platform: &Platform, function: &str) -> Arc<Self> {
        let caller = platform.environment(function).unwrap()["AWS_ACCESS_KEY_ID"].clone();
        Arc::new(Self { caller, count: watch::Sender::new(0) })
    }
}

impl Intercept for Commits {
    fn before(&self, _: &Call<'_>) -> Option<Fault> {
        None
    }

    fn after(&self, call: &Call<'_>) -> Option<Fault> {
        if call.operation == "TransactWriteItems" && call.caller == Some(&self.caller) {
            self.count.send_modify(|count| *count += 1);
        }
        None
    }
}

/// Kills a busy process of a function; returns whether there was one.
fn kill_busy(platform: &Platform, function: &str, random: &mut fastrand::Rng) -> bool {
    let mut busy = platform.functions();
    busy.retain(|process| process.function == function && process.busy);
    random.choice(&busy).is_some_and(kill_9)
}

/// Kills a process of `inventory-worker` after every second commit, up to a number of commits.
async fn kill_by_progress(
    platform: &Platform,
    commits: &Commits,
    end: usize,
    random: &mut fastrand::Rng,
) -> usize {
    let (mut count, mut kills) = (commits.count.subscribe(), 0);
    for next in (2..=end).step_by(2) {
        count.wait_for(|count| *count >= next).await.unwrap();
        kills += usize::from(kill_busy(platform, "erp-inventory-worker", random));
    }
    kills
}

/// Returns one line each of some of these items.
fn single_lines(items: &[String], orders: usize) -> Vec<Vec<(String, i64)>> {
    (0..orders).map(|number| vec![(items[number % items.len()].clone(), 1)]).collect()
}

#[tokio::test]
async fn a_worker_that_is_killed_after_every_two_commits_processes_every_valid_message() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("kills by progress") else { return };
    let fixture = Fixture::new(&target).await;
    let mut random = random("a_worker_that_is_killed_after_every_two_commits_processes_every_valid_message");
    let (items, received) = stock(&fixture, 30).await;
    let sales = single_lines(&items, 120);
    assert_idle(platform).await;
    let queues = Queues::of(platform);
    let poison: BTreeSet<String> = (0..5).map(|number| format!("poison {number}")).collect();
    let commits = Commits::of(platform, "InventoryWorkerFunction");
    platform.dynamodb().set_intercept(Some(commits.clone()));

    let sending = async {
        for body in &poison {
            queues.send("erp-stock-queue", body).await;
        }
        sell(&fixture, &sales).await
    };
    // The count lacks commits whose process was killed at once.
    let killing = kill_by_progress(platform, &commits, 100, &mut random);
    let (orders, kills) = tokio::time::timeout(2 * DEADLINE, async { tokio::join!(sending, killing) })
        .await
        .unwrap_or_else(|_| panic!("{} commits: {:?}", *commits.count.borrow(), platform.broker().depths()));
    eprintln!("{kills} kills, {} commits", *commits.count.borrow());
    assert!(kills >= 25, "{kills} kills of 50: no process was busy");
    if let Err(busy) = platform.wait_until_idle(DEADLINE).await {
        panic!("{busy}");
    }
    platform.dynamodb().set_intercept(None);
    // A worker that is killed between the two calls of a move sends a dead letter again.
    let dead = queues.take_dead_letters("erp-stock-queue-dlq").await;
    let bodies: BTreeSet<String> = dead.iter().map(|(body, _)| body.clone()).collect();
    assert_eq!(bodies, poison, "valid messages are not dead letters");
    assert!(dead.iter().all(|(_, reason)| reason.starts_with("not an event: ")), "{dead:?}");
    assert_consistent(&target, &fixture, &received, &orders).await;
}

#[tokio::test]
async fn no_message_becomes_a_dead_letter_while_workers_are_killed_five_times_a_second() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("a barrage of kills") else { return };
    let fixture = Fixture::new(&target).await;
    let mut random = random("no_message_becomes_a_dead_letter_while_workers_are_killed_five_times_a_second");
    let (items, received) = stock(&fixture, 60).await;
    let sales = single_lines(&items, 240);
    assert_idle(platform).await;

    // Longer than it takes to receive a message ten times.
    let killing = async {
        let mut kills = 0;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(30) {
            for function in ["erp-inventory-worker", "erp-sales-worker"] {
                kills += usize::from(kill_busy(platform, function, &mut random));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        kills
    };
    let (orders, kills) = tokio::join!(sell(&fixture, &sales), killing);
    eprintln!("{kills} kills");
    assert_consistent(&target, &fixture, &received, &orders).await;
}

/// Cuts every read of a function shortly before its time-out. Counts the reads.
struct SlowReads {
    caller: String,
    reads: AtomicUsize,
}

impl Intercept for SlowReads {
    fn before(&self, call: &Call<'_>) -> Option<Fault> {
        let slow = call.operation != "TransactWriteItems" && call.caller == Some(&self.caller);
        slow.then(|| {
            self.reads.fetch_add(1, Ordering::SeqCst);
            Fault::HangUp { after: Duration::from_millis(1900) }
        })
    }

    fn after(&self, _: &Call<'_>) -> Option<Fault> {
        None
    }
}

#[tokio::test]
async fn a_batch_that_takes_longer_than_an_invocation_returns_the_rest() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("the deadline of a batch") else { return };
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 10).await;
    let orders = concurrently(0..10, async |_| fixture.create_sales_order(&[(&item, 1)]).await).await;
    concurrently(&orders, async |order| fixture.transition(order, "confirm").await).await;
    assert_idle(platform).await;
    let histories = concurrently(&orders, async |order| fixture.history(order).await).await;
    let confirmed = histories.iter().map(|history| history[0].to_string());
    let confirmed: Vec<String> = confirmed.collect();
    let worker = || {
        let mut processes = platform.functions();
        processes.retain(|process| process.function == "erp-inventory-worker");
        processes.into_iter().map(|process| process.pid).collect::<BTreeSet<_>>()
    };
    let before = worker();

    // Each message fails after four attempts of 1.9 s, so that an invocation of 30 s is too short for ten.
    let caller = platform.environment("InventoryWorkerFunction").unwrap()["AWS_ACCESS_KEY_ID"].clone();
    let slow = Arc::new(SlowReads { caller, reads: AtomicUsize::new(0) });
    platform.dynamodb().set_intercept(Some(slow.clone()));
    Queues::of(platform).send_batch("erp-stock-queue", &confirmed).await;
    let start = Instant::now();
    let depth = || {
        let depths = platform.broker().depths().unwrap();
        depths.into_iter().find(|depth| depth.name == "erp-stock-queue").unwrap()
    };
    // At the deadline the rest becomes visible at once, and is received by several invocations.
    while slow.reads.load(Ordering::SeqCst) < 20 {
        assert!(start.elapsed() < DEADLINE, "{:?}", depth());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(start.elapsed() > Duration::from_secs(25), "{:?}: not one batch", start.elapsed());
    platform.dynamodb().set_intercept(None);
    // Much less than the visibility time-out of 180 s.
    assert_idle(platform).await;
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
    assert!(before.is_subset(&worker()), "no process was killed at its time-out: {before:?}, {:?}", worker());
}
