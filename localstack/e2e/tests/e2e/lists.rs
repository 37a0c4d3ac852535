//! Lists: pages, filters, and invalid queries.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::assertions;
use crate::fixture::{Fixture, contact, create, send};
use crate::target::Target;

const LISTS: [&str; 5] =
    ["/api/customers", "/api/vendors", "/api/items", "/api/sales/orders", "/api/purchase/orders"];

#[tokio::test]
async fn an_invalid_query_names_its_parameters() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    for list in LISTS {
        for (query, parameters) in [
            ("limit=0", vec!["limit"]),
            ("limit=101", vec!["limit"]),
            ("limit=x", vec!["limit"]),
            ("limit=-1&offset=-1", vec!["limit", "offset"]),
            ("page=0&size=0", vec!["page", "size"]),
            ("cursor=nonsense", vec!["cursor"]),
            ("cursor=%25", vec!["cursor"]),
            ("colour=red", vec!["colour"]),
            ("limit=1&limit=2", vec!["limit"]),
            ("page=1&offset=1", vec!["page"]),
        ] {
            let response = send(&fixture.inventory, "GET", &format!("{list}?{query}"), None).await;
            assertions::validation_errors(&response, &parameters);
        }
    }
    for (query, parameter) in [
        ("sales/orders?status=received", "status"),
        ("purchase/orders?status=confirmed", "status"),
        ("sales/orders?status=Draft", "status"),
        ("sales/orders?status=", "status"),
        ("sales/orders?customer_id=x", "customer_id"),
        ("purchase/orders?vendor_id=x", "vendor_id"),
        ("sales/orders?vendor_id=x", "vendor_id"),
    ] {
        let response = send(&fixture.inventory, "GET", &format!("/api/{query}"), None).await;
        assertions::validation_errors(&response, &[parameter]);
    }
}

#[tokio::test]
async fn a_cursor_belongs_to_its_list_and_filters() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 0).await;
    fixture.create_item("1.00", 0).await;
    for _ in 0..2 {
        fixture.create_sales_order(&[(&item, 1)]).await;
        fixture.create_purchase_order(&[(&item, 1)]).await;
        create(&fixture.inventory, "/api/customers", &contact("Acme")).await;
        create(&fixture.inventory, "/api/vendors", &contact("Globex")).await;
    }
    let get = async |path: &str| send(&fixture.inventory, "GET", path, None).await;
    for list in LISTS {
        let page = get(&format!("{list}?limit=1")).await;
        let cursor = page.json()["meta"]["next_cursor"].as_str().unwrap().to_owned();
        for other in LISTS {
            let response = get(&format!("{other}?limit=1&cursor={cursor}")).await;
            if other == list {
                assertions::success(&response, 200);
            } else {
                assertions::validation_errors(&response, &["cursor"]);
            }
        }
        if list.ends_with("/orders") {
            let filtered = get(&format!("{list}?limit=1&status=draft&cursor={cursor}")).await;
            assertions::validation_errors(&filtered, &["cursor"]);
        }
    }
}

#[tokio::test]
async fn a_list_has_three_kinds_of_pages_newest_first() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 0).await;
    let mut newest_first = Vec::new();
    for _ in 0..12 {
        let order = fixture.create_sales_order(&[(&item, 1)]).await;
        newest_first.insert(0, order.rsplit('/').next().unwrap().to_owned());
    }
    let base = format!("/api/sales/orders?customer_id={}", fixture.customer);
    let get = async |query: &str| {
        let response = send(&fixture.inventory, "GET", &format!("{base}{query}"), None).await;
        assertions::success(&response, 200);
        let rows = response.data().as_array().cloned().unwrap_or_default();
        let ids: Vec<_> = rows.iter().map(|row| row["id"].as_str().unwrap_or_default().to_owned()).collect();
        assert!(rows.iter().all(|row| row.get("items").is_none()), "{}", response.text);
        (ids, response.json()["meta"].clone())
    };
    let meta = |meta: &Value| {
        [&meta["limit"], &meta["offset"], &meta["count"]].map(|number| number.as_u64().unwrap_or(999))
    };

    let (first, about) = get("").await;
    assert_eq!((first.as_slice(), meta(&about)), (&newest_first[..10], [10, 0, 10]));
    let (rest, about) = get(&format!("&cursor={}", about["next_cursor"].as_str().unwrap())).await;
    assert_eq!((rest.as_slice(), about["next_cursor"].clone()), (&newest_first[10..], Value::Null));
    let (ids, about) = get("&limit=5&offset=4").await;
    assert_eq!((ids.as_slice(), meta(&about)), (&newest_first[4..9], [5, 4, 5]));
    let (ids, about) = get("&page=3&size=5").await;
    assert_eq!((ids.as_slice(), meta(&about)), (&newest_first[10..], [5, 10, 2]));
    assert_eq!(get("&offset=100").await.0, Vec::<String>::new());
    assert_eq!(get("&limit=100").await.0, newest_first);

    // An order that is created in between does not shift the next page of a cursor.
    let (ids, about) = get("&limit=4").await;
    fixture.create_sales_order(&[(&item, 1)]).await;
    let (next, _) = get(&format!("&limit=4&cursor={}", about["next_cursor"].as_str().unwrap())).await;
    assert_eq!([ids, next].concat(), newest_first[..8]);

    let cancelled = format!("/api/sales/orders/{}", newest_first[3]);
    fixture.transition(&cancelled, "cancel").await;
    assert_eq!(get("&status=cancelled").await.0, [newest_first[3].clone()]);
    assert_eq!(get("&status=draft&limit=100").await.0.len(), 12);
    assert_eq!(get("&status=paid").await.0.len(), 0);
}

#[tokio::test]
async fn every_list_contains_a_new_resource_once() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 0).await;
    let sale = fixture.create_sales_order(&[(&item, 1)]).await;
    let purchase = fixture.create_purchase_order(&[(&item, 1)]).await;
    for (list, id) in [
        ("/api/customers", fixture.customer.as_str()),
        ("/api/vendors", &fixture.vendor),
        ("/api/items", &item),
        ("/api/sales/orders", sale.rsplit('/').next().unwrap()),
        ("/api/purchase/orders", purchase.rsplit('/').next().unwrap()),
    ] {
        let rows = fixture.pages(list).await;
        let ids: Vec<_> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
        assert_eq!(ids.iter().filter(|found| **found == id).count(), 1, "{list}");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{list} contains a row twice");
    }
}
