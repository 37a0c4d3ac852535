//! Registering, open and closed.

use erp_domain::identity::{Caller, Role};
use erp_testkit::ApiRequest;
use futures_util::future::{join, join_all};
use serde_json::json;

use super::{PASSWORD, Platform, new_user, post, statuses};

#[tokio::test]
async fn a_user_registers_and_an_event_tells_of_it() {
    let platform = Platform::open().await;
    let answer = platform.register(" Ann@Example.com ").await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.json()["message"], "User registered successfully");
    assert_eq!(answer.header("location"), None);
    let user = answer.data();
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
    let events = platform.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["type"], "auth.user.registered");
    assert_eq!(events[0]["subject"], user["id"]);
    assert_eq!(events[0]["correlationid"], "test-request");
    let data = json!({"user_id": user["id"], "email": "ann@example.com", "role": "inventory_manager"});
    assert_eq!(events[0]["data"], data);
}

#[tokio::test]
async fn an_address_is_taken_whatever_its_letter_case() {
    let platform = Platform::open().await;
    assert_eq!(platform.register("ann@example.com").await.status, 201);
    let second = platform.register("ANN@example.COM").await;
    assert_eq!((second.status, second.code()), (409, "duplicate_email".to_owned()));
    assert_eq!(second.faults(), ["/email"]);
    let both = join_all((0..4).map(|_| platform.register("bob@example.com"))).await;
    assert_eq!(statuses(&both), [201, 409, 409, 409], "at once too");
    assert_eq!(platform.events().await.len(), 2, "no event for what did not happen");
}

#[tokio::test]
async fn every_fault_is_reported_at_once() {
    let platform = Platform::open().await;
    let answer =
        platform.post("register", json!({"email": "ann", "password": "short", "role": "admin"})).await;
    assert_eq!((answer.status, answer.code()), (400, "validation_failed".to_owned()));
    assert_eq!(answer.faults(), ["/email", "/password", "/role"]);
    let role = answer.json()["errors"][2]["detail"].clone();
    assert_eq!(role, "must be inventory_manager or finance_manager");
    let mut body = new_user("ann@example.com", "finance_manager");
    body["is_admin"] = json!(true);
    body["email"] = json!(5);
    assert_eq!(platform.post("register", body).await.faults(), ["/email", "/is_admin"]);
    let empty = platform.post("register", json!({})).await;
    assert_eq!(empty.faults(), ["/email", "/password", "/role"]);
}

#[tokio::test]
async fn what_is_not_a_json_body_by_post_is_refused() {
    let platform = Platform::open().await;
    let text = new_user("ann@example.com", "finance_manager").to_string();
    let request = ApiRequest::new("POST", "/api/auth/register");
    let form = platform.send(request.clone().text(&text, "application/x-www-form-urlencoded")).await;
    assert_eq!((form.status, form.code()), (415, "unsupported_media_type".to_owned()));
    let broken = platform.send(request.clone().text("{", "application/json")).await;
    assert_eq!((broken.status, broken.code()), (400, "malformed_json".to_owned()));
    assert_eq!(platform.send(request).await.status, 400, "nothing at all");
    let get = platform.send(ApiRequest::new("GET", "/api/auth/register")).await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
}

#[tokio::test]
async fn where_registration_is_closed_the_first_user_becomes_finance_manager_and_registers_the_others() {
    let platform = Platform::closed().await;
    let first = platform.register("ann@example.com").await;
    assert_eq!((first.status, first.data()["role"].as_str()), (201, Some("finance_manager")));

    let stranger = platform.register("bob@example.com").await;
    assert_eq!((stranger.status, stranger.code()), (401, "unauthorized".to_owned()));
    assert_eq!(stranger.header("www-authenticate"), Some("Bearer"));

    let login = platform.login("ann@example.com", PASSWORD).await;
    let ann = format!("bearer {}", login.data()["access_token"].as_str().unwrap());
    let bob = post("register", &new_user("bob@example.com", "inventory_manager"));
    let registered = platform.send(bob.header("Authorization", ann)).await;
    assert_eq!((registered.status, registered.data()["role"].as_str()), (201, Some("inventory_manager")));
    assert_eq!(platform.events().await[1]["actor"], first.data()["id"], "the event tells who did it");
}

#[tokio::test]
async fn where_registration_is_closed_only_a_good_token_of_a_finance_manager_opens_it() {
    let platform = Platform::closed().await;
    // Even while nobody is there: who shows a token is no first user.
    let bob = post("register", &new_user("bob@example.com", "inventory_manager"));
    let service = platform.bearer(&Caller::Service { name: "reports".into() });
    for (header, status) in [
        (platform.bearer_of(Role::InventoryManager), 403),
        (service, 403),
        (platform.bearer_of(Role::FinanceManager).replace("Bearer", "Basic"), 401),
        ("Bearer nonsense".into(), 401),
        ("Bearer".into(), 401),
        (String::new(), 401),
    ] {
        let answer = platform.send(bob.clone().header("Authorization", &header)).await;
        assert_eq!(answer.status, status, "{header}");
    }
    let stale = platform.bearer_of(Role::FinanceManager);
    platform.clock.advance_seconds(86_400);
    assert_eq!(platform.send(bob.header("Authorization", stale)).await.status, 401);
    assert!(platform.dump().await.is_empty(), "nothing was written");
}

#[tokio::test]
async fn of_two_first_users_at_once_exactly_one_is_registered() {
    for _ in 0..5 {
        let platform = Platform::closed().await;
        let both = join(platform.register("ann@example.com"), platform.register("bob@example.com")).await;
        let both = [both.0, both.1];
        assert_eq!(statuses(&both), [201, 401]);
        let winner = both.iter().find(|answer| answer.status == 201).unwrap();
        assert_eq!(winner.data()["role"], "finance_manager");
        assert_eq!(platform.events().await.len(), 1);
    }
}

#[tokio::test]
async fn where_registration_was_open_before_nobody_is_the_first_user_any_more() {
    let open = Platform::open().await;
    let both = join(open.register("ann@example.com"), open.register("bob@example.com")).await;
    assert_eq!(statuses(&[both.0, both.1]), [201, 201], "at once too");
    let closed = open.redeployed("closed", "hide");
    assert_eq!(closed.register("eve@example.com").await.status, 401);
}

#[tokio::test]
async fn the_same_key_registers_once_and_gives_the_first_answer_again() {
    let platform = Platform::closed().await;
    let request =
        post("register", &new_user("ann@example.com", "finance_manager")).header("Idempotency-Key", "k1");
    let at_once = join_all((0..3).map(|_| platform.send(request.clone()))).await;
    assert_eq!(statuses(&at_once), [201, 201, 201]);
    let again = platform.send(request).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    for answer in &at_once {
        assert_eq!(answer.text, again.text);
    }
    assert_eq!(platform.events().await.len(), 1);

    let mut other = new_user("ann@example.com", "finance_manager");
    other["password"] = json!("another password");
    let reused = platform.send(post("register", &other).header("Idempotency-Key", "k1")).await;
    assert_eq!((reused.status, reused.code()), (422, "idempotency_key_reused".to_owned()));
}

#[tokio::test]
async fn a_kept_answer_is_only_for_the_caller_it_was_kept_for() {
    let platform = Platform::closed().await;
    platform.register("ann@example.com").await;
    let request =
        post("register", &new_user("bob@example.com", "inventory_manager")).header("Idempotency-Key", "k1");
    let finance = platform.bearer_of(Role::FinanceManager);
    let registered = platform.send(request.clone().header("Authorization", &finance)).await;
    assert_eq!(registered.status, 201);
    assert_eq!(platform.send(request.clone()).await.status, 401);
    assert_eq!(platform.send(request.clone().header("Authorization", "Bearer x")).await.status, 401);
    assert_eq!(platform.send(request.header("Authorization", &finance)).await.text, registered.text);
}
