//! Users, contacts, items and orders of a test, and requests.

use std::time::{Duration, Instant};

use erp_client::walkthrough::{Silent, Users, register_users};
use erp_client::{Client, Response};
use erp_domain::Settings;
use futures_util::StreamExt as _;
use futures_util::stream::iter;
use reqwest::Url;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::target::Target;

/// Deadline of an asynchronous effect, on a machine under load.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);
/// Concurrent requests of a test.
pub(crate) const CONCURRENCY: usize = 8;

/// The master data of a test: a customer, a vendor and two users.
pub(crate) struct Fixture {
    /// Client of a finance manager.
    pub(crate) finance: Client,
    /// Client of an inventory manager.
    pub(crate) inventory: Client,
    /// Id of the customer.
    pub(crate) customer: String,
    /// Id of the vendor.
    pub(crate) vendor: String,
}

/// Returns a unique word.
pub(crate) fn unique() -> String {
    Uuid::now_v7().simple().to_string()
}

/// Returns a unique e-mail address.
pub(crate) fn unique_email() -> String {
    format!("{}@example.com", unique())
}

/// Returns a random number generator. Prints its seed; `ERP_SEED` sets it.
pub(crate) fn random(test: &str) -> fastrand::Rng {
    let seed = Settings::from_env()
        .optional("ERP_SEED")
        .map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    eprintln!("{test}: ERP_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Sends a request. Panics with the error if there is no response.
pub(crate) async fn send(client: &Client, method: &str, path: &str, body: Option<&Value>) -> Response {
    client.send(method, path, body).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Sends a request with headers and a body that is already text.
pub(crate) async fn send_text(
    client: &Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response {
    let result = client.send_with(method, path, headers, Some(body.to_owned())).await;
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// Sends a request with headers and without a body.
pub(crate) async fn send_bare(
    client: &Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Response {
    client.send_with(method, path, headers, None).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Sends a `POST` until it succeeds or is rejected: a request without a response, and one with 429 or 5xx, is
/// retried with the same `Idempotency-Key`, until [`DEADLINE`].
pub(crate) async fn send_until_accepted(
    client: &Client,
    path: &str,
    key: &str,
    body: Option<&Value>,
) -> Response {
    send_until_accepted_within(DEADLINE, client, path, key, body).await
}

/// As [`send_until_accepted`], with another deadline.
pub(crate) async fn send_until_accepted_within(
    deadline: Duration,
    client: &Client,
    path: &str,
    key: &str,
    body: Option<&Value>,
) -> Response {
    let start = Instant::now();
    loop {
        let result =
            client.send_with("POST", path, &[("idempotency-key", key)], body.map(Value::to_string)).await;
        match result {
            Ok(response) if response.status < 500 && response.status != 429 => return response,
            other if start.elapsed() > deadline => panic!("not within {deadline:?}: {other:?}"),
            other => tokio::time::sleep(retry_after(other.ok().as_ref())).await,
        }
    }
}

/// Returns the pause before a retry: `Retry-After`, or 100 ms without it, with a jitter of one half.
pub(crate) fn retry_after(response: Option<&Response>) -> Duration {
    let seconds = response.and_then(|response| response.header("retry-after")?.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(0.1) * (0.5 + fastrand::f64()))
}

/// Runs `act` for every item, [`CONCURRENCY`] at a time. Returns the results in the order of completion.
pub(crate) async fn concurrently<T, F: Future>(
    items: impl IntoIterator<Item = T>,
    act: impl FnMut(T) -> F,
) -> Vec<F::Output> {
    iter(items.into_iter().map(act)).buffer_unordered(CONCURRENCY).collect().await
}

/// Returns the body of a contact with this name.
pub(crate) fn contact(name: &str) -> Value {
    json!({"name": name, "email": unique_email(), "phone": "+1 555 0100", "address": "1 Main Street"})
}

/// Returns the body of an item at this price.
pub(crate) fn item(price: &str) -> Value {
    json!({"name": "Laptop", "description": "14 inch", "sku": unique(), "unit_price": price})
}

impl Fixture {
    /// Creates the master data on a platform.
    pub(crate) async fn new(target: &Target) -> Self {
        Self::with_client(&target.client()).await
    }

    /// Creates the master data through a client.
    pub(crate) async fn with_client(client: &Client) -> Self {
        let users = register_users(client, &mut Silent).await;
        let Users { finance, inventory } = users.unwrap_or_else(|error| panic!("{error}"));
        Self::with_users(finance, inventory).await
    }

    /// Creates the contacts for existing users.
    pub(crate) async fn with_users(finance: Client, inventory: Client) -> Self {
        let customer = create(&inventory, "/api/customers", &contact("Acme")).await.text_at("/id");
        let vendor = create(&inventory, "/api/vendors", &contact("Globex")).await.text_at("/id");
        Self { finance, inventory, customer, vendor }
    }

    /// Creates an item with this stock. Returns its id.
    pub(crate) async fn create_item(&self, price: &str, stock: i64) -> String {
        let id = create(&self.inventory, "/api/items", &item(price)).await.text_at("/id");
        if stock > 0 {
            self.adjust(&id, stock).await;
        }
        id
    }

    /// Adjusts the stock of an item.
    pub(crate) async fn adjust(&self, item: &str, change: i64) {
        let body = json!({"quantity": change});
        let response = send(&self.inventory, "PUT", &format!("/api/items/{item}/stock"), Some(&body)).await;
        assert_eq!(response.status, 200, "{}", response.text);
    }

    /// Returns the body of a sales order with these lines.
    pub(crate) fn sales_order_request(&self, lines: &[(&str, i64)]) -> Value {
        json!({"customer_id": self.customer, "items": items(lines)})
    }

    /// Creates a draft sales order. Returns its path.
    pub(crate) async fn create_sales_order(&self, lines: &[(&str, i64)]) -> String {
        let response = create(&self.inventory, "/api/sales/orders", &self.sales_order_request(lines)).await;
        format!("/api/sales/orders/{}", response.text_at("/order/id"))
    }

    /// Creates a purchase order. Returns its path.
    pub(crate) async fn create_purchase_order(&self, lines: &[(&str, i64)]) -> String {
        let body = json!({"vendor_id": self.vendor, "items": items(lines)});
        let response = create(&self.inventory, "/api/purchase/orders", &body).await;
        format!("/api/purchase/orders/{}", response.text_at("/order/id"))
    }

    /// Sends a transition. Panics if it is rejected.
    pub(crate) async fn transition(&self, order: &str, transition: &str) {
        let response = send(&self.finance, "POST", &format!("{order}/{transition}"), None).await;
        assert_eq!(response.status, 200, "{}: {}", response.request, response.text);
    }

    /// Waits until an order has this stock status.
    pub(crate) async fn wait_for_stock_status(&self, order: &str, stock_status: &str) {
        let has_status = |response: &Response| response.text_at("/order/stock_status") == stock_status;
        let result =
            self.inventory.wait_for(&format!("{order} {stock_status}"), order, DEADLINE, has_status).await;
        result.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Returns the quantity of an item in stock.
    pub(crate) async fn stock(&self, item: &str) -> i64 {
        let response = send(&self.inventory, "GET", &format!("/api/items/{item}/stock"), None).await;
        response.data()["quantity"].as_i64().unwrap_or_else(|| panic!("{}", response.text))
    }

    /// Returns the data of an order.
    pub(crate) async fn read(&self, order: &str) -> Value {
        let response = send(&self.inventory, "GET", order, None).await;
        assert_eq!(response.status, 200, "{order}: {}", response.text);
        response.data()
    }

    /// Returns the events of an order, oldest first.
    pub(crate) async fn history(&self, order: &str) -> Vec<Value> {
        self.pages(&format!("{order}/events")).await
    }

    /// Returns all rows of a list, page by page.
    pub(crate) async fn pages(&self, path: &str) -> Vec<Value> {
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let page = format!("{path}{separator}limit=100{cursor}");
            let response = send(&self.inventory, "GET", &page, None).await;
            assert_eq!(response.status, 200, "{page}: {}", response.text);
            rows.extend(response.data().as_array().cloned().unwrap_or_default());
            match response.json()["meta"]["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows,
            }
        }
    }
}

fn items(lines: &[(&str, i64)]) -> Value {
    lines.iter().map(|(item, quantity)| json!({"item_id": item, "quantity": quantity})).collect()
}

/// Sends a `POST` that must return 201.
pub(crate) async fn create(client: &Client, path: &str, body: &Value) -> Response {
    let response = send(client, "POST", path, Some(body)).await;
    assert_eq!(response.status, 201, "{path}: {}", response.text);
    response
}

/// Returns the path of a created resource below the base URL: its `Location`, resolved against the URL of the
/// request (RFC 3986, section 5.2).
#[track_caller]
pub(crate) fn location(client: &Client, created: &Response) -> String {
    let (_, path) = created.request.split_once(' ').unwrap();
    let request = Url::parse(&format!("{}{path}", client.base())).unwrap();
    let location = created.header("location").unwrap_or_else(|| panic!("{path}: no Location"));
    let url = request.join(location).unwrap();
    let base = Url::parse(client.base()).unwrap();
    // The URL of an API in MiniStack has a prefix that requests do not contain; the stage comes after it.
    let stage = base.path().rsplit('/').next().filter(|_| base.path().starts_with("/_aws/"));
    let below_stage = stage.and_then(|stage| url.path().strip_prefix(&format!("/{stage}")));
    let path = url.as_str().strip_prefix(client.base()).or(below_stage);
    path.unwrap_or_else(|| panic!("{url} is not below {}", client.base())).to_owned()
}

/// Returns the body of the registration of an inventory manager.
pub(crate) fn registration(email: &str) -> Value {
    json!({"email": email, "password": "correct horse battery", "role": "inventory_manager"})
}

/// Registers a user with this role. Returns the e-mail address and a token.
pub(crate) async fn register(client: &Client, role: &str) -> (String, String) {
    let email = unique_email();
    let mut body = registration(&email);
    body["role"] = json!(role);
    create(client, "/api/auth/register", &body).await;
    let token = log_in(client, &email).await;
    (email, token)
}

/// Logs in a user of [`register`]. Returns a token.
pub(crate) async fn log_in(client: &Client, email: &str) -> String {
    let body = json!({"email": email, "password": "correct horse battery"});
    let response = send(client, "POST", "/api/auth/login", Some(&body)).await;
    assert_eq!(response.status, 200, "{}", response.text);
    response.text_at("/access_token")
}
