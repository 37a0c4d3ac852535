//! People, contacts, items and orders to test with.

use std::time::{Duration, Instant};

use erp_client::walkthrough::{Silent, Users, register_users};
use erp_client::{Client, Response};
use futures_util::StreamExt as _;
use futures_util::stream::iter;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::site::Site;

/// How long what happens behind the API may take, on a machine that has more to do.
pub(crate) const SOON: Duration = Duration::from_secs(90);
/// How many requests a test has on their way at once.
pub(crate) const AT_ONCE: usize = 8;

/// A shop of one test: its customer, its vendor and two people.
pub(crate) struct Shop {
    /// May do everything.
    pub(crate) finance: Client,
    /// Runs contacts, items, stock and orders.
    pub(crate) inventory: Client,
    /// Who buys.
    pub(crate) customer: String,
    /// Who sells.
    pub(crate) vendor: String,
}

/// A word that nobody had before.
pub(crate) fn unique() -> String {
    Uuid::now_v7().simple().to_string()
}

/// Random numbers that a failed test can be repeated with.
pub(crate) fn random(test: &str) -> fastrand::Rng {
    let given = std::env::var("ERP_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("{test}: ERP_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// The answer, with what went wrong if there is none.
pub(crate) async fn send(client: &Client, method: &str, path: &str, body: Option<&Value>) -> Response {
    client.send(method, path, body).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Sends a body that is already text, with headers.
pub(crate) async fn send_text(
    client: &Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response {
    let sent = client.send_with(method, path, headers, Some(body.to_owned())).await;
    sent.unwrap_or_else(|error| panic!("{error}"))
}

/// Sends a request without a body, with headers.
pub(crate) async fn send_bare(client: &Client, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    client.send_with(method, path, headers, None).await.unwrap_or_else(|error| panic!("{error}"))
}

/// As a client that does not give up: what is told to try again is sent again, as it was, with the same
/// `Idempotency-Key`.
pub(crate) async fn persist(client: &Client, path: &str, key: &str, body: Option<&Value>) -> Response {
    let began = Instant::now();
    loop {
        let sent =
            client.send_with("POST", path, &[("idempotency-key", key)], body.map(Value::to_string)).await;
        match sent {
            Ok(answer) if answer.status < 500 && answer.status != 429 => return answer,
            other if began.elapsed() > SOON => panic!("not within {SOON:?}: {other:?}"),
            Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(fastrand::u64(20..200))).await,
        }
    }
}

/// Does something to each, some at once, and gives the results in the order they came.
pub(crate) async fn each<T, F: Future>(
    things: impl IntoIterator<Item = T>,
    act: impl FnMut(T) -> F,
) -> Vec<F::Output> {
    iter(things.into_iter().map(act)).buffer_unordered(AT_ONCE).collect().await
}

/// A customer, vendor or user with this name.
pub(crate) fn contact(name: &str) -> Value {
    json!({"name": name, "email": format!("{}@example.com", unique()), "phone": "+1 555 0100", "address": "1 Main Street"})
}

/// An item at this price.
pub(crate) fn item(price: &str) -> Value {
    json!({"name": "Laptop", "description": "14 inch", "sku": unique(), "unit_price": price})
}

impl Shop {
    /// Opens one.
    pub(crate) async fn open(site: &Site) -> Self {
        Self::at(&site.client()).await
    }

    /// Opens one where a client sends its requests.
    pub(crate) async fn at(client: &Client) -> Self {
        let met = register_users(client, &mut Silent).await;
        let Users { finance, inventory } = met.unwrap_or_else(|error| panic!("{error}"));
        Self::with(finance, inventory).await
    }

    /// Opens one with people that there are.
    pub(crate) async fn with(finance: Client, inventory: Client) -> Self {
        let customer = create(&inventory, "/api/customers", &contact("Acme")).await.text_at("/id");
        let vendor = create(&inventory, "/api/vendors", &contact("Globex")).await.text_at("/id");
        Self { finance, inventory, customer, vendor }
    }

    /// The id of a new item with this stock.
    pub(crate) async fn item(&self, price: &str, stock: i64) -> String {
        let id = create(&self.inventory, "/api/items", &item(price)).await.text_at("/id");
        if stock > 0 {
            self.adjust(&id, stock).await;
        }
        id
    }

    /// Changes the stock of an item by hand.
    pub(crate) async fn adjust(&self, item: &str, change: i64) {
        let body = json!({"quantity": change});
        let answer = send(&self.inventory, "PUT", &format!("/api/items/{item}/stock"), Some(&body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// What a sales order of these lines is made from.
    pub(crate) fn sale(&self, lines: &[(&str, i64)]) -> Value {
        json!({"customer_id": self.customer, "items": items(lines)})
    }

    /// The path of a new draft.
    pub(crate) async fn order(&self, lines: &[(&str, i64)]) -> String {
        let answer = create(&self.inventory, "/api/sales/orders", &self.sale(lines)).await;
        format!("/api/sales/orders/{}", answer.text_at("/order/id"))
    }

    /// The path of a new purchase order.
    pub(crate) async fn purchase(&self, lines: &[(&str, i64)]) -> String {
        let body = json!({"vendor_id": self.vendor, "items": items(lines)});
        let answer = create(&self.inventory, "/api/purchase/orders", &body).await;
        format!("/api/purchase/orders/{}", answer.text_at("/order/id"))
    }

    /// Takes a transition, which must work.
    pub(crate) async fn transition(&self, order: &str, transition: &str) {
        let answer = send(&self.finance, "POST", &format!("{order}/{transition}"), None).await;
        assert_eq!(answer.status, 200, "{}: {}", answer.request, answer.text);
    }

    /// Waits until inventory has said this of an order.
    pub(crate) async fn wait_for_stock_status(&self, order: &str, stock_status: &str) {
        let so = |answer: &Response| answer.text_at("/order/stock_status") == stock_status;
        let waited = self.inventory.wait_for(&format!("{order} {stock_status}"), order, SOON, so).await;
        waited.unwrap_or_else(|error| panic!("{error}"));
    }

    /// How many there are.
    pub(crate) async fn stock(&self, item: &str) -> i64 {
        let answer = send(&self.inventory, "GET", &format!("/api/items/{item}/stock"), None).await;
        answer.data()["quantity"].as_i64().unwrap_or_else(|| panic!("{}", answer.text))
    }

    /// The data of an order.
    pub(crate) async fn read(&self, order: &str) -> Value {
        let answer = send(&self.inventory, "GET", order, None).await;
        assert_eq!(answer.status, 200, "{order}: {}", answer.text);
        answer.data()
    }

    /// Everything that happened to an order, oldest first.
    pub(crate) async fn history(&self, order: &str) -> Vec<Value> {
        self.pages(&format!("{order}/events")).await
    }

    /// All rows of a list, page by page.
    pub(crate) async fn pages(&self, path: &str) -> Vec<Value> {
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let page = format!("{path}{separator}limit=100{cursor}");
            let answer = send(&self.inventory, "GET", &page, None).await;
            assert_eq!(answer.status, 200, "{page}: {}", answer.text);
            rows.extend(answer.data().as_array().cloned().unwrap_or_default());
            match answer.json()["meta"]["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows,
            }
        }
    }
}

fn items(lines: &[(&str, i64)]) -> Value {
    lines.iter().map(|(item, quantity)| json!({"item_id": item, "quantity": quantity})).collect()
}

/// Creates something, which must work.
pub(crate) async fn create(client: &Client, path: &str, body: &Value) -> Response {
    let answer = send(client, "POST", path, Some(body)).await;
    assert_eq!(answer.status, 201, "{path}: {}", answer.text);
    answer
}

/// A user with this role: an address, and a token.
pub(crate) async fn register(client: &Client, role: &str) -> (String, String) {
    let email = format!("{}@example.com", unique());
    let body = json!({"email": email, "password": "correct horse battery", "role": role});
    create(client, "/api/auth/register", &body).await;
    let token = log_in(client, &email).await;
    (email, token)
}

/// A token for a user of [`register`].
pub(crate) async fn log_in(client: &Client, email: &str) -> String {
    let body = json!({"email": email, "password": "correct horse battery"});
    let answer = send(client, "POST", "/api/auth/login", Some(&body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.text_at("/access_token")
}
