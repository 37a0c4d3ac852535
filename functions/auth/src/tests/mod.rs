//! The service as API Gateway sees it, over an embedded DynamoDB.

mod conditions;
mod expired;
mod login;
mod register;
mod reset;
mod secrets;
mod service_token;

use std::sync::Arc;

use axum::Router;
use erp_auth::Tokens;
use erp_aws::Table;
use erp_domain::Clock;
use erp_domain::identity::{Caller, Role};
use erp_domain::ports::RandomIds;
use erp_testkit::{ApiAnswer, ApiRequest, Dynamo, TestClock};
use serde_json::{Value, json};

use crate::config::{Config, World, assemble};
use crate::ports::OsRandomness;
use crate::store::DynamoStore;

const PASSWORD: &str = "correct horse";
const SERVICE_SECRET: &str = "0123456789abcdef";

/// One platform.
struct Platform {
    dynamo: Dynamo,
    table: Table,
    clock: Arc<TestClock>,
    router: Router,
    tokens: Tokens,
}

impl Platform {
    async fn open() -> Self {
        Self::start("open", "expose").await
    }

    async fn closed() -> Self {
        Self::start("closed", "hide").await
    }

    async fn start(registration: &str, reset_tokens: &str) -> Self {
        let dynamo = Dynamo::start().await;
        let table = dynamo.table("auth", &["outbox"]).await;
        let clock = Arc::new(TestClock::default());
        Self::over(dynamo, table, clock, registration, reset_tokens)
    }

    /// The same platform, deployed again with other parameters.
    fn redeployed(&self, registration: &str, reset_tokens: &str) -> Self {
        Self::over(self.dynamo.clone(), self.table.clone(), self.clock.clone(), registration, reset_tokens)
    }

    fn over(
        dynamo: Dynamo,
        table: Table,
        clock: Arc<TestClock>,
        registration: &str,
        reset_tokens: &str,
    ) -> Self {
        let config = Config::read(|name| {
            Some(match name {
                "JWT_KEYS" => json!({"kid": "k1", "key": "k".repeat(40)}).to_string(),
                "REGISTRATION" => registration.to_owned(),
                "RESET_TOKENS" => reset_tokens.to_owned(),
                "SERVICE_CREDENTIALS" => json!({"reports": SERVICE_SECRET}).to_string(),
                other => other.to_owned(),
            })
        });
        let config = config.unwrap();
        let tokens = config.tokens.clone();
        let store = DynamoStore::new(table.clone());
        let world =
            World { clock: clock.clone(), ids: Arc::new(RandomIds), randomness: Arc::new(OsRandomness) };
        let router = assemble(config, store, world).into_router();
        Self { dynamo, table, clock, router, tokens }
    }

    async fn send(&self, request: ApiRequest) -> ApiAnswer {
        request.send(&self.router).await
    }

    async fn post(&self, what: &str, body: Value) -> ApiAnswer {
        self.send(post(what, &body)).await
    }

    async fn register(&self, email: &str) -> ApiAnswer {
        self.post("register", new_user(email, "inventory_manager")).await
    }

    async fn login(&self, email: &str, password: &str) -> ApiAnswer {
        self.post("login", json!({"email": email, "password": password})).await
    }

    async fn forgot(&self, email: &str) -> ApiAnswer {
        self.post("forgot-password", json!({"email": email})).await
    }

    /// Asks for a reset and gives the token.
    async fn reset_token(&self, email: &str) -> String {
        self.forgot(email).await.data()["reset_token"].as_str().unwrap().to_owned()
    }

    async fn reset(&self, token: &str, password: &str) -> ApiAnswer {
        self.post("reset-password", json!({"reset_token": token, "new_password": password})).await
    }

    /// An `Authorization` header for a caller.
    fn bearer(&self, caller: &Caller) -> String {
        let (token, _) = self.tokens.sign(caller, uuid::Uuid::nil(), self.clock.now()).unwrap();
        format!("Bearer {token}")
    }

    fn bearer_of(&self, role: Role) -> String {
        self.bearer(&erp_testkit::request::user(role))
    }

    /// Every row of the table, as text.
    async fn dump(&self) -> Vec<String> {
        let scan = self.table.client.scan().table_name("auth").send().await.unwrap();
        scan.items.unwrap_or_default().iter().map(|row| format!("{row:?}")).collect()
    }

    /// The events that wait to be published, oldest first.
    async fn events(&self) -> Vec<Value> {
        let scan = self.table.client.scan().table_name("auth").index_name("outbox").send().await.unwrap();
        let rows = scan.items.unwrap_or_default();
        let mut events: Vec<Value> =
            rows.iter().map(|row| serde_json::from_str(row["event"].as_s().unwrap()).unwrap()).collect();
        events.sort_by_key(|event| event["id"].as_str().unwrap().to_owned());
        events
    }
}

fn post(what: &str, body: &Value) -> ApiRequest {
    ApiRequest::new("POST", &format!("/api/auth/{what}")).json(body)
}

fn new_user(email: &str, role: &str) -> Value {
    json!({"email": email, "password": PASSWORD, "role": role})
}

/// The statuses of answers, in order.
fn statuses(answers: &[ApiAnswer]) -> Vec<u16> {
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    statuses
}
