//! Secrets are not logged, and not stored in a form that could be used.

use std::io;
use std::sync::{Arc, Mutex};

use crate::{BOOTSTRAP_SECRET, PASSWORD, SERVICE_SECRET, TestService, new_user, post};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_password_token_or_secret_is_logged_or_stored() {
    let log = Captured::default();
    let writer = log.clone();
    // For the whole process, other tests included: a subscriber of one thread misses call sites that another one registered.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();

    let service = TestService::with_bootstrap_secret().await;
    let ann = "ann@example.com";
    for secret in ["wrong bootstrap secret", BOOTSTRAP_SECRET] {
        let mut first = new_user(ann, "finance_manager");
        first["bootstrap_secret"] = secret.into();
        service.send(post("register", &first).header("Idempotency-Key", "k1")).await;
    }
    let login = service.login(ann, PASSWORD).await.data();
    let access = login["access_token"].as_str().unwrap().to_owned();
    let bob = post("register", &new_user("bob@example.com", "inventory_manager"));
    service.send(bob.clone().header("Authorization", format!("Bearer {access}"))).await;
    service.send(bob.header("Authorization", format!("Bearer {access}x"))).await;
    for _ in 0..6 {
        service.login(ann, "wrong password").await;
    }
    let issued = service.service_token("reports", SERVICE_SECRET).await.data();
    let issued = issued["token"].as_str().unwrap();
    let reset = service.reset_token(ann).await;
    let unused = service.reset_token("bob@example.com").await;
    service.reset(&reset, "battery staple").await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("request completed") && log.contains("token rejected"), "the log was captured");
    let stored = service.dump().await.join("\n");
    assert!(stored.contains("$argon2id$") && stored.contains("RESET#"), "the table was read");
    for secret in [
        PASSWORD,
        "wrong password",
        "battery staple",
        SERVICE_SECRET,
        "wrong bootstrap secret",
        BOOTSTRAP_SECRET,
        access.as_str(),
        issued,
        reset.as_str(),
        unused.as_str(),
        &"k".repeat(40),
    ] {
        for (place, text) in [("log", &log), ("table", &stored)] {
            assert!(!text.contains(secret), "{secret} is in the {place}");
        }
    }
    assert!(!log.contains("$argon2id$"), "a hash of a password is in the log");

    let failed: Vec<&str> = log.lines().filter(|line| line.contains("login failed")).collect();
    let account = service.pseudonyms.of(ann);
    assert!(failed.iter().any(|line| line.contains("credential=\"bootstrap secret\"")), "{failed:?}");
    assert!(
        failed.iter().any(|line| line.contains(&account) && line.contains("network=127.0.0.0/24")),
        "a failed login is logged with account and source network: {failed:?}"
    );
    let about_ann = log.lines().filter(|line| line.contains("failed login") || line.contains("login failed"));
    assert!(about_ann.into_iter().all(|line| !line.contains(ann)), "the address is hashed");
}
