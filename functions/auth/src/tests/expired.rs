//! Rows that have expired and are still there: DynamoDB deletes them days later, and until then nothing of them counts.

use std::collections::BTreeSet;

use erp_domain::Clock;
use serde_json::json;

use super::{PASSWORD, Platform, SERVICE_SECRET, new_user, post};
use crate::attempts::BUDGET;

const ANN: &str = "ann@example.com";
const NEW: &str = "battery staple";

impl Platform {
    /// The rows with a time to live, each by the first word of its key, and which of them have expired.
    async fn mortal(&self) -> Vec<(String, bool)> {
        let now = self.clock.now().as_seconds();
        let scan = self.table.client.scan().table_name("auth").consistent_read(true).send().await.unwrap();
        let mortal = |row: &erp_aws::table::Row| {
            let ends: i64 = row.get("expires_at")?.as_n().unwrap().parse().unwrap();
            let key =
                format!("{}/{}", row["pk"].as_s().unwrap().split('#').next()?, row["sk"].as_s().unwrap());
            Some((key, ends <= now))
        };
        scan.items.unwrap().iter().filter_map(mortal).collect()
    }

    /// Lets everything expire that can, and nothing be deleted.
    async fn let_expire(&self) {
        let before = self.mortal().await;
        self.clock.advance_seconds(25 * 3600);
        let after = self.mortal().await;
        assert_eq!(after.len(), before.len(), "it is still there");
        assert!(after.iter().all(|(_, expired)| *expired), "and all of it has expired: {after:?}");
    }
}

#[tokio::test]
async fn of_every_kind_of_row_that_expires_there_is_a_test_here() {
    let platform = Platform::open().await;
    platform.send(post("register", &new_user(ANN, "finance_manager")).header("Idempotency-Key", "k")).await;
    platform.login(ANN, "wrong password").await;
    platform.post("service-token", json!({"service_name": "reports", "service_secret": "wrong"})).await;
    platform.forgot(ANN).await;
    platform.forgot("nobody@example.com").await;
    let kinds: BTreeSet<String> = platform.mortal().await.into_iter().map(|(key, _)| key).collect();
    let known = [
        "IDEMPOTENCY/ANSWER",
        "LOGIN/FAILURES",
        "RESET/NOBODY",
        "RESET/RESET",
        "RESET_REQUESTS/REQUESTS",
        "SERVICE_LOGIN/FAILURES",
    ];
    assert_eq!(kinds, known.map(str::to_owned).into(), "write a test for the new one below");
}

#[tokio::test]
async fn failures_that_have_expired_lock_nobody() {
    let platform = Platform::open().await;
    platform.register(ANN).await;
    let service = async |secret: &str| {
        let body = json!({"service_name": "reports", "service_secret": secret});
        platform.post("service-token", body).await.status
    };
    for _ in 0..BUDGET + 1 {
        platform.login(ANN, "wrong password").await;
        service("wrong").await;
    }
    assert_eq!((platform.login(ANN, PASSWORD).await.status, service(SERVICE_SECRET).await), (429, 429));
    platform.let_expire().await;
    // The whole budget is there again, and not one attempt more.
    for _ in 0..BUDGET - 1 {
        assert_eq!((platform.login(ANN, "wrong password").await.status, service("wrong").await), (401, 401));
    }
    assert_eq!((platform.login(ANN, PASSWORD).await.status, service(SERVICE_SECRET).await), (200, 200));
    for _ in 0..BUDGET {
        assert_eq!((platform.login(ANN, "wrong password").await.status, service("wrong").await), (401, 401));
    }
    assert_eq!((platform.login(ANN, PASSWORD).await.status, service(SERVICE_SECRET).await), (429, 429));
}

#[tokio::test]
async fn a_reset_token_that_has_expired_resets_nothing_and_new_ones_are_granted() {
    let platform = Platform::open().await;
    platform.register(ANN).await;
    let mut tokens = Vec::new();
    for _ in 0..5 {
        tokens.push(platform.reset_token(ANN).await);
    }
    let nobodys = platform.reset_token("nobody@example.com").await;
    platform.let_expire().await;
    for token in tokens.iter().chain([&nobodys]) {
        assert_eq!(platform.reset(token, NEW).await.faults(), ["/reset_token"]);
    }
    assert_eq!(platform.login(ANN, PASSWORD).await.status, 200, "the old password is still the one");
    // The requests that were granted are forgotten: five more are.
    let granted = platform.events().await.len();
    for _ in 0..6 {
        platform.forgot(ANN).await;
    }
    assert_eq!(platform.events().await.len(), granted + 5);
}

#[tokio::test]
async fn an_answer_that_has_expired_is_given_to_nobody() {
    let platform = Platform::open().await;
    let register =
        |email: &str| post("register", &new_user(email, "finance_manager")).header("Idempotency-Key", "k");
    assert_eq!(platform.send(register(ANN)).await.status, 201);
    let body = json!({"reset_token": platform.reset_token(ANN).await, "new_password": NEW});
    let reset = post("reset-password", &body).header("Idempotency-Key", "k");
    assert_eq!(platform.send(reset.clone()).await.status, 200);

    platform.clock.advance_seconds(24 * 3600 - 1);
    assert_eq!(platform.send(register(ANN)).await.header("idempotent-replayed"), Some("true"));
    assert_eq!(platform.send(reset.clone()).await.header("idempotent-replayed"), Some("true"));
    assert_eq!(platform.send(register("bob@example.com")).await.status, 422);
    platform.clock.advance_seconds(1);
    // To the second: the same request is a new one, and the key is free for another.
    let again = platform.send(reset).await;
    assert_eq!((again.status, again.faults()), (400, vec!["/reset_token".to_owned()]));
    assert_eq!(platform.send(register("bob@example.com")).await.status, 201);
    let replayed = platform.send(register("bob@example.com")).await;
    assert_eq!((replayed.status, replayed.header("idempotent-replayed")), (201, Some("true")));
}
