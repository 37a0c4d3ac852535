//! The walk through the API: register and log in; a vendor, a customer, an item; buy 50, sell 20, sell more than
//! there is, be told so, have it served by a receipt; cancel; pay. Every answer is checked.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{Answer, Client, Error};

/// How long what happens behind the API may take.
const SOON: Duration = Duration::from_secs(60);

/// Watches the walk.
pub trait Observer: Send {
    /// A chapter begins.
    fn chapter(&mut self, title: &str);
    /// A request was sent and this came back; the body sent, if there was one.
    fn request(&mut self, answer: &Answer, body: Option<&Value>);
    /// Something happened behind the API.
    fn effect(&mut self, text: &str);
}

/// Watches and says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn chapter(&mut self, _: &str) {}
    fn request(&mut self, _: &Answer, _: Option<&Value>) {}
    fn effect(&mut self, _: &str) {}
}

/// The two people of the walk.
#[derive(Debug, Clone)]
pub struct People {
    /// May do everything.
    pub finance: Client,
    /// Runs contacts, items, stock and orders.
    pub inventory: Client,
}

struct Walk<'a> {
    client: Client,
    observer: &'a mut dyn Observer,
}

impl Walk<'_> {
    async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Option<Value>,
        status: u16,
    ) -> Result<Answer, Error> {
        let answer = self.client.send(method, path, body.as_ref()).await?;
        self.observer.request(&answer, body.as_ref());
        answer.expect(status)
    }

    /// A transition, which needs no body.
    async fn transition(&mut self, path: &str, status: u16) -> Result<Answer, Error> {
        self.call("POST", path, None, status).await
    }

    async fn stock(&mut self, item: &str, quantity: i64) -> Result<(), Error> {
        let path = format!("/api/items/{item}/stock");
        let so = |answer: &Answer| answer.data()["quantity"] == quantity;
        let answer = self.client.wait_for(&format!("a stock of {quantity}"), &path, SOON, so).await?;
        self.observer.request(&answer, None);
        Ok(())
    }

    async fn stock_status(&mut self, order: &str, status: &str) -> Result<(), Error> {
        let so = |answer: &Answer| answer.text_at("/order/stock_status") == status;
        self.client.wait_for(&format!("an order that is {status}"), order, SOON, so).await?;
        self.observer.effect(&format!("a moment later the order is {status}"));
        Ok(())
    }

    async fn events(&mut self, order: &str) -> Result<(), Error> {
        let answer = self.call("GET", &format!("{order}/events"), None, 200).await?;
        for event in answer.data().as_array().into_iter().flatten() {
            let field = |name: &str| event[name].as_str().unwrap_or("?").to_owned();
            self.observer.effect(&format!("{}  {}", field("time"), field("type")));
        }
        Ok(())
    }
}

/// A user with this role, registered and logged in. On a closed platform this only works for its first user.
///
/// # Errors
/// When an answer is not the one that must come.
pub async fn log_in(client: &Client, role: &str, observer: &mut dyn Observer) -> Result<Client, Error> {
    let email = format!("{role}-{}@example.com", uuid::Uuid::now_v7().simple());
    let body = json!({"email": email, "password": "correct horse battery", "role": role});
    let shown = json!({"email": email, "password": "…", "role": role});
    let answer = client.send("POST", "/api/auth/register", Some(&body)).await?;
    observer.request(&answer, Some(&shown));
    answer.expect(201)?;
    let body = json!({"email": email, "password": "correct horse battery"});
    let shown = json!({"email": email, "password": "…"});
    let answer = client.send("POST", "/api/auth/login", Some(&body)).await?;
    let token = answer.text_at("/access_token");
    let mut hidden = answer.clone();
    hidden.text = hidden.text.replace(&token, "…");
    observer.request(&hidden, Some(&shown));
    answer.check(!token.is_empty(), "a token")?;
    Ok(client.with_token(token))
}

/// Registers and logs in one of each role.
///
/// # Errors
/// When an answer is not the one that must come.
pub async fn people(client: &Client, observer: &mut dyn Observer) -> Result<People, Error> {
    let finance = log_in(client, "finance_manager", observer).await?;
    let inventory = log_in(client, "inventory_manager", observer).await?;
    Ok(People { finance, inventory })
}

/// Walks.
///
/// # Errors
/// At the first answer that is not the one that must come.
pub async fn walk(client: &Client, observer: &mut dyn Observer) -> Result<(), Error> {
    observer.chapter("Two people register and log in");
    let people = people(client, observer).await?;
    let unique = uuid::Uuid::now_v7().simple().to_string();
    let mut walk = Walk { client: people.inventory.clone(), observer };

    walk.observer.chapter("A vendor, a customer, an item");
    let contact = |name: &str| {
        let email = format!("{}-{unique}@example.com", name.to_lowercase());
        json!({"name": name, "email": email, "phone": "+1 555 0100", "address": "1 Main Street"})
    };
    let vendor = walk.call("POST", "/api/vendors", Some(contact("Globex")), 201).await?.text_at("/id");
    let customer = walk.call("POST", "/api/customers", Some(contact("Acme")), 201).await?.text_at("/id");
    let item = json!({"name": "Laptop", "description": "14 inch", "sku": format!("lap-{unique}"), "unit_price": 1800});
    let item = walk.call("POST", "/api/items", Some(item), 201).await?.text_at("/id");
    walk.stock(&item, 0).await?;

    walk.observer.chapter("Buy 50, and receive them");
    let lines =
        |quantity: i64, price: &str| json!([{"item_id": item, "quantity": quantity, "unit_price": price}]);
    let order = json!({"vendor_id": vendor, "items": lines(50, "1200.00")});
    let purchase = walk.call("POST", "/api/purchase/orders", Some(order), 201).await?.text_at("/order/id");
    let purchase = format!("/api/purchase/orders/{purchase}");
    walk.transition(&format!("{purchase}/receive"), 200).await?;
    walk.stock(&item, 50).await?;

    walk.observer.chapter("Sell 20, and confirm");
    let sale =
        |quantity: i64| json!({"customer_id": customer, "items": [{"item_id": item, "quantity": quantity}]});
    let created = walk.call("POST", "/api/sales/orders", Some(sale(20)), 201).await?;
    let total = created.text.contains(r#""total_amount":36000.00"#);
    let first = format!("/api/sales/orders/{}", created.text_at("/order/id"));
    created.check(total, "a total of 36000.00, at the item's price")?;
    walk.transition(&format!("{first}/confirm"), 200).await?;
    walk.stock_status(&first, "allocated").await?;
    walk.stock(&item, 30).await?;
    walk.observer.effect("confirming again is refused:");
    walk.transition(&format!("{first}/confirm"), 409).await?;

    walk.observer.chapter("Sell 45 when there are 30: look first, and be refused");
    let second = walk.call("POST", "/api/sales/orders", Some(sale(45)), 201).await?.text_at("/order/id");
    let second = format!("/api/sales/orders/{second}");
    let look = json!({"require_stock": true});
    walk.call("POST", &format!("{second}/confirm"), Some(look), 409).await?;

    walk.observer.chapter("Sell them all the same: the order waits, and is served by the next receipt");
    walk.transition(&format!("{second}/confirm"), 200).await?;
    walk.stock_status(&second, "backordered").await?;
    walk.stock(&item, 30).await?;
    let order = json!({"vendor_id": vendor, "items": lines(20, "1150.00")});
    let refill = walk.call("POST", "/api/purchase/orders", Some(order), 201).await?.text_at("/order/id");
    walk.transition(&format!("/api/purchase/orders/{refill}/receive"), 200).await?;
    walk.stock_status(&second, "allocated").await?;
    walk.stock(&item, 5).await?;

    walk.observer.chapter("Cancel it: everything comes back");
    walk.transition(&format!("{second}/cancel"), 200).await?;
    walk.stock_status(&second, "released").await?;
    walk.stock(&item, 50).await?;
    walk.events(&second).await?;

    walk.observer.chapter("Pay both: only finance may");
    walk.transition(&format!("{first}/pay"), 403).await?;
    walk.client = people.finance.clone();
    walk.transition(&format!("{first}/pay"), 200).await?;
    walk.transition(&format!("{purchase}/pay"), 200).await?;

    walk.observer.chapter("What moved: it adds up");
    let path = format!("/api/items/{item}/movements");
    let sum = |answer: &Answer| -> i64 {
        answer.data().as_array().into_iter().flatten().filter_map(|row| row["change"].as_i64()).sum()
    };
    let five = |answer: &Answer| answer.json()["meta"]["count"] == 5 && sum(answer) == 50;
    let movements = walk.client.wait_for("five movements that add up to 50", &path, SOON, five).await?;
    walk.observer.request(&movements, None);
    let changes = movements
        .data()
        .as_array()
        .into_iter()
        .flatten()
        .rev()
        .map(|row| row["change"].to_string())
        .collect::<Vec<_>>();
    walk.observer.effect(&format!("{} = 50", changes.join(" + ").replace("+ -", "- ")));
    Ok(())
}
