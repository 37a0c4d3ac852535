//! What inventory decided: duplicates, disorder, poison, and clients who act at the same moment.

use erp_contracts::data::StockDecided;
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::order::StockStatus;
use erp_domain::ports::RandomIds;
use erp_domain::{Clock, Ids};
use erp_testkit::ApiRequest;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{House, ORDERS, types};

/// No message of a batch failed.
const NONE: [usize; 0] = [];

/// What inventory says of an order, as the body of a message.
pub(crate) fn decision(house: &House, order: &str, stock_status: StockStatus, sequence: u64) -> String {
    let kind = match stock_status {
        StockStatus::Allocated => EventKind::OrderAllocated,
        StockStatus::Backordered => EventKind::OrderBackordered,
        StockStatus::Released => EventKind::OrderReleased,
        StockStatus::None | StockStatus::Pending => unreachable!("inventory never says that"),
    };
    let data = StockDecided { order_id: order.parse().unwrap(), stock_status, sequence, items: Vec::new() };
    event(house, kind, order, &json!(data))
}

fn event(house: &House, kind: EventKind, order: &str, data: &Value) -> String {
    let event = Event::new(RandomIds.next(), kind, order, house.clock.now(), &Cause::default(), data);
    event.unwrap().to_json().unwrap()
}

/// Delivers a batch, and gives the indexes of the messages that failed.
pub(crate) async fn deliver(house: &House, bodies: &[&str]) -> Vec<usize> {
    let record = |(n, body): (usize, &&str)| json!({"messageId": n.to_string(), "body": body});
    let records: Vec<Value> = bodies.iter().enumerate().map(record).collect();
    let batch = serde_json::from_value(json!({"Records": records})).unwrap();
    let response = sales::worker::handle_batch(&house.store, batch).await;
    response.batch_item_failures.iter().map(|failure| failure.item_identifier.parse().unwrap()).collect()
}

#[tokio::test]
async fn a_decision_shows_in_the_order_and_its_history_and_is_not_published_again() {
    let house = House::start().await;
    let id = house.order(&["confirm"]).await;
    let before = house.read(&id).await;
    house.clock.advance_seconds(60);
    assert_eq!(deliver(&house, &[&decision(&house, &id, StockStatus::Allocated, 1)]).await, NONE);

    let mut wanted = before;
    wanted["order"]["stock_status"] = json!("allocated");
    assert_eq!(house.read(&id).await, wanted, "version and updated_at tell what clients did");
    let list = house.get(&format!("{ORDERS}?status=confirmed")).await;
    assert_eq!(list.data()[0]["stock_status"], "allocated");
    assert_eq!(types(&house.events(&id).await), ["sales.order.confirmed", "inventory.order.allocated"]);
    assert_eq!(house.outbox().await.len(), 1, "only what is ours");
}

#[tokio::test]
async fn in_whatever_order_and_however_often_decisions_come_the_newest_stays() {
    let house = House::start().await;
    // Every order of three deliveries, each delivered twice.
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let id = house.order(&["confirm"]).await;
        let said = [
            decision(&house, &id, StockStatus::Backordered, 1),
            decision(&house, &id, StockStatus::Allocated, 2),
            decision(&house, &id, StockStatus::Released, 3),
        ];
        let batch: Vec<&str> = order.into_iter().flat_map(|n| [said[n].as_str(); 2]).collect();
        assert_eq!(deliver(&house, &batch).await, NONE, "{order:?}");
        assert_eq!(deliver(&house, &[&said[order[0]]]).await, NONE, "{order:?}");
        assert_eq!(house.read(&id).await["order"]["stock_status"], "released", "{order:?}");
        assert_eq!(house.events(&id).await.len(), 4, "confirmed, and each decision once: {order:?}");
    }
}

#[tokio::test]
async fn of_two_decisions_that_claim_the_same_place_the_first_stays() {
    let house = House::start().await;
    let id = house.order(&["confirm"]).await;
    for stock_status in [StockStatus::Allocated, StockStatus::Backordered] {
        assert_eq!(deliver(&house, &[&decision(&house, &id, stock_status, 1)]).await, NONE);
        assert_eq!(house.read(&id).await["order"]["stock_status"], "allocated");
    }
    assert_eq!(house.events(&id).await.len(), 3, "the history keeps both");
}

#[tokio::test]
async fn a_message_that_cannot_be_handled_fails_alone() {
    let house = House::start().await;
    let (first, second) = (house.order(&["confirm"]).await, house.order(&["confirm"]).await);
    let nobody = "01890000-0000-7000-8000-000000000001";
    let lies = json!({"order_id": first, "stock_status": "released", "sequence": 9, "items": []});
    let batch = [
        decision(&house, &first, StockStatus::Allocated, 1),
        decision(&house, nobody, StockStatus::Allocated, 1),
        "not even JSON".to_owned(),
        event(&house, EventKind::OrderAllocated, &first, &json!({"order_id": first})),
        event(&house, EventKind::OrderAllocated, &first, &lies),
        event(&house, EventKind::ItemCreated, &first, &json!({})),
        decision(&house, &second, StockStatus::Backordered, 1),
    ];
    let failed = deliver(&house, &batch.each_ref().map(String::as_str)).await;
    assert_eq!(failed, [1, 2, 3, 4], "what is none of our business is no failure");
    assert_eq!(house.read(&first).await["order"]["stock_status"], "allocated");
    assert_eq!(house.read(&second).await["order"]["stock_status"], "backordered");
    assert_eq!(house.count(&format!("ORDER#{nobody}")).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_and_inventory_at_the_same_moment_lose_nothing_of_each_other() {
    let house = std::sync::Arc::new(House::start().await);
    for round in 0..10 {
        let id = house.order(&["confirm"]).await;
        let mut running = JoinSet::new();
        for (sequence, stock_status) in
            [(1, StockStatus::Backordered), (2, StockStatus::Allocated), (3, StockStatus::Released)]
        {
            let (house, body) = (house.clone(), decision(&house, &id, stock_status, sequence));
            running.spawn(async move { assert_eq!(deliver(&house, &[&body]).await, NONE) });
        }
        let action = if round % 2 == 0 { "pay" } else { "cancel" };
        let (router, path) = (house.router.clone(), format!("{ORDERS}/{id}/{action}"));
        running.spawn(async move {
            let done = ApiRequest::finance("POST", &path).header("If-Match", "\"2\"").send(&router).await;
            assert_eq!(done.status, 200, "what inventory says is no other version: {}", done.text);
        });
        running.join_all().await;
        let order = house.read(&id).await["order"].clone();
        let status = if round % 2 == 0 { "paid" } else { "cancelled" };
        assert_eq!(
            (&order["status"], &order["stock_status"], &order["version"]),
            (&json!(status), &json!("released"), &json!(3))
        );
        assert_eq!(house.events(&id).await.len(), 5);
    }
}

#[tokio::test]
async fn what_inventory_says_of_a_cancelled_draft_stays() {
    let house = House::start().await;
    let id = house.order(&["cancel"]).await;
    assert_eq!(deliver(&house, &[&decision(&house, &id, StockStatus::Released, 1)]).await, NONE);
    let order = house.read(&id).await["order"].clone();
    assert_eq!((&order["status"], &order["stock_status"]), (&json!("cancelled"), &json!("released")));
}
