//! Forgotten passwords.

use erp_testkit::ApiAnswer;
use futures_util::future::join_all;
use serde_json::json;

use super::{PASSWORD, Platform, post, statuses};

const ANN: &str = "ann@example.com";
const NOBODY: &str = "nobody@example.com";
const NEW: &str = "battery staple";

fn refused(answer: &ApiAnswer) {
    assert_eq!((answer.status, answer.code()), (400, "validation_failed".to_owned()), "{}", answer.text);
    assert_eq!(answer.faults(), ["/reset_token"]);
}

#[tokio::test]
async fn a_token_sets_a_new_password_once_and_unlocks_the_account() {
    let platform = Platform::open().await;
    platform.register(ANN).await;
    for _ in 0..5 {
        platform.login(ANN, "wrong password").await;
    }
    let token = platform.reset_token(ANN).await;
    let answer = platform.reset(&token, NEW).await;
    assert_eq!((answer.status, &answer.data()), (200, &json!({})), "{}", answer.text);
    assert_eq!(answer.json()["message"], "Password reset successfully");
    assert_eq!(platform.login(ANN, NEW).await.status, 200);
    assert_eq!(platform.login(ANN, PASSWORD).await.status, 401);
    refused(&platform.reset(&token, PASSWORD).await);
}

#[tokio::test]
async fn of_many_uses_at_once_one_counts() {
    let platform = Platform::open().await;
    platform.register(ANN).await;
    let token = platform.reset_token(ANN).await;
    let answers = join_all((0..4).map(|_| platform.reset(&token, NEW))).await;
    assert_eq!(statuses(&answers), [200, 400, 400, 400]);
}

#[tokio::test]
async fn a_token_ends_after_an_hour() {
    let platform = Platform::open().await;
    platform.register(ANN).await;
    let token = platform.reset_token(ANN).await;
    platform.clock.advance_seconds(3600);
    refused(&platform.reset(&token, NEW).await);
    let token = platform.reset_token(ANN).await;
    platform.clock.advance_seconds(3599);
    assert_eq!(platform.reset(&token, NEW).await.status, 200);
}

#[tokio::test]
async fn only_the_newest_token_is_good() {
    let platform = Platform::open().await;
    platform.register(ANN).await;
    let (old, new) = (platform.reset_token(ANN).await, platform.reset_token(ANN).await);
    refused(&platform.reset(&old, NEW).await);
    assert_eq!(platform.reset(&new, NEW).await.status, 200);
    refused(&platform.reset(&old, NEW).await);
}

#[tokio::test]
async fn asking_tells_nothing_about_who_is_there() {
    let hide = Platform::start("open", "hide").await;
    hide.register(ANN).await;
    let (known, unknown) = (hide.forgot(ANN).await, hide.forgot(NOBODY).await);
    assert_eq!(known.status, 200);
    assert_eq!(known.data(), json!({}), "no token");
    assert_eq!(known.text, unknown.text);

    let expose = hide.redeployed("open", "expose");
    let (known, unknown) = (expose.forgot(ANN).await, expose.forgot(NOBODY).await);
    let tokens = [&known, &unknown].map(|answer| answer.data()["reset_token"].as_str().unwrap().to_owned());
    assert_eq!(tokens[0].len(), 43, "256 bits");
    assert_eq!(known.text.replace(&tokens[0], ""), unknown.text.replace(&tokens[1], ""));
    refused(&expose.reset(&tokens[1], NEW).await);
}

#[tokio::test]
async fn as_much_is_written_for_nobody_as_for_somebody() {
    let platform = Platform::open().await;
    platform.register("abc@example.com").await;
    let before = platform.dump().await.len();
    platform.forgot("abc@example.com").await;
    let known = platform.dump().await.len() - before;
    platform.forgot("xyz@example.com").await;
    assert_eq!(platform.dump().await.len() - before, 2 * known);
}

#[tokio::test]
async fn an_event_tells_that_a_user_asked_and_holds_no_token() {
    let platform = Platform::open().await;
    let user = platform.register(ANN).await.data();
    platform.forgot(NOBODY).await;
    let token = platform.reset_token(ANN).await;
    let events = platform.events().await;
    assert_eq!(events.len(), 2, "one for the registration, none for nobody");
    assert_eq!(events[1]["type"], "auth.password.reset_requested");
    let data = json!({"user_id": user["id"], "email": ANN, "expires_at": "2027-01-15T09:00:00.000Z"});
    assert_eq!(events[1]["data"], data);
    assert!(!events[1].to_string().contains(&token));
}

#[tokio::test]
async fn five_resets_an_hour_are_granted_and_the_answer_does_not_tell() {
    let platform = Platform::open().await;
    platform.register(ANN).await;
    let mut last = String::new();
    for _ in 0..5 {
        last = platform.reset_token(ANN).await;
    }
    let sixth = platform.forgot(ANN).await;
    assert_eq!(sixth.status, 200);
    refused(&platform.reset(sixth.data()["reset_token"].as_str().unwrap(), NEW).await);
    assert_eq!(platform.events().await.len(), 6);
    assert_eq!(platform.reset(&last, NEW).await.status, 200, "the last one granted stays good");

    platform.clock.advance_seconds(3600);
    let token = platform.reset_token(ANN).await;
    assert_eq!(platform.reset(&token, NEW).await.status, 200);
}

#[tokio::test]
async fn many_requests_at_once_are_all_answered_and_five_are_granted() {
    let platform = Platform::open().await;
    platform.register(ANN).await;
    let answers = join_all((0..10).map(|_| platform.forgot(ANN))).await;
    assert_eq!(statuses(&answers), [200; 10]);
    assert_eq!(platform.events().await.len(), 6);
}

#[tokio::test]
async fn the_same_key_resets_once_and_gives_the_first_answer_again() {
    let platform = Platform::open().await;
    platform.register(ANN).await;
    let body = json!({"reset_token": platform.reset_token(ANN).await, "new_password": NEW});
    let request = post("reset-password", &body).header("Idempotency-Key", "k1");
    let first = platform.send(request.clone()).await;
    let again = platform.send(request).await;
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.text, again.text);

    let mut other = body;
    other["new_password"] = json!("yet another one");
    let reused = platform.send(post("reset-password", &other).header("Idempotency-Key", "k1")).await;
    assert_eq!((reused.status, reused.code()), (422, "idempotency_key_reused".to_owned()));
}

#[tokio::test]
async fn a_new_password_has_the_same_bounds_and_faults_come_together() {
    let platform = Platform::open().await;
    let faults = platform.post("reset-password", json!({"reset_token": 1, "new_password": "short"})).await;
    assert_eq!(faults.faults(), ["/reset_token", "/new_password"]);
    refused(&platform.reset("nonsense", NEW).await);
    refused(&platform.reset("", NEW).await);
}
