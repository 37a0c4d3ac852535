//! One `Idempotency-Key` while the database fails at the worst moment: the effect and the response to it are both there,
//! or neither is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use erp_client::{Client, Response};
use erp_local::dynamodb::{Call, Fault, Intercept};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::assertions;
use crate::fixture::{Fixture, contact, create, send, unique};
use crate::target::Target;

/// When a commit that keeps an response breaks off.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// Nothing was written.
    Before,
    /// All was written, and the function does not know.
    After,
}

/// Breaks off every transaction that keeps an response.
struct BreakOff {
    when: When,
    broken: AtomicUsize,
}

impl BreakOff {
    fn fault(&self, call: &Call<'_>, when: When) -> Option<Fault> {
        let actions =
            call.body["TransactItems"].as_array().filter(|_| call.operation == "TransactWriteItems")?;
        let keeps = |action: &&Value| {
            let key = action["Put"]["Item"]["pk"]["S"].as_str();
            key.is_some_and(|key| key.starts_with("IDEMPOTENCY#"))
        };
        // A refusal is kept by itself: it has no effect to go with.
        if self.when != when || actions.len() < 2 || !actions.iter().any(|action| keeps(&action)) {
            return None;
        }
        self.broken.fetch_add(1, Ordering::SeqCst);
        // An error that the SDK does not try again by itself: as if the function had ended here.
        Some(Fault::Error {
            status: StatusCode::BAD_REQUEST,
            code: "AccessDeniedException".to_owned(),
            message: "not now".to_owned(),
        })
    }
}

impl Intercept for BreakOff {
    fn before(&self, call: &Call<'_>) -> Option<Fault> {
        self.fault(call, When::Before)
    }

    fn after(&self, call: &Call<'_>) -> Option<Fault> {
        self.fault(call, When::After)
    }
}

/// A request that changes something, and what it leads to if it is done once.
struct Change {
    client: Client,
    method: &'static str,
    path: String,
    body: Option<Value>,
    key: String,
    status: u16,
    /// In the response's body.
    says: (&'static str, Value),
}

impl Change {
    fn new(
        client: &Client,
        (method, path): (&'static str, impl Into<String>),
        body: impl Into<Option<Value>>,
        status: u16,
        says: (&'static str, Value),
    ) -> Self {
        Self {
            client: client.clone(),
            method,
            path: path.into(),
            body: body.into(),
            key: unique(),
            status,
            says,
        }
    }

    async fn send(&self) -> Response {
        let body = self.body.as_ref().map(Value::to_string);
        let headers = [("idempotency-key", self.key.as_str())];
        let sent = self.client.send_with(self.method, &self.path, &headers, body).await;
        sent.unwrap_or_else(|error| panic!("{error}"))
    }

    /// It was done, once; says whether the response is a kept one.
    #[track_caller]
    fn once(&self, response: &Response) -> bool {
        assertions::success(response, self.status);
        let (pointer, wanted) = &self.says;
        assert_eq!(response.json().pointer(pointer), Some(wanted), "{}: {}", response.request, response.text);
        response.header("idempotent-replayed").is_some()
    }
}

/// One of each kind of change that keeps an response: doing it twice is another version, another quantity, or a refusal.
async fn changes(target: &Target, fixture: &Fixture) -> Vec<Change> {
    let client = target.client();
    let (finance, inventory) = (&fixture.finance, &fixture.inventory);
    let item = fixture.create_item("1.00", 10).await;
    let lines = json!([{"item_id": item, "quantity": 1}]);
    let sale = json!({"customer_id": fixture.customer, "items": lines});
    let purchase = json!({"vendor_id": fixture.vendor, "items": lines});
    let customer = create(inventory, "/api/customers", &contact("Acme")).await.text_at("/id");
    let draft = async || fixture.create_sales_order(&[(&item, 1)]).await;
    let bought = async || fixture.create_purchase_order(&[(&item, 1)]).await;
    let paid = draft().await;
    fixture.transition(&paid, "confirm").await;

    let email = format!("{}@example.com", unique());
    let user = |email: &str| json!({"email": email, "password": "correct horse battery", "role": "inventory_manager"});
    create(&client, "/api/auth/register", &user(&email)).await;
    let asked = send(&client, "POST", "/api/auth/forgot-password", Some(&json!({"email": email}))).await;
    let token = asked.text_at("/reset_token");
    let reset = json!({"reset_token": token, "new_password": "battery horse correct"});

    let (version, order) = ("/data/version", "/data/order/version");
    let first = || json!(1);
    vec![
        Change::new(
            &client,
            ("POST", "/api/auth/register"),
            user(&format!("{}@example.com", unique())),
            201,
            ("/status", json!(201)),
        ),
        Change::new(&client, ("POST", "/api/auth/reset-password"), reset, 200, ("/status", json!(200))),
        Change::new(inventory, ("POST", "/api/customers"), contact("Acme"), 201, (version, first())),
        Change::new(inventory, ("POST", "/api/vendors"), contact("Globex"), 201, (version, first())),
        Change::new(
            inventory,
            ("PUT", format!("/api/customers/{customer}")),
            contact("Acme"),
            200,
            (version, json!(2)),
        ),
        Change::new(inventory, ("POST", "/api/items"), crate::fixture::item("1.00"), 201, (version, first())),
        Change::new(
            inventory,
            ("PUT", format!("/api/items/{item}")),
            crate::fixture::item("2.00"),
            200,
            (version, json!(2)),
        ),
        Change::new(
            inventory,
            ("PUT", format!("/api/items/{}/stock", fixture.create_item("1.00", 3).await)),
            json!({"quantity": 4}),
            200,
            ("/data/quantity", json!(7)),
        ),
        Change::new(inventory, ("POST", "/api/sales/orders"), sale.clone(), 201, (order, first())),
        Change::new(inventory, ("PUT", draft().await), sale, 200, (order, json!(2))),
        Change::new(inventory, ("POST", format!("{}/confirm", draft().await)), None, 200, (order, json!(2))),
        Change::new(inventory, ("POST", format!("{}/cancel", draft().await)), None, 200, (order, json!(2))),
        Change::new(finance, ("POST", format!("{paid}/pay")), None, 200, (order, json!(3))),
        Change::new(inventory, ("POST", "/api/purchase/orders"), purchase.clone(), 201, (order, first())),
        Change::new(inventory, ("PUT", bought().await), purchase, 200, (order, json!(2))),
        Change::new(inventory, ("POST", format!("{}/receive", bought().await)), None, 200, (order, json!(2))),
        Change::new(inventory, ("POST", format!("{}/cancel", bought().await)), None, 200, (order, json!(2))),
    ]
}

#[tokio::test]
async fn an_effect_and_its_answer_are_both_there_or_neither_is() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("commits that break off") else { return };
    for when in [When::Before, When::After] {
        let fixture = Fixture::new(&target).await;
        let changes = changes(&target, &fixture).await;
        let [sales, purchases] = [
            format!("/api/sales/orders?customer_id={}", fixture.customer),
            format!("/api/purchase/orders?vendor_id={}", fixture.vendor),
        ];
        let there = (fixture.pages(&sales).await.len(), fixture.pages(&purchases).await.len());

        let broken = Arc::new(BreakOff { when, broken: AtomicUsize::new(0) });
        platform.dynamodb().set_intercept(Some(broken.clone()));
        for change in &changes {
            // Whatever happened, the client is told that it may ask again, and not that it failed.
            assertions::problem(&change.send().await, 503, "service_unavailable");
        }
        platform.dynamodb().set_intercept(None);
        assert_eq!(broken.broken.load(Ordering::SeqCst), changes.len(), "each response goes with its effect");

        for change in &changes {
            let again = change.send().await;
            assert_eq!(change.once(&again), when == When::After, "{}: {}", again.request, again.text);
            let last = change.send().await;
            assert!(change.once(&last) && last.text == again.text, "{}: {}", last.request, last.text);
        }
        let now = (fixture.pages(&sales).await.len(), fixture.pages(&purchases).await.len());
        assert_eq!(now, (there.0 + 1, there.1 + 1), "one order of each was created");
    }
}
