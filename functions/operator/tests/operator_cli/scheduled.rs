//! The scheduled function: passes that are interrupted, shared by workers, and repeated.

use std::collections::BTreeSet;
use std::time::Duration;

use erp_testkit::CallCounter;
use operator::config::Tables;
use operator::reconcile::{FindingKind, Report};
use operator::scheduled::{Outcome, Request};
use tokio::time::Instant;

use crate::continuous::Reconciliation;
use crate::fixture::{Fixture, LATER, take_outbox};
use crate::ledger::{plant, reconcile};

/// Writes items and orders with mismatches, on several pages of a scan.
async fn fixture() -> Fixture {
    let fixture = Fixture::start().await;
    let orders = fixture.orders().await;
    // More than one page of a scan (1 MB), so that the movements of an item are on two pages.
    let many = fixture.item(1).await;
    for _ in 0..200 {
        fixture.adjust(many, 1, Some("x".repeat(8_000))).await;
    }
    plant(&fixture, &orders, FindingKind::StockDiffers).await;
    fixture.confirm(many, 1).await;
    for event in take_outbox(&fixture.tables.sales).await {
        fixture.deliver(&event).await;
    }
    fixture
}

/// Returns the figures and the kinds and subjects of the findings; only the whole reconciliation names the id of a
/// missing movement.
fn summary(
    report: &Report,
    findings: impl Iterator<Item = (FindingKind, String)>,
) -> (Report, BTreeSet<String>) {
    let of_item = |(kind, subject): (FindingKind, String)| match kind {
        FindingKind::MovementMissing => subject.split(" / ").next().unwrap().to_owned(),
        _ => subject,
    };
    let findings = findings.map(|(kind, subject)| format!("{} {}", kind.as_str(), of_item((kind, subject))));
    (Report { findings: Vec::new(), mismatches: 0, ..report.clone() }, findings.collect())
}

async fn result(reconciliation: &Reconciliation, outcome: &Outcome) -> (Report, BTreeSet<String>) {
    let findings = reconciliation.findings().await.into_iter();
    summary(&outcome.report, findings.map(|finding| (finding.kind, finding.subject)))
}

#[tokio::test]
async fn a_pass_that_runs_out_of_time_resumes_where_it_stopped() {
    let fixture = fixture().await;
    let whole = reconcile(fixture.ledger(LATER)).await;
    let expected = summary(&whole, whole.findings.iter().map(|f| (f.kind, f.subject.clone())));
    let late = ["movement_missing", "status_not_updated", "stock_differs", "unpublished"];
    let kinds: BTreeSet<&str> = whole.findings.iter().map(|finding| finding.kind.as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(late));

    let reconciliation = Reconciliation::new(&fixture.tables);
    reconciliation.advance(LATER);
    let mut invocations = 0;
    let outcome = loop {
        invocations += 1;
        // The time of every invocation is over when it begins.
        let outcome = reconciliation.scheduled.reconcile(Request::default(), Instant::now()).await.unwrap();
        if outcome.complete {
            break outcome;
        }
        assert!(invocations < 50);
    };
    assert!(invocations >= 2, "{invocations}");
    assert_eq!(result(&reconciliation, &outcome).await, expected);
    assert_eq!(outcome.report.mismatches, whole.mismatches);
}

#[tokio::test]
async fn a_pass_that_is_killed_at_any_time_has_the_report_of_an_uninterrupted_one() {
    let fixture = fixture().await;
    let uninterrupted = Reconciliation::new(&fixture.tables);
    uninterrupted.advance(LATER);
    let outcome = uninterrupted.run().await;
    let expected = result(&uninterrupted, &outcome).await;

    let (mut killed, mut milliseconds) = (0, 2);
    let request = Request { start_pass: true };
    let outcome = loop {
        // The lease of a killed worker ends.
        uninterrupted.advance(200);
        let stop = Instant::now() + Duration::from_secs(60);
        let run = uninterrupted.scheduled.reconcile(request, stop);
        match tokio::time::timeout(Duration::from_millis(milliseconds), run).await {
            Ok(outcome) => break outcome.unwrap(),
            Err(_) => killed += 1,
        }
        milliseconds += 5;
    };
    assert!(killed > 3, "{killed}");
    assert!(outcome.complete);
    let status = uninterrupted.scheduled.table.status().await.unwrap();
    assert!(status.pass.unwrap().number >= 2, "it is another pass");
    assert_eq!(result(&uninterrupted, &outcome).await, expected);
}

#[tokio::test]
async fn two_workers_scan_each_part_once() {
    let fixture = fixture().await;
    let calls = CallCounter::default();
    let tables = Tables {
        inventory: calls.table(&fixture.tables.inventory),
        sales: calls.table(&fixture.tables.sales),
        purchase: calls.table(&fixture.tables.purchase),
        ..fixture.tables.clone()
    };
    let one = Reconciliation::new(&tables);
    let expected = result(&one, &one.run().await).await;
    let alone = calls.take()["Scan"];
    assert!(alone >= 24, "{alone}");

    one.advance(86_400);
    let other = Reconciliation::new(&tables);
    other.advance(86_400);
    let (first, second) = tokio::join!(one.run(), other.run());
    assert_eq!(calls.take()["Scan"], alone);
    let complete = if first.complete { first } else { second };
    assert!(complete.complete);
    assert_eq!(one.scheduled.table.status().await.unwrap().pass.unwrap().number, 2);
    let later = reconcile(fixture.ledger(86_400)).await;
    assert_eq!(complete.report.items, expected.0.items);
    assert_eq!(complete.report.movements, later.movements);
}

#[tokio::test]
async fn a_pass_begins_when_its_interval_has_passed() {
    let fixture = Fixture::start().await;
    fixture.orders().await;
    let reconciliation = Reconciliation::new(&fixture.tables);
    let number = async || reconciliation.scheduled.table.status().await.unwrap().pass.map(|pass| pass.number);
    assert_eq!(number().await, None);
    // The event of a schedule.
    let request: Request = serde_json::from_str(r#"{"detail-type":"Scheduled Event","detail":{}}"#).unwrap();
    let stop = Instant::now() + Duration::from_secs(60);
    let outcome = reconciliation.scheduled.reconcile(request, stop).await.unwrap();
    assert!(outcome.complete);
    assert_eq!(outcome.report.checked(), 1 + 5 + 1, "an item, five sales orders, a purchase order");
    assert_eq!(outcome.report.mismatches, 0);
    reconciliation.advance(86_000);
    assert!(reconciliation.run().await.complete);
    assert_eq!(number().await, Some(1));
    reconciliation.advance(400);
    assert!(reconciliation.run().await.complete);
    assert_eq!(number().await, Some(2));
    let request = Request { start_pass: true };
    reconciliation.scheduled.reconcile(request, Instant::now() + Duration::from_secs(60)).await.unwrap();
    assert_eq!(number().await, Some(3));
}
