//! Requests that are malformed, and the headers of requests and responses.

use super::*;
use url::Url;

#[tokio::test]
async fn an_invalid_request_reports_every_error() {
    let (router, _) = start().await;
    let post = || ApiRequest::inventory("POST", "/api/customers");
    let invalid =
        post().json(&json!({"name": "", "email": "nope", "phone": 5, "vip": true})).send(&router).await;
    assert_eq!((invalid.status, invalid.code().as_str()), (400, "validation_failed"));
    assert_eq!(invalid.invalid_fields(), ["/name", "/email", "/phone", "/vip"]);
    assert_eq!(invalid.header("content-type"), Some("application/problem+json"));
    let body = invalid.json();
    assert_eq!((&body["instance"], &body["request_id"]), (&json!("/api/customers"), &json!("test-request")));

    assert_eq!(post().text("{", "application/json").send(&router).await.code(), "malformed_json");
    assert_eq!(post().text("{}", "text/plain").send(&router).await.status, 415);
    let large = json!({"name": "a".repeat(1024 * 1024)});
    assert_eq!(post().json(&large).send(&router).await.status, 413);
    for verb in ["PATCH", "HEAD"] {
        let response = ApiRequest::inventory(verb, "/api/customers").send(&router).await;
        assert_eq!((response.status, response.header("allow")), (405, Some("GET,POST")), "{verb}");
    }
    assert_eq!(ApiRequest::inventory("GET", "/api/nothing").send(&router).await.status, 404);
    let id = ApiRequest::inventory("GET", "/api/customers/42").send(&router).await;
    assert_eq!((id.status, id.invalid_fields()), (400, vec!["id".to_owned()]));
    let unknown = "/api/customers/01890000-0000-7000-8000-000000000005";
    assert_eq!(ApiRequest::inventory("GET", unknown).send(&router).await.status, 404);
    assert_eq!(
        ApiRequest::inventory("GET", "/api/customers?limit=0&colour=red")
            .send(&router)
            .await
            .invalid_fields(),
        ["limit", "colour"]
    );
}

#[tokio::test]
async fn an_id_that_cannot_be_decoded_is_a_400_on_every_route() {
    let (router, _) = start().await;
    for collection in ["/api/customers", "/api/vendors"] {
        for method in ["GET", "PUT", "DELETE"] {
            for id in ["%ff", "%c3%28", "0x1", "01890000000070008000000000000005"] {
                let path = format!("{collection}/{id}");
                for key in [None, Some("k")] {
                    let mut request = ApiRequest::finance(method, &path);
                    if method == "PUT" {
                        request = request.json(&acme());
                    }
                    if let Some(key) = key {
                        request = request.header("Idempotency-Key", key);
                    }
                    let response = request.send(&router).await;
                    assert_eq!(response.code(), "validation_failed", "{method} {path}: {}", response.text);
                    assert_eq!(response.status, 400);
                    assert_eq!(response.header("content-type"), Some("application/problem+json"));
                }
            }
        }
    }
}

#[tokio::test]
async fn location_resolves_to_the_resource_at_a_root_and_below_a_stage() {
    let (router, _) = start().await;
    for (n, base_path) in ["", "/dev", "/shop/v1"].into_iter().enumerate() {
        for collection in ["/api/customers", "/api/vendors", "/api/vendors/"] {
            let email = format!("c{n}{}@x.example", collection.len());
            let created = ApiRequest::inventory("POST", collection)
                .below(base_path)
                .json(&json!({"name": "c", "email": email}))
                .send(&router)
                .await;
            assert_eq!(created.status, 201, "{}", created.text);
            let base = Url::parse(&format!("https://api.example.com{base_path}{collection}")).unwrap();
            let location = base.join(created.header("location").unwrap()).unwrap();
            let root = format!("https://api.example.com{base_path}");
            let path = location.as_str().strip_prefix(&root).unwrap_or_else(|| panic!("{location}"));
            let got = ApiRequest::inventory("GET", path).below(base_path).send(&router).await;
            assert_eq!((got.status, got.data()), (200, created.data()), "{location}");
        }
    }
}

#[tokio::test]
async fn a_replayed_location_follows_the_path_of_the_repeated_request() {
    let (router, _) = start().await;
    let send = async |base_path: &str| {
        let request = ApiRequest::inventory("POST", "/api/customers").below(base_path).json(&acme());
        let response = request.header("Idempotency-Key", "k").send(&router).await;
        response.header("location").unwrap().to_owned()
    };
    let (staged, root) = (send("/dev").await, send("").await);
    assert_eq!(staged, format!("/dev{root}"));
}

#[tokio::test]
async fn a_wrong_verb_is_a_405_whatever_its_other_headers() {
    let (router, _) = start().await;
    for (method, path, allow) in [
        ("PATCH", "/api/customers", "GET,POST"),
        ("DELETE", "/api/vendors", "GET,POST"),
        ("POST", "/api/customers/01890000-0000-7000-8000-000000000005", "GET,PUT,DELETE"),
        ("PATCH", "/api/vendors/%ff", "GET,PUT,DELETE"),
    ] {
        let plain = ApiRequest::finance(method, path);
        for request in [
            plain.clone(),
            plain.clone().header("Idempotency-Key", ""),
            plain.clone().header("Idempotency-Key", "a").header("Idempotency-Key", "b"),
            plain.clone().header("If-Match", "nonsense").text("x", "text/plain"),
        ] {
            let response = request.send(&router).await;
            assert_eq!(
                (response.status, response.code().as_str()),
                (405, "method_not_allowed"),
                "{request:?}"
            );
            let mut allowed: Vec<_> = response.header("allow").unwrap().split(',').collect();
            allowed.sort_unstable();
            let mut expected: Vec<_> = allow.split(',').collect();
            expected.sort_unstable();
            assert_eq!(allowed, expected, "{request:?}");
        }
    }
}

#[tokio::test]
async fn an_if_match_that_is_no_entity_tag_of_the_platform_matches_no_version() {
    let (router, _) = start().await;
    let created = ApiRequest::inventory("POST", "/api/customers").json(&acme()).send(&router).await;
    let path = created.header("location").unwrap();
    let put = |tag: &str| ApiRequest::inventory("PUT", path).header("If-Match", tag).json(&acme());
    for tag in
        ["\"+1\"", "\"01\"", "\" 1\"", "\"1.0\"", "1", "+1", "01", "W/\"1\"", "\"1", "", "\"-1\"", "\"2\""]
    {
        let response = put(tag).send(&router).await;
        assert_eq!((response.status, response.code().as_str()), (412, "version_mismatch"), "{tag:?}");
        let delete = ApiRequest::finance("DELETE", path).header("If-Match", tag);
        assert_eq!(delete.send(&router).await.status, 412, "{tag:?}");
    }
    for (tag, version) in [("\"1\"", "\"2\""), ("\"7\", \"2\"", "\"3\""), ("*", "\"4\"")] {
        let response = put(tag).send(&router).await;
        assert_eq!((response.status, response.header("etag")), (200, Some(version)), "{tag}");
    }
    let lines = put("\"4\"").header("If-Match", "\"9\"").send(&router).await;
    assert_eq!(lines.status, 200, "several header lines are one list");
}

#[tokio::test]
async fn an_encoded_body_is_a_415() {
    let (router, _) = start().await;
    let post = || ApiRequest::inventory("POST", "/api/customers");
    for encoding in ["gzip", "br", "identity, gzip"] {
        let response = post().header("Content-Encoding", encoding).json(&acme()).send(&router).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (415, "unsupported_media_type"),
            "{encoding}"
        );
    }
    let identity = post().header("Content-Encoding", "identity").json(&acme()).send(&router).await;
    assert_eq!(identity.status, 201);
}

#[tokio::test]
async fn a_cursor_of_another_list_is_a_400() {
    let (router, _) = start().await;
    for n in 0..3 {
        for collection in ["/api/customers", "/api/vendors"] {
            let body = json!({"name": "c", "email": format!("c{n}@x.example")});
            let created = ApiRequest::inventory("POST", collection).json(&body).send(&router).await;
            assert_eq!(created.status, 201);
        }
    }
    let page = ApiRequest::inventory("GET", "/api/vendors?limit=1").send(&router).await;
    let cursor = page.json()["meta"]["next_cursor"].as_str().unwrap().to_owned();
    let other = ApiRequest::inventory("GET", &format!("/api/customers?cursor={cursor}")).send(&router).await;
    assert_eq!((other.status, other.invalid_fields()), (400, vec!["cursor".to_owned()]));
    let own = ApiRequest::inventory("GET", &format!("/api/vendors?cursor={cursor}")).send(&router).await;
    assert_eq!((own.status, own.json()["meta"]["count"].clone()), (200, json!(2)));
}

#[tokio::test]
async fn a_long_field_name_is_not_repeated_in_the_response() {
    let (router, _) = start().await;
    let mut body = acme();
    body["x".repeat(900_000)] = json!(1);
    let response = ApiRequest::inventory("POST", "/api/customers").json(&body).send(&router).await;
    assert_eq!((response.status, response.code().as_str()), (400, "validation_failed"));
    assert_eq!(response.invalid_fields(), [format!("/{}…", "x".repeat(100))]);
    assert!(response.text.len() < 1000, "{} bytes", response.text.len());
}
