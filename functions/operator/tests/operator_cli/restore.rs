//! A lost or damaged table is restored from a copy, as point-in-time recovery creates it.

use std::process::Command;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use erp_aws::Table;
use erp_aws::table::Row;
use erp_domain::time::SystemClock;
use erp_domain::{Clock as _, Timestamp};
use erp_testkit::dynamo::rows as all_rows;
use operator::restore::{Report, Restore, RestoreError};

use crate::fixture::{Fixture, LATER, change, delete};
use crate::ledger::reconcile;

/// Copies a table, without indexes, as point-in-time recovery does it.
async fn recover(fixture: &Fixture, table: &Table) -> Table {
    let restored = fixture.dynamo.table(&format!("{}-restored", table.name), &[]).await;
    for row in all_rows(table).await {
        put(&restored, row).await;
    }
    restored
}

async fn put(table: &Table, row: Row) {
    table.client.put_item().table_name(&table.name).set_item(Some(row)).send().await.unwrap();
}

fn restore(from: &Table, to: &Table) -> Restore {
    let now = SystemClock.now();
    Restore { from: from.clone(), to: to.clone(), write: true, overwrite: false, now }
}

async fn run(restore: &Restore) -> Report {
    restore.run(|_| ()).await.unwrap()
}

fn total(rows: &[Row]) -> u64 {
    rows.len().try_into().unwrap()
}

#[tokio::test]
async fn a_lost_table_is_restored_completely_and_reconciles() {
    let fixture = Fixture::start().await;
    fixture.orders().await;
    for table in [&fixture.tables.inventory, &fixture.tables.sales, &fixture.tables.purchase] {
        let before = all_rows(table).await;
        let restored = recover(&fixture, table).await;
        for row in &before {
            delete(table, row).await;
        }
        let count = total(&before);

        let dry_run = run(&Restore { write: false, ..restore(&restored, table) }).await;
        assert_eq!(dry_run, Report { read: count, missing: count, ..Report::default() });
        assert!(!dry_run.is_complete());
        assert_eq!(all_rows(table).await, Vec::<Row>::new(), "a dry run writes nothing");

        let report = run(&restore(&restored, table)).await;
        assert_eq!(report, Report { read: count, missing: count, written: count, ..Report::default() });
        assert!(report.is_complete());
        assert_eq!(all_rows(table).await, before);
    }
    let report = reconcile(fixture.ledger(LATER)).await;
    assert_eq!((report.mismatches, report.findings), (0, vec![]));
}

#[tokio::test]
async fn an_interrupted_restoration_continues_and_its_repetition_writes_nothing() {
    let fixture = Fixture::start().await;
    fixture.orders().await;
    let table = &fixture.tables.sales;
    let before = all_rows(table).await;
    let restored = recover(&fixture, table).await;
    // Every other row is there already.
    let lost: Vec<_> = before.iter().step_by(2).cloned().collect();
    for row in &lost {
        delete(table, row).await;
    }
    let (count, lost) = (total(&before), total(&lost));
    let report = run(&restore(&restored, table)).await;
    let expected =
        Report { read: count, unchanged: count - lost, missing: lost, written: lost, ..Report::default() };
    assert_eq!(report, expected);
    let report = run(&restore(&restored, table)).await;
    assert_eq!(report, Report { read: count, unchanged: count, ..Report::default() });
    assert_eq!(all_rows(table).await, before);
}

#[tokio::test]
async fn newer_rows_remain_and_different_rows_are_replaced_only_on_request() {
    let fixture = Fixture::start().await;
    let orders = fixture.orders().await;
    let table = &fixture.tables.sales;
    let before = all_rows(table).await;
    let restored = recover(&fixture, table).await;
    // A damaged row has another status, a new attribute, and lacks an attribute.
    let pk = AttributeValue::S(format!("ORDER#{}", orders.allocated.id()));
    let damaged = before.iter().find(|row| row["pk"] == pk && row.contains_key("status")).unwrap();
    let attributes = [("#status", AttributeValue::Null(true)), (":x", AttributeValue::S("x".to_owned()))];
    change(table, damaged, "SET #status = :x, extra = :x REMOVE created_at", &attributes).await;
    let newer = fixture.draft(orders.item, 1).await;
    let with_damage = all_rows(table).await;
    assert!(with_damage.len() > before.len());

    let report = run(&restore(&restored, table)).await;
    let key = format!("{} / {}", damaged["pk"].as_s().unwrap(), damaged["sk"].as_s().unwrap());
    assert_eq!((report.different, report.written, report.different_keys.clone()), (1, 0, vec![key]));
    assert!(!report.is_complete());
    assert_eq!(all_rows(table).await, with_damage);

    let report = run(&Restore { overwrite: true, ..restore(&restored, table) }).await;
    assert_eq!((report.different, report.written), (1, 1));
    assert!(report.is_complete());
    let (old, new): (Vec<_>, Vec<_>) =
        all_rows(table).await.into_iter().partition(|row| before.contains(row));
    assert_eq!(old, before);
    let newer = AttributeValue::S(format!("ORDER#{}", newer.id()));
    assert!(!new.is_empty() && new.iter().all(|row| row["pk"] == newer), "{new:?}");
}

#[tokio::test]
async fn rows_whose_time_to_live_is_over_are_left_out() {
    let fixture = Fixture::start().await;
    let table = &fixture.tables.sales;
    let restored = recover(&fixture, table).await;
    let row = |sk: &str, expires_at: i64| {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let expires_at = ("expires_at".to_owned(), AttributeValue::N(expires_at.to_string()));
        Row::from([("pk".to_owned(), text("KEY#1")), ("sk".to_owned(), text(sk)), expires_at])
    };
    put(&restored, row("OVER", 1_000)).await;
    put(&restored, row("VALID", 1_001)).await;
    let now = Timestamp::from_millis(1_000_000);
    let report = run(&Restore { now, ..restore(&restored, table) }).await;
    assert_eq!(report, Report { read: 2, missing: 1, expired: 1, written: 1, ..Report::default() });
    assert_eq!(all_rows(table).await, [row("VALID", 1_001)]);
}

#[tokio::test]
async fn only_two_tables_of_a_service_are_accepted() {
    let fixture = Fixture::start().await;
    let table = &fixture.tables.sales;
    let error = restore(table, table).run(|_| ()).await.unwrap_err();
    assert!(matches!(error, RestoreError::SameTable), "{error}");

    let other = Table::new(fixture.dynamo.client.clone(), "other");
    let error = restore(&other, table).run(|_| ()).await.unwrap_err();
    assert!(matches!(error, RestoreError::Store(_)), "a table that does not exist: {error}");

    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap();
    let attribute =
        AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
    let create = other.client.create_table().table_name("other").key_schema(key);
    let create = create.attribute_definitions(attribute.build().unwrap());
    create.billing_mode(BillingMode::PayPerRequest).send().await.unwrap();
    for (from, to) in [(&other, table), (table, &other)] {
        let error = restore(from, to).run(|_| ()).await.unwrap_err();
        assert_eq!(error.to_string(), "the primary key of other is not pk and sk");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_compares_and_writes_only_with_yes() {
    let fixture = Fixture::start().await;
    fixture.orders().await;
    let table = &fixture.tables.inventory;
    let before = all_rows(table).await;
    recover(&fixture, table).await;
    for row in &before {
        delete(table, row).await;
    }
    let erp = |options: &str| {
        let mut erp = Command::new(env!("CARGO_BIN_EXE_erp"));
        erp.args(["--endpoint-url", &fixture.dynamo.endpoint, "restore"]);
        erp.args(["--from", "erp-inventory-restored", "--to", "erp-inventory"])
            .args(options.split_whitespace());
        let output = erp.env_remove("AWS_PROFILE").output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let count = before.len();
    let (code, text) = erp("");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&format!("{count} missing")) && text.contains("Nothing written"), "{text}");
    assert_eq!(all_rows(table).await, Vec::<Row>::new());
    let (code, text) = erp("--yes");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("{count} written")) && text.contains("Complete"), "{text}");
    assert_eq!(all_rows(table).await, before);
    let (code, text) = erp("--json");
    assert_eq!(code, Some(0), "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&report["unchanged"], &report["missing"]), (&count.into(), &0.into()));
}
