//! The text rules: what is stored is what was sent, normalised, or the request is a 400 that names the field.

use super::*;

#[tokio::test]
async fn the_longest_texts_fit_into_their_rows() {
    let (router, store) = start().await;
    for letter in ["🦀", "\""] {
        let longest = json!({
            "name": letter.repeat(255), "phone": letter.repeat(50), "address": letter.repeat(500),
            "email": format!("{}@{}.example", longest_local_part(letter), "a".repeat(60)),
        });
        let create = ApiRequest::inventory("POST", "/api/vendors").header("Idempotency-Key", letter.len());
        let created = create.json(&longest).send(&router).await;
        assert_eq!(created.status, 201, "{}", created.text);
        assert_eq!(created.data()["address"], longest["address"]);
    }
    let table = store.table();
    let rows = table.client.scan().table_name(&table.name).send().await.unwrap().items.unwrap();
    let largest = rows.iter().map(item_bytes).max().unwrap();
    assert!(largest < MAX_ITEM_BYTES / 8, "{largest} bytes are close to the limit");
}

/// Returns a local part of an e-mail address of maximum length, different for each letter.
fn longest_local_part(letter: &str) -> String {
    format!("{}{}", letter.len(), "b".repeat(60))
}

/// Sends a body to POST and to PUT of a new customer. Returns the path of that customer and both responses.
async fn post_and_put(router: &Router, body: &str) -> (String, [erp_testkit::ApiResponse; 2]) {
    let email = format!("{}@x.example", uuid::Uuid::now_v7());
    let existing = json!({"name": "Acme", "email": email, "phone": "1", "address": "Main Street"});
    let existing = ApiRequest::inventory("POST", "/api/customers").json(&existing).send(router).await;
    let path = existing.header("location").unwrap().to_owned();
    let post = ApiRequest::inventory("POST", "/api/customers").text(body, "application/json");
    let put = ApiRequest::inventory("PUT", &path).text(body, "application/json");
    (path, [post.send(router).await, put.send(router).await])
}

#[tokio::test]
async fn text_that_cannot_be_stored_is_a_400_that_names_the_field_and_changes_nothing() {
    let (router, _) = start().await;
    let long = |length: usize| "x".repeat(length);
    let invalid = [
        // Unpaired surrogates.
        ("name", r"Acme \ud83d".to_owned()),
        ("email", r"a\ud83d@acme.example".to_owned()),
        ("phone", r"+1 555 0100 \ud83d".to_owned()),
        ("address", r"1 Main Street \udc00".to_owned()),
        // Format characters: zero-width, bidirectional.
        ("name", r"Ac\u200bme".to_owned()),
        ("name", r"\u200b".to_owned()),
        ("email", r"a\u200b@acme.example".to_owned()),
        ("phone", r"\u202e+1".to_owned()),
        ("address", r"1 Main\ufeff Street".to_owned()),
        // Control characters; a line break outside of a multi-line field.
        ("name", r"Acme\r\nLtd".to_owned()),
        ("phone", r"1\n2".to_owned()),
        ("address", r"a\u0000b".to_owned()),
        ("address", r"a\rb".to_owned()),
        // No visible character.
        ("name", "   ".to_owned()),
        ("name", r"\u3000\u00a0".to_owned()),
        ("name", r"\u3164".to_owned()),
        ("name", String::new()),
        // Too long.
        ("name", long(256)),
        ("phone", long(51)),
        ("address", long(501)),
    ];
    for (field, text) in invalid {
        let mut body = r#"{"name":"Acme","email":"b@acme.example","phone":"2","address":"Other"}"#.to_owned();
        let start = body.find(&format!("\"{field}\":\"")).unwrap() + field.len() + 4;
        let end = start + body[start..].find('"').unwrap();
        body.replace_range(start..end, &text);
        let (path, responses) = post_and_put(&router, &body).await;
        for response in responses {
            assert_eq!((response.status, response.code().as_str()), (400, "validation_failed"), "{body}");
            assert_eq!(response.invalid_fields(), [format!("/{field}")], "{body}");
        }
        let current = ApiRequest::inventory("GET", &path).send(&router).await;
        assert_eq!(
            (current.data()["phone"].clone(), current.data()["version"].clone()),
            (json!("1"), json!(1))
        );
    }
}

#[tokio::test]
async fn text_is_stored_normalised() {
    let (router, _) = start().await;
    let body = r#"{"name":"  Cafe\u0301 \ud83d\ude00 ","email":" Ann@Bu\u0308cher.Example ","phone":" ",
        "address":"1 Main Street\r\nSpringfield\r\n"}"#;
    let (_, [post, put]) = post_and_put(&router, body).await;
    assert_eq!((put.status, put.code().as_str()), (409, "duplicate_email"), "both have one address");
    let body = body.replace("Ann@", "Bob@");
    let path = post.header("location").unwrap();
    let put = ApiRequest::inventory("PUT", path).text(&body, "application/json").send(&router).await;
    for (response, status, local) in [(&post, 201, "ann"), (&put, 200, "bob")] {
        assert_eq!(response.status, status, "{}", response.text);
        let data = response.data();
        assert_eq!(data["name"], "Café 😀");
        assert_eq!(
            data["email"],
            format!("{local}@xn--bcher-kva.example"),
            "the domain is stored as A-labels"
        );
        assert_eq!(data["phone"], "");
        assert_eq!(data["address"], "1 Main Street\nSpringfield");
    }
    // Every spelling of the domain is the same address.
    for email in ["bob@bücher.example", "BOB@XN--BCHER-KVA.example", "bob@ＢÜＣＨＥＲ.example"] {
        let taken = json!({"name": "Other", "email": email});
        let taken = ApiRequest::inventory("POST", "/api/customers").json(&taken).send(&router).await;
        assert_eq!((taken.status, taken.code().as_str()), (409, "duplicate_email"), "{email}");
    }
}

#[tokio::test]
async fn a_length_counts_characters_after_normalisation() {
    let (router, _) = start().await;
    let decomposed = json!({"name": "e\u{301}".repeat(255), "email": "e@x.example"});
    let created = ApiRequest::inventory("POST", "/api/customers").json(&decomposed).send(&router).await;
    assert_eq!((created.status, created.data()["name"].clone()), (201, json!("é".repeat(255))));
}
