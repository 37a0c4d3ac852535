//! `Idempotency-Key`: one key, one effect, one response.

use super::*;
use erp_testkit::ApiResponse;

fn post(key: &str, body: &Value) -> ApiRequest {
    ApiRequest::inventory("POST", "/api/vendors").header("Idempotency-Key", key).json(body)
}

async fn create(router: &Router) -> String {
    let created = ApiRequest::inventory("POST", "/api/customers").json(&acme()).send(router).await;
    created.header("location").unwrap().to_owned()
}

#[tokio::test]
async fn one_key_has_one_effect_and_one_response() {
    let (router, _) = start().await;
    // Concurrent and repeated requests get the same response.
    let request = post("k1", &acme());
    let (a, b, c) = tokio::join!(request.send(&router), request.send(&router), request.send(&router));
    let d = request.send(&router).await;
    for response in [&a, &b, &c, &d] {
        assert_eq!((response.status, &response.text), (201, &a.text));
        assert_eq!(response.header("location"), a.header("location"));
    }
    assert_eq!(d.header("idempotent-replayed"), Some("true"));
    let list = ApiRequest::inventory("GET", "/api/vendors").send(&router).await;
    assert_eq!(list.json()["meta"]["count"], 1);

    let mut other = acme();
    other["name"] = json!("Other");
    let reused = post("k1", &other).send(&router).await;
    assert_eq!((reused.status, reused.code().as_str()), (422, "idempotency_key_reused"));

    // A rejection is not stored: once its reason is gone, the same request succeeds.
    let rejected = post("k2", &acme()).send(&router).await;
    assert_eq!(rejected.status, 409);
    let path = a.header("location").unwrap().to_owned();
    assert_eq!(ApiRequest::finance("DELETE", &path).send(&router).await.status, 200);
    let retried = post("k2", &acme()).send(&router).await;
    assert_eq!((retried.status, retried.header("idempotent-replayed")), (201, None));
    // The key of another caller is another key.
    let path = retried.header("location").unwrap().to_owned();
    assert_eq!(ApiRequest::finance("DELETE", &path).send(&router).await.status, 200);
    let caller = ApiRequest::finance("POST", "/api/vendors").header("Idempotency-Key", "k2").json(&acme());
    assert_eq!(caller.send(&router).await.status, 201);
    let long = "k".repeat(256);
    assert_eq!(post(&long, &acme()).send(&router).await.invalid_fields(), ["Idempotency-Key"]);
}

#[tokio::test]
async fn an_expired_response_is_not_replayed_while_its_row_still_exists() {
    let (router, store) = start().await;
    let create = async || {
        ApiRequest::inventory("POST", "/api/customers")
            .header("Idempotency-Key", "k")
            .json(&acme())
            .send(&router)
            .await
    };
    let first = create().await;
    assert_eq!((first.status, create().await.text), (201, first.text.clone()));

    let table = store.table();
    let rows = table.client.scan().table_name(&table.name).send().await.unwrap().items.unwrap();
    let expiring: Vec<_> = rows.iter().filter(|row| row.contains_key("expires_at")).collect();
    assert_eq!(expiring.len(), 1, "no other kind of row expires: {expiring:?}");
    let update = table.client.update_item().table_name(&table.name);
    let update = update.key("pk", expiring[0]["pk"].clone()).key("sk", expiring[0]["sk"].clone());
    let now = AttributeValue::N(SystemClock.now().as_seconds().to_string());
    let update = update.update_expression("SET expires_at = :now").expression_attribute_values(":now", now);
    update.send().await.unwrap();

    let again = create().await;
    assert_eq!((again.status, again.code().as_str()), (409, "duplicate_email"), "a new request");
    assert_eq!(create().await.header("idempotent-replayed"), None, "a rejection is not stored");
    let path = first.header("location").unwrap();
    assert_eq!(ApiRequest::finance("DELETE", path).send(&router).await.status, 200);
    let created = create().await;
    assert_eq!((created.status, created.header("idempotent-replayed")), (201, None));
    let replayed = create().await;
    assert_eq!((&replayed.text, replayed.header("idempotent-replayed")), (&created.text, Some("true")));
}

#[tokio::test]
async fn a_corrected_request_may_use_the_key_of_a_rejected_one() {
    let (router, _) = start().await;
    let invalid = post("k", &json!({"name": "", "email": "orders@acme.example"})).send(&router).await;
    assert_eq!((invalid.status, invalid.invalid_fields()), (400, vec!["/name".to_owned()]));
    let malformed = ApiRequest::inventory("POST", "/api/vendors").header("Idempotency-Key", "k");
    assert_eq!(malformed.text("{", "application/json").send(&router).await.code(), "malformed_json");
    assert_eq!(post("other", &acme()).send(&router).await.status, 201);
    assert_eq!(post("k", &acme()).send(&router).await.code(), "duplicate_email");
    let corrected = post("k", &json!({"name": "Acme", "email": "sales@acme.example"})).send(&router).await;
    assert_eq!((corrected.status, corrected.header("idempotent-replayed")), (201, None));
}

#[tokio::test]
async fn key_order_and_white_space_of_the_json_do_not_make_another_request() {
    let (router, _) = start().await;
    let send = async |body: &str| {
        let request = ApiRequest::inventory("POST", "/api/vendors").header("Idempotency-Key", "k");
        request.text(body, "application/json").send(&router).await
    };
    let first = send(r#"{"name":"Acme","email":"a@acme.example","phone":"1"}"#).await;
    assert_eq!(first.status, 201);
    for body in [
        r#"{"phone":"1","email":"a@acme.example","name":"Acme"}"#,
        "{ \"name\": \"Acme\",\n\t\"email\": \"a@acme.example\", \"phone\": \"1\" }\n",
        r#"{"n\u0061me":"Acme","email":"a@acme.example","phone":"1"}"#,
    ] {
        let repeated = send(body).await;
        assert_eq!((repeated.status, &repeated.text), (201, &first.text), "{body}");
        assert_eq!(repeated.header("idempotent-replayed"), Some("true"), "{body}");
    }
    let other = send(r#"{"name":"Acme","email":"a@acme.example","phone":"2"}"#).await;
    assert_eq!(other.code(), "idempotency_key_reused");
}

#[tokio::test]
async fn one_key_has_one_effect_however_the_id_in_the_path_is_written() {
    let (router, _) = start().await;
    let path = create(&router).await;
    let id = path.rsplit('/').next().unwrap();
    let put = async |id: &str| -> ApiResponse {
        let request = ApiRequest::inventory("PUT", &format!("/api/customers/{id}"));
        request.header("Idempotency-Key", "k").json(&acme()).send(&router).await
    };
    let first = put(id).await;
    assert_eq!((first.status, first.header("etag")), (200, Some("\"2\"")));
    let encoded: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for other in [id.to_uppercase(), id.replace('-', "%2d"), encoded, id.to_owned()] {
        let repeated = put(&other).await;
        assert_eq!((repeated.status, &repeated.text), (200, &first.text), "{other}");
        assert_eq!(repeated.header("idempotent-replayed"), Some("true"), "{other}");
    }
    let current = ApiRequest::inventory("GET", &path).send(&router).await;
    assert_eq!(current.header("etag"), Some("\"2\""), "one effect");
}

#[tokio::test]
async fn an_idempotency_key_is_given_once_and_is_visible_ascii() {
    let (router, _) = start().await;
    let twice = post("k1", &acme()).header("Idempotency-Key", "k2").send(&router).await;
    assert_eq!((twice.status, twice.invalid_fields()), (400, vec!["Idempotency-Key".to_owned()]));
    for key in ["", " ", "ключ"] {
        let invalid = post(key, &acme()).send(&router).await;
        assert_eq!((invalid.status, invalid.invalid_fields()), (400, vec!["Idempotency-Key".to_owned()]));
    }
    let list = ApiRequest::inventory("GET", "/api/vendors").send(&router).await;
    assert_eq!(list.json()["meta"]["count"], 0);
}

#[tokio::test]
async fn an_update_that_loses_against_concurrent_ones_is_a_503_and_succeeds_when_repeated() {
    let (router, _) = start().await;
    let path = create(&router).await;
    let put = |n: usize| {
        let body = json!({"name": format!("n{n}"), "email": "orders@acme.example"});
        ApiRequest::inventory("PUT", &path).header("Idempotency-Key", n).json(&body)
    };
    let mut pending: Vec<_> = (0..20).map(put).collect();
    while !pending.is_empty() {
        let responses =
            futures_util::future::join_all(pending.iter().map(|request| request.send(&router))).await;
        let mut lost = Vec::new();
        for (request, response) in pending.into_iter().zip(responses) {
            match response.status {
                200 => {
                    assert_eq!(response.header("idempotent-replayed"), None, "every commit is reported once")
                }
                status => {
                    assert_eq!((status, response.code().as_str()), (503, "service_unavailable"));
                    assert!(response.header("retry-after").is_some());
                    lost.push(request);
                }
            }
        }
        pending = lost;
    }
    let current = ApiRequest::inventory("GET", &path).send(&router).await;
    assert_eq!(current.data()["version"], 21, "every update has one effect");
}
