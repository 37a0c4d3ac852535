//! The bootstrap secret: with closed registration, the first user needs it.

use auth::domain::Limits;
use erp_domain::identity::Role;
use erp_testkit::ApiRequest;
use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use crate::{BOOTSTRAP_SECRET, TestService, new_user, post, statuses};

fn registration(email: &str, secret: impl Into<Value>) -> ApiRequest {
    let mut body = new_user(email, "inventory_manager");
    body["bootstrap_secret"] = secret.into();
    post("register", &body)
}

#[tokio::test]
async fn the_first_user_needs_the_bootstrap_secret_and_becomes_finance_manager() {
    let service = TestService::with_bootstrap_secret().await;
    let without = service.register("ann@example.com").await;
    assert_eq!((without.status, without.code()), (401, "invalid_credentials".to_owned()));
    let detail = without.json()["detail"].clone();
    assert_eq!(detail, "The first user needs the bootstrap secret: bootstrap_secret is missing or wrong.");
    assert!(service.dump().await.is_empty(), "it is no attempt to guess the secret");
    let null = service.send(registration("ann@example.com", Value::Null)).await;
    assert_eq!(null.text, without.text, "null is absent");
    for wrong in ["", "fedcba987654321", "FEDCBA9876543210", "fedcba9876543210 "] {
        let response = service.send(registration("ann@example.com", wrong)).await;
        assert_eq!((response.status, response.text), (401, without.text.clone()), "{wrong}");
    }
    assert!(service.events().await.is_empty(), "no user was registered");

    let first = service.send(registration("ann@example.com", BOOTSTRAP_SECRET)).await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(first.data()["role"], "finance_manager");
    let dump = service.dump().await.join("\n");
    assert!(!dump.contains("BOOTSTRAP#"), "the right secret resets the counter");
}

#[tokio::test]
async fn once_there_is_a_user_the_bootstrap_secret_has_no_effect() {
    let service = TestService::with_bootstrap_secret().await;
    service.send(registration("ann@example.com", BOOTSTRAP_SECRET)).await;
    for secret in [json!(null), json!("wrong"), json!(BOOTSTRAP_SECRET)] {
        let response = service.send(registration("bob@example.com", secret)).await;
        assert_eq!((response.status, response.code()), (401, "unauthorized".to_owned()));
    }
    for (n, secret) in [json!(null), json!("wrong"), json!(BOOTSTRAP_SECRET)].into_iter().enumerate() {
        let request = registration(&format!("bob{n}@example.com"), secret);
        let request = request.header("Authorization", service.bearer_of(Role::FinanceManager));
        let response = service.send(request).await;
        assert_eq!((response.status, response.data()["role"].as_str()), (201, Some("inventory_manager")));
    }
    assert!(!service.dump().await.join("\n").contains("BOOTSTRAP#"), "nothing was counted");
}

#[tokio::test]
async fn without_a_configured_secret_and_where_registration_is_open_it_has_no_effect() {
    let closed = TestService::closed().await;
    let first = closed.send(registration("ann@example.com", "any")).await;
    assert_eq!((first.status, first.data()["role"].as_str()), (201, Some("finance_manager")));
    let open = TestService::start("open", "hide", Some(BOOTSTRAP_SECRET)).await;
    assert_eq!(open.register("ann@example.com").await.status, 201);
    assert_eq!(open.send(registration("bob@example.com", "any")).await.status, 201);
}

#[tokio::test]
async fn wrong_bootstrap_secrets_are_throttled_by_source() {
    let service = TestService::with_bootstrap_secret().await;
    let email = |n: u32| format!("ann{n}@example.com");
    for n in 0..Limits::RANDOM_SECRET.budget {
        assert_eq!(service.send(registration(&email(n), "wrong")).await.status, 401);
    }
    let throttled = service.send(registration("ann@example.com", BOOTSTRAP_SECRET)).await;
    assert_eq!((throttled.status, throttled.code()), (429, "too_many_requests".to_owned()));
    assert_eq!(throttled.header("retry-after"), Some("5"));
    assert_eq!(service.register("ann@example.com").await.status, 401, "it is no attempt");
    let elsewhere = service.from("203.0.113.7");
    assert_eq!(elsewhere.send(registration("ann@example.com", "wrong")).await.status, 401);
    service.clock.advance_seconds(5);
    assert_eq!(service.send(registration("ann@example.com", BOOTSTRAP_SECRET)).await.status, 201);
}

#[tokio::test]
async fn of_two_concurrent_first_users_with_the_secret_exactly_one_is_registered() {
    for _ in 0..5 {
        let service = TestService::with_bootstrap_secret().await;
        let request = |email| service.send(registration(email, BOOTSTRAP_SECRET));
        let both = join(request("ann@example.com"), request("bob@example.com")).await;
        assert_eq!(statuses(&[both.0, both.1]), [201, 401]);
        assert_eq!(service.events().await.len(), 1);
    }
}

#[tokio::test]
async fn a_key_is_bound_by_the_registration_and_not_by_a_wrong_bootstrap_secret() {
    let service = TestService::with_bootstrap_secret().await;
    let keyed = |secret: &str| registration("ann@example.com", secret).header("Idempotency-Key", "k1");
    assert_eq!(service.send(keyed("wrong")).await.status, 401);
    let at_once = join_all((0..3).map(|_| service.send(keyed(BOOTSTRAP_SECRET)))).await;
    assert_eq!(statuses(&at_once), [201, 201, 201]);
    let again = service.send(keyed(BOOTSTRAP_SECRET)).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let other = service.send(keyed("wrong")).await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused".to_owned()));
    assert_eq!(service.events().await.len(), 1);
}

#[tokio::test]
async fn the_bootstrap_secret_does_not_replace_a_valid_token_or_a_valid_body() {
    let service = TestService::with_bootstrap_secret().await;
    for (header, status) in
        [("Bearer nonsense".to_owned(), 401), (service.bearer_of(Role::InventoryManager), 403)]
    {
        let request = registration("ann@example.com", BOOTSTRAP_SECRET).header("Authorization", header);
        assert_eq!(service.send(request).await.status, status);
    }
    let malformed = service.send(registration("ann", 5)).await;
    assert_eq!(
        (malformed.status, malformed.invalid_fields()),
        (400, vec!["/email".to_owned(), "/bootstrap_secret".to_owned()])
    );
    assert!(service.dump().await.is_empty(), "nothing was written");
}
