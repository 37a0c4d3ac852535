//! A stranger cannot lock the owner of an account out, and is bounded all the same. Requests of the stranger and of the
//! owner come from different networks.

use auth::domain::{KNOWN_NETWORK_SECONDS, Limits, RESETS_PER_ADDRESS, RESETS_PER_NETWORK, SourceNetwork};
use auth::store::AuthStore;
use auth::throttle::Throttle;
use erp_domain::EmailAddress;
use futures_util::future::join_all;

use crate::{PASSWORD, SERVICE_SECRET, TestService};

const ANN: &str = "ann@example.com";
const STRANGER: &str = "203.0.113.7";
const OWNER: &str = "198.51.100.1";

/// Fails logins from many networks, `per_network` from each, and returns how many were admitted. The passwords are not
/// hashed, which would take most of the time.
async fn attack(service: &TestService, networks: std::ops::Range<u32>, per_network: u32) -> usize {
    let store = AuthStore::new(service.table.clone());
    let (clock, pseudonyms) = (service.clock.clone(), service.pseudonyms.clone());
    let throttle = Throttle { store, clock, pseudonyms };
    let ann = EmailAddress::parse(ANN).unwrap();
    let mut admitted = 0;
    for network in networks {
        let network = SourceNetwork::of(Some(&format!("2001:db8:0:{network:x}::1")));
        for _ in 0..per_network {
            if let Ok(attempt) = throttle.begin_login(&ann, &network).await {
                throttle.failed(attempt).await.unwrap();
                admitted += 1;
            }
        }
    }
    admitted
}

#[tokio::test]
async fn wrong_passwords_of_a_stranger_do_not_lock_the_owner_out() {
    let service = TestService::open().await;
    service.register(ANN).await;
    let (stranger, owner) = (service.from(STRANGER), service.from(OWNER));
    for _ in 0..5 {
        assert_eq!(stranger.login(ANN, "wrong password").await.status, 401);
    }
    assert_eq!(stranger.login(ANN, PASSWORD).await.status, 429);
    assert_eq!(service.from("203.0.113.250").login(ANN, PASSWORD).await.status, 429, "the same network");
    assert_eq!(owner.login(ANN, PASSWORD).await.status, 200);
    let locked = stranger.login(ANN, PASSWORD).await;
    assert_eq!((locked.status, locked.header("retry-after")), (429, Some("60")), "the owner unlocks nothing");
}

#[tokio::test]
async fn guesses_from_many_networks_are_bounded_together_and_pause_the_account_for_seconds() {
    let service = TestService::open().await;
    service.register(ANN).await;
    let budget = Limits::ACCOUNT.budget;
    assert_eq!(attack(&service, 0..budget / 5 + 10, 5).await, budget as usize);
    let paused = service.from(OWNER).login(ANN, PASSWORD).await;
    assert_eq!((paused.status, paused.header("retry-after")), (429, Some("5")));
    for n in 100..105 {
        service.clock.advance_seconds(5);
        assert_eq!(attack(&service, n..n + 1, 3).await, 1, "one in five seconds");
    }
    service.clock.advance_seconds(5);
    assert_eq!(service.from(OWNER).login(ANN, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn guesses_from_many_networks_do_not_affect_a_network_that_the_owner_uses() {
    let service = TestService::open().await;
    service.register(ANN).await;
    let owner = service.from(OWNER);
    assert_eq!(owner.login(ANN, PASSWORD).await.status, 200);
    let budget = Limits::ACCOUNT.budget;
    assert_eq!(attack(&service, 0..budget / 5 + 1, 5).await, budget as usize);
    assert_eq!(service.from("192.0.2.1").login(ANN, PASSWORD).await.status, 429);
    for _ in 0..4 {
        assert_eq!(owner.login(ANN, "wrong password").await.status, 401);
    }
    assert_eq!(statuses(&owner, 8).await, [200; 8]);
    service.clock.advance_seconds(KNOWN_NETWORK_SECONDS);
    assert_eq!(owner.login(ANN, PASSWORD).await.status, 200, "the failures are forgotten long since");
}

async fn statuses(service: &TestService, times: usize) -> Vec<u16> {
    crate::statuses(&join_all((0..times).map(|_| service.login(ANN, PASSWORD))).await)
}

#[tokio::test]
async fn reset_requests_of_a_stranger_leave_the_owner_allowance_and_token() {
    let service = TestService::open().await;
    service.register(ANN).await;
    let (stranger, owner) = (service.from(STRANGER), service.from(OWNER));
    let token = owner.reset_token(ANN).await;
    for _ in 0..RESETS_PER_NETWORK + 1 {
        stranger.forgot(ANN).await;
    }
    assert_eq!(service.events().await.len(), 1 + 1 + RESETS_PER_NETWORK as usize);
    assert_eq!(owner.reset(&token, "battery staple").await.status, 200, "the older token is still valid");
    service.clock.advance_seconds(1);
    let token = owner.reset_token(ANN).await;
    assert_eq!(owner.reset(&token, "battery horse").await.status, 200);
}

#[tokio::test]
async fn a_reset_ends_the_tokens_of_all_networks() {
    let service = TestService::open().await;
    service.register(ANN).await;
    let (one, other) = (service.from(STRANGER), service.from(OWNER));
    let tokens = (one.reset_token(ANN).await, other.reset_token(ANN).await);
    service.clock.advance_seconds(1);
    assert_eq!(one.reset(&tokens.0, "battery staple").await.status, 200);
    let used = other.reset(&tokens.1, PASSWORD).await;
    assert_eq!((used.status, used.invalid_fields()), (400, vec!["/reset_token".to_owned()]));
    assert_eq!(other.login(ANN, "battery staple").await.status, 200);
}

#[tokio::test]
async fn reset_requests_from_many_networks_are_bounded_except_for_those_that_the_owner_uses() {
    let service = TestService::open().await;
    service.register(ANN).await;
    let owner = service.from(OWNER);
    owner.login(ANN, PASSWORD).await;
    for network in 0..RESETS_PER_ADDRESS / 5 + 2 {
        let stranger = service.from(&format!("2001:db8:0:{network:x}::1"));
        for _ in 0..5 {
            assert_eq!(stranger.forgot(ANN).await.status, 200, "the response does not reveal it");
        }
    }
    assert_eq!(service.events().await.len(), 1 + RESETS_PER_ADDRESS as usize);
    let token = owner.reset_token(ANN).await;
    assert_eq!(owner.reset(&token, "battery staple").await.status, 200);
}

#[tokio::test]
async fn a_valid_reset_token_is_never_throttled() {
    let service = TestService::open().await;
    service.register(ANN).await;
    let owner = service.from(OWNER);
    let token = owner.reset_token(ANN).await;
    for _ in 0..20 {
        assert_eq!(owner.reset("nonsense", "battery staple").await.status, 400);
        owner.login(ANN, "wrong password").await;
    }
    assert_eq!(owner.reset(&token, "battery staple").await.status, 200);
    assert_eq!(
        owner.login(ANN, "battery staple").await.status,
        200,
        "and unlocks the network it was used in"
    );
}

#[tokio::test]
async fn wrong_secrets_of_a_stranger_do_not_throttle_a_service() {
    let service = TestService::closed().await;
    let (stranger, program) = (service.from(STRANGER), service.from(OWNER));
    for _ in 0..6 {
        stranger.service_token("reports", "wrong").await;
    }
    let throttled = stranger.service_token("reports", SERVICE_SECRET).await;
    assert_eq!((throttled.status, throttled.header("retry-after")), (429, Some("5")), "paused, not locked");
    assert_eq!(program.service_token("reports", SERVICE_SECRET).await.status, 200);
}
