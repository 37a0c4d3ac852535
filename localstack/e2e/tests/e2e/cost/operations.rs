//! A request of each route, and the data that it needs.

use std::collections::BTreeMap;

use erp_auth::access::{RULES, Rule};
use erp_client::Client;
use erp_local::platform::Platform;
use serde_json::{Value, json};

use crate::fixture::{
    Fixture, concurrently, contact, create, item, log_in, register, registration, send, unique, unique_email,
};
use crate::target::environment;

/// Rows of each list: more than a page in every shard of the index, so that every shard reads a whole page.
const LIST_ROWS: usize = 120;

/// A measured operation: a route, in one of its variants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    pub(super) rule: &'static Rule,
    pub(super) variant: Variant,
}

/// A property of a request that changes its usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// An order of one line, without an `Idempotency-Key`, with a token in the cache of the authorizer.
    Plain,
    /// An order of this number of lines.
    Lines(usize),
    /// With an `Idempotency-Key`.
    Key,
    /// With a token that is not in the cache of the authorizer.
    NewToken,
}

/// A request whose data exists.
pub(super) struct PreparedRequest {
    pub(super) client: Client,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) key: Option<String>,
}

impl Operation {
    /// Returns every route, some in several variants.
    pub(super) fn all() -> Vec<Self> {
        let operations = |rule: &'static Rule| {
            let variants: &[Variant] = match (rule.method, rule.path) {
                ("GET", "/api/items/{id}") => &[Variant::NewToken],
                ("POST", "/api/sales/orders") => &[Variant::Key, Variant::Lines(10)],
                ("POST", "/api/sales/orders/{id}/confirm" | "/api/purchase/orders/{id}/receive") => {
                    &[Variant::Lines(10)]
                }
                _ => &[],
            };
            [Variant::Plain]
                .into_iter()
                .chain(variants.iter().copied())
                .map(move |variant| Self { rule, variant })
        };
        RULES.iter().flat_map(operations).collect()
    }

    /// Returns the name in the table.
    pub(super) fn name(&self) -> String {
        let variant = match self.variant {
            Variant::Plain => String::new(),
            Variant::Lines(lines) => format!(", {lines} lines"),
            Variant::Key => ", with `Idempotency-Key`".to_owned(),
            Variant::NewToken => ", token not cached".to_owned(),
        };
        format!("`{} {}`{variant}", self.rule.method, self.rule.path)
    }

    /// Returns the number of passwords that the operation hashes.
    pub(super) fn password_hashes(&self) -> f64 {
        match self.rule.path {
            "/api/auth/register" | "/api/auth/login" | "/api/auth/reset-password" => 1.0,
            _ => 0.0,
        }
    }
}

/// The users and resources that the requests need.
pub(super) struct Preparation {
    fixture: Fixture,
    anonymous: Client,
    services: BTreeMap<String, String>,
}

impl Preparation {
    /// Creates a fixture and fills the lists.
    pub(super) async fn new(platform: &Platform) -> Self {
        let anonymous = Client::new(platform.base_url());
        let fixture = Fixture::with_client(&anonymous).await;
        let services = environment(platform, "SERVICE_CREDENTIALS");
        let item = fixture.create_item("12.50", 0).await;
        concurrently(0..LIST_ROWS, async |_| {
            create(&fixture.inventory, "/api/customers", &contact("Acme")).await;
            create(&fixture.inventory, "/api/vendors", &contact("Globex")).await;
            fixture.create_item("12.50", 0).await;
            fixture.create_sales_order(&[(&item, 1)]).await;
            fixture.create_purchase_order(&[(&item, 1)]).await;
        })
        .await;
        Self { fixture, anonymous, services: serde_json::from_str(&services).unwrap() }
    }

    /// Creates the data of a request.
    pub(super) async fn prepare(&self, operation: &Operation) -> PreparedRequest {
        let (path, body) = match operation.rule.path {
            path if path.starts_with("/api/auth/") => (path.to_owned(), Some(self.auth_body(path).await)),
            path if path.starts_with("/api/") => self.resource(operation).await,
            path => (path.replace("{proxy+}", "index.html"), None),
        };
        let client = match operation.variant {
            Variant::NewToken => {
                self.anonymous.with_token(register(&self.anonymous, "inventory_manager").await.1)
            }
            _ if path.starts_with("/api/auth/") => self.anonymous.clone(),
            _ => self.fixture.finance.clone(),
        };
        PreparedRequest { client, path, body, key: (operation.variant == Variant::Key).then(unique) }
    }

    async fn auth_body(&self, path: &str) -> Value {
        let password = "correct horse battery";
        if path == "/api/auth/register" {
            return registration(&unique_email());
        }
        if path == "/api/auth/service-token" {
            return json!({"service_name": "integration", "service_secret": self.services["integration"]});
        }
        let (email, _) = register(&self.anonymous, "inventory_manager").await;
        match path {
            "/api/auth/login" => {
                log_in(&self.anonymous, &email).await;
                json!({"email": email, "password": password})
            }
            "/api/auth/forgot-password" => json!({"email": email}),
            "/api/auth/reset-password" => {
                let body = json!({"email": email});
                let forgot = send(&self.anonymous, "POST", "/api/auth/forgot-password", Some(&body)).await;
                json!({"reset_token": forgot.text_at("/reset_token"), "new_password": "another correct horse"})
            }
            _ => panic!("add a body for {path} here"),
        }
    }

    async fn resource(&self, operation: &Operation) -> (String, Option<Value>) {
        let (method, path) = (operation.rule.method, operation.rule.path);
        let fixture = &self.fixture;
        if path.starts_with("/api/sales/") || path.starts_with("/api/purchase/") {
            return self.order(operation).await;
        }
        let new = if path.starts_with("/api/items") { item("12.50") } else { contact("Acme") };
        if !path.contains("{id}") {
            return (path.to_owned(), (method == "POST").then_some(new));
        }
        let collection = path.split("/{id}").next().unwrap();
        let id = create(&fixture.inventory, collection, &new).await.text_at("/id");
        let body = match (method, path) {
            ("PUT", "/api/items/{id}/stock") => Some(json!({"quantity": 5})),
            ("PUT", _) => {
                let mut changed = new;
                changed["name"] = json!("Another name");
                Some(changed)
            }
            (_, "/api/items/{id}/movements") => {
                for _ in 0..10 {
                    fixture.adjust(&id, 1).await;
                }
                None
            }
            _ => None,
        };
        (path.replace("{id}", &id), body)
    }

    async fn order(&self, operation: &Operation) -> (String, Option<Value>) {
        let (method, path) = (operation.rule.method, operation.rule.path);
        let (fixture, sales) = (&self.fixture, path.starts_with("/api/sales/"));
        let count = if let Variant::Lines(lines) = operation.variant { lines } else { 1 };
        if (method, path.contains("{id}")) == ("GET", false) {
            return (path.to_owned(), None);
        }
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(fixture.create_item("12.50", 10).await);
        }
        let lines: Vec<(&str, i64)> = items.iter().map(|item| (item.as_str(), 2)).collect();
        let body = if sales {
            fixture.sales_order_request(&lines)
        } else {
            let items: Vec<_> = items.iter().map(|item| json!({"item_id": item, "quantity": 2})).collect();
            json!({"vendor_id": fixture.vendor, "items": items})
        };
        if !path.contains("{id}") {
            return (path.to_owned(), Some(body));
        }
        let order = if sales {
            fixture.create_sales_order(&lines).await
        } else {
            fixture.create_purchase_order(&lines).await
        };
        // A confirmed sales order can be paid, and its cancellation releases stock.
        match (path.rsplit('/').next(), sales) {
            (Some("pay" | "cancel" | "events"), true) => {
                fixture.transition(&order, "confirm").await;
                fixture.wait_for_stock_status(&order, "allocated").await;
            }
            (Some("pay" | "events"), false) => fixture.transition(&order, "receive").await,
            _ => {}
        }
        let suffix = path.split("{id}").nth(1).unwrap_or_default();
        (format!("{order}{suffix}"), (method == "PUT").then_some(body))
    }
}
