//! Tokens of services.

use erp_domain::Clock;
use erp_domain::identity::Caller;
use serde_json::json;

use crate::{SERVICE_SECRET, TestService};

#[tokio::test]
async fn a_service_with_the_right_secret_gets_a_token_for_an_hour() {
    let service = TestService::closed().await;
    let response = service.service_token("reports", SERVICE_SECRET).await;
    assert_eq!(response.status, 200, "{}", response.text);
    let data = response.data();
    assert_eq!(data, json!({"token": data["token"], "expires_in": 3600}));
    let verified = service.tokens.verify(data["token"].as_str().unwrap(), service.clock.now()).unwrap();
    assert_eq!(verified.caller, Caller::Service { name: "reports".into() });
    assert!(service.dump().await.is_empty(), "no row is left");
}

#[tokio::test]
async fn an_unknown_service_and_a_wrong_secret_cannot_be_told_apart_and_are_throttled() {
    let service = TestService::closed().await;
    // Attempts are counted per source network, whatever the name.
    let elsewhere = service.from("203.0.113.7");
    for round in 0..7 {
        let wrong = service.service_token("reports", "wrong").await;
        let unknown = elsewhere.service_token("unknown", SERVICE_SECRET).await;
        assert_eq!(wrong.text, unknown.text);
        assert_eq!(wrong.status, if round < 5 { 401 } else { 429 });
        assert_eq!(wrong.header("retry-after"), unknown.header("retry-after"));
    }
    assert_eq!(service.service_token("reports", SERVICE_SECRET).await.status, 429);
    service.clock.advance_seconds(60);
    assert_eq!(service.service_token("reports", SERVICE_SECRET).await.status, 200);
}

#[tokio::test]
async fn every_validation_error_is_reported_at_once() {
    let service = TestService::closed().await;
    let response = service.post("service-token", json!({"service_name": " ", "x": 1})).await;
    assert_eq!(response.invalid_fields(), ["/service_name", "/service_secret", "/x"]);
}
