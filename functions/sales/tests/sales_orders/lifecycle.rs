//! Transitions: what the lifecycle allows, who may, and many at once.

use erp_auth::access::{Access, RULES};
use erp_domain::identity::{Caller, Role};
use erp_domain::order::{OrderKind, Status, Transition};
use erp_testkit::ApiRequest;
use erp_testkit::request::user;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{House, ORDERS, types};

#[tokio::test]
async fn the_lifecycle_over_http_is_the_one_of_the_domain() {
    let house = House::start().await;
    let ways: [(Status, &[&str]); 4] = [
        (Status::Draft, &[]),
        (Status::Confirmed, &["confirm"]),
        (Status::Paid, &["confirm", "pay"]),
        (Status::Cancelled, &["cancel"]),
    ];
    assert_eq!(ways.map(|(status, _)| status), OrderKind::Sales.statuses());
    for (from, way) in ways {
        for transition in [Transition::Confirm, Transition::Pay, Transition::Cancel] {
            let id = house.order(way).await;
            let before = house.read(&id).await;
            let answer = house.act(&id, transition.as_str()).await;
            let what = format!("{from} {}: {}", transition.as_str(), answer.text);
            match OrderKind::Sales.next(from, transition) {
                Ok(to) => {
                    assert_eq!(answer.status, 200, "{what}");
                    let message = format!("Sales order {} successfully", transition.participle());
                    assert_eq!(answer.json()["message"], message);
                    assert_eq!(answer.data()["order"]["status"], json!(to), "{what}");
                    assert_eq!(answer.data()["order"]["version"], way.len() + 2, "{what}");
                    assert_eq!(answer.header("ETag"), Some(format!("\"{}\"", way.len() + 2).as_str()));
                    assert_eq!(house.read(&id).await, answer.data(), "{what}");
                }
                Err(_) => {
                    assert_eq!(
                        (answer.status, answer.code().as_str()),
                        (409, "illegal_transition"),
                        "{what}"
                    );
                    assert_eq!(answer.json()["status_found"], json!(from), "{what}");
                    let words = format!("is {from}; it cannot be {}.", transition.participle());
                    assert!(answer.json()["detail"].as_str().unwrap().contains(&words), "{what}");
                    assert_eq!(house.read(&id).await, before, "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_purchase_transition_and_an_unknown_order_are_not_found() {
    let house = House::start().await;
    let id = house.draft().await;
    assert_eq!(house.act(&id, "receive").await.status, 404);
    let nobody = "01890000-0000-7000-8000-000000000001";
    for path in ["", "/events"] {
        let answer = house.get(&format!("{ORDERS}/{nobody}{path}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
    assert_eq!(house.act(nobody, "confirm").await.status, 404);
    assert_eq!(house.act("7", "confirm").await.faults(), ["id"]);
}

#[tokio::test]
async fn transitions_need_no_body_and_refuse_one_that_says_more_than_they_know() {
    let house = House::start().await;
    let send = async |transition: &str, body: &str, content_type: &str| {
        let way: &[&str] = if transition == "pay" { &["confirm"] } else { &[] };
        let id = house.order(way).await;
        let request = ApiRequest::finance("POST", &format!("{ORDERS}/{id}/{transition}"));
        let answer = request.text(body, content_type).send(&house.router).await;
        (answer.status, answer.faults())
    };
    for transition in ["confirm", "pay", "cancel"] {
        assert_eq!(send(transition, "{}", "application/json").await.0, 200, "{transition}");
        assert_eq!(send(transition, "", "text/plain").await.0, 200, "{transition}");
        assert_eq!(send(transition, "[]", "application/json").await.0, 400, "{transition}");
        assert_eq!(send(transition, "{}", "text/plain").await.0, 415, "{transition}");
        let unknown = send(transition, r#"{"why": 1}"#, "application/json").await;
        assert_eq!(unknown, (400, vec!["/why".to_owned()]), "{transition}");
    }
    let wrong = send("confirm", r#"{"require_stock": "yes"}"#, "application/json").await;
    assert_eq!(wrong, (400, vec!["/require_stock".to_owned()]));
    assert_eq!(send("cancel", r#"{"require_stock": true}"#, "application/json").await.0, 400);
}

#[tokio::test]
async fn a_confirmation_that_requires_stock_names_what_is_short() {
    let house = House::start().await;
    let (plenty, scarce) = (house.item(100, 10), house.item(100, 4));
    let body = json!({"customer_id": house.customer(), "items": [
        {"item_id": scarce, "quantity": 3},
        {"item_id": plenty, "quantity": 10},
        {"item_id": scarce, "quantity": 2},
    ]});
    let id = crate::id(&house.create(&body).await);
    let path = format!("{ORDERS}/{id}/confirm");
    let refused = house.post(&path, &json!({"require_stock": true})).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "insufficient_stock"));
    assert_eq!(refused.json()["shortages"], json!([{"item_id": scarce, "wanted": 5, "available": 4}]));
    assert_eq!(refused.faults(), ["/items/0/quantity", "/items/2/quantity"]);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert_eq!(detail, format!("Not enough in stock: 5 of item {scarce} are wanted, 4 are there."));
    assert_eq!(house.read(&id).await["order"]["status"], "draft");

    house.world.add_item(scarce, erp_domain::Money::ZERO, 5);
    assert_eq!(house.post(&path, &json!({"require_stock": true})).await.status, 200);

    let other = crate::id(&house.create(&body).await);
    house.world.add_item(scarce, erp_domain::Money::ZERO, 0);
    let confirmed = house.act(&other, "confirm").await;
    assert_eq!(confirmed.status, 200, "want of stock is no reason unless the client says so");
}

#[tokio::test]
async fn a_confirmation_says_so_in_one_event_with_exact_amounts() {
    let house = House::start().await;
    let (customer, item) = (house.customer(), house.item(9_000_000, 0));
    let body = json!({"customer_id": customer, "items": [{"item_id": item, "quantity": 20}]});
    let order = house.create(&body).await;
    let id = crate::id(&order);
    house.clock.advance_seconds(5);
    let confirmed = house.act(&id, "confirm").await;
    assert_eq!(confirmed.data()["order"]["stock_status"], "pending");

    let outbox = house.outbox().await;
    assert_eq!(outbox.len(), 1);
    let json = outbox[0].to_json().unwrap();
    assert!(json.contains(r#""total_amount":1800000.00"#), "{json}");
    assert!(json.contains(r#""unit_price":90000.00"#), "{json}");
    let event: serde_json::Value = serde_json::from_str(&json).unwrap();
    let Caller::User { id: user_id, .. } = user(Role::FinanceManager) else { unreachable!() };
    assert_eq!(
        event,
        json!({
            "specversion": "1.0",
            "id": outbox[0].id,
            "source": "/erp/sales",
            "type": "sales.order.confirmed",
            "subject": id,
            "time": confirmed.data()["order"]["updated_at"],
            "datacontenttype": "application/json",
            "actor": user_id,
            "correlationid": "test-request",
            "data": {
                "order_id": id,
                "party_id": customer,
                "status": "confirmed",
                "previous_status": "draft",
                "total_amount": 1_800_000.0,
                "currency": "USD",
                "version": 2,
                "items": [{"item_id": item, "quantity": 20, "unit_price": 90_000.0}],
            },
        })
    );
    let history = house.get(&format!("{ORDERS}/{id}/events")).await;
    assert!(history.text.contains(&json), "the history shows the very event: {}", history.text);

    assert_eq!(house.act(&id, "cancel").await.status, 200);
    assert_eq!(types(&house.events(&id).await), ["sales.order.confirmed", "sales.order.cancelled"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_confirmations_at_once_one_is_done_and_told_of_once() {
    let house = House::start().await;
    let id = house.draft().await;
    let mut running = JoinSet::new();
    for _ in 0..20 {
        let router = house.router.clone();
        let request = ApiRequest::inventory("POST", &format!("{ORDERS}/{id}/confirm"));
        running.spawn(async move { request.send(&router).await });
    }
    let answers = running.join_all().await;
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.json()["status_found"] == "confirmed").count();
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!((done, refused), (1, 19), "{statuses:?}");
    assert_eq!(house.outbox().await.len(), 1);
    assert_eq!(house.read(&id).await["order"]["version"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_confirmed_is_what_was_written_last() {
    let house = House::start().await;
    let (customer, item) = (house.customer(), house.item(100, 0));
    let body =
        |quantity: u8| json!({"customer_id": customer, "items": [{"item_id": item, "quantity": quantity}]});
    for _ in 0..20 {
        let id = crate::id(&house.create(&body(1)).await);
        let confirm = ApiRequest::finance("POST", &format!("{ORDERS}/{id}/confirm"));
        let mut running = JoinSet::new();
        for quantity in [2, 3] {
            let put = ApiRequest::finance("PUT", &format!("{ORDERS}/{id}")).json(&body(quantity));
            let router = house.router.clone();
            running.spawn(async move { put.send(&router).await });
        }
        let confirmed = confirm.send(&house.router).await;
        assert_eq!(confirmed.status, 200, "{}", confirmed.text);
        for update in running.join_all().await {
            assert!(update.status == 200 || update.code() == "illegal_transition", "{}", update.text);
        }
        let event = house.events(&id).await.remove(0);
        let order = house.read(&id).await;
        assert_eq!(order, confirmed.data());
        assert_eq!(event["data"]["total_amount"], order["order"]["total_amount"]);
        assert_eq!(event["data"]["version"], order["order"]["version"]);
        assert_eq!(event["data"]["items"][0]["quantity"], order["items"][0]["quantity"]);
    }
}

#[tokio::test]
async fn a_transition_of_another_version_than_the_client_meant_is_refused() {
    let house = House::start().await;
    let id = house.order(&["confirm"]).await;
    let pay = |tag: &str| ApiRequest::finance("POST", &format!("{ORDERS}/{id}/pay")).header("If-Match", tag);
    for tag in ["\"1\"", "W/\"2\"", "nonsense"] {
        let refused = pay(tag).send(&house.router).await;
        assert_eq!((refused.status, refused.code().as_str()), (412, "version_mismatch"), "{tag}");
    }
    assert_eq!(house.read(&id).await["order"]["status"], "confirmed");
    assert_eq!(pay("\"1\", \"2\"").send(&house.router).await.status, 200);
}

#[tokio::test]
async fn nobody_acts_without_the_right_role() {
    let house = House::start().await;
    let id = house.order(&["confirm"]).await;
    let rules = RULES.iter().filter(|rule| rule.path.starts_with(ORDERS));
    assert_eq!(rules.clone().count(), 8);
    for rule in rules {
        let request = ApiRequest::new(rule.method, &rule.path.replace("{id}", &id));
        let status = async |request: ApiRequest| request.send(&house.router).await.status;
        assert_eq!(status(request.clone()).await, 401, "{rule:?}");
        let service = Caller::Service { name: "reports".to_owned() };
        assert_eq!(status(request.clone().caller(service)).await, 403, "{rule:?}");
        let forbidden = status(request.caller(user(Role::InventoryManager))).await == 403;
        assert_eq!(forbidden, rule.access == Access::FinanceManager, "{rule:?}");
    }
    assert_eq!(house.read(&id).await["order"]["status"], "cancelled", "not paid, but cancelled");
}
