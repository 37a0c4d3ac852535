//! The signing key changes and nobody is logged out: the steps of docs/runbook.md, each with the functions started anew,
//! as a deployment does it.

use std::path::Path;

use erp_auth::rotation::{Step, after};
use erp_client::Client;
use serde_json::Value;

use crate::fixture::{log_in, register, send};
use crate::target::{LocalPlatform, slot};

/// Where the platform keeps what the template has it generate; the stack is called `erp`.
const SECRET: &str = "erp-JwtKeys";
const NEW: (&str, &str) = ("k2", "another key that has at least thirty-two bytes");

/// Takes a step, as `aws secretsmanager put-secret-value` does.
fn take(step: Step, data: &Path) {
    let path = data.join("secrets.json");
    let mut secrets: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let keys = after(step, secrets[SECRET].as_str().unwrap(), NEW).unwrap();
    secrets[SECRET] = Value::String(keys);
    std::fs::write(&path, secrets.to_string()).unwrap();
}

/// What the API says to a token: the gateway, the authorizer and a service behind them.
async fn status(client: &Client, token: &str) -> u16 {
    send(&client.with_token(token), "GET", "/api/items", None).await.status
}

#[tokio::test]
async fn a_key_is_rotated_and_nobody_is_logged_out() {
    let Some(_slot) = slot("a rotation of the keys").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let local = LocalPlatform::start(Some(folder.path()));
    let (email, old) = register(&local.client(), "finance_manager").await;
    assert_eq!(status(&local.client(), &old).await, 200);
    drop(local);

    take(Step::Introduce, folder.path());
    let local = LocalPlatform::start(Some(folder.path()));
    let still_old = log_in(&local.client(), &email).await;
    for token in [&old, &still_old] {
        assert_eq!(status(&local.client(), token).await, 200);
    }
    drop(local);

    take(Step::Promote, folder.path());
    let local = LocalPlatform::start(Some(folder.path()));
    let new = log_in(&local.client(), &email).await;
    for token in [&old, &still_old, &new] {
        assert_eq!(status(&local.client(), token).await, 200);
    }
    drop(local);

    take(Step::Retire, folder.path());
    let local = LocalPlatform::start(Some(folder.path()));
    for (token, expected) in [(&old, 401), (&still_old, 401), (&new, 200)] {
        assert_eq!(status(&local.client(), token).await, expected);
    }
}
