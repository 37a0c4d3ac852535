//! The service as API Gateway calls it, over an embedded DynamoDB.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the failure report")]

mod bootstrap;
mod conditions;
mod expired;
mod lockout;
mod login;
mod register;
mod reset;
mod secrets;
mod service_token;
mod text;

use std::sync::Arc;

use auth::config::{Config, build};
use auth::domain::Pseudonyms;
use auth::randomness::OsRandomness;
use auth::store::AuthStore;
use axum::Router;
use erp_auth::Tokens;
use erp_aws::Table;
use erp_domain::identity::{Caller, Role};
use erp_domain::time::RandomIds;
use erp_domain::{Clock, Settings};
use erp_testkit::{ApiRequest, ApiResponse, Dynamo, TestClock};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse";
const SERVICE_SECRET: &str = "0123456789abcdef";
const BOOTSTRAP_SECRET: &str = "fedcba9876543210";

/// The service with its table.
struct TestService {
    dynamo: Dynamo,
    table: Table,
    clock: Arc<TestClock>,
    router: Router,
    tokens: Tokens,
    pseudonyms: Pseudonyms,
    /// The address that requests come from.
    source_ip: String,
}

impl TestService {
    async fn open() -> Self {
        Self::start("open", "expose", None).await
    }

    async fn closed() -> Self {
        Self::start("closed", "hide", None).await
    }

    /// Closed registration, whose first user needs [`BOOTSTRAP_SECRET`].
    async fn with_bootstrap_secret() -> Self {
        Self::start("closed", "expose", Some(BOOTSTRAP_SECRET)).await
    }

    async fn start(registration: &str, reset_tokens: &str, bootstrap_secret: Option<&str>) -> Self {
        let dynamo = Dynamo::start().await;
        let table = dynamo.table("auth", &["outbox"]).await;
        let clock = Arc::new(TestClock::default());
        Self::over(dynamo, table, clock, registration, reset_tokens, bootstrap_secret)
    }

    /// The same service, deployed again with other parameters.
    fn redeployed(&self, registration: &str, reset_tokens: &str) -> Self {
        let (dynamo, table, clock) = (self.dynamo.clone(), self.table.clone(), self.clock.clone());
        Self::over(dynamo, table, clock, registration, reset_tokens, None)
    }

    /// The same service, called from another address.
    fn from(&self, source_ip: &str) -> Self {
        let Self { dynamo, table, clock, router, tokens, pseudonyms, .. } = self;
        Self {
            dynamo: dynamo.clone(),
            table: table.clone(),
            clock: clock.clone(),
            router: router.clone(),
            tokens: tokens.clone(),
            pseudonyms: pseudonyms.clone(),
            source_ip: source_ip.to_owned(),
        }
    }

    fn over(
        dynamo: Dynamo,
        table: Table,
        clock: Arc<TestClock>,
        registration: &str,
        reset_tokens: &str,
        bootstrap_secret: Option<&str>,
    ) -> Self {
        let settings = Settings::new(|name| {
            Some(match name {
                "BOOTSTRAP_SECRET" => return bootstrap_secret.map(str::to_owned),
                "JWT_KEYS" => json!({"kid": "k1", "key": "k".repeat(40)}).to_string(),
                "REGISTRATION" => registration.to_owned(),
                "RESET_TOKENS" => reset_tokens.to_owned(),
                "SERVICE_CREDENTIALS" => json!({"reports": SERVICE_SECRET}).to_string(),
                other => other.to_owned(),
            })
        });
        let config = Config::read(&settings).unwrap();
        let (tokens, pseudonyms) = (config.tokens.clone(), config.pseudonyms.clone());
        let (ids, randomness) = (Arc::new(RandomIds), Arc::new(OsRandomness));
        let store = AuthStore::new(table.clone());
        let router = build(config, store, clock.clone(), ids, randomness).into_router();
        Self { dynamo, table, clock, router, tokens, pseudonyms, source_ip: "127.0.0.1".to_owned() }
    }

    async fn send(&self, request: ApiRequest) -> ApiResponse {
        request.from_address(&self.source_ip).send(&self.router).await
    }

    async fn post(&self, route: &str, body: Value) -> ApiResponse {
        self.send(post(route, &body)).await
    }

    async fn register(&self, email: &str) -> ApiResponse {
        self.post("register", new_user(email, "inventory_manager")).await
    }

    async fn login(&self, email: &str, password: &str) -> ApiResponse {
        self.post("login", json!({"email": email, "password": password})).await
    }

    async fn forgot(&self, email: &str) -> ApiResponse {
        self.post("forgot-password", json!({"email": email})).await
    }

    /// Requests a reset and returns the token.
    async fn reset_token(&self, email: &str) -> String {
        self.forgot(email).await.data()["reset_token"].as_str().unwrap().to_owned()
    }

    async fn reset(&self, token: &str, password: &str) -> ApiResponse {
        self.post("reset-password", json!({"reset_token": token, "new_password": password})).await
    }

    async fn service_token(&self, name: &str, secret: &str) -> ApiResponse {
        self.post("service-token", json!({"service_name": name, "service_secret": secret})).await
    }

    /// Returns an `Authorization` header for a caller.
    fn bearer(&self, caller: &Caller) -> String {
        let (token, _) = self.tokens.sign(caller, uuid::Uuid::nil(), self.clock.now()).unwrap();
        format!("Bearer {token}")
    }

    fn bearer_of(&self, role: Role) -> String {
        self.bearer(&erp_testkit::request::user(role))
    }

    /// Returns every row of the table, as text.
    async fn dump(&self) -> Vec<String> {
        let scan = self.table.client.scan().table_name("auth").send().await.unwrap();
        scan.items.unwrap_or_default().iter().map(|row| format!("{row:?}")).collect()
    }

    /// Returns the events that are not published yet, oldest first.
    async fn events(&self) -> Vec<Value> {
        let scan = self.table.client.scan().table_name("auth").index_name("outbox").send().await.unwrap();
        let rows = scan.items.unwrap_or_default();
        let mut events: Vec<Value> =
            rows.iter().map(|row| serde_json::from_str(row["event"].as_s().unwrap()).unwrap()).collect();
        events.sort_by_key(|event| event["id"].as_str().unwrap().to_owned());
        events
    }
}

fn post(route: &str, body: &Value) -> ApiRequest {
    ApiRequest::new("POST", &format!("/api/auth/{route}")).json(body)
}

fn new_user(email: &str, role: &str) -> Value {
    json!({"email": email, "password": PASSWORD, "role": role})
}

/// Returns the statuses of responses, sorted.
fn statuses(responses: &[ApiResponse]) -> Vec<u16> {
    let mut statuses: Vec<u16> = responses.iter().map(|response| response.status).collect();
    statuses.sort_unstable();
    statuses
}
