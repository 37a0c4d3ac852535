//! Text: e-mail addresses, names of services and secrets, normalised or rejected.

use erp_testkit::ApiRequest;
use serde_json::json;

use crate::{PASSWORD, SERVICE_SECRET, TestService, new_user};

#[tokio::test]
async fn a_secret_that_cannot_be_decoded_is_an_error_that_names_its_field() {
    let service = TestService::open().await;
    for (route, body, field) in [
        (
            "register",
            r#"{"email":"a@example.com","password":"correct \ud83d","role":"finance_manager"}"#,
            "/password",
        ),
        ("login", r#"{"email":"a@example.com","password":"correct \ud83d"}"#, "/password"),
        ("reset-password", r#"{"reset_token":"\udc00","new_password":"correct horse"}"#, "/reset_token"),
        ("reset-password", r#"{"reset_token":"token","new_password":"correct \ud83d"}"#, "/new_password"),
        ("service-token", r#"{"service_name":"reports","service_secret":"\ud83d"}"#, "/service_secret"),
        ("service-token", r#"{"service_name":"re\ud83dports","service_secret":"x"}"#, "/service_name"),
        ("service-token", r#"{"service_name":"re\u200bports","service_secret":"x"}"#, "/service_name"),
        ("forgot-password", r#"{"email":"a\ud83d@example.com"}"#, "/email"),
    ] {
        let request = ApiRequest::new("POST", &format!("/api/auth/{route}")).text(body, "application/json");
        let response = service.send(request).await;
        assert_eq!((response.status, response.invalid_fields()), (400, vec![field.to_owned()]), "{body}");
    }
}

#[tokio::test]
async fn a_password_is_the_same_in_every_composition() {
    let service = TestService::open().await;
    let mut user = new_user("ann@example.com", "finance_manager");
    user["password"] = json!("cafe\u{301} au lait");
    assert_eq!(service.post("register", user).await.status, 201);
    for password in ["caf\u{e9} au lait", "cafe\u{301} au lait"] {
        assert_eq!(service.login("ann@example.com", password).await.status, 200, "{password:?}");
    }
    assert_eq!(service.login("ann@example.com", "cafe au lait").await.status, 401);
}

#[tokio::test]
async fn a_common_password_is_rejected_wherever_it_is_chosen() {
    let service = TestService::open().await;
    let mut user = new_user("ann@example.com", "finance_manager");
    user["password"] = json!("Password1");
    assert_eq!(service.post("register", user.clone()).await.invalid_fields(), ["/password"]);
    user["password"] = json!("securepassword123");
    assert_eq!(service.post("register", user).await.status, 201);
    let token = service.reset_token("ann@example.com").await;
    assert_eq!(service.reset(&token, "qwertyuiop").await.invalid_fields(), ["/new_password"]);
    assert_eq!(service.reset(&token, PASSWORD).await.status, 200);
    // Where a password is only compared, it is just wrong.
    assert_eq!(service.login("ann@example.com", "qwertyuiop").await.status, 401);
}

#[tokio::test]
async fn an_international_domain_is_one_address_in_every_spelling() {
    let service = TestService::open().await;
    let user = service.register("ann@b\u{fc}cher.example").await;
    assert_eq!((user.status, user.data()["email"].as_str()), (201, Some("ann@xn--bcher-kva.example")));
    assert_eq!(service.register("ann@BU\u{308}CHER.example").await.status, 409);
    assert_eq!(service.login("ann@xn--bcher-kva.example", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn the_name_of_a_service_is_trimmed() {
    let service = TestService::closed().await;
    assert_eq!(service.service_token(" reports ", SERVICE_SECRET).await.status, 200);
}
