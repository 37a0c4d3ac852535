//! Whether what is wrong is found, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::outbox::EventRow;
use erp_aws::table::NOT_THERE;
use erp_aws::{Table, Transaction};
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::order::{OrderKind, Status, StockStatus, Transition};
use erp_domain::ports::{RandomIds, SystemClock};
use erp_domain::{Clock, Ids};
use operator::reconcile::{Books, Kind, Progress, Report};
use tokio::time::Instant;

use crate::shop::{Fates, LATER, Shop, change, delete, rows, take_outbox};

async fn check(books: Books) -> Report {
    let checked = books.check(Progress::default(), None).await.unwrap();
    assert!(checked.resume.is_none());
    checked.report
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

/// The name of an attribute in an expression.
fn name(name: &'static str) -> (&'static str, AttributeValue) {
    (name, AttributeValue::Null(true))
}

#[tokio::test]
async fn books_that_are_right_are_right_however_late_they_are_looked_at() {
    let shop = Shop::open().await;
    assert_eq!(check(shop.books(LATER)).await, Report::default(), "nothing is right, too");
    shop.fates().await;
    for seconds in [0, LATER] {
        let report = check(shop.books(seconds)).await;
        assert_eq!(report.findings, []);
        assert_eq!((report.mismatches, report.in_flight), (0, 0));
        assert_eq!((report.items, report.movements), (1, 5), "found, taken, taken, given back, brought");
        assert_eq!((report.sales_orders, report.purchase_orders, report.allocations), (5, 1, 5));
    }
}

#[tokio::test]
async fn a_deleted_item_still_has_books() {
    let shop = Shop::open().await;
    let fates = shop.fates().await;
    let item = rows(&shop.tables.inventory, format!("ITEM#{}", fates.item), "ITEM").await.remove(0);
    delete(&shop.tables.inventory, &item).await;
    let report = check(shop.books(LATER)).await;
    assert_eq!((report.items, report.findings), (1, vec![]));
}

#[tokio::test]
async fn what_is_on_its_way_is_not_wrong_until_it_should_have_arrived() {
    let shop = Shop::open().await;
    let item = shop.item(10).await;
    // Nobody published this.
    shop.order(item, 1, Transition::Confirm).await;
    let books = shop.books(0);
    let report = check(books).await;
    assert_eq!((report.mismatches, report.in_flight), (0, 1), "{:?}", report.findings);
    assert_eq!(kinds(&check(shop.books(LATER)).await), BTreeSet::from(["not_decided", "unpublished"]));

    // Inventory took it; neither its movement nor its news is written.
    for event in take_outbox(&shop.tables.sales).await {
        shop.deliver(&event).await;
    }
    let report = check(shop.books(0)).await;
    assert_eq!((report.mismatches, report.in_flight), (0, 2), "{:?}", report.findings);
    let late = BTreeSet::from(["movement_missing", "not_noted", "unpublished"]);
    assert_eq!(kinds(&check(shop.books(LATER)).await), late);

    // What another one does to the same item hides nothing and adds nothing.
    shop.adjust(item, 5, None).await;
    assert_eq!(kinds(&check(shop.books(LATER)).await), late);
    assert_eq!(check(shop.books(0)).await.mismatches, 0);

    shop.settle().await;
    let report = check(shop.books(LATER)).await;
    assert_eq!((report.findings, report.in_flight), (vec![], 0));
}

/// Makes the books wrong in this way; gives what the finding must name.
async fn plant(shop: &Shop, fates: &Fates, kind: Kind) -> String {
    let Fates { item, holds, waits } = fates;
    let (inventory, sales) = (&shop.tables.inventory, &shop.tables.sales);
    let of_item = format!("ITEM#{item}");
    let stock = rows(inventory, &of_item, "STOCK").await.remove(0);
    let allocation = rows(inventory, format!("ORDER#{}", holds.id), "ALLOCATION").await.remove(0);
    let order = rows(sales, format!("ORDER#{}", holds.id), "ORDER").await.remove(0);
    let mut movements = rows(inventory, &of_item, "MOVEMENT#").await;
    let of_holds = text(&holds.id.to_string());
    let its_movement = movements.iter().position(|row| row.get("order_id") == Some(&of_holds)).unwrap();
    let its_movement = movements.swap_remove(its_movement);
    match kind {
        Kind::NegativeStock => {
            change(inventory, &stock, "SET quantity = :n", &[(":n", number(-1))]).await;
            item.to_string()
        }
        Kind::StockDiffers => {
            change(inventory, &stock, "SET quantity = quantity + :n", &[(":n", number(3))]).await;
            item.to_string()
        }
        Kind::MovementMissing => {
            delete(inventory, &its_movement).await;
            format!("{item} / {}", its_movement["id"].as_s().unwrap())
        }
        Kind::MovementWithoutChange => {
            let mut extra = its_movement;
            let id = RandomIds.next();
            extra.insert("sk".to_owned(), text(&format!("MOVEMENT#{id}")));
            extra.insert("id".to_owned(), text(&id.to_string()));
            let put = inventory.client.put_item().table_name(&inventory.name).set_item(Some(extra));
            put.send().await.unwrap();
            item.to_string()
        }
        Kind::NoStock => {
            delete(inventory, &stock).await;
            item.to_string()
        }
        Kind::MovesDiffer => {
            let none = AttributeValue::L(vec![]);
            change(inventory, &allocation, "SET moves = :none", &[(":none", none)]).await;
            holds.id.to_string()
        }
        Kind::DemandDiffers => {
            let five = AttributeValue::M([(item.to_string(), number(5))].into());
            change(inventory, &allocation, "SET demand = :five", &[(":five", five)]).await;
            holds.id.to_string()
        }
        Kind::AllocationWithoutOrder => {
            delete(sales, &order).await;
            holds.id.to_string()
        }
        Kind::StateDiffers => {
            let values = [name("#status"), (":draft", text("draft"))];
            change(sales, &order, "SET #status = :draft", &values).await;
            holds.id.to_string()
        }
        Kind::NotDecided => {
            let mut order = shop.draft(OrderKind::Sales, *item, 1);
            (order.status, order.stock_status) = (Status::Confirmed, StockStatus::Pending);
            shop.save(&order).await;
            order.id.to_string()
        }
        Kind::NotNoted => {
            let values = [(":none", number(0)), (":pending", text("pending"))];
            change(sales, &order, "SET stock_sequence = :none, stock_status = :pending", &values).await;
            holds.id.to_string()
        }
        Kind::StatusDiffers => {
            change(sales, &order, "SET stock_status = :waits", &[(":waits", text("backordered"))]).await;
            holds.id.to_string()
        }
        Kind::NotInLine => {
            delete(inventory, &rows(inventory, &of_item, "WAITING#").await.remove(0)).await;
            waits.id.to_string()
        }
        Kind::WaitsBesideStock => {
            shop.adjust(*item, 20, None).await;
            waits.id.to_string()
        }
        Kind::Unpublished => unpublished(&shop.tables.outboxes[0]).await,
        Kind::Unreadable => {
            let values = [name("#status"), (":nonsense", text("nonsense"))];
            change(sales, &order, "SET #status = :nonsense", &values).await;
            format!("sales ORDER#{} / ORDER", holds.id)
        }
    }
}

async fn unpublished(table: &Table) -> String {
    let (id, now) = (RandomIds.next(), SystemClock.now());
    let event = Event::new(id, EventKind::UserRegistered, "somebody", now, &Cause::default(), &()).unwrap();
    let row = EventRow::to_publish::<()>("USER#somebody", &event).unwrap();
    let mut transaction = Transaction::new();
    transaction.put::<()>((), table, &row, NOT_THERE).unwrap();
    transaction.commit(table).await.unwrap();
    format!("{} USER#somebody / EVENT#{id}", table.name)
}

#[tokio::test]
async fn whatever_is_wrong_is_found_by_its_name_and_nothing_else_is() {
    for &kind in Kind::ALL {
        let shop = Shop::open().await;
        let fates = shop.fates().await;
        let subject = plant(&shop, &fates, kind).await;
        let report = check(shop.books(LATER)).await;
        assert_eq!(kinds(&report), BTreeSet::from([kind.as_str()]), "{:?}", report.findings);
        assert_eq!(report.mismatches, 1, "{:?}", report.findings);
        assert_eq!(report.findings[0].subject, subject, "{:?}", report.findings);
        assert!(!report.findings[0].detail.is_empty());
    }
}

#[tokio::test]
async fn rows_of_the_inventory_that_cannot_be_read_are_named_and_hide_nothing() {
    let cases = [("STOCK", "quantity"), ("MOVEMENT#", "change"), ("ITEM", "id"), ("ALLOCATION", "since")];
    for (sk, attribute) in cases {
        let shop = Shop::open().await;
        let fates = shop.fates().await;
        let pk = match sk {
            "ALLOCATION" => format!("ORDER#{}", fates.holds.id),
            _ => format!("ITEM#{}", fates.item),
        };
        let row = rows(&shop.tables.inventory, pk, sk).await.remove(0);
        let values = [name("#broken"), (":x", AttributeValue::Bool(true))];
        change(&shop.tables.inventory, &row, "SET #broken = :x", &values).await;
        let other = unpublished(&shop.tables.outboxes[0]).await;
        assert_eq!(check(shop.books(0)).await.mismatches, 0, "an attribute more is none of our business");

        change(&shop.tables.inventory, &row, &format!("SET {attribute} = :x"), &values[1..]).await;
        let report = check(shop.books(LATER)).await;
        let found = |kind: Kind| report.findings.iter().filter(move |finding| finding.kind == kind);
        assert_eq!(found(Kind::Unreadable).count(), 1, "{sk}: {:?}", report.findings);
        assert_eq!(
            found(Kind::Unpublished).next().unwrap().subject,
            other,
            "and what follows is still found"
        );
    }
}

#[tokio::test]
async fn a_check_that_runs_out_of_time_goes_on_where_it_stopped() {
    let shop = Shop::open().await;
    let fates = shop.fates().await;
    // More than DynamoDB gives at once, so that the movements of one item are on two pages.
    let many = shop.item(1).await;
    for _ in 0..200 {
        shop.adjust(many, 1, Some("x".repeat(8_000))).await;
    }
    plant(&shop, &fates, Kind::StockDiffers).await;
    shop.order(many, 1, Transition::Confirm).await;
    for event in take_outbox(&shop.tables.sales).await {
        shop.deliver(&event).await;
    }

    let whole = check(shop.books(LATER)).await;
    let (mut progress, mut parts) = (Progress::default(), Vec::new());
    loop {
        let checked = shop.books(LATER).check(progress, Some(Instant::now())).await.unwrap();
        parts.push(checked.report);
        let Some(resume) = checked.resume else { break };
        // As it goes from one invocation to the next.
        progress = serde_json::from_str(&serde_json::to_string(&resume).unwrap()).unwrap();
        assert!(parts.len() < 50);
    }
    assert!(parts.len() > 5, "{}", parts.len());
    let found: BTreeMap<_, _> =
        parts.iter().flat_map(|part| &part.findings).map(|f| ((f.kind, &f.subject), &f.detail)).collect();
    let wanted: BTreeMap<_, _> = whole.findings.iter().map(|f| ((f.kind, &f.subject), &f.detail)).collect();
    assert_eq!(found, wanted);
    let late = ["movement_missing", "not_noted", "stock_differs", "unpublished"];
    assert_eq!(kinds(&whole), BTreeSet::from(late));
    let sum = |of: fn(&Report) -> u64| parts.iter().map(of).sum::<u64>();
    assert_eq!(sum(|part| part.sales_orders), whole.sales_orders);
    assert_eq!(sum(|part| part.mismatches), whole.mismatches);
}
