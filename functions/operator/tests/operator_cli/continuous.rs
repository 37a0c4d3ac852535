//! The continuous reconciliation: changes from the streams of the tables, and the checks that follow from them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::dynamodb::Event as StreamEvent;
use erp_domain::Clock;
use erp_domain::time::SystemClock;
use erp_testkit::{CallCounter, TestClock};
use operator::config::Tables;
use operator::continuous::Continuous;
use operator::reconcile::{FindingKind, FindingRow, ReconciliationTable};
use operator::scheduled::{Outcome, Request, Scheduled};
use serde_json::json;
use strum::VariantArray as _;
use tokio::time::Instant;

use crate::fixture::{Fixture, LATER, change, ledger, rows, take_outbox};
use crate::ledger::plant;

/// Both functions of the reconciliation, over the tables of a fixture.
pub(crate) struct Reconciliation {
    clock: Arc<TestClock>,
    continuous: Continuous,
    pub(crate) scheduled: Scheduled,
    /// The sequence number of the last record by table.
    positions: BTreeMap<String, String>,
}

impl Reconciliation {
    pub(crate) fn new(tables: &Tables) -> Self {
        let clock = Arc::new(TestClock::at(SystemClock.now().as_millis()));
        let table = ReconciliationTable::new(tables.reconciliation.clone());
        let continuous = Continuous {
            ledger: ledger(tables, Arc::clone(&clock)),
            table: table.clone(),
            inventory_table: tables.inventory.name.clone(),
            sales_table: tables.sales.name.clone(),
            purchase_table: tables.purchase.name.clone(),
        };
        let ledger = ledger(tables, Arc::clone(&clock));
        let scheduled = Scheduled { ledger, table, pass_interval: Duration::from_secs(86_400) };
        Self { clock, continuous, scheduled, positions: BTreeMap::new() }
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.advance_seconds(seconds);
    }

    /// Delivers the new records of the streams; returns their number.
    async fn deliver(&mut self, fixture: &Fixture) -> usize {
        let mut count = 0;
        let tables = &fixture.tables;
        for table in [&tables.inventory.name, &tables.sales.name, &tables.purchase.name] {
            loop {
                let records = fixture.dynamo.stream_records(table, self.positions.get(table).cloned());
                let Some(last) = records.last() else { break };
                count += records.len();
                let last = last["dynamodb"]["SequenceNumber"].as_str().unwrap().to_owned();
                self.positions.insert(table.clone(), last);
                let batch: StreamEvent = serde_json::from_value(json!({"Records": records})).unwrap();
                let response = self.continuous.check(batch).await;
                assert!(response.batch_item_failures.is_empty(), "{response:?}");
            }
        }
        count
    }

    /// Runs the scheduled function with time for everything.
    pub(crate) async fn run(&self) -> Outcome {
        let stop = Instant::now() + Duration::from_secs(60);
        self.scheduled.reconcile(Request::default(), stop).await.unwrap()
    }

    pub(crate) async fn findings(&self) -> Vec<FindingRow> {
        self.scheduled.table.findings().await.unwrap()
    }

    async fn kinds(&self) -> Vec<&'static str> {
        self.findings().await.iter().map(|finding| finding.kind.as_str()).collect()
    }
}

#[tokio::test]
async fn every_mismatch_is_found_from_the_streams_alone_and_nothing_else_is() {
    for &kind in FindingKind::VARIANTS {
        let fixture = Fixture::start().await;
        let mut reconciliation = Reconciliation::new(&fixture.tables);
        let orders = fixture.orders().await;
        reconciliation.deliver(&fixture).await;
        // The pass is complete, and the next one begins in a day.
        assert!(reconciliation.run().await.complete);
        assert_eq!(reconciliation.findings().await, [], "{kind:?}");

        let subject = plant(&fixture, &orders, kind).await;
        reconciliation.deliver(&fixture).await;
        reconciliation.advance(LATER);
        let outcome = reconciliation.run().await;
        let findings = reconciliation.findings().await;
        let found: Vec<_> = findings.iter().map(|finding| (finding.kind, &finding.subject)).collect();
        // The movement was there before.
        let kind = if kind == FindingKind::MovementMissing { FindingKind::MovementChanged } else { kind };
        assert_eq!(found, [(kind, &subject)], "{findings:?}");
        assert_eq!(outcome.report.mismatches, 1);
    }
}

#[tokio::test]
async fn what_is_late_is_a_mismatch_only_after_the_grace_period_and_only_as_long_as_it_is_missing() {
    let fixture = Fixture::start().await;
    let mut reconciliation = Reconciliation::new(&fixture.tables);
    let item = fixture.item(10).await;
    fixture.confirm(item, 1).await;
    reconciliation.deliver(&fixture).await;
    // Inventory has allocated it; its movement and the stock status are not written.
    for event in take_outbox(&fixture.tables.sales).await {
        fixture.deliver(&event).await;
    }
    reconciliation.deliver(&fixture).await;
    reconciliation.run().await;
    assert_eq!(reconciliation.findings().await, []);

    reconciliation.advance(LATER);
    let outcome = reconciliation.run().await;
    assert_eq!(reconciliation.kinds().await, ["movement_missing", "status_not_updated", "unpublished"]);
    assert_eq!(outcome.report.mismatches, 3, "it stays open");
    let found_at: Vec<_> = reconciliation.findings().await.iter().map(|finding| finding.found_at).collect();
    reconciliation.advance(300);
    assert_eq!(reconciliation.run().await.report.mismatches, 3);
    let again: Vec<_> = reconciliation.findings().await.iter().map(|finding| finding.found_at).collect();
    assert_eq!(again, found_at, "it is reported once");

    fixture.deliver_all().await;
    assert_eq!(reconciliation.run().await.report.mismatches, 0);
    assert_eq!(reconciliation.findings().await, []);
}

#[tokio::test]
async fn a_late_movement_is_not_a_mismatch() {
    let fixture = Fixture::start().await;
    let mut reconciliation = Reconciliation::new(&fixture.tables);
    let item = fixture.item(10).await;
    fixture.confirm(item, 1).await;
    for event in take_outbox(&fixture.tables.sales).await {
        fixture.deliver(&event).await;
    }
    reconciliation.deliver(&fixture).await;
    fixture.deliver_all().await;
    reconciliation.deliver(&fixture).await;
    reconciliation.advance(LATER);
    let outcome = reconciliation.run().await;
    assert!(outcome.due.checked >= 2, "the movement and the order were pending: {:?}", outcome.due);
    assert_eq!((outcome.due.pending, outcome.report.mismatches), (0, 0));
    assert_eq!(reconciliation.findings().await, []);
}

#[tokio::test]
async fn a_change_of_stock_without_a_movement_is_found_although_a_later_change_hides_its_id() {
    let fixture = Fixture::start().await;
    let mut reconciliation = Reconciliation::new(&fixture.tables);
    let item = fixture.item(10).await;
    reconciliation.deliver(&fixture).await;
    assert!(reconciliation.run().await.complete);
    let stock = rows(&fixture.tables.inventory, format!("ITEM#{item}"), "STOCK").await.remove(0);
    let id = erp_domain::Ids::next(&erp_domain::time::RandomIds);
    let text = |text: String| aws_sdk_dynamodb::types::AttributeValue::S(text);
    let one = aws_sdk_dynamodb::types::AttributeValue::N("1".to_owned());
    let update = "SET quantity = quantity - :one, #sequence = #sequence + :one, change_id = :id";
    let sequence = ("#sequence", text("sequence".to_owned()));
    change(
        &fixture.tables.inventory,
        &stock,
        update,
        &[sequence, (":one", one), (":id", text(id.to_string()))],
    )
    .await;
    fixture.adjust(item, 5, None).await;
    reconciliation.deliver(&fixture).await;
    reconciliation.advance(LATER);
    reconciliation.run().await;
    let findings = reconciliation.findings().await;
    let found: Vec<_> = findings.iter().map(|finding| (finding.kind, finding.subject.clone())).collect();
    assert_eq!(found, [(FindingKind::MovementMissing, format!("{item} / {id}"))]);
}

#[tokio::test]
async fn records_that_are_delivered_again_change_nothing() {
    let fixture = Fixture::start().await;
    let mut reconciliation = Reconciliation::new(&fixture.tables);
    let orders = fixture.orders().await;
    reconciliation.deliver(&fixture).await;
    plant(&fixture, &orders, FindingKind::StateDiffers).await;
    for _ in 0..3 {
        reconciliation.positions.clear();
        reconciliation.deliver(&fixture).await;
    }
    reconciliation.advance(LATER);
    reconciliation.run().await;
    assert_eq!(reconciliation.kinds().await, ["state_differs"]);
}

#[tokio::test]
async fn an_unavailable_database_fails_the_whole_batch() {
    let fixture = Fixture::start().await;
    let mut reconciliation = Reconciliation::new(&fixture.tables);
    fixture.orders().await;
    let records = fixture.dynamo.stream_records("erp-sales", None);
    let first = records[0]["dynamodb"]["SequenceNumber"].as_str().unwrap().to_owned();
    let batch: StreamEvent = serde_json::from_value(json!({"Records": records})).unwrap();
    let unknown = erp_aws::Table::new(fixture.dynamo.client.clone(), "erp-unknown");
    reconciliation.continuous.ledger.sales = sales::ledger::OrderReader::new(unknown);
    let response = reconciliation.continuous.check(batch).await;
    let failed: Vec<_> =
        response.batch_item_failures.iter().map(|failure| &failure.item_identifier).collect();
    assert_eq!(failed, [&Some(first)]);
}

/// The figures in the runbook.
#[tokio::test]
async fn a_thousand_changes_cost_a_few_calls() {
    let fixture = Fixture::start().await;
    let item = fixture.item(1000).await;
    for _ in 0..100 {
        fixture.confirm(item, 1).await;
    }
    fixture.deliver_all().await;
    let calls = CallCounter::default();
    let Tables { inventory, sales, purchase, outboxes, reconciliation } = &fixture.tables;
    let tables = Tables {
        inventory: calls.table(inventory),
        sales: calls.table(sales),
        purchase: calls.table(purchase),
        outboxes: outboxes.clone(),
        reconciliation: calls.table(reconciliation),
    };
    let mut reconciliation = Reconciliation::new(&tables);
    let records = reconciliation.deliver(&fixture).await;
    let counts = calls.take();
    eprintln!("{records} records of 100 orders: {counts:?}");
    assert!(records > 1000, "{records}");
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["BatchGetItem"], "nothing is pending");
    assert!(counts["BatchGetItem"] * 1000 / records <= 20, "{records} records: {counts:?}");
}
