//! Decisions of inventory: duplicates, reordering, poison messages, and concurrent changes of clients.

use erp_contracts::data::{StockDecided, StockDecision};
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::time::RandomIds;
use erp_domain::{Clock, Ids};
use erp_testkit::sqs::deadline;
use erp_testkit::{ApiRequest, FakeSqs};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{ORDERS, TestService, types};

/// No message of a batch failed.
const NONE: [usize; 0] = [];

/// Returns a decision about an order as the body of a message.
pub(crate) fn decision(
    service: &TestService,
    order: &str,
    stock_status: StockDecision,
    sequence: u64,
) -> String {
    let kind = match stock_status {
        StockDecision::Allocated => EventKind::OrderAllocated,
        StockDecision::Backordered => EventKind::OrderBackordered,
        StockDecision::Released => EventKind::OrderReleased,
    };
    let data = StockDecided { order_id: order.parse().unwrap(), stock_status, sequence, items: Vec::new() };
    event(service, kind, order, &json!(data))
}

fn event(service: &TestService, kind: EventKind, order: &str, data: &Value) -> String {
    let event = Event::new(RandomIds.next(), kind, order, service.clock.now(), &Cause::default(), data);
    event.unwrap().to_json().unwrap()
}

/// Delivers a batch and returns the indexes of the messages that failed or became dead letters.
pub(crate) async fn deliver(service: &TestService, bodies: &[&str]) -> Vec<usize> {
    let record = |(n, body): (usize, &&str)| json!({"messageId": n.to_string(), "body": body});
    let records: Vec<Value> = bodies.iter().enumerate().map(record).collect();
    let batch = serde_json::from_value(json!({"Records": records})).unwrap();
    let sqs = FakeSqs::start().await;
    let response = sales::worker::handle_batch(&service.store, &sqs.queue(), batch, deadline()).await;
    let dead = sqs.dead_letters();
    let failed =
        |id: &String| response.batch_item_failures.iter().any(|failure| failure.item_identifier == *id);
    let failed = |index: &usize| failed(&index.to_string()) || dead.iter().any(|dead| dead == bodies[*index]);
    (0..bodies.len()).filter(failed).collect()
}

#[tokio::test]
async fn a_decision_is_written_to_the_order_and_its_history_and_not_published_again() {
    let service = TestService::start().await;
    let id = service.order(&["confirm"]).await;
    let before = service.read(&id).await;
    service.clock.advance_seconds(60);
    assert_eq!(deliver(&service, &[&decision(&service, &id, StockDecision::Allocated, 1)]).await, NONE);

    let mut wanted = before;
    wanted["order"]["stock_status"] = json!("allocated");
    assert_eq!(service.read(&id).await, wanted, "version and updated_at belong to the clients");
    let list = service.get(&format!("{ORDERS}?status=confirmed")).await;
    assert_eq!(list.data()[0]["stock_status"], "allocated");
    assert_eq!(types(&service.events(&id).await), ["sales.order.confirmed", "inventory.order.allocated"]);
    assert_eq!(service.outbox().await.len(), 1, "only the event of this context");
}

#[tokio::test]
async fn the_newest_decision_wins_in_any_order_and_number_of_deliveries() {
    let service = TestService::start().await;
    // Every permutation of three decisions, each delivered twice.
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let id = service.order(&["confirm"]).await;
        let decisions = [
            decision(&service, &id, StockDecision::Backordered, 1),
            decision(&service, &id, StockDecision::Allocated, 2),
            decision(&service, &id, StockDecision::Released, 3),
        ];
        let batch: Vec<&str> = order.into_iter().flat_map(|n| [decisions[n].as_str(); 2]).collect();
        assert_eq!(deliver(&service, &batch).await, NONE, "{order:?}");
        assert_eq!(deliver(&service, &[&decisions[order[0]]]).await, NONE, "{order:?}");
        assert_eq!(service.read(&id).await["order"]["stock_status"], "released", "{order:?}");
        assert_eq!(service.events(&id).await.len(), 4, "confirmed, and each decision once: {order:?}");
    }
}

#[tokio::test]
async fn of_two_decisions_with_one_sequence_the_first_wins() {
    let service = TestService::start().await;
    let id = service.order(&["confirm"]).await;
    for stock_status in [StockDecision::Allocated, StockDecision::Backordered] {
        assert_eq!(deliver(&service, &[&decision(&service, &id, stock_status, 1)]).await, NONE);
        assert_eq!(service.read(&id).await["order"]["stock_status"], "allocated");
    }
    assert_eq!(service.events(&id).await.len(), 3, "the history contains both");
}

#[tokio::test]
async fn a_poison_message_fails_alone() {
    let service = TestService::start().await;
    let (first, second) = (service.order(&["confirm"]).await, service.order(&["confirm"]).await);
    let unknown = "01890000-0000-7000-8000-000000000001";
    let inconsistent = json!({"order_id": first, "stock_status": "released", "sequence": 9, "items": []});
    let batch = [
        decision(&service, &first, StockDecision::Allocated, 1),
        decision(&service, unknown, StockDecision::Allocated, 1),
        "not even JSON".to_owned(),
        event(&service, EventKind::OrderAllocated, &first, &json!({"order_id": first})),
        event(&service, EventKind::OrderAllocated, &first, &inconsistent),
        event(&service, EventKind::ItemCreated, &first, &json!({})),
        decision(&service, &second, StockDecision::Backordered, 1),
    ];
    let failed = deliver(&service, &batch.each_ref().map(String::as_str)).await;
    assert_eq!(failed, [1, 2, 3, 4], "an event of another type is not a failure");
    assert_eq!(service.read(&first).await["order"]["stock_status"], "allocated");
    assert_eq!(service.read(&second).await["order"]["stock_status"], "backordered");
    assert_eq!(service.count(&format!("ORDER#{unknown}")).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_changes_of_a_client_and_inventory_are_both_kept() {
    let service = std::sync::Arc::new(TestService::start().await);
    for round in 0..10 {
        let id = service.order(&["confirm"]).await;
        let mut running = JoinSet::new();
        for (sequence, stock_status) in
            [(1, StockDecision::Backordered), (2, StockDecision::Allocated), (3, StockDecision::Released)]
        {
            let (service, body) = (service.clone(), decision(&service, &id, stock_status, sequence));
            running.spawn(async move { assert_eq!(deliver(&service, &[&body]).await, NONE) });
        }
        let action = if round % 2 == 0 { "pay" } else { "cancel" };
        let (router, path) = (service.router.clone(), format!("{ORDERS}/{id}/{action}"));
        running.spawn(async move {
            let done = ApiRequest::finance("POST", &path).header("If-Match", "\"2\"").send(&router).await;
            assert_eq!(done.status, 200, "a decision does not change the version: {}", done.text);
        });
        running.join_all().await;
        let order = service.read(&id).await["order"].clone();
        let status = if round % 2 == 0 { "paid" } else { "cancelled" };
        assert_eq!(
            (&order["status"], &order["stock_status"], &order["version"]),
            (&json!(status), &json!("released"), &json!(3))
        );
        assert_eq!(service.events(&id).await.len(), 5);
    }
}

#[tokio::test]
async fn a_decision_about_a_cancelled_draft_is_kept() {
    let service = TestService::start().await;
    let id = service.order(&["cancel"]).await;
    assert_eq!(deliver(&service, &[&decision(&service, &id, StockDecision::Released, 1)]).await, NONE);
    let order = service.read(&id).await["order"].clone();
    assert_eq!((&order["status"], &order["stock_status"]), (&json!("cancelled"), &json!("released")));
}
