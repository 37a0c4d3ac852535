//! The purchase service over an embedded DynamoDB, driven as API Gateway drives it.
#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::sync::Arc;

use erp_auth::access::{Access, RULES};
use erp_aws::Table;
use erp_contracts::{Cause, Event};
use erp_domain::identity::{Caller, Role};
use erp_domain::time::RandomIds;
use erp_domain::{Clock, Id, Ids, ItemId, Money, PartyId, PartyKind};
use erp_orders::upstream::testing::FakeUpstreams;
use erp_service::SaveError;
use erp_testkit::dynamo::rows;
use erp_testkit::request::user;
use erp_testkit::{ApiRequest, ApiResponse, Dynamo, TestClock};
use purchase::domain::{PurchaseOrder, PurchaseStatus, Transition};
use purchase::service::PurchaseOrders;
use purchase::store::PurchaseStore;
use serde_json::{Value, json};
use strum::VariantArray;
use tokio::task::JoinSet;

const ORDERS: &str = "/api/purchase/orders";

/// A purchase service with its own table and upstreams.
struct TestService {
    upstreams: Arc<FakeUpstreams>,
    clock: Arc<TestClock>,
    table: Table,
    store: PurchaseStore,
    router: axum::Router,
}

impl TestService {
    async fn start() -> Self {
        let table = Dynamo::start().await.table("purchase", &["list", "status", "party", "outbox"]).await;
        let (upstreams, clock) = (Arc::new(FakeUpstreams::default()), Arc::new(TestClock::default()));
        let store = PurchaseStore::new(table.clone());
        let orders = PurchaseOrders {
            store: store.clone(),
            upstreams: upstreams.clone(),
            clock: clock.clone(),
            ids: Arc::new(RandomIds),
            currency: "EUR".parse().unwrap(),
        };
        let router = purchase::config::build(orders).into_router();
        Self { upstreams, clock, store, table, router }
    }

    fn party(&self, kind: PartyKind) -> PartyId {
        let id = Id::new(RandomIds.next());
        self.upstreams.add_party(kind, id);
        id
    }

    fn item(&self, unit_price: i64) -> ItemId {
        let id = Id::new(RandomIds.next());
        self.upstreams.add_item(id, Money::from_minor(unit_price).unwrap(), 0);
        id
    }

    /// Returns the body of an order with one line.
    fn body(&self) -> Value {
        json!({
            "vendor_id": self.party(PartyKind::Vendor),
            "items": [{"item_id": self.item(100), "quantity": 50, "unit_price": 60.5}],
        })
    }

    async fn post(&self, body: &Value) -> ApiResponse {
        ApiRequest::inventory("POST", ORDERS).json(body).send(&self.router).await
    }

    /// Creates an order, sends these transitions, and returns its id.
    async fn order(&self, transitions: &[&str]) -> String {
        let created = self.post(&self.body()).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let id = created.data()["order"]["id"].as_str().unwrap().to_owned();
        for transition in transitions {
            assert_eq!(self.act(&id, transition).await.status, 200);
        }
        id
    }

    async fn act(&self, id: &str, transition: &str) -> ApiResponse {
        ApiRequest::finance("POST", &format!("{ORDERS}/{id}/{transition}")).send(&self.router).await
    }

    async fn get(&self, path: &str) -> ApiResponse {
        ApiRequest::finance("GET", path).send(&self.router).await
    }

    /// Returns the events that are not published yet.
    async fn outbox(&self) -> Vec<Event> {
        let rows = rows(&self.table).await;
        let unpublished = rows.iter().filter(|row| row.contains_key("outbox_pk"));
        unpublished.map(|row| Event::parse(row["event"].as_s().unwrap()).unwrap()).collect()
    }

    /// Creates a draft and loads it.
    async fn saved(&self) -> PurchaseOrder {
        let id = self.order(&[]).await.parse().unwrap();
        self.store.find(id).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn the_price_of_the_vendor_is_independent_of_the_list_price() {
    let service = TestService::start().await;
    let (vendor, item) = (service.party(PartyKind::Vendor), service.item(9_000_000));
    let body = json!({"vendor_id": vendor, "items": [
        {"item_id": item, "quantity": 50, "unit_price": 60000},
        {"item_id": item, "quantity": 1},
    ]});
    let created = service.post(&body).await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert_eq!(created.json()["message"], "Purchase order created successfully");
    assert!(created.header("Location").unwrap().starts_with("/api/purchase/orders/"));
    assert!(created.text.contains(r#""total_amount":3090000.00"#), "{}", created.text);
    let order = created.data()["order"].clone();
    assert_eq!((&order["vendor_id"], &order["currency"]), (&json!(vendor), &json!("EUR")));
    assert_eq!(order.get("stock_status"), None, "only sales orders have it");
    assert_eq!(order.get("customer_id"), None);

    let list = service.get(&format!("{ORDERS}?vendor_id={vendor}&status=draft")).await;
    assert_eq!((list.status, list.data()), (200, json!([order])));
    assert_eq!(list.json()["message"], "Purchase orders retrieved successfully");
}

#[tokio::test]
async fn a_customer_is_not_a_vendor() {
    let service = TestService::start().await;
    let (customer, item) = (service.party(PartyKind::Customer), service.item(1));
    let items = json!([{"item_id": item, "quantity": 1}]);
    let rejected = service.post(&json!({"vendor_id": customer, "items": items})).await;
    assert_eq!((rejected.status, rejected.invalid_fields()), (400, vec!["/vendor_id".to_owned()]));
    assert_eq!(rejected.json()["errors"][0]["detail"], "there is no such vendor");
    let rejected = service.post(&json!({"customer_id": customer, "items": items})).await;
    let mut fields = rejected.invalid_fields();
    fields.sort_unstable();
    assert_eq!(fields, ["/customer_id", "/vendor_id"]);
}

#[tokio::test]
async fn the_api_has_the_lifecycle_of_the_domain() {
    let service = TestService::start().await;
    let paths: [(PurchaseStatus, &[&str]); 4] = [
        (PurchaseStatus::Draft, &[]),
        (PurchaseStatus::Received, &["receive"]),
        (PurchaseStatus::Paid, &["receive", "pay"]),
        (PurchaseStatus::Cancelled, &["cancel"]),
    ];
    assert_eq!(paths.map(|(status, _)| status), PurchaseStatus::VARIANTS);
    for (from, path) in paths {
        for transition in Transition::VARIANTS {
            let id = service.order(path).await;
            let response = service.act(&id, transition.into()).await;
            let (to, what) = (transition.target(), format!("{from} {transition}: {}", response.text));
            if from.allows(*transition) {
                assert_eq!(response.json()["message"], format!("Purchase order {to} successfully"), "{what}");
                assert_eq!(response.data()["order"]["status"], json!(to), "{what}");
            } else {
                assert_eq!(
                    (response.status, response.code().as_str()),
                    (409, "illegal_transition"),
                    "{what}"
                );
                assert_eq!(response.json()["status_found"], json!(from), "{what}");
            }
        }
    }
    let draft = service.order(&[]).await;
    assert_eq!(service.act(&draft, "confirm").await.status, 404, "only sales orders are confirmed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_concurrent_receipts_one_succeeds_and_publishes_one_event() {
    let service = TestService::start().await;
    let id = service.order(&[]).await;
    let mut running = JoinSet::new();
    for _ in 0..10 {
        let (router, path) = (service.router.clone(), format!("{ORDERS}/{id}/receive"));
        running.spawn(async move { ApiRequest::inventory("POST", &path).send(&router).await.status });
    }
    let statuses = running.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 9, "{statuses:?}");

    let outbox = service.outbox().await;
    assert_eq!(outbox.len(), 1);
    let json = outbox[0].to_json().unwrap();
    assert!(json.contains(r#""source":"/erp/purchase","type":"purchase.order.received""#), "{json}");
    assert!(json.contains(r#""quantity":50,"unit_price":60.50"#), "{json}");
    let history = service.get(&format!("{ORDERS}/{id}/events")).await;
    assert_eq!(history.json()["message"], "Purchase order events retrieved successfully");
    assert!(history.text.contains(&json), "{}", history.text);
}

#[tokio::test]
async fn a_draft_of_a_deleted_vendor_cannot_be_received() {
    let service = TestService::start().await;
    let body = service.body();
    let created = service.post(&body).await;
    let id = created.data()["order"]["id"].as_str().unwrap().to_owned();
    let vendor = body["vendor_id"].as_str().unwrap();
    service.upstreams.remove_party(PartyKind::Vendor, vendor.parse().unwrap());
    let receive =
        ApiRequest::inventory("POST", &format!("{ORDERS}/{id}/receive")).header("Idempotency-Key", "k");
    let rejected = receive.send(&service.router).await;
    assert_eq!((rejected.status, rejected.code().as_str()), (409, "party_gone"), "{}", rejected.text);
    assert_eq!(rejected.json()["vendor_id"], json!(vendor));
    service.upstreams.set_down(true);
    let failed = receive.send(&service.router).await;
    assert_eq!((failed.status, failed.code().as_str()), (503, "service_unavailable"));
    assert!(failed.header("Retry-After").is_some());
    assert!(service.outbox().await.is_empty());

    // The rejection bound no key.
    service.upstreams.set_down(false);
    service.upstreams.add_party(PartyKind::Vendor, vendor.parse().unwrap());
    assert_eq!(receive.send(&service.router).await.status, 200);
}

#[tokio::test]
async fn transitions_need_no_body_and_reject_unknown_fields() {
    let service = TestService::start().await;
    for transition in ["receive", "pay", "cancel"] {
        let path: &[&str] = if transition == "pay" { &["receive"] } else { &[] };
        for (body, content_type, status) in [
            ("", "text/plain", 200),
            ("{}", "application/json", 200),
            ("[]", "application/json", 400),
            ("{}", "text/plain", 415),
            (r#"{"why": 1}"#, "application/json", 400),
        ] {
            let id = service.order(path).await;
            let request = ApiRequest::finance("POST", &format!("{ORDERS}/{id}/{transition}"));
            let response = request.text(body, content_type).send(&service.router).await;
            assert_eq!(response.status, status, "{transition} {body} {content_type}: {}", response.text);
        }
    }
}

#[tokio::test]
async fn an_id_that_is_not_a_uuid_is_a_bad_request_on_every_route() {
    let service = TestService::start().await;
    for rule in RULES.iter().filter(|rule| rule.path.starts_with(ORDERS) && rule.path.contains("{id}")) {
        for bad in ["%ff", "7"] {
            let mut request = ApiRequest::finance(rule.method, &rule.path.replace("{id}", bad));
            if rule.method == "PUT" {
                request = request.json(&service.body());
            }
            let rejected = request.send(&service.router).await;
            assert_eq!(rejected.status, 400, "{rule:?} {bad}: {}", rejected.text);
            assert_eq!(rejected.header("Content-Type"), Some("application/problem+json"));
        }
    }
}

#[tokio::test]
async fn the_location_of_a_new_order_is_below_the_stage() {
    let service = TestService::start().await;
    let create = ApiRequest::inventory("POST", ORDERS).below("/dev").json(&service.body());
    let created = create.send(&service.router).await;
    let path = format!("{ORDERS}/{}", created.data()["order"]["id"].as_str().unwrap());
    assert_eq!(created.header("Location"), Some(format!("/dev{path}").as_str()));
    assert_eq!(service.get(&path).await.data(), created.data());
}

#[tokio::test]
async fn an_update_replaces_vendor_and_lines_of_a_draft_only() {
    let service = TestService::start().await;
    let id = service.order(&[]).await;
    let body = service.body();
    let put = ApiRequest::inventory("PUT", &format!("{ORDERS}/{id}")).json(&body);
    let updated = put.clone().header("If-Match", "\"1\"").send(&service.router).await;
    assert_eq!((updated.status, updated.header("ETag")), (200, Some("\"2\"")), "{}", updated.text);
    assert_eq!(updated.data()["order"]["vendor_id"], body["vendor_id"]);
    let vendor = body["vendor_id"].as_str().unwrap();
    let list = service.get(&format!("{ORDERS}?vendor_id={vendor}")).await;
    assert_eq!(list.data(), json!([updated.data()["order"]]));
    assert_eq!(service.act(&id, "receive").await.status, 200);
    let rejected = put.send(&service.router).await;
    assert_eq!((rejected.status, rejected.code().as_str()), (409, "illegal_transition"));
    assert_eq!(rejected.json()["detail"], "This purchase order is received; only drafts can be changed.");
}

#[tokio::test]
async fn an_order_or_event_with_an_id_in_use_overwrites_nothing() {
    let service = TestService::start().await;
    let (first, now, event_id) = (service.saved().await, service.clock.now(), RandomIds.next());
    let before = rows(&service.table).await;
    let (vendor_id, lines) = (first.summary().vendor_id, first.lines().clone());
    let second = PurchaseOrder::draft(first.id(), vendor_id, lines, &"USD".parse().unwrap(), now);
    service.store.insert(&second).unwrap().save(&service.table).await.unwrap_err();
    assert_eq!(rows(&service.table).await, before);

    let advance = |old: &PurchaseOrder, transitioned| {
        service.store.advance(old, &transitioned, event_id, &Cause::default()).unwrap()
    };
    let received = first.receive(now).unwrap();
    advance(&first, received.clone()).save(&service.table).await.unwrap();
    let before = rows(&service.table).await;
    let result = advance(received.order(), received.order().pay(now).unwrap()).save(&service.table).await;
    assert!(matches!(result, Err(SaveError::Failed(_))), "{result:?}");
    assert_eq!(rows(&service.table).await, before);
}

#[tokio::test]
async fn every_route_requires_its_role() {
    let service = TestService::start().await;
    let id = service.order(&["receive"]).await;
    let rules = RULES.iter().filter(|rule| rule.path.starts_with(ORDERS));
    assert_eq!(rules.clone().count(), 8);
    for rule in rules {
        let request = ApiRequest::new(rule.method, &rule.path.replace("{id}", &id));
        let status = async |request: ApiRequest| request.send(&service.router).await.status;
        assert_eq!(status(request.clone()).await, 401, "{rule:?}");
        let caller = Caller::Service { name: "reports".to_owned() };
        assert_eq!(status(request.clone().caller(caller)).await, 403, "{rule:?}");
        let forbidden = status(request.caller(user(Role::InventoryManager))).await == 403;
        assert_eq!(forbidden, rule.access == Access::FinanceManager, "{rule:?}");
    }
}

#[test]
fn the_document_lists_the_statuses_of_the_domain() {
    let document = serde_json::to_value(erp_http::openapi::finish(purchase::api::document())).unwrap();
    let schemas = document["components"]["schemas"].clone();
    assert_eq!(schemas["PurchaseOrderStatus"]["enum"], json!(PurchaseStatus::VARIANTS));
    let properties = &schemas["PurchaseOrder"]["properties"];
    assert!(properties.get("vendor_id").is_some() && properties.get("stock_status").is_none());
    assert_eq!(schemas["PurchaseOrderRequest"]["additionalProperties"], json!(false));
}

#[tokio::test]
async fn a_status_of_sales_orders_is_not_a_filter_of_purchase_orders() {
    let service = TestService::start().await;
    let rejected = service.get(&format!("{ORDERS}?status=confirmed")).await;
    let expected =
        json!([{"parameter": "status", "detail": "must be one of draft, received, paid, cancelled"}]);
    assert_eq!((rejected.status, rejected.json()["errors"].clone()), (400, expected));
    assert_eq!(service.get(&format!("{ORDERS}?status=Draft")).await.status, 400);
}
