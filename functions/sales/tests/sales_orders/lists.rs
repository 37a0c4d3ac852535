//! Lists: newest first, by status, by customer, page by page.

use serde_json::{Value, json};

use crate::{ORDERS, TestService, id};

async fn ids(service: &TestService, query: &str) -> Vec<String> {
    let list = service.get(&format!("{ORDERS}?{query}")).await;
    assert_eq!(list.status, 200, "{query}: {}", list.text);
    assert_eq!(list.json()["message"], "Sales orders retrieved successfully");
    let ids = |order: &Value| order["id"].as_str().unwrap().to_owned();
    list.data().as_array().unwrap().iter().map(ids).collect()
}

#[tokio::test]
async fn orders_are_listed_newest_first_by_status_and_customer() {
    let service = TestService::start().await;
    let (body, other) = (service.body(), service.body());
    let customer = body["customer_id"].as_str().unwrap();
    let mut orders = Vec::new();
    for n in 0..12 {
        let order = id(&service.create(if n % 3 == 0 { &other } else { &body }).await);
        if n % 2 == 0 {
            assert_eq!(service.act(&order, "confirm").await.status, 200);
        }
        orders.push(order);
    }
    let newest = |keep: &dyn Fn(usize) -> bool| -> Vec<String> {
        (0..12).rev().filter(|n| keep(*n)).map(|n| orders[n].clone()).collect()
    };
    assert_eq!(ids(&service, "limit=100").await, newest(&|_| true));
    assert_eq!(ids(&service, "").await, newest(&|n| n >= 2), "ten by default");
    assert_eq!(ids(&service, "status=confirmed").await, newest(&|n| n % 2 == 0));
    assert_eq!(ids(&service, "status=draft").await, newest(&|n| n % 2 == 1));
    assert_eq!(ids(&service, "status=paid").await, newest(&|_| false));
    assert_eq!(ids(&service, &format!("customer_id={customer}")).await, newest(&|n| n % 3 != 0));
    assert_eq!(
        ids(&service, &format!("customer_id={customer}&status=confirmed")).await,
        newest(&|n| n % 3 != 0 && n % 2 == 0)
    );

    // A list contains what a single order has, without the lines.
    let list = service.get(&format!("{ORDERS}?limit=1")).await;
    assert_eq!(list.data()[0], service.read(&orders[11]).await["order"]);
    assert!(list.text.contains(r#""total_amount":1800000.00"#), "{}", list.text);
}

#[tokio::test]
async fn a_cursor_pages_through_every_filter_while_orders_are_added() {
    let service = TestService::start().await;
    let body = service.body();
    let customer = body["customer_id"].as_str().unwrap();
    let mut orders = Vec::new();
    for n in 0..9 {
        let order = id(&service.create(&body).await);
        if n % 2 == 0 {
            assert_eq!(service.act(&order, "cancel").await.status, 200);
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
            let list = service.get(&format!("{ORDERS}?{filter}{cursor}")).await;
            let page = list.data().as_array().unwrap().clone();
            assert_eq!(list.json()["meta"]["count"], page.len());
            seen.extend(page.iter().map(|order| order["id"].as_str().unwrap().to_owned()));
            // A draft of another customer, newer than the orders of the pages.
            service.draft().await;
            match list.json()["meta"]["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let existing: Vec<_> = seen.into_iter().filter(|id| orders.contains(id)).collect();
        assert_eq!(&existing, wanted, "{filter}");
    }
}

#[tokio::test]
async fn an_invalid_query_names_its_parameter() {
    let service = TestService::start().await;
    for (query, parameter) in [
        ("status=received", "status"),
        ("status=Draft", "status"),
        ("status=draft&status=paid", "status"),
        ("customer_id=7", "customer_id"),
        ("vendor_id=01890000-0000-7000-8000-000000000001", "vendor_id"),
        ("limit=0", "limit"),
    ] {
        let rejected = service.get(&format!("{ORDERS}?{query}")).await;
        assert_eq!(
            (rejected.status, rejected.invalid_fields()),
            (400, vec![parameter.to_owned()]),
            "{query}: {}",
            rejected.text
        );
    }
    let rejected = service.get(&format!("{ORDERS}?status=shipped")).await;
    assert_eq!(
        rejected.json()["errors"],
        json!([{"parameter": "status", "detail": "must be one of draft, confirmed, paid, cancelled"}])
    );
}

#[tokio::test]
async fn the_events_of_an_order_are_paged_oldest_first() {
    let service = TestService::start().await;
    let id = service.order(&["confirm", "pay"]).await;
    let path = format!("{ORDERS}/{id}/events");
    let all = service.get(&path).await;
    assert_eq!(all.json()["message"], "Sales order events retrieved successfully");
    assert_eq!(all.json()["meta"], json!({"limit": 10, "offset": 0, "count": 2, "next_cursor": null}));
    let first = service.get(&format!("{path}?limit=1")).await;
    assert_eq!(first.data(), json!([all.data()[0]]));
    let next = first.json()["meta"]["next_cursor"].as_str().unwrap().to_owned();
    let second = service.get(&format!("{path}?limit=1&cursor={next}")).await;
    assert_eq!(
        (second.data(), &second.json()["meta"]["next_cursor"]),
        (json!([all.data()[1]]), &json!(null))
    );
    assert_eq!(service.get(&format!("{path}?offset=7")).await.data(), json!([]));
    assert_eq!(service.get(&format!("{path}?status=draft")).await.status, 400);
    let draft = service.draft().await;
    assert_eq!(service.events(&draft).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_cursor_of_another_list_is_rejected() {
    let service = TestService::start().await;
    let body = service.body();
    for _ in 0..2 {
        service.create(&body).await;
    }
    let customer = body["customer_id"].as_str().unwrap();
    let events = format!("/{}/events?", service.order(&["confirm"]).await);
    let lists = ["?".to_owned(), "?status=draft&".to_owned(), format!("?customer_id={customer}&")];
    let without_a_page =
        ["?status=paid&".to_owned(), format!("?customer_id={}&", service.customer()), events];
    for list in &lists {
        let first = service.get(&format!("{ORDERS}{list}limit=1")).await;
        let cursor = first.json()["meta"]["next_cursor"].as_str().unwrap().to_owned();
        for other in lists.iter().chain(&without_a_page) {
            let page = service.get(&format!("{ORDERS}{other}cursor={cursor}")).await;
            let expected = if other == list { (200, vec![]) } else { (400, vec!["cursor".to_owned()]) };
            assert_eq!((page.status, page.invalid_fields()), expected, "the cursor of {list} at {other}");
        }
    }
}
