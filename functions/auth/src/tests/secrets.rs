//! Nothing secret is logged, and nothing secret is kept that could be used.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::{PASSWORD, Platform, SERVICE_SECRET, new_user, post};

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
async fn no_password_token_or_secret_is_logged_or_kept() {
    let log = Captured::default();
    let writer = log.clone();
    // For the whole process, other tests included: a subscriber of one thread misses what another one saw first.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();

    let platform = Platform::start("closed", "expose").await;
    let ann = "ann@example.com";
    let register = post("register", &new_user(ann, "finance_manager")).header("Idempotency-Key", "k1");
    platform.send(register).await;
    let login = platform.login(ann, PASSWORD).await.data();
    let access = login["access_token"].as_str().unwrap().to_owned();
    let bob = post("register", &new_user("bob@example.com", "inventory_manager"));
    platform.send(bob.clone().header("Authorization", format!("Bearer {access}"))).await;
    platform.send(bob.header("Authorization", format!("Bearer {access}x"))).await;
    for _ in 0..6 {
        platform.login(ann, "wrong password").await;
    }
    let service = json!({"service_name": "reports", "service_secret": SERVICE_SECRET});
    let service = platform.post("service-token", service).await.data()["token"].as_str().unwrap().to_owned();
    let reset = platform.reset_token(ann).await;
    let unused = platform.reset_token("bob@example.com").await;
    platform.reset(&reset, "battery staple").await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("request answered") && log.contains("token refused"), "the log was captured");
    let kept = platform.dump().await.join("\n");
    assert!(kept.contains("$argon2id$") && kept.contains("RESET#"), "the table was read");
    for secret in [
        PASSWORD,
        "wrong password",
        "battery staple",
        SERVICE_SECRET,
        access.as_str(),
        service.as_str(),
        reset.as_str(),
        unused.as_str(),
        &"k".repeat(40),
    ] {
        for (place, text) in [("log", &log), ("table", &kept)] {
            assert!(!text.contains(secret), "{secret} is in the {place}");
        }
    }
    assert!(!log.contains("$argon2id$"), "a hash of a password is in the log");
}
