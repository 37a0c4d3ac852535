//! Every error of the contract, through the gateway.

use std::collections::{BTreeMap, BTreeSet};

use erp_auth::access::{Access, RULES};
use serde_json::json;
use uuid::Uuid;

use crate::assertions;
use crate::fixture::{
    Fixture, concurrently, contact, create, registration, send, send_bare, send_text, unique_email,
};
use crate::target::Target;

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn a_body_that_is_not_a_json_object_is_malformed() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    for body in ["{\"name\":", "nope", "[]", "null", "\"text\"", "1", "", "{} {}", "\u{feff}{}"] {
        let response = send_text(&fixture.inventory, "POST", "/api/customers", &[], body).await;
        assertions::problem(&response, 400, "malformed_json");
    }
    let bytes = send_text(&fixture.inventory, "POST", "/api/customers", &[], "{\"name\": \"\u{0}\"}").await;
    assertions::problem(&bytes, 400, "malformed_json");
}

#[tokio::test]
async fn every_validation_error_of_a_body_is_reported_at_once() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let post = async |path: &str, body| send(&fixture.inventory, "POST", path, Some(&body)).await;

    let wrong_type = post("/api/customers", json!({"name": 5, "email": "a@example.com"})).await;
    assertions::validation_errors(&wrong_type, &["/name"]);
    let unknown =
        post("/api/customers", json!({"name": "A", "email": "a@example.com", "is_admin": true})).await;
    assertions::validation_errors(&unknown, &["/is_admin"]);
    let three = post("/api/customers", json!({"name": "", "email": "none", "phone": "1".repeat(51)})).await;
    assertions::validation_errors(&three, &["/name", "/email", "/phone"]);
    assertions::validation_errors(&post("/api/customers", json!({})).await, &["/name", "/email"]);
    let escaped = post("/api/customers", json!({"name": "A", "email": "a@example.com", "a/b~c": 1})).await;
    assertions::validation_errors(&escaped, &["/a~1b~0c"]);

    let line = json!({"item_id": 7, "quantity": "2", "unit_price": [], "colour": "red"});
    let lines = post("/api/sales/orders", json!({"customer_id": "x", "items": [line, 5, {}]})).await;
    let pointers = [
        "/customer_id",
        "/items/0/item_id",
        "/items/0/quantity",
        "/items/0/unit_price",
        "/items/0/colour",
        "/items/1",
        "/items/2/item_id",
        "/items/2/quantity",
    ];
    assertions::validation_errors(&lines, &pointers);
    let twice = send_text(
        &fixture.inventory,
        "POST",
        "/api/customers",
        &[],
        r#"{"name": "A", "name": "B", "email": "a@example.com"}"#,
    )
    .await;
    assertions::validation_errors(&twice, &["/name"]);
    let body = json!({"email": "x", "password": "short", "role": "admin"});
    assertions::validation_errors(
        &send(&target.client(), "POST", "/api/auth/register", Some(&body)).await,
        &["/email", "/password", "/role"],
    );
}

#[tokio::test]
async fn an_unknown_resource_or_route_is_not_found() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    for path in ["customers", "vendors", "items", "sales/orders", "purchase/orders"] {
        for id in [Uuid::now_v7(), Uuid::new_v4(), Uuid::nil()] {
            let response = send(&fixture.inventory, "GET", &format!("/api/{path}/{id}"), None).await;
            assertions::problem(&response, 404, "not_found");
        }
    }
    for path in [
        "/",
        "/api",
        "/api/nothing",
        "/api/items/1/2/3",
        "/ap%C3%AD",
        "//api/items",
        "/api/sales/orders/1/approve",
    ] {
        for client in [&fixture.inventory, &target.client()] {
            assertions::problem(&send(client, "GET", path, None).await, 404, "not_found");
        }
    }
    assertions::problem(&send(&target.client(), "GET", "/swagger/nothing.js", None).await, 404, "not_found");
    // A vendor is not a customer.
    let response = send(&fixture.inventory, "GET", &format!("/api/customers/{}", fixture.vendor), None).await;
    assertions::problem(&response, 404, "not_found");
}

#[tokio::test]
async fn an_id_that_is_not_a_uuid_is_invalid() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let with_id = RULES.iter().filter(|rule| rule.path.contains("{id}"));
    concurrently(with_id, async |rule| {
        let path = rule.path.replace("{id}", "not-a-uuid");
        let body = (rule.method == "PUT").then(|| json!({}));
        assertions::validation_errors(
            &send(&fixture.finance, rule.method, &path, body.as_ref()).await,
            &["id"],
        );
    })
    .await;
    for id in ["1", "%20", "..%2f..", "%00", "';%20drop%20table%20items", "%7Bid%7D"] {
        let response = send(&fixture.finance, "GET", &format!("/api/items/{id}"), None).await;
        assert_eq!(response.status, 400, "{id}: {}", response.text);
        assertions::any_problem(&response);
    }
}

#[tokio::test]
async fn a_path_that_is_not_utf_8_is_invalid() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let with_id = RULES.iter().filter(|rule| rule.path.contains("{id}"));
    concurrently(with_id, async |rule| {
        for segment in ["%ff", "a%C3"] {
            let path = rule.path.replace("{id}", segment);
            let body = (rule.method == "PUT").then(|| json!({}));
            let response = send(&fixture.finance, rule.method, &path, body.as_ref()).await;
            assertions::validation_errors(&response, &["id"]);
        }
    })
    .await;
    let response = send(&target.client(), "GET", "/swagger/%FF", None).await;
    assertions::validation_errors(&response, &["proxy"]);
}

#[tokio::test]
async fn text_that_cannot_be_decoded_names_its_field() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("1.00", 1).await;
    let text = r"+1 555 0100 \ud83d";
    let with = |body: &serde_json::Value, field: &str| {
        let mut body = body.clone();
        body[field] = json!("TEXT");
        body.to_string().replace("TEXT", text)
    };
    let customer = format!("/api/customers/{}", fixture.customer);
    let (item, stock) = (format!("/api/items/{item}"), format!("/api/items/{item}/stock"));
    let (contact, goods, change) = (contact("Acme"), crate::fixture::item("1.00"), json!({"quantity": 1}));
    for (method, path, body, fields) in [
        ("POST", "/api/customers", &contact, ["name", "email", "phone", "address"].as_slice()),
        ("PUT", &customer, &contact, &["name", "email", "phone", "address"]),
        ("POST", "/api/vendors", &contact, &["name", "email", "phone", "address"]),
        ("POST", "/api/items", &goods, &["name", "description", "sku"]),
        ("PUT", &item, &goods, &["name", "description", "sku"]),
        ("PUT", &stock, &change, &["reason"]),
    ] {
        for field in fields {
            let response = send_text(&fixture.inventory, method, path, &[], &with(body, field)).await;
            assertions::validation_errors(&response, &[&format!("/{field}")]);
        }
    }
    let found = send(&fixture.inventory, "GET", &customer, None).await;
    assert_eq!(found.text_at("/phone"), "+1 555 0100", "the stored text is unchanged");
}

#[tokio::test]
async fn an_unsupported_method_is_rejected_with_the_supported_ones() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let mut methods: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for rule in RULES {
        let methods = methods.entry(rule.path).or_default();
        methods.insert(rule.method);
        if (rule.method, rule.access) == ("GET", Access::Public) {
            methods.insert("HEAD");
        }
    }
    concurrently(methods, async |(path, methods)| {
        let path = path.replace("{id}", &Uuid::now_v7().to_string()).replace("{proxy+}", "index.html");
        let unsupported =
            ["GET", "POST", "PUT", "DELETE", "PATCH"].into_iter().filter(|method| !methods.contains(method));
        for method in unsupported {
            // Other headers do not matter, even if they are invalid.
            for headers in [[].as_slice(), &[("idempotency-key", ""), ("if-match", "nonsense")]] {
                let response = send_bare(&fixture.finance, method, &path, headers).await;
                assertions::problem(&response, 405, "method_not_allowed");
                let allow = response.header("allow").unwrap_or_default().split(',').map(str::trim);
                assert_eq!(allow.collect::<BTreeSet<_>>(), methods, "{method} {path}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_has_at_most_one_mebibyte() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let body = contact("Acme").to_string();
    let padded = |size: usize| format!("{body}{}", " ".repeat(size - body.len()));
    let largest = send_text(&fixture.inventory, "POST", "/api/customers", &[], &padded(MIB)).await;
    assertions::success(&largest, 201);
    for size in [MIB + 1, 7 * MIB, 11 * MIB] {
        let response = send_text(&fixture.inventory, "POST", "/api/customers", &[], &padded(size)).await;
        let problem = assertions::problem(&response, 413, "payload_too_large");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(
            detail.contains("1048576 bytes") || detail.contains("1 MiB"),
            "{size}: the limit is not named: {detail}"
        );
    }
    // Also with an `Idempotency-Key`, whose fingerprint covers the body.
    for (size, status) in [(MIB, 201), (MIB + 1, 413)] {
        let body = contact("Acme").to_string();
        let body = format!("{body}{}", " ".repeat(size - body.len()));
        let key = [("idempotency-key", "k")];
        let response = send_text(&fixture.inventory, "POST", "/api/customers", &key, &body).await;
        assert_eq!(response.status, status, "{size}: {}", response.text);
    }
}

#[tokio::test]
async fn long_headers_are_accepted_and_too_long_ones_rejected() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let get = async |length: usize| {
        send_bare(&fixture.inventory, "GET", "/api/items?limit=1", &[("x-long", &"a".repeat(length))]).await
    };
    // API Gateway accepts 10,240 bytes of request line and headers.
    assertions::success(&get(8 * 1024).await, 200);
    let rejected = get(MIB).await.status;
    assert!(matches!(rejected, 400 | 413 | 431), "{rejected}");
    let token = "a".repeat(6 * 1024);
    let long = target.client().with_token(token);
    assertions::problem(&send(&long, "GET", "/api/items", None).await, 401, "unauthorized");
    assertions::success(&get(1).await, 200);
}

#[tokio::test]
async fn a_body_of_another_type_than_json_is_rejected() {
    let target = Target::shared();
    let fixture = Fixture::new(&target).await;
    let post = async |content_type: &str| {
        let body = contact("Acme").to_string();
        send_text(&fixture.inventory, "POST", "/api/customers", &[("content-type", content_type)], &body)
            .await
    };
    for content_type in [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "",
        "json",
        "application/json; charset=latin1",
    ] {
        assertions::problem(&post(content_type).await, 415, "unsupported_media_type");
    }
    for content_type in
        ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]
    {
        assertions::success(&post(content_type).await, 201);
    }
    let (body, gzip) = (contact("Acme").to_string(), [("content-encoding", "gzip")]);
    let encoded = send_text(&fixture.inventory, "POST", "/api/customers", &gzip, &body).await;
    assertions::problem(&encoded, 415, "unsupported_media_type");
    // A transition needs neither body nor content type; a body must be JSON.
    let item = fixture.create_item("1.00", 1).await;
    let order = fixture.create_sales_order(&[(&item, 1)]).await;
    let text = send_text(
        &fixture.inventory,
        "POST",
        &format!("{order}/confirm"),
        &[("content-type", "text/plain")],
        "now",
    )
    .await;
    assertions::problem(&text, 415, "unsupported_media_type");
    assertions::success(&send_bare(&fixture.inventory, "POST", &format!("{order}/confirm"), &[]).await, 200);
}

#[tokio::test]
async fn failed_logins_reveal_nothing_and_are_throttled() {
    let target = Target::shared();
    let client = target.client();
    let email = unique_email();
    let body = registration(&email);
    let registered = create(&client, "/api/auth/register", &body).await;
    assert!(!registered.text.contains("correct horse"), "{}", registered.text);

    let log_in = async |email: &str, password: &str| {
        send(&client, "POST", "/api/auth/login", Some(&json!({"email": email, "password": password}))).await
    };
    let wrong = assertions::problem(&log_in(&email, "wrong").await, 401, "invalid_credentials");
    let unknown = assertions::problem(&log_in(&unique_email(), "wrong").await, 401, "invalid_credentials");
    for field in ["type", "title", "status", "detail", "instance", "code"] {
        assert_eq!(wrong[field], unknown[field], "{field}");
    }
    assertions::success(&log_in(&email.to_uppercase(), "correct horse battery").await, 200);

    for _ in 0..5 {
        assertions::problem(&log_in(&email, "wrong").await, 401, "invalid_credentials");
    }
    for password in ["wrong", "correct horse battery"] {
        let locked = log_in(&email, password).await;
        assertions::problem(&locked, 429, "too_many_requests");
        let seconds: u64 = locked.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
}

#[tokio::test]
async fn a_reset_token_is_valid_once() {
    let target = Target::shared();
    let client = target.client();
    let email = unique_email();
    let body = registration(&email);
    create(&client, "/api/auth/register", &body).await;
    let forgot = async |email: &str| {
        send(&client, "POST", "/api/auth/forgot-password", Some(&json!({"email": email}))).await
    };
    let (known, unknown) = (forgot(&email).await, forgot(&unique_email()).await);
    assertions::success(&known, 200);
    assertions::success(&unknown, 200);
    let keys = |response: &erp_client::Response| {
        response.data().as_object().map(|data| data.keys().cloned().collect::<Vec<_>>())
    };
    assert_eq!(keys(&known), keys(&unknown), "the same response");

    let token = known.text_at("/reset_token");
    if token.is_empty() {
        return eprintln!("skipped, because this deployment hides reset tokens: resetting a password");
    }
    let reset = json!({"reset_token": token, "new_password": "battery horse correct"});
    assertions::success(&send(&client, "POST", "/api/auth/reset-password", Some(&reset)).await, 200);
    assertions::validation_errors(
        &send(&client, "POST", "/api/auth/reset-password", Some(&reset)).await,
        &["/reset_token"],
    );
    for (password, status) in [("correct horse battery", 401), ("battery horse correct", 200)] {
        let body = json!({"email": email, "password": password});
        assert_eq!(send(&client, "POST", "/api/auth/login", Some(&body)).await.status, status, "{password}");
    }
}
