//! Every kind of mismatch is found, and nothing else.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::outbox::EventRow;
use erp_aws::table::ABSENT;
use erp_aws::{Table, Transaction};
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::time::{RandomIds, SystemClock};
use erp_domain::{Clock, Ids};
use operator::reconcile::{FindingKind, Ledger, Report};
use strum::VariantArray as _;

use crate::fixture::{Fixture, LATER, Orders, change, delete, rows, take_outbox};

pub(crate) async fn reconcile(ledger: Ledger) -> Report {
    ledger.reconcile().await.unwrap()
}

fn kinds(report: &Report) -> BTreeSet<&str> {
    report.findings.iter().map(|finding| finding.kind.as_str()).collect()
}

fn number(n: i64) -> AttributeValue {
    AttributeValue::N(n.to_string())
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// Returns the name of an attribute in an expression.
fn name(name: &'static str) -> (&'static str, AttributeValue) {
    (name, AttributeValue::Null(true))
}

#[tokio::test]
async fn a_consistent_ledger_has_no_findings_at_any_time() {
    let fixture = Fixture::start().await;
    assert_eq!(reconcile(fixture.ledger(LATER)).await, Report::default(), "empty tables are consistent");
    fixture.orders().await;
    for seconds in [0, LATER] {
        let report = reconcile(fixture.ledger(seconds)).await;
        assert_eq!(report.findings, []);
        assert_eq!((report.mismatches, report.in_flight), (0, 0));
        assert_eq!(
            (report.items, report.movements),
            (1, 5),
            "adjusted, allocated, allocated, released, received"
        );
        assert_eq!((report.sales_orders, report.purchase_orders, report.allocations), (5, 1, 5));
    }
}

#[tokio::test]
async fn the_stock_of_an_item_without_an_item_row_is_checked() {
    let fixture = Fixture::start().await;
    let orders = fixture.orders().await;
    let item = rows(&fixture.tables.inventory, format!("ITEM#{}", orders.item), "ITEM").await.remove(0);
    delete(&fixture.tables.inventory, &item).await;
    let report = reconcile(fixture.ledger(LATER)).await;
    assert_eq!((report.items, report.findings), (1, vec![]));
}

#[tokio::test]
async fn the_movements_of_a_deleted_item_add_up_to_zero() {
    let fixture = Fixture::start().await;
    let item = fixture.item(3).await;
    fixture.adjust(item, -3, None).await;
    fixture.delete_item(item).await;
    let report = reconcile(fixture.ledger(LATER)).await;
    assert_eq!((report.items, report.findings), (1, vec![]));

    let movement = rows(&fixture.tables.inventory, format!("ITEM#{item}"), "MOVEMENT#").await.remove(0);
    delete(&fixture.tables.inventory, &movement).await;
    let report = reconcile(fixture.ledger(0)).await;
    assert_eq!((report.mismatches, report.in_flight), (0, 1), "within the grace period");
    let report = reconcile(fixture.ledger(LATER)).await;
    assert_eq!(kinds(&report), BTreeSet::from(["stock_differs"]));
    assert_eq!(report.findings[0].subject, item.to_string());
}

#[tokio::test]
async fn what_is_in_flight_is_a_mismatch_only_after_the_grace_period() {
    let fixture = Fixture::start().await;
    let item = fixture.item(10).await;
    // Its event is not published.
    fixture.confirm(item, 1).await;
    let report = reconcile(fixture.ledger(0)).await;
    assert_eq!((report.mismatches, report.in_flight), (0, 1), "{:?}", report.findings);
    assert_eq!(
        kinds(&reconcile(fixture.ledger(LATER)).await),
        BTreeSet::from(["not_decided", "unpublished"])
    );

    // Inventory has allocated it; its movement and the stock status are not written.
    for event in take_outbox(&fixture.tables.sales).await {
        fixture.deliver(&event).await;
    }
    let report = reconcile(fixture.ledger(0)).await;
    assert_eq!((report.mismatches, report.in_flight), (0, 2), "{:?}", report.findings);
    let late = BTreeSet::from(["movement_missing", "status_not_updated", "unpublished"]);
    assert_eq!(kinds(&reconcile(fixture.ledger(LATER)).await), late);

    // Another change of the same item neither hides nor adds findings.
    fixture.adjust(item, 5, None).await;
    assert_eq!(kinds(&reconcile(fixture.ledger(LATER)).await), late);
    assert_eq!(reconcile(fixture.ledger(0)).await.mismatches, 0);

    fixture.deliver_all().await;
    let report = reconcile(fixture.ledger(LATER)).await;
    assert_eq!((report.findings, report.in_flight), (vec![], 0));
}

/// Creates a mismatch of a kind and returns the subject of its finding.
pub(crate) async fn plant(fixture: &Fixture, orders: &Orders, kind: FindingKind) -> String {
    let Orders { item, allocated, backordered } = orders;
    let (inventory, sales) = (&fixture.tables.inventory, &fixture.tables.sales);
    let of_item = format!("ITEM#{item}");
    let stock = rows(inventory, &of_item, "STOCK").await.remove(0);
    let allocation = rows(inventory, format!("ORDER#{}", allocated.id()), "ALLOCATION").await.remove(0);
    let order = rows(sales, format!("ORDER#{}", allocated.id()), "ORDER").await.remove(0);
    let mut movements = rows(inventory, &of_item, "MOVEMENT#").await;
    let of_allocated = text(&allocated.id().to_string());
    let its_movement = movements.iter().position(|row| row.get("order_id") == Some(&of_allocated)).unwrap();
    let its_movement = movements.swap_remove(its_movement);
    match kind {
        FindingKind::NegativeStock => {
            change(inventory, &stock, "SET quantity = :n", &[(":n", number(-1))]).await;
            item.to_string()
        }
        FindingKind::StockDiffers => {
            change(inventory, &stock, "SET quantity = quantity + :n", &[(":n", number(3))]).await;
            item.to_string()
        }
        FindingKind::MovementMissing => {
            delete(inventory, &its_movement).await;
            format!("{item} / {}", its_movement["id"].as_s().unwrap())
        }
        FindingKind::MovementWithoutChange => {
            let mut extra = its_movement;
            let id = RandomIds.next();
            extra.insert("sk".to_owned(), text(&format!("MOVEMENT#{id}")));
            extra.insert("id".to_owned(), text(&id.to_string()));
            let put = inventory.client.put_item().table_name(&inventory.name).set_item(Some(extra));
            put.send().await.unwrap();
            item.to_string()
        }
        FindingKind::MovementChanged => {
            let id = its_movement["id"].as_s().unwrap().clone();
            change(inventory, &its_movement, "SET reason = :reason", &[(":reason", text("other"))]).await;
            format!("{item} / {id}")
        }
        FindingKind::StockMissing => {
            delete(inventory, &stock).await;
            item.to_string()
        }
        FindingKind::ChangesDiffer => {
            let none = AttributeValue::L(vec![]);
            change(inventory, &allocation, "SET moves = :none", &[(":none", none)]).await;
            allocated.id().to_string()
        }
        FindingKind::DemandDiffers => {
            let five = AttributeValue::M([(item.to_string(), number(5))].into());
            change(inventory, &allocation, "SET demand = :five", &[(":five", five)]).await;
            allocated.id().to_string()
        }
        FindingKind::AllocationWithoutOrder => {
            delete(sales, &order).await;
            allocated.id().to_string()
        }
        FindingKind::StateDiffers => {
            let values = [name("#status"), (":draft", text("draft"))];
            change(sales, &order, "SET #status = :draft", &values).await;
            allocated.id().to_string()
        }
        FindingKind::NotDecided => {
            let draft = fixture.unsaved_draft(*item, 1);
            let confirmed = draft.confirm(SystemClock.now()).unwrap();
            fixture.save(confirmed.order()).await;
            draft.id().to_string()
        }
        FindingKind::StatusNotUpdated => {
            let values = [(":none", number(0)), (":pending", text("pending"))];
            change(sales, &order, "SET stock_sequence = :none, stock_status = :pending", &values).await;
            allocated.id().to_string()
        }
        FindingKind::StatusDiffers => {
            change(sales, &order, "SET stock_status = :status", &[(":status", text("backordered"))]).await;
            allocated.id().to_string()
        }
        FindingKind::NotQueued => {
            delete(inventory, &rows(inventory, &of_item, "WAITING#").await.remove(0)).await;
            backordered.id().to_string()
        }
        FindingKind::BackorderedDespiteStock => {
            fixture.adjust(*item, 20, None).await;
            backordered.id().to_string()
        }
        FindingKind::Unpublished => unpublished(&fixture.tables.outboxes[0]).await,
        FindingKind::Unreadable => {
            let values = [name("#status"), (":nonsense", text("nonsense"))];
            change(sales, &order, "SET #status = :nonsense", &values).await;
            format!("sales ORDER#{} / ORDER", allocated.id())
        }
    }
}

async fn unpublished(table: &Table) -> String {
    let (id, now) = (RandomIds.next(), SystemClock.now());
    let event = Event::new(id, EventKind::UserRegistered, "user", now, &Cause::default(), &()).unwrap();
    let row = EventRow::to_publish("USER#user", &event).unwrap();
    let mut transaction = Transaction::new();
    transaction.put((), table, &row, ABSENT).unwrap();
    transaction.commit(table).await.unwrap();
    format!("{} USER#user / EVENT#{id}", table.name)
}

#[tokio::test]
async fn every_mismatch_is_found_by_its_kind_and_nothing_else_is() {
    // A movement that was changed is found only from the stream.
    for &kind in FindingKind::VARIANTS.iter().filter(|kind| **kind != FindingKind::MovementChanged) {
        let fixture = Fixture::start().await;
        let orders = fixture.orders().await;
        let subject = plant(&fixture, &orders, kind).await;
        let report = reconcile(fixture.ledger(LATER)).await;
        assert_eq!(kinds(&report), BTreeSet::from([kind.as_str()]), "{:?}", report.findings);
        assert_eq!(report.mismatches, 1, "{:?}", report.findings);
        assert_eq!(report.findings[0].subject, subject, "{:?}", report.findings);
        assert!(!report.findings[0].detail.is_empty());
    }
}

#[tokio::test]
async fn unreadable_rows_of_the_inventory_are_reported_and_hide_nothing() {
    let cases = [("STOCK", "quantity"), ("MOVEMENT#", "change"), ("ITEM", "id"), ("ALLOCATION", "since")];
    for (sk, attribute) in cases {
        let fixture = Fixture::start().await;
        let orders = fixture.orders().await;
        let pk = match sk {
            "ALLOCATION" => format!("ORDER#{}", orders.allocated.id()),
            _ => format!("ITEM#{}", orders.item),
        };
        let row = rows(&fixture.tables.inventory, pk, sk).await.remove(0);
        let values = [name("#broken"), (":x", AttributeValue::Bool(true))];
        change(&fixture.tables.inventory, &row, "SET #broken = :x", &values).await;
        let other = unpublished(&fixture.tables.outboxes[0]).await;
        assert_eq!(reconcile(fixture.ledger(0)).await.mismatches, 0, "an unknown attribute is ignored");

        change(&fixture.tables.inventory, &row, &format!("SET {attribute} = :x"), &values[1..]).await;
        let report = reconcile(fixture.ledger(LATER)).await;
        let found = |kind: FindingKind| report.findings.iter().filter(move |finding| finding.kind == kind);
        assert_eq!(found(FindingKind::Unreadable).count(), 1, "{sk}: {:?}", report.findings);
        assert_eq!(
            found(FindingKind::Unpublished).next().unwrap().subject,
            other,
            "later findings are still reported"
        );
    }
}
