//! The walkthrough of the API: register and log in; create a vendor, a customer, an item; purchase 50, sell 20, sell
//! more than the stock, fulfil the back-order by a receipt; cancel; pay. Every response is checked.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{Client, Error, Response};

/// Time limit for asynchronous effects, such as an allocation.
const EFFECT_TIMEOUT: Duration = Duration::from_secs(60);

/// Receives the steps of the walkthrough, such as to print them.
pub trait Observer: Send {
    /// A section begins.
    fn section(&mut self, title: &str);
    /// A request was sent with this body, and this is the response.
    fn request(&mut self, response: &Response, body: Option<&Value>);
    /// An asynchronous effect was observed.
    fn effect(&mut self, text: &str);
}

/// Ignores the steps.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn section(&mut self, _: &str) {}
    fn request(&mut self, _: &Response, _: Option<&Value>) {}
    fn effect(&mut self, _: &str) {}
}

/// Clients of two signed-in users, one of each role.
#[derive(Debug, Clone)]
pub struct Users {
    /// A finance manager.
    pub finance: Client,
    /// An inventory manager.
    pub inventory: Client,
}

struct Walkthrough<'a> {
    client: Client,
    observer: &'a mut dyn Observer,
}

impl Walkthrough<'_> {
    async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Option<Value>,
        status: u16,
    ) -> Result<Response, Error> {
        let response = self.client.send(method, path, body.as_ref()).await?;
        self.observer.request(&response, body.as_ref());
        response.expect(status)
    }

    /// Sends a transition, which has no body.
    async fn transition(&mut self, path: &str, status: u16) -> Result<Response, Error> {
        self.call("POST", path, None, status).await
    }

    async fn stock(&mut self, item: &str, quantity: i64) -> Result<(), Error> {
        let path = format!("/api/items/{item}/stock");
        let what = format!("a stock of {quantity}");
        let condition = |response: &Response| response.data()["quantity"] == quantity;
        let response = self.client.wait_for(&what, &path, EFFECT_TIMEOUT, condition).await?;
        self.observer.request(&response, None);
        Ok(())
    }

    async fn stock_status(&mut self, order: &str, status: &str) -> Result<(), Error> {
        let what = format!("the stock status {status}");
        let condition = |response: &Response| response.text_at("/order/stock_status") == status;
        self.client.wait_for(&what, order, EFFECT_TIMEOUT, condition).await?;
        self.observer.effect(&format!("the stock status of the order becomes {status}"));
        Ok(())
    }

    async fn events(&mut self, order: &str) -> Result<(), Error> {
        let response = self.call("GET", &format!("{order}/events"), None, 200).await?;
        for event in response.data().as_array().into_iter().flatten() {
            let field = |name: &str| event[name].as_str().unwrap_or("?").to_owned();
            self.observer.effect(&format!("{}  {}", field("time"), field("type")));
        }
        Ok(())
    }
}

/// Registers a user with this role, logs in, and returns a client with the token. Where registration is closed, this
/// works for the first user only.
///
/// # Errors
/// When a response is not the expected one.
pub async fn register_and_log_in(
    client: &Client,
    role: &str,
    observer: &mut dyn Observer,
) -> Result<Client, Error> {
    let email = format!("{role}-{}@example.com", uuid::Uuid::now_v7().simple());
    let body = json!({"email": email, "password": "correct horse battery", "role": role});
    let shown = json!({"email": email, "password": "…", "role": role});
    let response = client.send("POST", "/api/auth/register", Some(&body)).await?;
    observer.request(&response, Some(&shown));
    response.expect(201)?;
    let body = json!({"email": email, "password": "correct horse battery"});
    let shown = json!({"email": email, "password": "…"});
    let response = client.send("POST", "/api/auth/login", Some(&body)).await?;
    let token = response.text_at("/access_token");
    let mut hidden = response.clone();
    hidden.text = hidden.text.replace(&token, "…");
    observer.request(&hidden, Some(&shown));
    response.check(!token.is_empty(), "a token")?;
    Ok(client.with_token(token))
}

/// Registers and logs in one user of each role.
///
/// # Errors
/// When a response is not the expected one.
pub async fn register_users(client: &Client, observer: &mut dyn Observer) -> Result<Users, Error> {
    let finance = register_and_log_in(client, "finance_manager", observer).await?;
    let inventory = register_and_log_in(client, "inventory_manager", observer).await?;
    Ok(Users { finance, inventory })
}

/// Runs the walkthrough.
///
/// # Errors
/// At the first response that is not the expected one.
pub async fn walkthrough(client: &Client, observer: &mut dyn Observer) -> Result<(), Error> {
    observer.section("Register and log in: a finance manager and an inventory manager");
    let users = register_users(client, observer).await?;
    let unique = uuid::Uuid::now_v7().simple().to_string();
    let mut steps = Walkthrough { client: users.inventory.clone(), observer };

    steps.observer.section("Create a vendor, a customer and an item");
    let contact = |name: &str| {
        let email = format!("{}-{unique}@example.com", name.to_lowercase());
        json!({"name": name, "email": email, "phone": "+1 555 0100", "address": "1 Main Street"})
    };
    let vendor = steps.call("POST", "/api/vendors", Some(contact("Globex")), 201).await?.text_at("/id");
    let customer = steps.call("POST", "/api/customers", Some(contact("Acme")), 201).await?.text_at("/id");
    let item = json!({"name": "Laptop", "description": "14 inch", "sku": format!("lap-{unique}"), "unit_price": 1800});
    let item = steps.call("POST", "/api/items", Some(item), 201).await?.text_at("/id");
    steps.stock(&item, 0).await?;

    steps.observer.section("Purchase 50 and receive them");
    let lines =
        |quantity: i64, price: &str| json!([{"item_id": item, "quantity": quantity, "unit_price": price}]);
    let order = json!({"vendor_id": vendor, "items": lines(50, "1200.00")});
    let purchase = steps.call("POST", "/api/purchase/orders", Some(order), 201).await?.text_at("/order/id");
    let purchase = format!("/api/purchase/orders/{purchase}");
    steps.transition(&format!("{purchase}/receive"), 200).await?;
    steps.stock(&item, 50).await?;

    steps.observer.section("Sell 20 and confirm");
    let sale =
        |quantity: i64| json!({"customer_id": customer, "items": [{"item_id": item, "quantity": quantity}]});
    let created = steps.call("POST", "/api/sales/orders", Some(sale(20)), 201).await?;
    let total = created.text.contains(r#""total_amount":36000.00"#);
    let first = format!("/api/sales/orders/{}", created.text_at("/order/id"));
    created.check(total, "a total of 36000.00, at the item's price")?;
    steps.transition(&format!("{first}/confirm"), 200).await?;
    steps.stock_status(&first, "allocated").await?;
    steps.stock(&item, 30).await?;
    steps.observer.effect("a second confirm is an illegal transition:");
    steps.transition(&format!("{first}/confirm"), 409).await?;

    steps.observer.section("Sell 45 with a stock of 30: `require_stock` rejects the confirm");
    let second = steps.call("POST", "/api/sales/orders", Some(sale(45)), 201).await?.text_at("/order/id");
    let second = format!("/api/sales/orders/{second}");
    let require_stock = json!({"require_stock": true});
    steps.call("POST", &format!("{second}/confirm"), Some(require_stock), 409).await?;

    steps.observer.section("Confirm it as a back-order, which the next receipt fulfils");
    steps.transition(&format!("{second}/confirm"), 200).await?;
    steps.stock_status(&second, "backordered").await?;
    steps.stock(&item, 30).await?;
    let order = json!({"vendor_id": vendor, "items": lines(20, "1150.00")});
    let refill = steps.call("POST", "/api/purchase/orders", Some(order), 201).await?.text_at("/order/id");
    steps.transition(&format!("/api/purchase/orders/{refill}/receive"), 200).await?;
    steps.stock_status(&second, "allocated").await?;
    steps.stock(&item, 5).await?;

    steps.observer.section("Cancel it: its stock is released");
    steps.transition(&format!("{second}/cancel"), 200).await?;
    steps.stock_status(&second, "released").await?;
    steps.stock(&item, 50).await?;
    steps.events(&second).await?;

    steps.observer.section("Pay both: only a finance manager may");
    steps.transition(&format!("{first}/pay"), 403).await?;
    steps.client = users.finance.clone();
    steps.transition(&format!("{first}/pay"), 200).await?;
    steps.transition(&format!("{purchase}/pay"), 200).await?;

    steps.observer.section("List the movements, which add up to the stock");
    let path = format!("/api/items/{item}/movements");
    let sum = |response: &Response| -> i64 {
        response.data().as_array().into_iter().flatten().filter_map(|row| row["change"].as_i64()).sum()
    };
    let five = |response: &Response| response.json()["meta"]["count"] == 5 && sum(response) == 50;
    let movements =
        steps.client.wait_for("five movements that add up to 50", &path, EFFECT_TIMEOUT, five).await?;
    steps.observer.request(&movements, None);
    let changes = movements
        .data()
        .as_array()
        .into_iter()
        .flatten()
        .rev()
        .map(|row| row["change"].to_string())
        .collect::<Vec<_>>();
    steps.observer.effect(&format!("{} = 50", changes.join(" + ").replace("+ -", "- ")));
    Ok(())
}
