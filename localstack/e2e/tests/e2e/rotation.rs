//! Rotation of the signing key without logging users out: the steps of docs/runbook.md, each with a restart
//! of the functions, as in a deployment.

use std::path::Path;

use erp_auth::rotation::{Step, after};
use erp_client::Client;
use serde_json::Value;

use crate::fixture::{log_in, register, send};
use crate::target::{LocalPlatform, slot};

/// Name of the generated secret; the stack is called `erp`.
const SECRET: &str = "erp-JwtKeys";
const NEW: (&str, &str) = ("k2", "another key that has at least thirty-two bytes");

/// Applies a step, as `aws secretsmanager put-secret-value` does.
fn apply(step: Step, data: &Path) {
    let path = data.join("secrets.json");
    let mut secrets: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let keys = after(step, secrets[SECRET].as_str().unwrap(), NEW).unwrap();
    secrets[SECRET] = Value::String(keys);
    std::fs::write(&path, secrets.to_string()).unwrap();
}

/// Returns the status of a request with this token.
async fn status(client: &Client, token: &str) -> u16 {
    send(&client.with_token(token), "GET", "/api/items", None).await.status
}

#[tokio::test]
async fn a_key_rotation_keeps_valid_tokens_valid() {
    let Some(_slot) = slot("key rotation").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let local = LocalPlatform::start(Some(folder.path()));
    let (email, old) = register(&local.client(), "finance_manager").await;
    assert_eq!(status(&local.client(), &old).await, 200);
    drop(local);

    apply(Step::Introduce, folder.path());
    let local = LocalPlatform::start(Some(folder.path()));
    let still_old = log_in(&local.client(), &email).await;
    for token in [&old, &still_old] {
        assert_eq!(status(&local.client(), token).await, 200);
    }
    drop(local);

    apply(Step::Promote, folder.path());
    let local = LocalPlatform::start(Some(folder.path()));
    let new = log_in(&local.client(), &email).await;
    for token in [&old, &still_old, &new] {
        assert_eq!(status(&local.client(), token).await, 200);
    }
    drop(local);

    apply(Step::Retire, folder.path());
    let local = LocalPlatform::start(Some(folder.path()));
    for (token, expected) in [(&old, 401), (&still_old, 401), (&new, 200)] {
        assert_eq!(status(&local.client(), token).await, expected);
    }
}
