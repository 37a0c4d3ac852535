//! Lists: newest first, by status, by customer, page by page.

use serde_json::{Value, json};

use crate::{House, ORDERS, id};

async fn ids(house: &House, query: &str) -> Vec<String> {
    let list = house.get(&format!("{ORDERS}?{query}")).await;
    assert_eq!(list.status, 200, "{query}: {}", list.text);
    assert_eq!(list.json()["message"], "Sales orders retrieved successfully");
    let ids = |order: &Value| order["id"].as_str().unwrap().to_owned();
    list.data().as_array().unwrap().iter().map(ids).collect()
}

#[tokio::test]
async fn orders_are_listed_newest_first_and_filtered_by_what_they_are() {
    let house = House::start().await;
    let (body, other) = (house.body(), house.body());
    let customer = body["customer_id"].as_str().unwrap();
    let mut orders = Vec::new();
    for n in 0..12 {
        let order = id(&house.create(if n % 3 == 0 { &other } else { &body }).await);
        if n % 2 == 0 {
            assert_eq!(house.act(&order, "confirm").await.status, 200);
        }
        orders.push(order);
    }
    let newest = |keep: &dyn Fn(usize) -> bool| -> Vec<String> {
        (0..12).rev().filter(|n| keep(*n)).map(|n| orders[n].clone()).collect()
    };
    assert_eq!(ids(&house, "limit=100").await, newest(&|_| true));
    assert_eq!(ids(&house, "").await, newest(&|n| n >= 2), "ten, if nothing is said");
    assert_eq!(ids(&house, "status=confirmed").await, newest(&|n| n % 2 == 0));
    assert_eq!(ids(&house, "status=draft").await, newest(&|n| n % 2 == 1));
    assert_eq!(ids(&house, "status=paid").await, newest(&|_| false));
    assert_eq!(ids(&house, &format!("customer_id={customer}")).await, newest(&|n| n % 3 != 0));
    assert_eq!(
        ids(&house, &format!("customer_id={customer}&status=confirmed")).await,
        newest(&|n| n % 3 != 0 && n % 2 == 0)
    );

    // What is listed is what is read, without the lines.
    let list = house.get(&format!("{ORDERS}?limit=1")).await;
    assert_eq!(list.data()[0], house.read(&orders[11]).await["order"]);
    assert!(list.text.contains(r#""total_amount":1800000.00"#), "{}", list.text);
}

#[tokio::test]
async fn a_cursor_leads_through_every_filter_while_orders_are_added() {
    let house = House::start().await;
    let body = house.body();
    let customer = body["customer_id"].as_str().unwrap();
    let mut orders = Vec::new();
    for n in 0..9 {
        let order = id(&house.create(&body).await);
        if n % 2 == 0 {
            assert_eq!(house.act(&order, "cancel").await.status, 200);
        }
        orders.insert(0, order);
    }
    let drafts: Vec<_> = orders.iter().skip(1).step_by(2).cloned().collect();
    for (filter, wanted) in [
        ("limit=2".to_owned(), &orders),
        ("limit=4&status=draft".to_owned(), &drafts),
        (format!("limit=2&customer_id={customer}"), &orders),
        (format!("limit=1&customer_id={customer}&status=draft"), &drafts),
    ] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let list = house.get(&format!("{ORDERS}?{filter}{cursor}")).await;
            let page = list.data().as_array().unwrap().clone();
            assert_eq!(list.json()["meta"]["count"], page.len());
            seen.extend(page.iter().map(|order| order["id"].as_str().unwrap().to_owned()));
            // A draft of somebody else, and newer than all that is being read.
            house.draft().await;
            match list.json()["meta"]["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let of_before: Vec<_> = seen.into_iter().filter(|id| orders.contains(id)).collect();
        assert_eq!(&of_before, wanted, "{filter}");
    }
}

#[tokio::test]
async fn a_query_that_makes_no_sense_names_its_parameter() {
    let house = House::start().await;
    for (query, parameter) in [
        ("status=received", "status"),
        ("status=Draft", "status"),
        ("status=draft&status=paid", "status"),
        ("customer_id=7", "customer_id"),
        ("vendor_id=01890000-0000-7000-8000-000000000001", "vendor_id"),
        ("limit=0", "limit"),
    ] {
        let refused = house.get(&format!("{ORDERS}?{query}")).await;
        assert_eq!(
            (refused.status, refused.faults()),
            (400, vec![parameter.to_owned()]),
            "{query}: {}",
            refused.text
        );
    }
    let refused = house.get(&format!("{ORDERS}?status=shipped")).await;
    assert_eq!(
        refused.json()["errors"],
        json!([{"parameter": "status", "detail": "must be one of draft, confirmed, paid, cancelled"}])
    );
}

#[tokio::test]
async fn the_history_of_an_order_is_read_page_by_page_oldest_first() {
    let house = House::start().await;
    let id = house.order(&["confirm", "pay"]).await;
    let path = format!("{ORDERS}/{id}/events");
    let all = house.get(&path).await;
    assert_eq!(all.json()["message"], "Sales order events retrieved successfully");
    assert_eq!(all.json()["meta"], json!({"limit": 10, "offset": 0, "count": 2, "next_cursor": null}));
    let first = house.get(&format!("{path}?limit=1")).await;
    assert_eq!(first.data(), json!([all.data()[0]]));
    let next = first.json()["meta"]["next_cursor"].as_str().unwrap().to_owned();
    let second = house.get(&format!("{path}?limit=1&cursor={next}")).await;
    assert_eq!(
        (second.data(), &second.json()["meta"]["next_cursor"]),
        (json!([all.data()[1]]), &json!(null))
    );
    assert_eq!(house.get(&format!("{path}?offset=7")).await.data(), json!([]));
    assert_eq!(house.get(&format!("{path}?status=draft")).await.status, 400);
    let draft = house.draft().await;
    assert_eq!(house.events(&draft).await, Vec::<Value>::new());
}
