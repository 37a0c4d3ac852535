//! Limits of values: quantities, prices, lines, texts.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::assertions;
use crate::fixture::{Fixture, contact, create, location, send, send_text, unique};
use crate::target::Target;

/// Asserts that every amount in the text of a response has exactly two decimals.
#[track_caller]
fn assert_exact_money(text: &str) {
    let mut amounts = 0;
    for name in ["\"unit_price\":", "\"subtotal\":", "\"total_amount\":"] {
        for after in text.split(name).skip(1) {
            let amount: String = after.chars().take_while(|c| !matches!(c, ',' | '}')).collect();
            let decimals = amount
                .split_once('.')
                .map(|(whole, decimals)| (whole.parse::<u64>().is_ok(), decimals.len()));
            assert_eq!(decimals, Some((true, 2)), "{amount} in {text}");
            amounts += 1;
        }
    }
    assert!(amounts > 0, "no amount in {text}");
}

#[tokio::test]
async fn a_quantity_is_a_whole_number_from_one() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 0).await;
    let line = |quantity: &str| format!(r#"{{"item_id":"{item}","quantity":{quantity}}}"#);
    let order = |lines: &[String]| {
        format!(r#"{{"customer_id":"{}","items":[{}]}}"#, fixture.customer, lines.join(","))
    };
    let bad = [
        "0",
        "-1",
        "1.5",
        "1e2",
        "\"3\"",
        "1000000000000000000",
        "null",
        "true",
        "[]",
        "99999999999999999999",
    ];
    let lines: Vec<_> = bad.iter().map(|quantity| line(quantity)).collect();
    let pointers: Vec<_> = (0..bad.len()).map(|index| format!("/items/{index}/quantity")).collect();
    let response = send_text(&fixture.inventory, "POST", "/api/sales/orders", &[], &order(&lines)).await;
    assertions::validation_errors(&response, &pointers.iter().map(String::as_str).collect::<Vec<_>>());
    for good in ["1", "1.0", "1000000000"] {
        let response =
            send_text(&fixture.inventory, "POST", "/api/sales/orders", &[], &order(&[line(good)])).await;
        assertions::success(&response, 201);
        assert_exact_money(&response.text);
    }

    let stock = format!("/api/items/{item}/stock");
    for (body, pointer) in [
        (r#"{"quantity": 0}"#, "/quantity"),
        (r#"{"quantity": 1.5}"#, "/quantity"),
        (r#"{"quantity": "1"}"#, "/quantity"),
        (r#"{"quantity": 1000000000000000000}"#, "/quantity"),
        (r#"{"set_to": -1}"#, "/set_to"),
        (r#"{"set_to": 1, "expected": -1}"#, "/expected"),
        (r#"{"quantity": 1, "set_to": 1}"#, "/set_to"),
        ("{}", "/quantity"),
    ] {
        assertions::validation_errors(
            &send_text(&fixture.inventory, "PUT", &stock, &[], body).await,
            &[pointer],
        );
    }
    assert_eq!(fixture.stock(&item).await, 0);
}

#[tokio::test]
async fn a_price_is_exact_or_rejected_and_never_rounded() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let body = |price: &str| format!(r#"{{"name":"x","sku":"{}","unit_price":{price}}}"#, unique());
    for (price, shown) in [
        ("0", "0.00"),
        ("0.1", "0.10"),
        ("0.10", "0.10"),
        ("\"12.34\"", "12.34"),
        ("12", "12.00"),
        ("4.35", "4.35"),
        ("1.15", "1.15"),
        ("9999999999999.99", "9999999999999.99"),
    ] {
        let response = send_text(&fixture.inventory, "POST", "/api/items", &[], &body(price)).await;
        assertions::success(&response, 201);
        assert!(response.text.contains(&format!("\"unit_price\":{shown},")), "{price}: {}", response.text);
        let again = send(&fixture.inventory, "GET", &location(&fixture.inventory, &response), None).await;
        assert!(again.text.contains(&format!("\"unit_price\":{shown},")), "{price}: {}", again.text);
    }
    for price in [
        "0.005",
        "1e3",
        "1E3",
        "-1",
        "-0.01",
        "\"abc\"",
        "\"\"",
        "\"1e3\"",
        "\"1,5\"",
        "10000000000000",
        "1.000",
        "true",
        "null",
        "[]",
    ] {
        assertions::validation_errors(
            &send_text(&fixture.inventory, "POST", "/api/items", &[], &body(price)).await,
            &["/unit_price"],
        );
    }
}

#[tokio::test]
async fn totals_are_exact() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let (dime, free, expensive) = (
        fixture.create_item("0.1", 0).await,
        fixture.create_item("0", 0).await,
        fixture.create_item("9999999999999.99", 0).await,
    );
    let order = json!({"customer_id": fixture.customer, "items": [
        {"item_id": dime, "quantity": 3},
        {"item_id": free, "quantity": 1_000_000_000},
        {"item_id": dime, "quantity": 7, "unit_price": "0.07"},
        {"item_id": free, "quantity": 1, "unit_price": 0},
    ]});
    let created = create(&fixture.inventory, "/api/sales/orders", &order).await;
    let order = location(&fixture.inventory, &created);
    let list = format!("/api/sales/orders?customer_id={}", fixture.customer);
    for path in [order.as_str(), &list] {
        let response = send(&fixture.inventory, "GET", path, None).await;
        assert_exact_money(&response.text);
        assert!(response.text.contains("\"total_amount\":0.79,"), "{}", response.text);
    }
    let subtotals: Vec<_> =
        created.text.split("\"subtotal\":").skip(1).filter_map(|rest| rest.split('}').next()).collect();
    assert_eq!(subtotals, ["0.30", "0.00", "0.49", "0.00"], "in the order of the lines");

    // An amount beyond the limit is rejected: first per line, then the total.
    let over = fixture.sales_order_request(&[(&expensive, 2), (&dime, 1), (&expensive, 1_000_000_000)]);
    let response = send(&fixture.inventory, "POST", "/api/sales/orders", Some(&over)).await;
    assertions::validation_errors(&response, &["/items/0/quantity", "/items/2/quantity"]);
    let over = fixture.sales_order_request(&[(&expensive, 1), (&dime, 1)]);
    assertions::validation_errors(
        &send(&fixture.inventory, "POST", "/api/sales/orders", Some(&over)).await,
        &["/items"],
    );
    create(
        &fixture.inventory,
        "/api/sales/orders",
        &fixture.sales_order_request(&[(&expensive, 1), (&free, 1)]),
    )
    .await;
}

#[tokio::test]
async fn an_order_has_1_to_99_lines_in_the_order_of_the_request() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let mut items = Vec::new();
    for _ in 0..99 {
        items.push(fixture.create_item("1.00", 0).await);
    }
    let lines: Vec<_> = items.iter().map(|item| (item.as_str(), 2)).collect();
    let order = fixture.create_sales_order(&lines).await;
    let ids = |data: &Value| -> Vec<String> {
        let lines = data["items"].as_array().into_iter().flatten();
        lines.map(|line| line["item_id"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(ids(&fixture.read(&order).await), items);
    let hundred = [lines.clone(), vec![(items[0].as_str(), 1)]].concat();
    for bad in [
        fixture.sales_order_request(&hundred),
        fixture.sales_order_request(&[]),
        json!({"customer_id": fixture.customer}),
    ] {
        assertions::validation_errors(
            &send(&fixture.inventory, "POST", "/api/sales/orders", Some(&bad)).await,
            &["/items"],
        );
    }

    // Receipt and allocation of 99 items: the items and the allocation fill one transaction.
    let purchase = fixture.create_purchase_order(&lines).await;
    fixture.transition(&purchase, "receive").await;
    fixture.transition(&order, "confirm").await;
    fixture.wait_for_stock_status(&order, "allocated").await;
    for item in [&items[0], &items[50], &items[98]] {
        let path = format!("/api/items/{item}/movements");
        let condition = |response: &erp_client::Response| response.json()["meta"]["count"] == 2;
        let movements =
            fixture.inventory.wait_for("two movements", &path, crate::fixture::DEADLINE, condition).await;
        let movements = movements.unwrap_or_else(|error| panic!("{error}")).data();
        assert_eq!(
            movements[0]["change"].as_i64().zip(movements[1]["change"].as_i64()),
            Some((-2, 2)),
            "{movements}"
        );
        assert_eq!(fixture.stock(item).await, 0);
    }
}

#[tokio::test]
async fn lines_of_the_same_item_are_allocated_together() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 5).await;
    let enough = fixture.create_sales_order(&[(&item, 2), (&item, 1)]).await;
    let short = fixture.create_sales_order(&[(&item, 2), (&item, 2)]).await;
    for (order, stock_status) in [(&enough, "allocated"), (&short, "backordered")] {
        fixture.transition(order, "confirm").await;
        fixture.wait_for_stock_status(order, stock_status).await;
    }
    assert_eq!(fixture.stock(&item).await, 2, "one order is allocated as a whole, the other not at all");
    let path = format!("/api/items/{item}/movements");
    let condition = |response: &erp_client::Response| response.json()["meta"]["count"] == 2;
    let movements = fixture
        .inventory
        .wait_for("one movement for both lines", &path, crate::fixture::DEADLINE, condition)
        .await;
    assert_eq!(movements.unwrap_or_else(|error| panic!("{error}")).data()[0]["change"], -3);
}

#[tokio::test]
async fn unknown_parties_and_items_of_an_order_are_reported_at_once() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 0).await;
    let gone = fixture.create_item("1.00", 0).await;
    assertions::success(&send(&fixture.finance, "DELETE", &format!("/api/items/{gone}"), None).await, 200);
    for (path, party) in [("/api/sales/orders", "customer_id"), ("/api/purchase/orders", "vendor_id")] {
        let lines = [Uuid::now_v7().to_string(), item.clone(), gone.clone()];
        let lines: Value = lines.iter().map(|item| json!({"item_id": item, "quantity": 1})).collect();
        let body = json!({party: Uuid::now_v7(), "items": lines});
        let pointer = format!("/{party}");
        let response = send(&fixture.inventory, "POST", path, Some(&body)).await;
        assertions::validation_errors(&response, &[&pointer, "/items/0/item_id", "/items/2/item_id"]);
    }
    // A vendor and a deleted customer are not customers.
    let mut sale = fixture.sales_order_request(&[(&item, 1)]);
    sale["customer_id"] = json!(fixture.vendor);
    assertions::validation_errors(
        &send(&fixture.inventory, "POST", "/api/sales/orders", Some(&sale)).await,
        &["/customer_id"],
    );
    let order = fixture.create_sales_order(&[(&item, 1)]).await;
    assertions::success(
        &send(&fixture.finance, "DELETE", &format!("/api/customers/{}", fixture.customer), None).await,
        200,
    );
    let again = send(
        &fixture.inventory,
        "POST",
        "/api/sales/orders",
        Some(&fixture.sales_order_request(&[(&item, 1)])),
    )
    .await;
    assertions::validation_errors(&again, &["/customer_id"]);
    assert_eq!(
        fixture.read(&order).await["order"]["customer_id"],
        fixture.customer,
        "the order keeps its data"
    );
}

#[tokio::test]
async fn texts_are_measured_in_characters_and_normalised() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let body_with = |name: &str, value: String| {
        let mut body = contact("Acme");
        body[name] = json!(value);
        body
    };
    for (field, max) in [("name", 255), ("phone", 50), ("address", 500)] {
        for letter in ["a", "é", "漢", "🦀"] {
            let created =
                create(&fixture.inventory, "/api/customers", &body_with(field, letter.repeat(max))).await;
            assert_eq!(created.data()[field], letter.repeat(max));
            let over = body_with(field, letter.repeat(max + 1));
            let pointer = format!("/{field}");
            assertions::validation_errors(
                &send(&fixture.inventory, "POST", "/api/customers", Some(&over)).await,
                &[&pointer],
            );
        }
    }
    // Stored trimmed and composed (NFC); nothing else changes.
    let odd = "  U\u{308}nï \"quoted\" \\ 'x' </script> {{7*7}} %s e\u{301} ";
    let created = create(&fixture.inventory, "/api/customers", &body_with("name", odd.to_owned())).await;
    let found = send(&fixture.inventory, "GET", &location(&fixture.inventory, &created), None).await;
    assert_eq!(found.text_at("/name"), "Ünï \"quoted\" \\ 'x' </script> {{7*7}} %s é");
    let lines = body_with("address", "1 Main Street\r\nSpringfield".to_owned());
    let created = create(&fixture.inventory, "/api/customers", &lines).await;
    assert_eq!(created.text_at("/address"), "1 Main Street\nSpringfield");
    for bad in ["", "   ", "a\u{7}b", "\u{0}", "a\u{200d}b", "\u{202e}a", "\u{200b}"] {
        let response =
            send(&fixture.inventory, "POST", "/api/customers", Some(&body_with("name", bad.to_owned())))
                .await;
        assertions::validation_errors(&response, &["/name"]);
    }

    let sku = |sku: String| json!({"name": "x", "sku": sku, "unit_price": 0});
    let tail = unique();
    let longest = format!("{}{tail}", "ä".repeat(100 - tail.len()));
    let created = create(&fixture.inventory, "/api/items", &sku(format!(" {longest} "))).await;
    assert_eq!(created.text_at("/sku"), longest.to_uppercase());
    for bad in [format!("x{longest}"), String::new(), "  ".to_owned()] {
        assertions::validation_errors(
            &send(&fixture.inventory, "POST", "/api/items", Some(&sku(bad))).await,
            &["/sku"],
        );
    }
}
