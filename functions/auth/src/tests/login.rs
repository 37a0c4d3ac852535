//! Logging in, and being locked out.

use std::sync::Arc;
use std::time::Duration;

use erp_domain::identity::Caller;
use erp_domain::{Clock, Email};
use erp_testkit::ApiRequest;
use futures_util::future::{join, join_all};
use serde_json::json;

use super::{PASSWORD, Platform, statuses};
use crate::attempts::BUDGET;
use crate::ports::Target;
use crate::store::DynamoStore;
use crate::throttle::Throttle;

const ANN: &str = "ann@example.com";
const NOBODY: &str = "nobody@example.com";

#[tokio::test]
async fn a_user_who_knows_their_password_gets_a_token() {
    let platform = Platform::open().await;
    let user = platform.register(ANN).await.data();
    let answer = platform.login(" ANN@example.com", PASSWORD).await;
    assert_eq!((answer.status, answer.json()["message"].as_str()), (200, Some("Login successful")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let data = answer.data();
    assert_eq!(
        data,
        json!({"access_token": data["access_token"], "token_type": "Bearer", "expires_in": 86400, "user": user})
    );
    let token = data["access_token"].as_str().unwrap();
    let verified = platform.tokens.verify(token, platform.clock.now()).unwrap();
    let Caller::User { id, email, role } = verified.caller else { panic!("{verified:?}") };
    assert_eq!(json!(id), user["id"]);
    assert_eq!((email.as_str(), role.as_str()), (ANN, "inventory_manager"));
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_cannot_be_told_apart() {
    let platform = Platform::open().await;
    platform.register(ANN).await;
    for _ in 0..8 {
        let wrong = platform.login(ANN, "wrong password").await;
        let unknown = platform.login(NOBODY, "wrong password").await;
        assert_eq!(wrong.status, unknown.status);
        assert_eq!(wrong.text, unknown.text);
        let headers = |answer: &erp_testkit::ApiAnswer| format!("{:?}", answer.headers);
        assert_eq!(headers(&wrong), headers(&unknown), "Retry-After and all");
    }
    let unknown = platform.login("x@example.com", PASSWORD).await;
    assert_eq!((unknown.status, unknown.code()), (401, "invalid_credentials".to_owned()));
}

#[tokio::test]
async fn a_password_that_can_be_no_password_is_just_wrong() {
    let platform = Platform::open().await;
    platform.register(ANN).await;
    for password in ["", "a", &"a".repeat(5000)] {
        assert_eq!(platform.login(ANN, password).await.status, 401);
    }
    let faults = platform.post("login", json!({"email": "ann", "password": 1, "x": 1})).await.faults();
    assert_eq!(faults, ["/email", "/password", "/x"]);
}

#[tokio::test]
async fn five_failures_lock_the_account_for_longer_and_longer_and_a_success_forgets_them() {
    let platform = Platform::open().await;
    platform.register(ANN).await;
    for _ in 0..5 {
        assert_eq!(platform.login(ANN, "wrong password").await.status, 401);
    }
    let locked = platform.login(ANN, PASSWORD).await;
    assert_eq!((locked.status, locked.code()), (429, "too_many_requests".to_owned()));
    assert_eq!(locked.header("retry-after"), Some("60"), "the right password too");

    platform.clock.advance_seconds(60);
    assert_eq!(platform.login(ANN, "wrong password").await.status, 401);
    assert_eq!(platform.login(ANN, PASSWORD).await.header("retry-after"), Some("120"));

    platform.clock.advance_seconds(120);
    assert_eq!(platform.login(ANN, PASSWORD).await.status, 200);
    for _ in 0..4 {
        assert_eq!(platform.login(ANN, "wrong password").await.status, 401);
    }
    assert_eq!(platform.login(ANN, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn guesses_at_once_are_no_more_than_guesses_one_after_the_other() {
    let platform = Platform::open().await;
    platform.register(ANN).await;
    for email in [ANN, NOBODY] {
        let guesses = (0..20).map(|n| platform.login(email, if n == 19 { "wrong" } else { "guess" }));
        let answers = join_all(guesses).await;
        let tried = answers.iter().filter(|answer| answer.status == 401).count();
        let locked = answers.iter().filter(|answer| answer.status == 429).count();
        assert_eq!((tried, locked), (5, 15), "{email}");
    }
}

#[tokio::test]
async fn guesses_from_many_addresses_count_together_and_against_their_own_account_only() {
    let platform = Platform::open().await;
    platform.register(ANN).await;
    platform.register("bob@example.com").await;
    let guess = async |email: &str, password: &str, from: u8| {
        let body = json!({"email": email, "password": password});
        let request = ApiRequest::new("POST", "/api/auth/login").json(&body);
        let address = format!("203.0.113.{from}");
        // What a client says of itself, and could make up, changes nothing either.
        platform.send(request.from_address(&address).header("X-Forwarded-For", &address)).await.status
    };
    let guesses = join_all((0..20).map(|from| guess(ANN, "guess", from))).await;
    assert_eq!(guesses.iter().filter(|status| **status == 401).count(), 5, "{guesses:?}");
    assert_eq!(guesses.iter().filter(|status| **status == 429).count(), 15, "{guesses:?}");
    assert_eq!(guess(ANN, PASSWORD, 99).await, 429, "from an address that nobody guessed from");
    assert_eq!(guess(" ANN@Example.com", PASSWORD, 98).await, 429, "the same account, written otherwise");
    assert_eq!(guess("bob@example.com", PASSWORD, 1).await, 200, "from one that somebody guessed from");
}

#[tokio::test]
async fn a_lock_outlives_the_function_and_a_clock_that_goes_back() {
    let platform = Platform::open().await;
    platform.register(ANN).await;
    for _ in 0..5 {
        platform.login(ANN, "wrong password").await;
    }
    let restarted = platform.redeployed("open", "expose");
    assert_eq!(restarted.login(ANN, PASSWORD).await.status, 429);
    // Another machine's clock is a little behind, or an hour: nobody gets in, or more guesses, by that.
    for seconds in [1, 59, 3540] {
        platform.clock.advance_seconds(-seconds);
        assert_eq!(platform.login(ANN, PASSWORD).await.status, 429);
        assert_eq!(platform.login(ANN, "wrong password").await.status, 429);
    }
    platform.clock.advance_seconds(3600 + 59);
    assert_eq!(platform.login(ANN, PASSWORD).await.header("retry-after"), Some("1"));
    platform.clock.advance_seconds(1);
    assert_eq!(platform.login(ANN, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn somebody_who_knows_the_password_may_log_in_many_times_at_once() {
    let platform = Platform::open().await;
    platform.register(ANN).await;
    let answers = join_all((0..12).map(|_| platform.login(ANN, PASSWORD))).await;
    assert_eq!(statuses(&answers), [200; 12]);
}

#[tokio::test]
async fn an_attempt_waits_for_a_place_that_another_one_gives_back() {
    let platform = Platform::open().await;
    let store = Arc::new(DynamoStore::new(platform.table.clone()));
    let throttle = Throttle { store, clock: platform.clock.clone() };
    let ann = Target::User(Email::parse(ANN).unwrap());
    for _ in 0..BUDGET {
        throttle.begin(&ann).await.unwrap();
    }
    let settle = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        throttle.succeeded(&ann).await.unwrap();
    };
    let (sixth, ()) = join(throttle.begin(&ann), settle).await;
    assert!(sixth.is_ok(), "{sixth:?}");
}

#[tokio::test]
async fn a_token_does_no_harm_on_a_public_route() {
    let platform = Platform::open().await;
    platform.register(ANN).await;
    let body = json!({"email": ANN, "password": PASSWORD});
    let request = ApiRequest::new("POST", "/api/auth/login/").json(&body);
    let answer = platform.send(request.header("Authorization", "Bearer expired")).await;
    assert_eq!(answer.status, 200);
}
