//! Registration, open and closed.

use erp_domain::identity::{Caller, Role};
use erp_testkit::ApiRequest;
use futures_util::future::{join, join_all};
use serde_json::json;

use crate::{PASSWORD, TestService, new_user, post, statuses};

#[tokio::test]
async fn a_registration_publishes_an_event() {
    let service = TestService::open().await;
    let response = service.register(" Ann@Example.com ").await;
    assert_eq!(response.status, 201, "{}", response.text);
    assert_eq!(response.json()["message"], "User registered successfully");
    assert_eq!(response.header("location"), None);
    let user = response.data();
    assert_eq!(
        user,
        json!({
            "id": user["id"],
            "email": "ann@example.com",
            "role": "inventory_manager",
            "created_at": "2027-01-15T08:00:00.000Z",
            "updated_at": "2027-01-15T08:00:00.000Z",
        })
    );
    let events = service.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["type"], "auth.user.registered");
    assert_eq!(events[0]["subject"], user["id"]);
    assert_eq!(events[0]["correlationid"], "test-request");
    let data = json!({"user_id": user["id"], "email": "ann@example.com", "role": "inventory_manager"});
    assert_eq!(events[0]["data"], data);
}

#[tokio::test]
async fn an_address_is_taken_whatever_its_letter_case() {
    let service = TestService::open().await;
    assert_eq!(service.register("ann@example.com").await.status, 201);
    let second = service.register("ANN@example.COM").await;
    assert_eq!((second.status, second.code()), (409, "duplicate_email".to_owned()));
    assert_eq!(second.invalid_fields(), ["/email"]);
    let both = join_all((0..4).map(|_| service.register("bob@example.com"))).await;
    assert_eq!(statuses(&both), [201, 409, 409, 409], "at once too");
    assert_eq!(service.events().await.len(), 2, "no event for what did not happen");
}

#[tokio::test]
async fn every_validation_error_is_reported_at_once() {
    let service = TestService::open().await;
    let response =
        service.post("register", json!({"email": "ann", "password": "short", "role": "admin"})).await;
    assert_eq!((response.status, response.code()), (400, "validation_failed".to_owned()));
    assert_eq!(response.invalid_fields(), ["/email", "/password", "/role"]);
    let role = response.json()["errors"][2]["detail"].clone();
    assert_eq!(role, "must be inventory_manager or finance_manager");
    let mut body = new_user("ann@example.com", "finance_manager");
    body["is_admin"] = json!(true);
    body["email"] = json!(5);
    assert_eq!(service.post("register", body).await.invalid_fields(), ["/email", "/is_admin"]);
    let empty = service.post("register", json!({})).await;
    assert_eq!(empty.invalid_fields(), ["/email", "/password", "/role"]);
}

#[tokio::test]
async fn a_request_that_is_not_json_by_post_is_rejected() {
    let service = TestService::open().await;
    let text = new_user("ann@example.com", "finance_manager").to_string();
    let request = ApiRequest::new("POST", "/api/auth/register");
    let form = service.send(request.clone().text(&text, "application/x-www-form-urlencoded")).await;
    assert_eq!((form.status, form.code()), (415, "unsupported_media_type".to_owned()));
    let broken = service.send(request.clone().text("{", "application/json")).await;
    assert_eq!((broken.status, broken.code()), (400, "malformed_json".to_owned()));
    assert_eq!(service.send(request).await.status, 400, "nothing at all");
    let get = service.send(ApiRequest::new("GET", "/api/auth/register")).await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
}

#[tokio::test]
async fn where_registration_is_closed_the_first_user_becomes_finance_manager_and_registers_the_others() {
    let service = TestService::closed().await;
    let first = service.register("ann@example.com").await;
    assert_eq!((first.status, first.data()["role"].as_str()), (201, Some("finance_manager")));

    let unknown = service.register("bob@example.com").await;
    assert_eq!((unknown.status, unknown.code()), (401, "unauthorized".to_owned()));
    assert_eq!(unknown.header("www-authenticate"), Some("Bearer"));

    let login = service.login("ann@example.com", PASSWORD).await;
    let ann = format!("bearer {}", login.data()["access_token"].as_str().unwrap());
    let bob = post("register", &new_user("bob@example.com", "inventory_manager"));
    let registered = service.send(bob.header("Authorization", ann)).await;
    assert_eq!((registered.status, registered.data()["role"].as_str()), (201, Some("inventory_manager")));
    assert_eq!(service.events().await[1]["actor"], first.data()["id"], "the event names the caller");
}

#[tokio::test]
async fn where_registration_is_closed_only_a_good_token_of_a_finance_manager_opens_it() {
    let service = TestService::closed().await;
    // Also while there is no user: a caller with a token is not the first user.
    let bob = post("register", &new_user("bob@example.com", "inventory_manager"));
    let program = service.bearer(&Caller::Service { name: "reports".into() });
    for (header, status) in [
        (service.bearer_of(Role::InventoryManager), 403),
        (program, 403),
        (service.bearer_of(Role::FinanceManager).replace("Bearer", "Basic"), 401),
        ("Bearer nonsense".into(), 401),
        ("Bearer".into(), 401),
        (String::new(), 401),
    ] {
        let response = service.send(bob.clone().header("Authorization", &header)).await;
        assert_eq!(response.status, status, "{header}");
    }
    let stale = service.bearer_of(Role::FinanceManager);
    service.clock.advance_seconds(86_400);
    assert_eq!(service.send(bob.header("Authorization", stale)).await.status, 401);
    assert!(service.dump().await.is_empty(), "nothing was written");
}

#[tokio::test]
async fn of_two_concurrent_first_users_exactly_one_is_registered() {
    for _ in 0..5 {
        let service = TestService::closed().await;
        let both = join(service.register("ann@example.com"), service.register("bob@example.com")).await;
        let both = [both.0, both.1];
        assert_eq!(statuses(&both), [201, 401]);
        let winner = both.iter().find(|response| response.status == 201).unwrap();
        assert_eq!(winner.data()["role"], "finance_manager");
        assert_eq!(service.events().await.len(), 1);
    }
}

#[tokio::test]
async fn where_registration_was_open_before_there_is_no_further_first_user() {
    let open = TestService::open().await;
    let both = join(open.register("ann@example.com"), open.register("bob@example.com")).await;
    assert_eq!(statuses(&[both.0, both.1]), [201, 201], "at once too");
    let closed = open.redeployed("closed", "hide");
    assert_eq!(closed.register("eve@example.com").await.status, 401);
}

#[tokio::test]
async fn the_same_key_registers_once_and_replays_the_first_response() {
    let service = TestService::closed().await;
    let request =
        post("register", &new_user("ann@example.com", "finance_manager")).header("Idempotency-Key", "k1");
    let at_once = join_all((0..3).map(|_| service.send(request.clone()))).await;
    assert_eq!(statuses(&at_once), [201, 201, 201]);
    let again = service.send(request).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    for response in &at_once {
        assert_eq!(response.text, again.text);
    }
    assert_eq!(service.events().await.len(), 1);

    let mut other = new_user("ann@example.com", "finance_manager");
    other["password"] = json!("another password");
    let reused = service.send(post("register", &other).header("Idempotency-Key", "k1")).await;
    assert_eq!((reused.status, reused.code()), (422, "idempotency_key_reused".to_owned()));
}

#[tokio::test]
async fn a_stored_response_is_replayed_to_its_own_caller_only() {
    let service = TestService::closed().await;
    service.register("ann@example.com").await;
    let request =
        post("register", &new_user("bob@example.com", "inventory_manager")).header("Idempotency-Key", "k1");
    let finance = service.bearer_of(Role::FinanceManager);
    let registered = service.send(request.clone().header("Authorization", &finance)).await;
    assert_eq!(registered.status, 201);
    assert_eq!(service.send(request.clone()).await.status, 401);
    assert_eq!(service.send(request.clone().header("Authorization", "Bearer x")).await.status, 401);
    assert_eq!(service.send(request.header("Authorization", &finance)).await.text, registered.text);
}
