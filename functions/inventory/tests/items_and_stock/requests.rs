//! Requests that are rejected or repeated: text rules, ids and cursors, idempotency keys, lost races.

use erp_testkit::{ApiRequest, ApiResponse};
use serde_json::json;

use crate::Inventory;

impl Inventory {
    async fn send_text(&self, method: &str, path: &str, body: &str) -> ApiResponse {
        ApiRequest::inventory(method, path).text(body, "application/json").send(&self.router).await
    }

    async fn get(&self, path: &str) -> ApiResponse {
        ApiRequest::inventory("GET", path).send(&self.router).await
    }
}

#[tokio::test]
async fn text_that_cannot_be_stored_is_a_400_that_names_the_field() {
    let inventory = Inventory::start().await;
    let item = inventory.item(1).await;
    let stock = format!("/api/items/{item}/stock");
    // An unpaired surrogate, a zero-width space, a control character, a bidirectional override.
    for text in [r"found \ud83d", r"fo\u200bund", r"found\u0007", r"\u202efound"] {
        let rejected =
            inventory.send_text("PUT", &stock, &format!(r#"{{"quantity":1,"reason":"{text}"}}"#)).await;
        assert_eq!((rejected.status, rejected.invalid_fields()), (400, vec!["/reason".to_owned()]), "{text}");
        let body = format!(r#"{{"name":"{text}","description":"{text}","sku":"{text}","unit_price":1}}"#);
        for (method, path) in [("POST", "/api/items".to_owned()), ("PUT", format!("/api/items/{item}"))] {
            let rejected = inventory.send_text(method, &path, &body).await;
            let fields = ["/name", "/description", "/sku"].map(str::to_owned).to_vec();
            assert_eq!((rejected.status, rejected.invalid_fields()), (400, fields), "{text}");
        }
    }
    let blank = json!({"name": "\u{3164}", "sku": "\u{2800}", "unit_price": 1});
    let rejected = inventory.send("POST", "/api/items", &blank).await;
    assert_eq!((rejected.status, rejected.invalid_fields().len()), (400, 2), "no visible character");
    assert_eq!(inventory.movements(item).await, [1], "nothing was changed");
}

#[tokio::test]
async fn text_is_stored_composed_with_plain_line_breaks() {
    let inventory = Inventory::start().await;
    let body = json!({"name": " Cafe\u{301} ", "description": "a\r\nb", "sku": "x", "unit_price": 1});
    let created = inventory.send("POST", "/api/items", &body).await.data();
    assert_eq!((&created["name"], &created["description"]), (&json!("Café"), &json!("a\nb")));
    let stock = format!("/api/items/{}/stock", created["id"].as_str().unwrap());
    for (reason, stored) in [("two\r\nlines", json!("two\nlines")), (" ", json!(null))] {
        let changed = inventory.send("PUT", &stock, &json!({"quantity": 1, "reason": reason})).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        let movements = inventory.get(&stock.replace("stock", "movements")).await.data();
        assert_eq!(movements[0]["reason"], stored);
    }
}

#[tokio::test]
async fn skus_that_look_alike_are_the_same_sku() {
    let inventory = Inventory::start().await;
    let body = |sku: &str| json!({"name": "thing", "sku": sku, "unit_price": 1});
    assert_eq!(inventory.send("POST", "/api/items", &body("lap-1é")).await.status, 201);
    for sku in ["ＬＡＰ－１é", "lap-1e\u{301}", " LAP-1É "] {
        let taken = inventory.send("POST", "/api/items", &body(sku)).await;
        assert_eq!((taken.status, taken.code().as_str()), (409, "duplicate_sku"), "{sku}");
    }
}

#[tokio::test]
async fn a_path_id_that_cannot_be_one_is_a_400() {
    let inventory = Inventory::start().await;
    for id in ["%ff", "%c3%28", "x", "00000000000000000000000000000000"] {
        for path in ["", "/stock", "/movements"] {
            let response = inventory.get(&format!("/api/items/{id}{path}")).await;
            let (status, code) = (response.status, response.code());
            assert_eq!((status, code.as_str()), (400, "validation_failed"), "{id}{path}");
            assert_eq!(response.invalid_fields(), ["id"], "{id}{path}");
        }
    }
}

#[tokio::test]
async fn a_cursor_of_another_list_is_a_400() {
    let inventory = Inventory::start().await;
    let (a, b) = (inventory.item(3).await, inventory.item(3).await);
    for item in [a, b] {
        inventory.send("PUT", &format!("/api/items/{item}/stock"), &json!({"quantity": 1})).await;
    }
    let list = |item| format!("/api/items/{item}/movements?limit=1");
    let page = inventory.get(&list(a)).await.json();
    let cursor = page["meta"]["next_cursor"].as_str().unwrap();
    assert_eq!(inventory.get(&format!("{}&cursor={cursor}", list(a))).await.data()[0]["change"], 3);
    for other in [list(b), "/api/items?limit=1".to_owned()] {
        let rejected = inventory.get(&format!("{other}&cursor={cursor}")).await;
        assert_eq!((rejected.status, rejected.invalid_fields()), (400, vec!["cursor".to_owned()]), "{other}");
    }
}

#[tokio::test]
async fn a_rejected_request_binds_no_key() {
    let inventory = Inventory::start().await;
    let item = inventory.item(1).await;
    let stock = format!("/api/items/{item}/stock");
    let with_key = async |body: serde_json::Value| {
        let request = ApiRequest::inventory("PUT", &stock).header("Idempotency-Key", "k");
        request.json(&body).send(&inventory.router).await
    };
    assert_eq!(with_key(json!({"quantity": 0})).await.status, 400);
    assert_eq!(with_key(json!({"quantity": -2})).await.status, 409);
    assert_eq!(with_key(json!({"set_to": 9, "expected": 5})).await.status, 412);
    // The same request succeeds once the stock allows it, and the next one is a replay.
    inventory.send("PUT", &stock, &json!({"quantity": 5})).await;
    let changed = with_key(json!({"quantity": -2})).await;
    assert_eq!((changed.status, changed.header("idempotent-replayed")), (200, None));
    let replayed = with_key(json!({"quantity": -2})).await;
    assert_eq!((replayed.status, replayed.header("idempotent-replayed")), (200, Some("true")));
    assert_eq!(with_key(json!({"quantity": -3})).await.status, 422);
    assert_eq!(inventory.movements(item).await, [1, 5, -2]);
}

#[tokio::test]
async fn one_key_has_one_effect_however_id_and_body_are_spelled() {
    let inventory = Inventory::start().await;
    let item = inventory.item(0).await.to_string();
    let spellings = [
        (item.clone(), r#"{"quantity":5,"reason":"r"}"#),
        (item.to_uppercase(), r#"{ "reason": "r", "quantity": 5 }"#),
        (item.replace('-', "%2d"), r#"{"reason":"r","quantity":5}"#),
    ];
    for (id, body) in spellings {
        let request = ApiRequest::inventory("PUT", &format!("/api/items/{id}/stock"));
        let request = request.header("Idempotency-Key", "k").text(body, "application/json");
        let response = request.send(&inventory.router).await;
        assert_eq!((response.status, &response.data()["quantity"]), (200, &json!(5)), "{id}");
    }
    assert_eq!(inventory.movements(item.parse().unwrap()).await, [5]);
}

/// Each of many concurrent adjustments succeeds, or loses every race: then it changes nothing, and the client may repeat
/// it under its key.
#[tokio::test]
async fn a_lost_race_is_a_503_with_retry_after_and_binds_no_key() {
    let inventory = Inventory::start().await;
    let item = inventory.item(0).await;
    let path = format!("/api/items/{item}/stock");
    let request = |n: usize| {
        ApiRequest::inventory("PUT", &path).header("Idempotency-Key", n).json(&json!({"quantity": 1}))
    };
    let requests: Vec<_> = (0..120).map(request).collect();
    let responses =
        futures_util::future::join_all(requests.iter().map(|request| request.send(&inventory.router))).await;
    for (n, response) in responses.iter().enumerate().filter(|(_, response)| response.status != 200) {
        let (status, code) = (response.status, response.code());
        assert_eq!((status, code.as_str()), (503, "service_unavailable"), "{}", response.text);
        assert!(response.header("retry-after").is_some(), "{:?}", response.headers);
        let repeated = request(n).send(&inventory.router).await;
        assert_eq!(repeated.status, 200, "{}", repeated.text);
        let detail = &response.json()["detail"];
        if detail == "Concurrent update: retry the request." {
            assert_eq!(repeated.header("idempotent-replayed"), None);
        } else {
            // On a slow machine the deadline of the request is first; it may have been in the middle of a commit.
            assert_eq!(detail, "A dependency is unavailable: retry the request.");
        }
    }
    assert_eq!(inventory.stock(item).await, 120);
}

#[tokio::test]
async fn the_location_of_a_new_item_resolves_below_a_stage() {
    let inventory = Inventory::start().await;
    let body = json!({"name": "thing", "sku": "x", "unit_price": 1});
    let request = ApiRequest::inventory("POST", "/api/items").below("/dev").json(&body);
    let created = request.send(&inventory.router).await;
    let path = format!("/dev/api/items/{}", created.data()["id"].as_str().unwrap());
    assert_eq!(created.header("location"), Some(path.as_str()));
}

#[test]
fn the_document_is_as_strict_as_the_server() {
    let document = erp_http::openapi::finish(inventory::api::document());
    let document = serde_json::to_value(&document).unwrap();
    let schemas = &document["components"]["schemas"];
    let reference = |name: &str| json!(format!("#/components/schemas/{name}"));
    let alternatives = schemas["StockRequest"]["oneOf"].as_array().unwrap();
    let references: Vec<_> = alternatives.iter().map(|alternative| alternative["$ref"].clone()).collect();
    assert_eq!(references, ["ChangeStockRequest", "SetStockRequest"].map(reference), "{alternatives:?}");
    for (name, required) in [
        ("ItemRequest", json!(["name", "sku", "unit_price"])),
        ("ChangeStockRequest", json!(["quantity"])),
        ("SetStockRequest", json!(["set_to"])),
    ] {
        let schema = &schemas[name];
        assert_eq!(schema["required"], required, "{schema}");
        assert_eq!(schema["additionalProperties"], json!(false), "{schema}");
    }
    let conflict = &document["paths"]["/api/items/{id}"]["delete"]["responses"]["409"]["content"];
    assert_eq!(conflict["application/problem+json"]["schema"]["$ref"], reference("Problem"));
}
