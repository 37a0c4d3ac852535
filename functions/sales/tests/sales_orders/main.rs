//! The sales service over an embedded DynamoDB, driven as API Gateway and SQS drive it.
#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod conditions;
mod creating;
mod documents;
mod idempotency;
mod lifecycle;
mod limits;
mod lists;
mod requests;
mod stock;

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::Table;
use erp_contracts::Event;
use erp_domain::time::RandomIds;
use erp_domain::{Id, Ids, ItemId, Money, PartyId, PartyKind};
use erp_orders::Upstreams;
use erp_orders::upstream::testing::FakeUpstreams;
use erp_testkit::{ApiRequest, ApiResponse, Dynamo, TestClock};
use sales::service::SalesOrders;
use sales::store::SalesStore;
use serde_json::{Value, json};

const ORDERS: &str = "/api/sales/orders";

/// A sales service with its own table and upstreams.
struct TestService {
    upstreams: Arc<FakeUpstreams>,
    clock: Arc<TestClock>,
    table: Table,
    store: SalesStore,
    router: axum::Router,
}

impl TestService {
    async fn start() -> Self {
        let table = Dynamo::start().await.table("sales", &["list", "status", "party", "outbox"]).await;
        let (upstreams, clock) = (Arc::new(FakeUpstreams::default()), Arc::new(TestClock::default()));
        let store = SalesStore::new(table.clone());
        let router = router(table.clone(), upstreams.clone(), clock.clone());
        Self { upstreams, clock, table, store, router }
    }

    fn customer(&self) -> PartyId {
        let id = Id::new(RandomIds.next());
        self.upstreams.add_party(PartyKind::Customer, id);
        id
    }

    /// Adds an item with a price in minor units and a quantity in stock.
    fn item(&self, unit_price: i64, quantity: i64) -> ItemId {
        let id = Id::new(RandomIds.next());
        self.upstreams.add_item(id, Money::from_minor(unit_price).unwrap(), quantity);
        id
    }

    /// Returns the body of an order with one line.
    fn body(&self) -> Value {
        json!({"customer_id": self.customer(), "items": [{"item_id": self.item(9_000_000, 50), "quantity": 20}]})
    }

    async fn create(&self, body: &Value) -> Value {
        let created = self.post(ORDERS, body).await;
        assert_eq!(created.status, 201, "{}", created.text);
        created.data()
    }

    /// Creates a draft and returns its id.
    async fn draft(&self) -> String {
        id(&self.create(&self.body()).await)
    }

    /// Creates an order, sends these transitions, and returns its id.
    async fn order(&self, transitions: &[&str]) -> String {
        let id = self.draft().await;
        for transition in transitions {
            let done = self.act(&id, transition).await;
            assert_eq!(done.status, 200, "{transition}: {}", done.text);
        }
        id
    }

    async fn act(&self, id: &str, transition: &str) -> ApiResponse {
        ApiRequest::finance("POST", &format!("{ORDERS}/{id}/{transition}")).send(&self.router).await
    }

    async fn get(&self, path: &str) -> ApiResponse {
        ApiRequest::finance("GET", path).send(&self.router).await
    }

    async fn post(&self, path: &str, body: &Value) -> ApiResponse {
        ApiRequest::finance("POST", path).json(body).send(&self.router).await
    }

    /// Gets an order.
    async fn read(&self, id: &str) -> Value {
        let found = self.get(&format!("{ORDERS}/{id}")).await;
        assert_eq!(found.status, 200, "{}", found.text);
        found.data()
    }

    async fn events(&self, id: &str) -> Vec<Value> {
        let found = self.get(&format!("{ORDERS}/{id}/events?limit=100")).await;
        assert_eq!(found.status, 200, "{}", found.text);
        found.data().as_array().unwrap().clone()
    }

    /// Returns every row of the table.
    async fn rows(&self) -> Vec<HashMap<String, AttributeValue>> {
        let scan = self.table.client.scan().table_name(&self.table.name).consistent_read(true);
        scan.send().await.unwrap().items.unwrap()
    }

    /// Returns the events that are not published yet.
    async fn outbox(&self) -> Vec<Event> {
        let rows = self.rows().await;
        let waiting = rows.iter().filter(|row| row.contains_key("outbox_pk"));
        waiting.map(|row| Event::parse(row["event"].as_s().unwrap()).unwrap()).collect()
    }

    async fn count(&self, pk_prefix: &str) -> usize {
        let rows = self.rows().await;
        rows.iter().filter(|row| row["pk"].as_s().unwrap().starts_with(pk_prefix)).count()
    }
}

/// Builds the service over a table and upstreams.
fn router(table: Table, upstreams: Arc<dyn Upstreams>, clock: Arc<TestClock>) -> axum::Router {
    let currency = "USD".parse().unwrap();
    let (store, ids) = (SalesStore::new(table), Arc::new(RandomIds));
    sales::config::build(SalesOrders { store, upstreams, clock, ids, currency }).into_router()
}

/// Returns the id of an order.
fn id(data: &Value) -> String {
    data["order"]["id"].as_str().unwrap().to_owned()
}

/// Returns the types of events.
fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}
