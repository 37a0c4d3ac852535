//! The purchase service over an embedded DynamoDB, driven as API Gateway drives it. What it shares with sales is
//! tested there; here is what is its own.
#![expect(clippy::unwrap_used, reason = "tests: there a panic is the report")]

use std::sync::Arc;

use erp_auth::access::{Access, RULES};
use erp_aws::Table;
use erp_aws::answers::Answers;
use erp_contracts::Event;
use erp_domain::contact::{ContactKind, Party};
use erp_domain::identity::{Caller, Role};
use erp_domain::item::Item;
use erp_domain::order::{OrderKind, Status, Transition};
use erp_domain::ports::RandomIds;
use erp_domain::{Id, Ids, Money};
use erp_orders::Orders;
use erp_orders::config::Service;
use erp_orders::store::DynamoStore;
use erp_orders::testing::World;
use erp_testkit::request::user;
use erp_testkit::{ApiAnswer, ApiRequest, Dynamo, TestClock};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const ORDERS: &str = "/api/purchase/orders";

/// A purchase service of one test, in a world of its own.
struct House {
    world: Arc<World>,
    table: Table,
    orders: Orders,
    router: axum::Router,
}

impl House {
    async fn start() -> Self {
        let table = Dynamo::start().await.table("purchase", &["list", "status", "party", "outbox"]).await;
        let (world, clock) = (Arc::new(World::default()), Arc::new(TestClock::default()));
        let orders = Orders {
            kind: OrderKind::Purchase,
            store: Arc::new(DynamoStore::new(table.clone(), OrderKind::Purchase)),
            parties: world.clone(),
            items: world.clone(),
            clock: clock.clone(),
            ids: Arc::new(RandomIds),
            currency: "EUR".to_owned(),
        };
        let answers = Arc::new(Answers { table: table.clone(), clock });
        let service = Service { orders: orders.clone(), answers };
        Self { world, table, orders, router: service.app(purchase::api::router).into_router() }
    }

    fn party(&self, kind: ContactKind) -> Id<Party> {
        let id = Id::new(RandomIds.next());
        self.world.add_party(kind, id);
        id
    }

    fn item(&self, unit_price: i64) -> Id<Item> {
        let id = Id::new(RandomIds.next());
        self.world.add_item(id, Money::from_minor(unit_price).unwrap(), 0);
        id
    }

    async fn post(&self, body: &Value) -> ApiAnswer {
        ApiRequest::inventory("POST", ORDERS).json(body).send(&self.router).await
    }

    async fn order(&self, transitions: &[&str]) -> String {
        let body = json!({
            "vendor_id": self.party(ContactKind::Vendor),
            "items": [{"item_id": self.item(100), "quantity": 50, "unit_price": 60.5}],
        });
        let created = self.post(&body).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let id = created.data()["order"]["id"].as_str().unwrap().to_owned();
        for transition in transitions {
            assert_eq!(self.act(&id, transition).await.status, 200);
        }
        id
    }

    async fn act(&self, id: &str, transition: &str) -> ApiAnswer {
        ApiRequest::finance("POST", &format!("{ORDERS}/{id}/{transition}")).send(&self.router).await
    }

    async fn get(&self, path: &str) -> ApiAnswer {
        ApiRequest::finance("GET", path).send(&self.router).await
    }

    async fn outbox(&self) -> Vec<Event> {
        let scan = self.table.client.scan().table_name(&self.table.name).consistent_read(true);
        let rows = scan.send().await.unwrap().items.unwrap();
        let waiting = rows.iter().filter(|row| row.contains_key("outbox_pk"));
        waiting.map(|row| Event::parse(row["event"].as_s().unwrap()).unwrap()).collect()
    }
}

#[tokio::test]
async fn what_the_vendor_charges_is_kept_apart_from_the_items_price() {
    let house = House::start().await;
    let (vendor, item) = (house.party(ContactKind::Vendor), house.item(9_000_000));
    let body = json!({"vendor_id": vendor, "items": [
        {"item_id": item, "quantity": 50, "unit_price": 60000},
        {"item_id": item, "quantity": 1},
    ]});
    let created = house.post(&body).await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert_eq!(created.json()["message"], "Purchase order created successfully");
    assert!(created.header("Location").unwrap().starts_with("/api/purchase/orders/"));
    assert!(created.text.contains(r#""total_amount":3090000.00"#), "{}", created.text);
    let order = created.data()["order"].clone();
    assert_eq!((&order["vendor_id"], &order["currency"]), (&json!(vendor), &json!("EUR")));
    assert_eq!(order.get("stock_status"), None, "that is a matter of sales");
    assert_eq!(order.get("customer_id"), None);

    let list = house.get(&format!("{ORDERS}?vendor_id={vendor}&status=draft")).await;
    assert_eq!((list.status, list.data()), (200, json!([order])));
    assert_eq!(list.json()["message"], "Purchase orders retrieved successfully");
}

#[tokio::test]
async fn a_customer_is_no_vendor() {
    let house = House::start().await;
    let (customer, item) = (house.party(ContactKind::Customer), house.item(1));
    let items = json!([{"item_id": item, "quantity": 1}]);
    let refused = house.post(&json!({"vendor_id": customer, "items": items})).await;
    assert_eq!((refused.status, refused.faults()), (400, vec!["/vendor_id".to_owned()]));
    assert_eq!(refused.json()["errors"][0]["detail"], "there is no such vendor");
    let mut faults = house.post(&json!({"customer_id": customer, "items": items})).await.faults();
    faults.sort_unstable();
    assert_eq!(faults, ["/customer_id", "/vendor_id"]);
}

#[tokio::test]
async fn the_lifecycle_over_http_is_the_one_of_the_domain() {
    let house = House::start().await;
    let ways: [(Status, &[&str]); 4] = [
        (Status::Draft, &[]),
        (Status::Received, &["receive"]),
        (Status::Paid, &["receive", "pay"]),
        (Status::Cancelled, &["cancel"]),
    ];
    assert_eq!(ways.map(|(status, _)| status), OrderKind::Purchase.statuses());
    for (from, way) in ways {
        for transition in [Transition::Receive, Transition::Pay, Transition::Cancel] {
            let id = house.order(way).await;
            let answer = house.act(&id, transition.as_str()).await;
            let what = format!("{from} {}: {}", transition.as_str(), answer.text);
            match OrderKind::Purchase.next(from, transition) {
                Ok(to) => {
                    let message = format!("Purchase order {} successfully", transition.participle());
                    assert_eq!(answer.json()["message"], message, "{what}");
                    assert_eq!(answer.data()["order"]["status"], json!(to), "{what}");
                }
                Err(_) => {
                    assert_eq!(
                        (answer.status, answer.code().as_str()),
                        (409, "illegal_transition"),
                        "{what}"
                    );
                    assert_eq!(answer.json()["status_found"], json!(from), "{what}");
                }
            }
        }
    }
    let draft = house.order(&[]).await;
    assert_eq!(house.act(&draft, "confirm").await.status, 404, "that is a matter of sales");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_is_told_of_once_however_often_it_is_said() {
    let house = House::start().await;
    let id = house.order(&[]).await;
    let mut running = JoinSet::new();
    for _ in 0..10 {
        let (router, path) = (house.router.clone(), format!("{ORDERS}/{id}/receive"));
        running.spawn(async move { ApiRequest::inventory("POST", &path).send(&router).await.status });
    }
    let statuses = running.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 9, "{statuses:?}");

    let outbox = house.outbox().await;
    assert_eq!(outbox.len(), 1);
    let json = outbox[0].to_json().unwrap();
    assert!(json.contains(r#""source":"/erp/purchase","type":"purchase.order.received""#), "{json}");
    assert!(json.contains(r#""quantity":50,"unit_price":60.50"#), "{json}");
    let history = house.get(&format!("{ORDERS}/{id}/events")).await;
    assert_eq!(history.json()["message"], "Purchase order events retrieved successfully");
    assert!(history.text.contains(&json), "{}", history.text);
}

#[tokio::test]
async fn nobody_acts_without_the_right_role() {
    let house = House::start().await;
    let id = house.order(&["receive"]).await;
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
}

#[tokio::test]
async fn the_document_names_the_statuses_that_there_are() {
    let house = House::start().await;
    let (_, document) = purchase::api::router(house.orders.clone()).split_for_parts();
    let schemas = serde_json::to_value(document).unwrap()["components"]["schemas"].clone();
    assert_eq!(schemas["PurchaseOrderStatus"]["enum"], json!(OrderKind::Purchase.statuses()));
    let properties = &schemas["PurchaseOrder"]["properties"];
    assert!(properties.get("vendor_id").is_some() && properties.get("stock_status").is_none());
}
