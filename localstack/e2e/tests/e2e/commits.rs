//! Failing transactions of requests with an `Idempotency-Key`: the effect and the stored response are both
//! committed, or neither is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use erp_client::{Client, Response};
use erp_local::dynamodb::{Call, Fault, Intercept};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::assertions;
use crate::fixture::{Fixture, contact, create, registration, send, unique, unique_email};
use crate::target::Target;

/// The moment at which a transaction that stores a response fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// Before it is committed.
    Before,
    /// After it is committed: the function does not get the response.
    After,
}

/// Fails every transaction that stores a response.
struct FailCommits {
    when: When,
    failed: AtomicUsize,
}

impl FailCommits {
    fn fault(&self, call: &Call<'_>, when: When) -> Option<Fault> {
        let actions =
            call.body["TransactItems"].as_array().filter(|_| call.operation == "TransactWriteItems")?;
        let stores_response = |action: &&Value| {
            let key = action["Put"]["Item"]["pk"]["S"].as_str();
            key.is_some_and(|key| key.starts_with("IDEMPOTENCY#"))
        };
        if self.when != when || !actions.iter().any(|action| stores_response(&action)) {
            return None;
        }
        self.failed.fetch_add(1, Ordering::SeqCst);
        // The SDK does not retry this error, as if the function had ended here.
        Some(Fault::Error {
            status: StatusCode::BAD_REQUEST,
            code: "AccessDeniedException".to_owned(),
            message: "not now".to_owned(),
        })
    }
}

impl Intercept for FailCommits {
    fn before(&self, call: &Call<'_>) -> Option<Fault> {
        self.fault(call, When::Before)
    }

    fn after(&self, call: &Call<'_>) -> Option<Fault> {
        self.fault(call, When::After)
    }
}

/// A request with an effect, and the response that shows that it took effect once.
struct Change {
    client: Client,
    method: &'static str,
    path: String,
    body: Option<Value>,
    key: String,
    status: u16,
    /// Pointer and value in the body of the response.
    expected: (&'static str, Value),
}

impl Change {
    fn new(
        client: &Client,
        (method, path): (&'static str, impl Into<String>),
        body: impl Into<Option<Value>>,
        status: u16,
        expected: (&'static str, Value),
    ) -> Self {
        Self {
            client: client.clone(),
            method,
            path: path.into(),
            body: body.into(),
            key: unique(),
            status,
            expected,
        }
    }

    async fn send(&self) -> Response {
        let body = self.body.as_ref().map(Value::to_string);
        let headers = [("idempotency-key", self.key.as_str())];
        let result = self.client.send_with(self.method, &self.path, &headers, body).await;
        result.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Asserts that the request took effect once. Returns whether the response is a stored one.
    #[track_caller]
    fn assert_once(&self, response: &Response) -> bool {
        assertions::success(response, self.status);
        let (pointer, expected) = &self.expected;
        assert_eq!(
            response.json().pointer(pointer),
            Some(expected),
            "{}: {}",
            response.request,
            response.text
        );
        response.header("idempotent-replayed").is_some()
    }
}

/// Returns a request of every route that stores a response. A second effect would show as another version,
/// another quantity, or a rejection.
async fn changes(target: &Target, fixture: &Fixture) -> Vec<Change> {
    let client = target.client();
    let (finance, inventory) = (&fixture.finance, &fixture.inventory);
    let item = fixture.create_item("1.00", 10).await;
    let lines = json!([{"item_id": item, "quantity": 1}]);
    let sale = json!({"customer_id": fixture.customer, "items": lines});
    let purchase = json!({"vendor_id": fixture.vendor, "items": lines});
    let customer = create(inventory, "/api/customers", &contact("Acme")).await.text_at("/id");
    let draft = async || fixture.create_sales_order(&[(&item, 1)]).await;
    let purchase_order = async || fixture.create_purchase_order(&[(&item, 1)]).await;
    let paid = draft().await;
    fixture.transition(&paid, "confirm").await;

    let email = unique_email();
    create(&client, "/api/auth/register", &registration(&email)).await;
    let forgot = send(&client, "POST", "/api/auth/forgot-password", Some(&json!({"email": email}))).await;
    let token = forgot.text_at("/reset_token");
    let reset = json!({"reset_token": token, "new_password": "battery horse correct"});

    let (version, order) = ("/data/version", "/data/order/version");
    let first = || json!(1);
    vec![
        Change::new(
            &client,
            ("POST", "/api/auth/register"),
            registration(&unique_email()),
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
        Change::new(inventory, ("PUT", purchase_order().await), purchase, 200, (order, json!(2))),
        Change::new(
            inventory,
            ("POST", format!("{}/receive", purchase_order().await)),
            None,
            200,
            (order, json!(2)),
        ),
        Change::new(
            inventory,
            ("POST", format!("{}/cancel", purchase_order().await)),
            None,
            200,
            (order, json!(2)),
        ),
    ]
}

#[tokio::test]
async fn an_effect_and_its_stored_response_are_committed_together() {
    let target = Target::own().await;
    let Some(platform) = target.platform_or_skip("failing transactions") else { return };
    for when in [When::Before, When::After] {
        let fixture = Fixture::new(&target).await;
        let changes = changes(&target, &fixture).await;
        let [sales, purchases] = [
            format!("/api/sales/orders?customer_id={}", fixture.customer),
            format!("/api/purchase/orders?vendor_id={}", fixture.vendor),
        ];
        let before = (fixture.pages(&sales).await.len(), fixture.pages(&purchases).await.len());

        let failing = Arc::new(FailCommits { when, failed: AtomicUsize::new(0) });
        platform.dynamodb().set_intercept(Some(failing.clone()));
        for change in &changes {
            // The outcome is unknown, so the response is 503: the client may retry.
            assertions::problem(&change.send().await, 503, "service_unavailable");
        }
        platform.dynamodb().set_intercept(None);
        assert_eq!(
            failing.failed.load(Ordering::SeqCst),
            changes.len(),
            "every response is stored in a transaction"
        );

        for change in &changes {
            let again = change.send().await;
            assert_eq!(change.assert_once(&again), when == When::After, "{}: {}", again.request, again.text);
            let last = change.send().await;
            assert!(change.assert_once(&last) && last.text == again.text, "{}: {}", last.request, last.text);
        }
        let after = (fixture.pages(&sales).await.len(), fixture.pages(&purchases).await.len());
        assert_eq!(after, (before.0 + 1, before.1 + 1), "one order of each was created");
    }
}
