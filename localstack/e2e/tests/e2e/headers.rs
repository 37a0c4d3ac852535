//! Headers of responses, and the pages of the portal.

use std::collections::{BTreeMap, BTreeSet};

use erp_auth::access::RULES;
use erp_client::Response;
use uuid::Uuid;

use crate::assertions;
use crate::fixture::{Fixture, concurrently, contact, create, location, send, send_bare};
use crate::target::Target;

#[tokio::test]
async fn every_response_has_a_unique_request_id() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let mut seen = BTreeSet::new();
    for (client, method, path) in [
        (&fixture.inventory, "GET", "/api/items"),
        (&fixture.inventory, "GET", "/api/items/x"),
        (&fixture.inventory, "DELETE", "/api/items"),
        (&target.client(), "GET", "/api/items"),
        (&target.client(), "GET", "/nowhere"),
        (&target.client(), "GET", "/health"),
    ] {
        let response =
            send_bare(client, method, path, &[("origin", "https://shop.example"), ("x-request-id", "mine")])
                .await;
        assertions::common(&response);
        let id = response.header("x-request-id").unwrap().to_owned();
        assert!(id != "mine" && seen.insert(id), "{method} {path}");
    }
}

#[tokio::test]
async fn preflight_requests_allow_every_route() {
    let target = Target::shared();
    let mut verbs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for rule in RULES {
        verbs.entry(rule.path).or_default().insert(rule.method);
    }
    concurrently(verbs, async |(path, verbs)| {
        let path = path.replace("{id}", &Uuid::now_v7().to_string()).replace("{proxy+}", "index.html");
        let headers = [
            ("origin", "https://shop.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type,idempotency-key,if-match"),
        ];
        let response = send_bare(&target.client(), "OPTIONS", &path, &headers).await;
        assert!(matches!(response.status, 200 | 204), "{path}: {}", response.status);
        assertions::cors(&response);
        let list = |name: &str| -> BTreeSet<String> {
            let list = response.header(name).unwrap_or_default().split(',');
            list.map(|entry| entry.trim().to_lowercase()).collect()
        };
        let (methods, headers) = (list("access-control-allow-methods"), list("access-control-allow-headers"));
        assert!(verbs.iter().all(|verb| methods.contains(&verb.to_lowercase())), "{path}: {methods:?}");
        for header in ["authorization", "content-type", "idempotency-key", "if-match"] {
            assert!(headers.contains(header), "{path}: {headers:?}");
        }
    })
    .await;
    let fixture = Fixture::new(&target).await;
    let exposed = send(&fixture.inventory, "GET", "/api/items", None).await;
    let exposed = exposed.header("access-control-expose-headers").unwrap_or_default().to_lowercase();
    for header in ["etag", "location", "retry-after", "x-request-id", "idempotent-replayed"] {
        assert!(exposed.contains(header), "{exposed}");
    }
}

/// Returns the id of a created contact, item or order.
fn id_of(created: &Response) -> String {
    let data = created.data();
    data["id"].as_str().or(data["order"]["id"].as_str()).unwrap().to_owned()
}

#[tokio::test]
async fn the_location_of_a_created_resource_resolves_to_it() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 0).await;
    let purchase =
        serde_json::json!({"vendor_id": fixture.vendor, "items": [{"item_id": item, "quantity": 1}]});
    for (path, body) in [
        ("/api/customers", contact("Acme")),
        ("/api/vendors", contact("Globex")),
        ("/api/items", crate::fixture::item("1.00")),
        ("/api/sales/orders", fixture.sales_order_request(&[(&item, 1)])),
        ("/api/purchase/orders", purchase),
    ] {
        let created = create(&fixture.inventory, path, &body).await;
        assertions::success(&created, 201);
        assert_eq!(created.header("etag"), Some("\"1\""), "{path}");
        let location = location(&fixture.inventory, &created);
        assert_eq!(location, format!("{path}/{}", id_of(&created)));
        let found = send(&fixture.inventory, "GET", &location, None).await;
        assert_eq!(assertions::success(&found, 200), created.data(), "{location}");
        assert_eq!(found.header("etag"), Some("\"1\""), "{location}");
        assert_eq!(found.header("cache-control"), Some("no-store"), "{location}");

        // A trailing slash is ignored.
        let slashed = send(&fixture.inventory, "GET", &format!("{location}/"), None).await;
        assert_eq!(slashed.text, found.text, "{location}/");
        assertions::success(&send(&fixture.inventory, "GET", &format!("{path}/?limit=1"), None).await, 200);
    }
}

#[tokio::test]
async fn health_and_documentation_are_served() {
    let target = Target::shared();
    let client = target.client();
    let health = send(&client, "GET", "/health", None).await;
    assert_eq!((health.status, health.json()["status"].as_str()), (200, Some("ok")), "{}", health.text);
    assert_eq!(health.json()["message"], "Gateway is healthy");
    assert_eq!(health.json().get("dependencies"), None, "only for users: {}", health.text);
    let forged = send(&client.with_token("forged"), "GET", "/health", None).await;
    assert_eq!((forged.status, forged.text.as_str()), (200, health.text.as_str()));
    let fixture = Fixture::new(&target).await;
    let health = send(&fixture.inventory, "GET", "/health", None).await;
    assert_eq!(health.json()["dependencies"]["tables"].as_object().unwrap().len(), 5, "{}", health.text);

    for path in ["/swagger", "/swagger/", "/swagger/index.html"] {
        let page = send(&client, "GET", path, None).await;
        assertions::common(&page);
        let html =
            page.header("content-type").is_some_and(|content_type| content_type.starts_with("text/html"));
        assert!(
            page.status == 200 && html && page.text.contains("swagger-ui"),
            "{path}: {} {}",
            page.status,
            page.text
        );
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
    }
    for asset in ["swagger-ui-bundle.js", "swagger-ui.css", "swagger-initializer.js"] {
        let response = send(&client, "GET", &format!("/swagger/{asset}"), None).await;
        assert!(response.status == 200 && !response.text.is_empty(), "{asset}");
    }
}

#[tokio::test]
async fn the_openapi_document_describes_every_route() {
    let target = Target::shared();
    let document = send(&target.client(), "GET", "/openapi.json", None).await;
    assertions::common(&document);
    let document = document.json();
    let described = |method: &str, path: &str| document["paths"][path].get(method.to_lowercase()).is_some();
    let documented = RULES.iter().filter(|rule| !rule.path.starts_with("/swagger"));
    let missing: Vec<_> = documented.filter(|rule| !described(rule.method, rule.path)).collect();
    assert!(missing.is_empty(), "not in the document: {missing:?}");
}

#[tokio::test]
async fn head_is_supported_on_public_routes_only() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let health = send(&target.client(), "HEAD", "/health", None).await;
    assertions::common(&health);
    assert_eq!((health.status, health.text.as_str()), (200, ""));
    // A method without a rule has no authorizer, so no caller is authenticated.
    for client in [&target.client(), &fixture.inventory] {
        for path in ["/api/items", "/api/sales/orders"] {
            let response = send(client, "HEAD", path, None).await;
            assertions::common(&response);
            assert_eq!((response.status, response.text.as_str()), (405, ""), "{path}");
            assert_eq!(response.header("allow"), Some("GET,POST"), "{path}");
        }
    }
}
