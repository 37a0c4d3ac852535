//! Tokens of services.

use erp_domain::Clock;
use erp_domain::identity::Caller;
use erp_testkit::ApiAnswer;
use serde_json::json;

use super::{Platform, SERVICE_SECRET};

async fn ask(platform: &Platform, name: &str, secret: &str) -> ApiAnswer {
    platform.post("service-token", json!({"service_name": name, "service_secret": secret})).await
}

#[tokio::test]
async fn a_service_that_knows_its_secret_gets_a_token_for_an_hour() {
    let platform = Platform::closed().await;
    let answer = ask(&platform, "reports", SERVICE_SECRET).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let data = answer.data();
    assert_eq!(data, json!({"token": data["token"], "expires_in": 3600}));
    let verified = platform.tokens.verify(data["token"].as_str().unwrap(), platform.clock.now()).unwrap();
    assert_eq!(verified.caller, Caller::Service { name: "reports".into() });
    assert!(platform.dump().await.is_empty(), "nothing is left behind");
}

#[tokio::test]
async fn an_unknown_service_and_a_wrong_secret_cannot_be_told_apart_and_are_locked_out() {
    let platform = Platform::closed().await;
    for round in 0..7 {
        let wrong = ask(&platform, "reports", "wrong").await;
        let unknown = ask(&platform, "unknown", SERVICE_SECRET).await;
        assert_eq!(wrong.text, unknown.text);
        assert_eq!(wrong.status, if round < 5 { 401 } else { 429 });
        assert_eq!(wrong.header("retry-after"), unknown.header("retry-after"));
    }
    assert_eq!(ask(&platform, "reports", SERVICE_SECRET).await.status, 429);
    platform.clock.advance_seconds(60);
    assert_eq!(ask(&platform, "reports", SERVICE_SECRET).await.status, 200);
}

#[tokio::test]
async fn every_fault_is_reported_at_once() {
    let platform = Platform::closed().await;
    let answer = platform.post("service-token", json!({"service_name": " ", "x": 1})).await;
    assert_eq!(answer.faults(), ["/service_name", "/service_secret", "/x"]);
}
