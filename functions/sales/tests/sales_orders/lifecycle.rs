//! Transitions: the lifecycle, roles, concurrency.

use erp_auth::access::{Access, RULES};
use erp_domain::identity::{Caller, Role};
use erp_domain::{Money, PartyKind};
use erp_testkit::ApiRequest;
use erp_testkit::request::user;
use sales::domain::{SalesStatus, Transition};
use serde_json::json;
use strum::VariantArray;
use tokio::task::JoinSet;

use crate::{ORDERS, TestService, types};

#[tokio::test]
async fn the_api_has_the_lifecycle_of_the_domain() {
    let service = TestService::start().await;
    let paths: [(SalesStatus, &[&str]); 4] = [
        (SalesStatus::Draft, &[]),
        (SalesStatus::Confirmed, &["confirm"]),
        (SalesStatus::Paid, &["confirm", "pay"]),
        (SalesStatus::Cancelled, &["cancel"]),
    ];
    assert_eq!(paths.map(|(status, _)| status), SalesStatus::VARIANTS);
    for (from, path) in paths {
        for transition in Transition::VARIANTS {
            let id = service.order(path).await;
            let before = service.read(&id).await;
            let response = service.act(&id, transition.into()).await;
            let what = format!("{from} {}: {}", transition, response.text);
            match from.allows(*transition) {
                true => {
                    let to = transition.target();
                    assert_eq!(response.status, 200, "{what}");
                    let message = format!("Sales order {} successfully", transition.target());
                    assert_eq!(response.json()["message"], message);
                    assert_eq!(response.data()["order"]["status"], json!(to), "{what}");
                    assert_eq!(response.data()["order"]["version"], path.len() + 2, "{what}");
                    assert_eq!(response.header("ETag"), Some(format!("\"{}\"", path.len() + 2).as_str()));
                    assert_eq!(service.read(&id).await, response.data(), "{what}");
                }
                false => {
                    assert_eq!(
                        (response.status, response.code().as_str()),
                        (409, "illegal_transition"),
                        "{what}"
                    );
                    assert_eq!(response.json()["status_found"], json!(from), "{what}");
                    let words = format!("is {from}; it cannot be {}.", transition.target());
                    assert!(response.json()["detail"].as_str().unwrap().contains(&words), "{what}");
                    assert_eq!(service.read(&id).await, before, "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_purchase_transition_and_an_unknown_order_are_not_found() {
    let service = TestService::start().await;
    let id = service.draft().await;
    assert_eq!(service.act(&id, "receive").await.status, 404);
    let unknown = "01890000-0000-7000-8000-000000000001";
    for path in ["", "/events"] {
        let response = service.get(&format!("{ORDERS}/{unknown}{path}")).await;
        assert_eq!((response.status, response.code().as_str()), (404, "not_found"), "{path}");
    }
    assert_eq!(service.act(unknown, "confirm").await.status, 404);
    assert_eq!(service.act("7", "confirm").await.invalid_fields(), ["id"]);
}

#[tokio::test]
async fn transitions_need_no_body_and_reject_unknown_fields() {
    let service = TestService::start().await;
    let send = async |transition: &str, body: &str, content_type: &str| {
        let path: &[&str] = if transition == "pay" { &["confirm"] } else { &[] };
        let id = service.order(path).await;
        let request = ApiRequest::finance("POST", &format!("{ORDERS}/{id}/{transition}"));
        let response = request.text(body, content_type).send(&service.router).await;
        (response.status, response.invalid_fields())
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
async fn a_confirmation_that_requires_stock_lists_the_shortages() {
    let service = TestService::start().await;
    let (plenty, scarce) = (service.item(100, 10), service.item(100, 4));
    let body = json!({"customer_id": service.customer(), "items": [
        {"item_id": scarce, "quantity": 3},
        {"item_id": plenty, "quantity": 10},
        {"item_id": scarce, "quantity": 2},
    ]});
    let id = crate::id(&service.create(&body).await);
    let path = format!("{ORDERS}/{id}/confirm");
    let rejected = service.post(&path, &json!({"require_stock": true})).await;
    assert_eq!((rejected.status, rejected.code().as_str()), (409, "insufficient_stock"));
    assert_eq!(rejected.json()["shortages"], json!([{"item_id": scarce, "wanted": 5, "available": 4}]));
    assert_eq!(rejected.invalid_fields(), ["/items/0/quantity", "/items/2/quantity"]);
    let detail = rejected.json()["detail"].as_str().unwrap().to_owned();
    assert_eq!(detail, format!("Not enough in stock: item {scarce}: 5 required, 4 available."));
    assert_eq!(service.read(&id).await["order"]["status"], "draft");

    service.upstreams.add_item(scarce, Money::ZERO, 5);
    assert_eq!(service.post(&path, &json!({"require_stock": true})).await.status, 200);

    let other = crate::id(&service.create(&body).await);
    service.upstreams.add_item(scarce, Money::ZERO, 0);
    let confirmed = service.act(&other, "confirm").await;
    assert_eq!(confirmed.status, 200, "missing stock does not reject a confirmation by default");
}

#[tokio::test]
async fn a_confirmation_publishes_one_event_with_exact_amounts() {
    let service = TestService::start().await;
    let (customer, item) = (service.customer(), service.item(9_000_000, 0));
    let body = json!({"customer_id": customer, "items": [{"item_id": item, "quantity": 20}]});
    let order = service.create(&body).await;
    let id = crate::id(&order);
    service.clock.advance_seconds(5);
    let confirmed = service.act(&id, "confirm").await;
    assert_eq!(confirmed.data()["order"]["stock_status"], "pending");

    let outbox = service.outbox().await;
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
    let history = service.get(&format!("{ORDERS}/{id}/events")).await;
    assert!(history.text.contains(&json), "the history contains the published event: {}", history.text);

    assert_eq!(service.act(&id, "cancel").await.status, 200);
    assert_eq!(types(&service.events(&id).await), ["sales.order.confirmed", "sales.order.cancelled"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_concurrent_confirmations_one_succeeds_and_publishes_one_event() {
    let service = TestService::start().await;
    let id = service.draft().await;
    let mut running = JoinSet::new();
    for _ in 0..20 {
        let router = service.router.clone();
        let request = ApiRequest::inventory("POST", &format!("{ORDERS}/{id}/confirm"));
        running.spawn(async move { request.send(&router).await });
    }
    let responses = running.join_all().await;
    let done = responses.iter().filter(|response| response.status == 200).count();
    let rejected = responses.iter().filter(|response| response.json()["status_found"] == "confirmed").count();
    let statuses: Vec<_> = responses.iter().map(|response| response.status).collect();
    assert_eq!((done, rejected), (1, 19), "{statuses:?}");
    assert_eq!(service.outbox().await.len(), 1);
    assert_eq!(service.read(&id).await["order"]["version"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_confirmed_order_is_the_last_one_written() {
    let service = TestService::start().await;
    let (customer, item) = (service.customer(), service.item(100, 0));
    let body =
        |quantity: u8| json!({"customer_id": customer, "items": [{"item_id": item, "quantity": quantity}]});
    for _ in 0..20 {
        let id = crate::id(&service.create(&body(1)).await);
        let confirm = ApiRequest::finance("POST", &format!("{ORDERS}/{id}/confirm"));
        let mut running = JoinSet::new();
        for quantity in [2, 3] {
            let put = ApiRequest::finance("PUT", &format!("{ORDERS}/{id}")).json(&body(quantity));
            let router = service.router.clone();
            running.spawn(async move { put.send(&router).await });
        }
        let confirmed = confirm.send(&service.router).await;
        assert_eq!(confirmed.status, 200, "{}", confirmed.text);
        for update in running.join_all().await {
            assert!(update.status == 200 || update.code() == "illegal_transition", "{}", update.text);
        }
        let event = service.events(&id).await.remove(0);
        let order = service.read(&id).await;
        assert_eq!(order, confirmed.data());
        assert_eq!(event["data"]["total_amount"], order["order"]["total_amount"]);
        assert_eq!(event["data"]["version"], order["order"]["version"]);
        assert_eq!(event["data"]["items"][0]["quantity"], order["items"][0]["quantity"]);
    }
}

#[tokio::test]
async fn a_transition_of_another_version_than_expected_is_rejected() {
    let service = TestService::start().await;
    let id = service.order(&["confirm"]).await;
    let pay = |tag: &str| ApiRequest::finance("POST", &format!("{ORDERS}/{id}/pay")).header("If-Match", tag);
    for tag in ["\"1\"", "W/\"2\"", "nonsense"] {
        let rejected = pay(tag).send(&service.router).await;
        assert_eq!((rejected.status, rejected.code().as_str()), (412, "version_mismatch"), "{tag}");
    }
    assert_eq!(service.read(&id).await["order"]["status"], "confirmed");
    assert_eq!(pay("\"1\", \"2\"").send(&service.router).await.status, 200);
}

#[tokio::test]
async fn every_route_requires_its_role() {
    let service = TestService::start().await;
    let id = service.order(&["confirm"]).await;
    let rules = RULES.iter().filter(|rule| rule.path.starts_with(ORDERS));
    assert_eq!(rules.clone().count(), 8);
    for rule in rules {
        let request = ApiRequest::new(rule.method, &rule.path.replace("{id}", &id));
        let status = async |request: ApiRequest| request.send(&service.router).await.status;
        assert_eq!(status(request.clone()).await, 401, "{rule:?}");
        let service = Caller::Service { name: "reports".to_owned() };
        assert_eq!(status(request.clone().caller(service)).await, 403, "{rule:?}");
        let forbidden = status(request.caller(user(Role::InventoryManager))).await == 403;
        assert_eq!(forbidden, rule.access == Access::FinanceManager, "{rule:?}");
    }
    assert_eq!(
        service.read(&id).await["order"]["status"],
        "cancelled",
        "only the cancellation was permitted"
    );
}

#[tokio::test]
async fn a_draft_of_a_deleted_customer_cannot_be_confirmed() {
    let service = TestService::start().await;
    let body = service.body();
    let order = crate::id(&service.create(&body).await);
    let customer = body["customer_id"].as_str().unwrap();
    service.upstreams.remove_party(PartyKind::Customer, customer.parse().unwrap());
    let confirm =
        ApiRequest::finance("POST", &format!("{ORDERS}/{order}/confirm")).header("Idempotency-Key", "k");
    let rejected = confirm.send(&service.router).await;
    assert_eq!((rejected.status, rejected.code().as_str()), (409, "party_gone"), "{}", rejected.text);
    assert_eq!(rejected.json()["customer_id"], json!(customer));
    assert_eq!(service.read(&order).await["order"]["status"], "draft");
    assert!(service.outbox().await.is_empty());

    // With an existing customer it can be confirmed; the customer of a confirmed order may be deleted.
    let other = service.body();
    let put = ApiRequest::finance("PUT", &format!("{ORDERS}/{order}")).json(&other);
    assert_eq!(put.send(&service.router).await.status, 200);
    assert_eq!(confirm.send(&service.router).await.status, 200);
    let customer = other["customer_id"].as_str().unwrap().parse().unwrap();
    service.upstreams.remove_party(PartyKind::Customer, customer);
    assert_eq!(service.act(&order, "pay").await.status, 200);
}
