//! What an answer says besides its body.

use std::collections::{BTreeMap, BTreeSet};

use erp_auth::access::RULES;
use uuid::Uuid;

use crate::check;
use crate::shop::{Shop, contact, create, each, send, send_bare};
use crate::site::Site;

#[tokio::test]
async fn every_answer_names_its_request_and_no_two_share_a_name() {
    let site = Site::shared();
    let shop = Shop::open(&site).await;
    let mut seen = BTreeSet::new();
    for (client, method, path) in [
        (&shop.inventory, "GET", "/api/items"),
        (&shop.inventory, "GET", "/api/items/x"),
        (&shop.inventory, "DELETE", "/api/items"),
        (&site.client(), "GET", "/api/items"),
        (&site.client(), "GET", "/nowhere"),
        (&site.client(), "GET", "/health"),
    ] {
        let answer =
            send_bare(client, method, path, &[("origin", "https://shop.example"), ("x-request-id", "mine")])
                .await;
        check::common(&answer);
        let id = answer.header("x-request-id").unwrap().to_owned();
        assert!(id != "mine" && seen.insert(id), "{method} {path}");
    }
}

#[tokio::test]
async fn a_browser_may_call_every_route() {
    let site = Site::shared();
    let mut verbs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for rule in RULES {
        verbs.entry(rule.path).or_default().insert(rule.method);
    }
    each(verbs, async |(path, verbs)| {
        let path = path.replace("{id}", &Uuid::now_v7().to_string()).replace("{proxy+}", "index.html");
        let headers = [
            ("origin", "https://shop.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type,idempotency-key,if-match"),
        ];
        let answer = send_bare(&site.client(), "OPTIONS", &path, &headers).await;
        assert!(matches!(answer.status, 200 | 204), "{path}: {}", answer.status);
        check::open(&answer);
        let list = |name: &str| -> BTreeSet<String> {
            let list = answer.header(name).unwrap_or_default().split(',');
            list.map(|entry| entry.trim().to_lowercase()).collect()
        };
        let (methods, headers) = (list("access-control-allow-methods"), list("access-control-allow-headers"));
        assert!(verbs.iter().all(|verb| methods.contains(&verb.to_lowercase())), "{path}: {methods:?}");
        for header in ["authorization", "content-type", "idempotency-key", "if-match"] {
            assert!(headers.contains(header), "{path}: {headers:?}");
        }
    })
    .await;
    let shop = Shop::open(&site).await;
    let exposed = send(&shop.inventory, "GET", "/api/items", None).await;
    let exposed = exposed.header("access-control-expose-headers").unwrap_or_default().to_lowercase();
    for header in ["etag", "location", "retry-after", "x-request-id", "idempotent-replayed"] {
        assert!(exposed.contains(header), "{exposed}");
    }
}

#[tokio::test]
async fn what_was_created_says_where_it_is() {
    let site = Site::shared();
    let shop = Shop::open(&site).await;
    let item = shop.item("1.00", 0).await;
    let purchase = serde_json::json!({"vendor_id": shop.vendor, "items": [{"item_id": item, "quantity": 1}]});
    for (path, body) in [
        ("/api/customers", contact("Acme")),
        ("/api/vendors", contact("Globex")),
        ("/api/items", crate::shop::item("1.00")),
        ("/api/sales/orders", shop.sale(&[(&item, 1)])),
        ("/api/purchase/orders", purchase),
    ] {
        let created = create(&shop.inventory, path, &body).await;
        check::success(&created, 201);
        assert_eq!(created.header("etag"), Some("\"1\""), "{path}");
        let location = created.header("location").unwrap_or_default().to_owned();
        let found = send(&shop.inventory, "GET", &location, None).await;
        assert_eq!(check::success(&found, 200), created.data(), "{location}");
        assert_eq!(found.header("etag"), Some("\"1\""), "{location}");
        assert_eq!(found.header("cache-control"), Some("no-store"), "{location}");

        // A slash at the end means the same, and answers the same.
        let slashed = send(&shop.inventory, "GET", &format!("{location}/"), None).await;
        assert_eq!(slashed.text, found.text, "{location}/");
        check::success(&send(&shop.inventory, "GET", &format!("{path}/?limit=1"), None).await, 200);
    }
}

#[tokio::test]
async fn the_pages_for_people_and_programs_are_there() {
    let site = Site::shared();
    let client = site.client();
    let health = send(&client, "GET", "/health", None).await;
    assert_eq!((health.status, health.json()["status"].as_str()), (200, Some("ok")), "{}", health.text);
    assert_eq!(health.json()["message"], "Gateway is healthy");

    for path in ["/swagger", "/swagger/", "/swagger/index.html"] {
        let page = send(&client, "GET", path, None).await;
        check::common(&page);
        let html =
            page.header("content-type").is_some_and(|content_type| content_type.starts_with("text/html"));
        assert!(
            page.status == 200 && html && page.text.contains("swagger-ui"),
            "{path}: {} {}",
            page.status,
            page.text
        );
    }
    for asset in ["swagger-ui-bundle.js", "swagger-ui.css", "swagger-initializer.js"] {
        let answer = send(&client, "GET", &format!("/swagger/{asset}"), None).await;
        assert!(answer.status == 200 && !answer.text.is_empty(), "{asset}");
    }
}

#[tokio::test]
async fn the_document_that_is_served_describes_every_route() {
    let site = Site::shared();
    let document = send(&site.client(), "GET", "/openapi.json", None).await;
    check::common(&document);
    let document = document.json();
    let described = |method: &str, path: &str| document["paths"][path].get(method.to_lowercase()).is_some();
    let programs = RULES.iter().filter(|rule| !rule.path.starts_with("/swagger"));
    let missing: Vec<_> = programs.filter(|rule| !described(rule.method, rule.path)).collect();
    assert!(missing.is_empty(), "not in the document: {missing:?}");
}

#[tokio::test]
async fn head_is_get_without_a_body_or_is_not_promised() {
    let site = Site::shared();
    let shop = Shop::open(&site).await;
    let health = send(&site.client(), "HEAD", "/health", None).await;
    check::common(&health);
    assert_eq!((health.status, health.text.as_str()), (200, ""));
    // The gateway has no authorizer in front of a verb that no rule names, so nobody is ever known who asks so.
    for client in [&site.client(), &shop.inventory] {
        for path in ["/api/items", "/api/sales/orders"] {
            let answer = send(client, "HEAD", path, None).await;
            check::common(&answer);
            assert_eq!((answer.status, answer.text.as_str()), (405, ""), "{path}");
            assert_eq!(answer.header("allow"), Some("GET,POST"), "{path}");
        }
    }
}
