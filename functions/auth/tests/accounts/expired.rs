//! Rows that have expired and still exist: DynamoDB deletes them up to days later, and until then they must not count.

use std::collections::BTreeSet;

use auth::domain::Limits;
use erp_domain::Clock;
use serde_json::json;

use crate::{PASSWORD, SERVICE_SECRET, TestService, new_user, post};

const BUDGET: u32 = Limits::LOGIN.budget;
const ANN: &str = "ann@example.com";
const NEW: &str = "battery staple";

impl TestService {
    /// Returns the rows with a time to live, each by the prefixes of its keys, and whether it has expired.
    async fn expiring(&self) -> Vec<(String, bool)> {
        let now = self.clock.now().as_seconds();
        let scan = self.table.client.scan().table_name("auth").consistent_read(true).send().await.unwrap();
        let expiring = |row: &erp_aws::table::Row| {
            let ends: i64 = row.get("expires_at")?.as_n().unwrap().parse().unwrap();
            let prefix = |part| row[part].as_s().unwrap().split('#').next();
            let key = format!("{}/{}", prefix("pk")?, prefix("sk")?);
            Some((key, ends <= now))
        };
        scan.items.unwrap().iter().filter_map(expiring).collect()
    }

    /// Lets every row expire that can, without deleting any.
    async fn let_expire(&self) {
        let before = self.expiring().await;
        self.clock.advance_seconds(25 * 3600);
        let after = self.expiring().await;
        assert_eq!(after.len(), before.len(), "no row is deleted");
        assert!(after.iter().all(|(_, expired)| *expired), "all of them have expired: {after:?}");
    }
}

#[tokio::test]
async fn every_kind_of_row_that_expires_has_a_test_here() {
    let service = TestService::open().await;
    service.send(post("register", &new_user(ANN, "finance_manager")).header("Idempotency-Key", "k")).await;
    service.login(ANN, "wrong password").await;
    service.service_token("reports", "wrong").await;
    service.forgot(ANN).await;
    service.forgot("unknown@example.com").await;
    let kinds: BTreeSet<String> = service.expiring().await.into_iter().map(|(key, _)| key).collect();
    let known = [
        "IDEMPOTENCY/RESPONSE",
        "LOGIN/FAILURES",
        "RESET/NOBODY",
        "RESET/RESET",
        "RESET_REQUESTS/REQUESTS",
        "SERVICE_LOGIN/FAILURES",
    ];
    assert_eq!(kinds, known.map(str::to_owned).into(), "write a test for the new kind below");
}

#[tokio::test]
async fn failures_that_have_expired_lock_no_account() {
    let service = TestService::open().await;
    service.register(ANN).await;
    let program = async |secret: &str| service.service_token("reports", secret).await.status;
    for _ in 0..BUDGET + 1 {
        service.login(ANN, "wrong password").await;
        program("wrong").await;
    }
    assert_eq!((service.login(ANN, PASSWORD).await.status, program(SERVICE_SECRET).await), (429, 429));
    service.let_expire().await;
    // The whole budget is available again, and not one attempt more.
    for _ in 0..BUDGET - 1 {
        assert_eq!((service.login(ANN, "wrong password").await.status, program("wrong").await), (401, 401));
    }
    assert_eq!((service.login(ANN, PASSWORD).await.status, program(SERVICE_SECRET).await), (200, 200));
    for _ in 0..BUDGET {
        assert_eq!((service.login(ANN, "wrong password").await.status, program("wrong").await), (401, 401));
    }
    assert_eq!((service.login(ANN, PASSWORD).await.status, program(SERVICE_SECRET).await), (429, 429));
}

#[tokio::test]
async fn a_reset_token_that_has_expired_resets_nothing_and_new_ones_are_granted() {
    let service = TestService::open().await;
    service.register(ANN).await;
    let mut tokens = Vec::new();
    for _ in 0..5 {
        tokens.push(service.reset_token(ANN).await);
    }
    let of_unknown = service.reset_token("unknown@example.com").await;
    service.let_expire().await;
    for token in tokens.iter().chain([&of_unknown]) {
        assert_eq!(service.reset(token, NEW).await.invalid_fields(), ["/reset_token"]);
    }
    assert_eq!(service.login(ANN, PASSWORD).await.status, 200, "the old password is still valid");
    // The granted requests are forgotten: five more are granted.
    let granted = service.events().await.len();
    for _ in 0..6 {
        service.forgot(ANN).await;
    }
    assert_eq!(service.events().await.len(), granted + 5);
}

#[tokio::test]
async fn a_stored_response_that_has_expired_is_not_replayed() {
    let service = TestService::open().await;
    let register =
        |email: &str| post("register", &new_user(email, "finance_manager")).header("Idempotency-Key", "k");
    assert_eq!(service.send(register(ANN)).await.status, 201);
    let body = json!({"reset_token": service.reset_token(ANN).await, "new_password": NEW});
    let reset = post("reset-password", &body).header("Idempotency-Key", "k");
    assert_eq!(service.send(reset.clone()).await.status, 200);

    service.clock.advance_seconds(24 * 3600 - 1);
    assert_eq!(service.send(register(ANN)).await.header("idempotent-replayed"), Some("true"));
    assert_eq!(service.send(reset.clone()).await.header("idempotent-replayed"), Some("true"));
    assert_eq!(service.send(register("bob@example.com")).await.status, 422);
    service.clock.advance_seconds(1);
    // To the second: the same request is a new one, and the key is unused.
    let again = service.send(reset).await;
    assert_eq!((again.status, again.invalid_fields()), (400, vec!["/reset_token".to_owned()]));
    assert_eq!(service.send(register("bob@example.com")).await.status, 201);
    let replayed = service.send(register("bob@example.com")).await;
    assert_eq!((replayed.status, replayed.header("idempotent-replayed")), (201, Some("true")));
}
