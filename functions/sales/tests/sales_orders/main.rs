//! The sales service over an embedded DynamoDB, driven as API Gateway and SQS drive it.
#![expect(clippy::unwrap_used, reason = "tests: there a panic is the report")]

mod conditions;
mod creating;
mod documents;
mod idempotency;
mod lifecycle;
mod limits;
mod lists;
mod stock;

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::Table;
use erp_aws::answers::Answers;
use erp_contracts::Event;
use erp_domain::contact::{ContactKind, Party};
use erp_domain::item::Item;
use erp_domain::order::OrderKind;
use erp_domain::ports::RandomIds;
use erp_domain::{Id, Ids, Money};
use erp_orders::Orders;
use erp_orders::config::Service;
use erp_orders::store::DynamoStore;
use erp_orders::testing::World;
use erp_testkit::{ApiAnswer, ApiRequest, Dynamo, TestClock};
use serde_json::{Value, json};

const ORDERS: &str = "/api/sales/orders";

/// A sales service of one test, in a world of its own.
struct House {
    world: Arc<World>,
    clock: Arc<TestClock>,
    table: Table,
    store: DynamoStore,
    orders: Orders,
    router: axum::Router,
}

impl House {
    async fn start() -> Self {
        let table = Dynamo::start().await.table("sales", &["list", "status", "party", "outbox"]).await;
        let store = DynamoStore::new(table.clone(), OrderKind::Sales);
        let (world, clock) = (Arc::new(World::default()), Arc::new(TestClock::default()));
        let orders = Orders {
            kind: OrderKind::Sales,
            store: Arc::new(store.clone()),
            parties: world.clone(),
            items: world.clone(),
            clock: clock.clone(),
            ids: Arc::new(RandomIds),
            currency: "USD".to_owned(),
        };
        let answers = Arc::new(Answers { table: table.clone(), clock: clock.clone() });
        let service = Service { orders: orders.clone(), answers };
        let router = service.app(sales::api::router).into_router();
        Self { world, clock, table, store, orders, router }
    }

    fn customer(&self) -> Id<Party> {
        let id = Id::new(RandomIds.next());
        self.world.add_party(ContactKind::Customer, id);
        id
    }

    /// An item at this price, in minor units, and so many of it.
    fn item(&self, unit_price: i64, quantity: i64) -> Id<Item> {
        let id = Id::new(RandomIds.next());
        self.world.add_item(id, Money::from_minor(unit_price).unwrap(), quantity);
        id
    }

    /// The body of an order of one line.
    fn body(&self) -> Value {
        json!({"customer_id": self.customer(), "items": [{"item_id": self.item(9_000_000, 50), "quantity": 20}]})
    }

    async fn create(&self, body: &Value) -> Value {
        let created = self.post(ORDERS, body).await;
        assert_eq!(created.status, 201, "{}", created.text);
        created.data()
    }

    /// The id of a new draft.
    async fn draft(&self) -> String {
        id(&self.create(&self.body()).await)
    }

    /// A new order after these transitions.
    async fn order(&self, transitions: &[&str]) -> String {
        let id = self.draft().await;
        for transition in transitions {
            let done = self.act(&id, transition).await;
            assert_eq!(done.status, 200, "{transition}: {}", done.text);
        }
        id
    }

    async fn act(&self, id: &str, transition: &str) -> ApiAnswer {
        ApiRequest::finance("POST", &format!("{ORDERS}/{id}/{transition}")).send(&self.router).await
    }

    async fn get(&self, path: &str) -> ApiAnswer {
        ApiRequest::finance("GET", path).send(&self.router).await
    }

    async fn post(&self, path: &str, body: &Value) -> ApiAnswer {
        ApiRequest::finance("POST", path).json(body).send(&self.router).await
    }

    /// What the order says of itself.
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

    /// Every row of the table.
    async fn rows(&self) -> Vec<HashMap<String, AttributeValue>> {
        let scan = self.table.client.scan().table_name(&self.table.name).consistent_read(true);
        scan.send().await.unwrap().items.unwrap()
    }

    /// The events that wait to be published.
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

fn id(data: &Value) -> String {
    data["order"]["id"].as_str().unwrap().to_owned()
}

/// The types of the events.
fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}
