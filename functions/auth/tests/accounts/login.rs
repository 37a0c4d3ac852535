//! Login and lockout.

use std::time::Duration;

use auth::domain::{Limits, SourceNetwork};
use auth::store::AuthStore;
use auth::throttle::Throttle;
use erp_domain::identity::Caller;
use erp_domain::{Clock, EmailAddress};
use erp_testkit::ApiRequest;
use futures_util::future::{join, join_all};
use serde_json::json;

use crate::{PASSWORD, TestService, statuses};

const ANN: &str = "ann@example.com";
const UNKNOWN: &str = "unknown@example.com";

#[tokio::test]
async fn a_user_with_the_right_password_gets_a_token() {
    let service = TestService::open().await;
    let user = service.register(ANN).await.data();
    let response = service.login(" ANN@example.com", PASSWORD).await;
    assert_eq!((response.status, response.json()["message"].as_str()), (200, Some("Login successful")));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let data = response.data();
    assert_eq!(
        data,
        json!({"access_token": data["access_token"], "token_type": "Bearer", "expires_in": 86400, "user": user})
    );
    let token = data["access_token"].as_str().unwrap();
    let verified = service.tokens.verify(token, service.clock.now()).unwrap();
    let Caller::User { id, email, role } = verified.caller else { panic!("{verified:?}") };
    assert_eq!(json!(id), user["id"]);
    assert_eq!((email.as_str(), role.as_str()), (ANN, "inventory_manager"));
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_cannot_be_told_apart() {
    let service = TestService::open().await;
    service.register(ANN).await;
    for _ in 0..8 {
        let wrong = service.login(ANN, "wrong password").await;
        let unknown = service.login(UNKNOWN, "wrong password").await;
        assert_eq!(wrong.status, unknown.status);
        assert_eq!(wrong.text, unknown.text);
        let headers = |response: &erp_testkit::ApiResponse| format!("{:?}", response.headers);
        assert_eq!(headers(&wrong), headers(&unknown), "Retry-After and all");
    }
    let unknown = service.login("x@example.com", PASSWORD).await;
    assert_eq!((unknown.status, unknown.code()), (401, "invalid_credentials".to_owned()));
}

#[tokio::test]
async fn a_password_that_could_not_be_chosen_is_just_wrong() {
    let service = TestService::open().await;
    service.register(ANN).await;
    for password in ["", "a", &"a".repeat(5000)] {
        assert_eq!(service.login(ANN, password).await.status, 401);
    }
    let invalid =
        service.post("login", json!({"email": "ann", "password": 1, "x": 1})).await.invalid_fields();
    assert_eq!(invalid, ["/email", "/password", "/x"]);
}

#[tokio::test]
async fn five_failures_lock_the_account_for_increasing_times_and_a_success_resets_them() {
    let service = TestService::open().await;
    service.register(ANN).await;
    for _ in 0..5 {
        assert_eq!(service.login(ANN, "wrong password").await.status, 401);
    }
    let locked = service.login(ANN, PASSWORD).await;
    assert_eq!((locked.status, locked.code()), (429, "too_many_requests".to_owned()));
    assert_eq!(locked.header("retry-after"), Some("60"), "the right password too");

    service.clock.advance_seconds(60);
    assert_eq!(service.login(ANN, "wrong password").await.status, 401);
    assert_eq!(service.login(ANN, PASSWORD).await.header("retry-after"), Some("120"));

    service.clock.advance_seconds(120);
    assert_eq!(service.login(ANN, PASSWORD).await.status, 200);
    for _ in 0..4 {
        assert_eq!(service.login(ANN, "wrong password").await.status, 401);
    }
    assert_eq!(service.login(ANN, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn concurrent_guesses_are_no_more_than_sequential_guesses() {
    let service = TestService::open().await;
    service.register(ANN).await;
    for email in [ANN, UNKNOWN] {
        let guesses = (0..20).map(|n| service.login(email, if n == 19 { "wrong" } else { "guess" }));
        let responses = join_all(guesses).await;
        let tried = responses.iter().filter(|response| response.status == 401).count();
        let locked = responses.iter().filter(|response| response.status == 429).count();
        assert_eq!((tried, locked), (5, 15), "{email}");
    }
}

#[tokio::test]
async fn guesses_from_one_network_count_together_and_against_their_own_account_only() {
    let service = TestService::open().await;
    service.register(ANN).await;
    service.register("bob@example.com").await;
    let guess = async |email: &str, password: &str, from: u8| {
        let body = json!({"email": email, "password": password});
        let address = format!("203.0.113.{from}");
        // A header that a client can forge changes nothing.
        let forged = format!("198.51.{from}.1");
        let request =
            ApiRequest::new("POST", "/api/auth/login").json(&body).header("X-Forwarded-For", forged);
        service.from(&address).send(request).await.status
    };
    let guesses = join_all((0..20).map(|from| guess(ANN, "guess", from))).await;
    assert_eq!(guesses.iter().filter(|status| **status == 401).count(), 5, "{guesses:?}");
    assert_eq!(guesses.iter().filter(|status| **status == 429).count(), 15, "{guesses:?}");
    assert_eq!(guess(ANN, PASSWORD, 99).await, 429, "from another address of the network");
    assert_eq!(guess(" ANN@Example.com", PASSWORD, 98).await, 429, "the same account in another spelling");
    assert_eq!(guess("bob@example.com", PASSWORD, 1).await, 200, "another account from the same address");
}

#[tokio::test]
async fn a_lock_outlives_the_function_and_a_clock_that_is_set_back() {
    let service = TestService::open().await;
    service.register(ANN).await;
    for _ in 0..5 {
        service.login(ANN, "wrong password").await;
    }
    let restarted = service.redeployed("open", "expose");
    assert_eq!(restarted.login(ANN, PASSWORD).await.status, 429);
    // The clock of another machine is behind, a little or an hour: that admits no login and no further guess.
    for seconds in [1, 59, 3540] {
        service.clock.advance_seconds(-seconds);
        assert_eq!(service.login(ANN, PASSWORD).await.status, 429);
        assert_eq!(service.login(ANN, "wrong password").await.status, 429);
    }
    service.clock.advance_seconds(3600 + 59);
    assert_eq!(service.login(ANN, PASSWORD).await.header("retry-after"), Some("1"));
    service.clock.advance_seconds(1);
    assert_eq!(service.login(ANN, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn many_concurrent_logins_with_the_right_password_succeed() {
    let service = TestService::open().await;
    service.register(ANN).await;
    let responses = join_all((0..12).map(|_| service.login(ANN, PASSWORD))).await;
    assert_eq!(statuses(&responses), [200; 12]);
}

#[tokio::test]
async fn an_attempt_waits_until_another_one_is_settled() {
    let service = TestService::open().await;
    let store = AuthStore::new(service.table.clone());
    let (clock, pseudonyms) = (service.clock.clone(), service.pseudonyms.clone());
    let throttle = Throttle { store, clock, pseudonyms };
    let (ann, network) = (EmailAddress::parse(ANN).unwrap(), SourceNetwork::of(None));
    let mut attempts = Vec::new();
    for _ in 0..Limits::LOGIN.budget {
        attempts.push(throttle.begin_login(&ann, &network).await.unwrap());
    }
    let settle = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        throttle.succeeded(attempts.pop().unwrap()).await.unwrap();
    };
    let (sixth, ()) = join(throttle.begin_login(&ann, &network), settle).await;
    assert!(sixth.is_ok(), "{sixth:?}");
}

#[tokio::test]
async fn a_token_does_no_harm_on_a_public_route() {
    let service = TestService::open().await;
    service.register(ANN).await;
    let body = json!({"email": ANN, "password": PASSWORD});
    let request = ApiRequest::new("POST", "/api/auth/login/").json(&body);
    let response = service.send(request.header("Authorization", "Bearer expired")).await;
    assert_eq!(response.status, 200);
}
