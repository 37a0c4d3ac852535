//! One request of each route, and what must be there before it.

use std::collections::BTreeMap;

use erp_auth::access::{RULES, Rule};
use erp_client::Client;
use erp_local::platform::Platform;
use serde_json::{Value, json};

use crate::fixture::{Fixture, concurrently, contact, create, item, log_in, register, send, unique};

/// Rows in each list: more than a page in every shard, so that every shard reads a whole page.
const LISTED: usize = 120;

/// What is measured: a route, and how it is asked where that matters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    pub(super) rule: &'static Rule,
    pub(super) how: How,
}

/// How a route is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// As most clients do: an order of one line, a token that API Gateway has seen.
    Plain,
    /// An order of so many lines.
    Lines(usize),
    /// With an `Idempotency-Key`.
    Key,
    /// With a token that API Gateway has not seen in five minutes.
    NewToken,
}

/// A request that is ready to be sent.
pub(super) struct Ready {
    pub(super) client: Client,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) key: Option<String>,
}

impl Operation {
    /// Every route, and some in more than one way.
    pub(super) fn all() -> Vec<Self> {
        let ways = |rule: &'static Rule| {
            let more: &[How] = match (rule.method, rule.path) {
                ("GET", "/api/items/{id}") => &[How::NewToken],
                ("POST", "/api/sales/orders") => &[How::Key, How::Lines(10)],
                ("POST", "/api/sales/orders/{id}/confirm" | "/api/purchase/orders/{id}/receive") => {
                    &[How::Lines(10)]
                }
                _ => &[],
            };
            [How::Plain].into_iter().chain(more.iter().copied()).map(move |how| Self { rule, how })
        };
        RULES.iter().flat_map(ways).collect()
    }

    /// What it is called in the table.
    pub(super) fn name(&self) -> String {
        let how = match self.how {
            How::Plain => String::new(),
            How::Lines(lines) => format!(", {lines} lines"),
            How::Key => ", with `Idempotency-Key`".to_owned(),
            How::NewToken => ", token not seen before".to_owned(),
        };
        format!("`{} {}`{how}", self.rule.method, self.rule.path)
    }

    /// Passwords that it hashes.
    pub(super) fn hashed(&self) -> f64 {
        match self.rule.path {
            "/api/auth/register" | "/api/auth/login" | "/api/auth/reset-password" => 1.0,
            _ => 0.0,
        }
    }
}

/// What the requests need.
pub(super) struct Scene {
    fixture: Fixture,
    anybody: Client,
    services: BTreeMap<String, String>,
}

impl Scene {
    /// Opens a fixture and fills its lists.
    pub(super) async fn open(platform: &Platform) -> Self {
        let anybody = Client::new(platform.base_url());
        let fixture = Fixture::with_client(&anybody).await;
        let functions = &platform.deployment().functions;
        let services = functions.iter().find_map(|function| function.environment.get("SERVICE_CREDENTIALS"));
        let item = fixture.create_item("12.50", 0).await;
        concurrently(0..LISTED, async |_| {
            create(&fixture.inventory, "/api/customers", &contact("Acme")).await;
            create(&fixture.inventory, "/api/vendors", &contact("Globex")).await;
            fixture.create_item("12.50", 0).await;
            fixture.create_sales_order(&[(&item, 1)]).await;
            fixture.create_purchase_order(&[(&item, 1)]).await;
        })
        .await;
        Self { fixture, anybody, services: serde_json::from_str(services.unwrap()).unwrap() }
    }

    /// Makes an operation ready.
    pub(super) async fn ready(&self, operation: &Operation) -> Ready {
        let (path, body) = match operation.rule.path {
            path if path.starts_with("/api/auth/") => {
                (path.to_owned(), Some(self.authentication(path).await))
            }
            path if path.starts_with("/api/") => self.business(operation).await,
            path => (path.replace("{proxy+}", "index.html"), None),
        };
        let client = match operation.how {
            How::NewToken => self.anybody.with_token(register(&self.anybody, "inventory_manager").await.1),
            _ if path.starts_with("/api/auth/") => self.anybody.clone(),
            _ => self.fixture.finance.clone(),
        };
        Ready { client, path, body, key: (operation.how == How::Key).then(unique) }
    }

    async fn authentication(&self, path: &str) -> Value {
        let password = "correct horse battery";
        if path == "/api/auth/register" {
            return json!({"email": format!("{}@example.com", unique()), "password": password, "role": "inventory_manager"});
        }
        if path == "/api/auth/service-token" {
            return json!({"service_name": "integration", "service_secret": self.services["integration"]});
        }
        let (email, _) = register(&self.anybody, "inventory_manager").await;
        match path {
            "/api/auth/login" => {
                log_in(&self.anybody, &email).await;
                json!({"email": email, "password": password})
            }
            "/api/auth/forgot-password" => json!({"email": email}),
            "/api/auth/reset-password" => {
                let asked = json!({"email": email});
                let asked = send(&self.anybody, "POST", "/api/auth/forgot-password", Some(&asked)).await;
                json!({"reset_token": asked.text_at("/reset_token"), "new_password": "another correct horse"})
            }
            _ => panic!("say here how {path} is asked"),
        }
    }

    async fn business(&self, operation: &Operation) -> (String, Option<Value>) {
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
        let count = if let How::Lines(lines) = operation.how { lines } else { 1 };
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
        // What must have happened: a confirmed sale can be paid and has stock to give back.
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
