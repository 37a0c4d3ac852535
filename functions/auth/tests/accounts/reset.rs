//! Password resets.

use erp_testkit::ApiResponse;
use futures_util::future::join_all;
use serde_json::json;

use crate::{PASSWORD, TestService, post, statuses};

const ANN: &str = "ann@example.com";
const UNKNOWN: &str = "unknown@example.com";
const NEW: &str = "battery staple";

fn rejected(response: &ApiResponse) {
    assert_eq!(
        (response.status, response.code()),
        (400, "validation_failed".to_owned()),
        "{}",
        response.text
    );
    assert_eq!(response.invalid_fields(), ["/reset_token"]);
}

#[tokio::test]
async fn a_token_sets_a_new_password_once_and_unlocks_the_account() {
    let service = TestService::open().await;
    service.register(ANN).await;
    for _ in 0..5 {
        service.login(ANN, "wrong password").await;
    }
    let token = service.reset_token(ANN).await;
    let response = service.reset(&token, NEW).await;
    assert_eq!((response.status, &response.data()), (200, &json!({})), "{}", response.text);
    assert_eq!(response.json()["message"], "Password reset successfully");
    assert_eq!(service.login(ANN, NEW).await.status, 200);
    assert_eq!(service.login(ANN, PASSWORD).await.status, 401);
    rejected(&service.reset(&token, PASSWORD).await);
}

#[tokio::test]
async fn of_concurrent_uses_one_succeeds() {
    let service = TestService::open().await;
    service.register(ANN).await;
    let token = service.reset_token(ANN).await;
    let responses = join_all((0..4).map(|_| service.reset(&token, NEW))).await;
    assert_eq!(statuses(&responses), [200, 400, 400, 400]);
}

#[tokio::test]
async fn a_token_expires_after_an_hour() {
    let service = TestService::open().await;
    service.register(ANN).await;
    let token = service.reset_token(ANN).await;
    service.clock.advance_seconds(3600);
    rejected(&service.reset(&token, NEW).await);
    let token = service.reset_token(ANN).await;
    service.clock.advance_seconds(3599);
    assert_eq!(service.reset(&token, NEW).await.status, 200);
}

#[tokio::test]
async fn only_the_newest_token_is_valid() {
    let service = TestService::open().await;
    service.register(ANN).await;
    let (old, new) = (service.reset_token(ANN).await, service.reset_token(ANN).await);
    rejected(&service.reset(&old, NEW).await);
    assert_eq!(service.reset(&new, NEW).await.status, 200);
    rejected(&service.reset(&old, NEW).await);
}

#[tokio::test]
async fn a_reset_request_does_not_reveal_whether_the_account_exists() {
    let hide = TestService::start("open", "hide", None).await;
    hide.register(ANN).await;
    let (known, unknown) = (hide.forgot(ANN).await, hide.forgot(UNKNOWN).await);
    assert_eq!(known.status, 200);
    assert_eq!(known.data(), json!({}), "no token");
    assert_eq!(known.text, unknown.text);

    let expose = hide.redeployed("open", "expose");
    let (known, unknown) = (expose.forgot(ANN).await, expose.forgot(UNKNOWN).await);
    let tokens =
        [&known, &unknown].map(|response| response.data()["reset_token"].as_str().unwrap().to_owned());
    assert_eq!(tokens[0].len(), 43, "256 bits");
    assert_eq!(known.text.replace(&tokens[0], ""), unknown.text.replace(&tokens[1], ""));
    rejected(&expose.reset(&tokens[1], NEW).await);
}

#[tokio::test]
async fn a_reset_request_writes_as_much_without_an_account_as_with_one() {
    let service = TestService::open().await;
    service.register("abc@example.com").await;
    let before = service.dump().await.len();
    service.forgot("abc@example.com").await;
    let known = service.dump().await.len() - before;
    service.forgot("xyz@example.com").await;
    assert_eq!(service.dump().await.len() - before, 2 * known);
}

#[tokio::test]
async fn a_reset_request_publishes_an_event_without_the_token() {
    let service = TestService::open().await;
    let user = service.register(ANN).await.data();
    service.forgot(UNKNOWN).await;
    let token = service.reset_token(ANN).await;
    let events = service.events().await;
    assert_eq!(events.len(), 2, "one for the registration, none without an account");
    assert_eq!(events[1]["type"], "auth.password.reset_requested");
    let data = json!({"user_id": user["id"], "email": ANN, "expires_at": "2027-01-15T09:00:00.000Z"});
    assert_eq!(events[1]["data"], data);
    assert!(!events[1].to_string().contains(&token));
}

#[tokio::test]
async fn five_resets_an_hour_are_granted_and_the_response_does_not_reveal_it() {
    let service = TestService::open().await;
    service.register(ANN).await;
    let mut last = String::new();
    for _ in 0..5 {
        last = service.reset_token(ANN).await;
    }
    let sixth = service.forgot(ANN).await;
    assert_eq!(sixth.status, 200);
    rejected(&service.reset(sixth.data()["reset_token"].as_str().unwrap(), NEW).await);
    assert_eq!(service.events().await.len(), 6);
    assert_eq!(service.reset(&last, NEW).await.status, 200, "the last one that was granted stays valid");

    service.clock.advance_seconds(3600);
    let token = service.reset_token(ANN).await;
    assert_eq!(service.reset(&token, NEW).await.status, 200);
}

#[tokio::test]
async fn concurrent_requests_all_succeed_and_five_are_granted() {
    let service = TestService::open().await;
    service.register(ANN).await;
    let responses = join_all((0..10).map(|_| service.forgot(ANN))).await;
    assert_eq!(statuses(&responses), [200; 10]);
    assert_eq!(service.events().await.len(), 6);
}

#[tokio::test]
async fn the_same_key_resets_once_and_replays_the_first_response() {
    let service = TestService::open().await;
    service.register(ANN).await;
    let body = json!({"reset_token": service.reset_token(ANN).await, "new_password": NEW});
    let request = post("reset-password", &body).header("Idempotency-Key", "k1");
    let first = service.send(request.clone()).await;
    let again = service.send(request).await;
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.text, again.text);

    let mut other = body;
    other["new_password"] = json!("yet another one");
    let reused = service.send(post("reset-password", &other).header("Idempotency-Key", "k1")).await;
    assert_eq!((reused.status, reused.code()), (422, "idempotency_key_reused".to_owned()));
}

#[tokio::test]
async fn a_new_password_has_the_same_bounds_and_errors_are_reported_together() {
    let service = TestService::open().await;
    let invalid = service.post("reset-password", json!({"reset_token": 1, "new_password": "short"})).await;
    assert_eq!(invalid.invalid_fields(), ["/reset_token", "/new_password"]);
    rejected(&service.reset("nonsense", NEW).await);
    rejected(&service.reset("", NEW).await);
}
