//! The authorizer as API Gateway invokes it: JSON in, JSON out.

use erp_auth::{Keyring, Tokens};
use erp_domain::identity::{Caller, Role};
use erp_domain::{Clock, EmailAddress, Id, Timestamp};
use lambda_runtime::Diagnostic;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Request, Response, Unauthorized, authorize};

const NOW: i64 = 1_800_000_000_000;
const ARN: &str = "arn:aws:execute-api:us-east-1:123456789012:api/dev/GET/api/items";

struct FixedClock(i64);
impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0)
    }
}

fn tokens(key: &str) -> Tokens {
    let keys = json!({"kid": "k1", "key": key.repeat(40)});
    Tokens::new(Keyring::from_json(&keys.to_string()).unwrap(), "erp", "api")
}

fn user(role: Role) -> Caller {
    Caller::User { id: Id::new(Uuid::nil()), email: EmailAddress::parse("ann@example.com").unwrap(), role }
}

fn token(tokens: &Tokens, caller: &Caller) -> String {
    let (token, _) = tokens.sign(caller, Uuid::nil(), Timestamp::from_millis(NOW)).unwrap();
    token
}

fn authorize_header(header: &str, now: i64) -> Result<Value, Unauthorized> {
    let event = json!({"type": "TOKEN", "authorizationToken": header, "methodArn": ARN});
    authorize_event(event, now)
}

fn authorize_event(event: Value, now: i64) -> Result<Value, Unauthorized> {
    let request: Request = serde_json::from_value(event).unwrap();
    let response: Response = authorize(&tokens("a"), &FixedClock(now), &request)?;
    Ok(serde_json::to_value(response).unwrap())
}

#[test]
fn a_valid_token_becomes_a_policy_and_the_callers_context() {
    let valid = token(&tokens("a"), &user(Role::InventoryManager));
    let response = authorize_header(&format!("bearer {valid}"), NOW).unwrap();
    assert_eq!(response["principalId"], Uuid::nil().to_string());
    assert_eq!(response["policyDocument"]["Version"], "2012-10-17");
    let statement = &response["policyDocument"]["Statement"][0];
    assert_eq!(statement["Effect"], "Allow");
    assert_eq!(statement["Action"], "execute-api:Invoke");
    let resources = statement["Resource"].as_array().unwrap();
    let prefix = "arn:aws:execute-api:us-east-1:123456789012:api/dev";
    assert!(resources.contains(&json!(format!("{prefix}/*/api/items"))), "other routes too");
    let exceptions = &response["policyDocument"]["Statement"][1];
    assert_eq!((&exceptions["Effect"], &exceptions["Action"]), (&json!("Deny"), &statement["Action"]));
    assert!(exceptions["Resource"].as_array().unwrap().contains(&json!(format!("{prefix}/DELETE/*"))));
    assert_eq!(
        response["context"],
        json!({
            "type": "user",
            "sub": Uuid::nil().to_string(),
            "email": "ann@example.com",
            "role": "inventory_manager",
            "exp": (NOW / 1000 + 86_400).to_string(),
        })
    );
}

#[test]
fn a_service_is_identified_as_one() {
    let service = Caller::Service { name: "reports".into() };
    let valid = token(&tokens("a"), &service);
    let response = authorize_header(&format!("Bearer {valid}"), NOW).unwrap();
    assert_eq!(response["principalId"], "service:reports");
    assert_eq!(response["context"]["type"], "service");
    assert_eq!(response["context"].get("role"), None);
}

#[test]
fn any_invalid_token_is_unauthorized() {
    let valid = token(&tokens("a"), &user(Role::FinanceManager));
    let forged = token(&tokens("b"), &user(Role::FinanceManager));
    for header in [
        String::new(),
        "Bearer".into(),
        "Bearer ".into(),
        valid.clone(),
        format!("Basic {valid}"),
        format!("Bearer {forged}"),
        format!("Bearer {}", &valid[..valid.len() - 4]),
        format!("Bearer {valid} {valid}"),
        format!("Bearer {}", "a".repeat(100_000)),
    ] {
        assert_eq!(authorize_header(&header, NOW), Err(Unauthorized), "{header:.60}");
    }
    let day = 86_400_000;
    assert_eq!(authorize_header(&format!("Bearer {valid}"), NOW + day), Err(Unauthorized), "expired");
    assert_eq!(authorize_header(&format!("Bearer {valid}"), NOW - day), Err(Unauthorized), "early");
    for event in [
        json!({}),
        json!({"authorizationToken": null, "methodArn": ARN}),
        json!({"authorizationToken": format!("Bearer {valid}"), "methodArn": "not an ARN"}),
    ] {
        assert_eq!(authorize_event(event, NOW), Err(Unauthorized));
    }
}

#[test]
fn a_token_is_valid_from_a_minute_before_it_was_issued_until_the_second_it_expires() {
    let header = format!("Bearer {}", token(&tokens("a"), &user(Role::FinanceManager)));
    let at = |millis: i64| authorize_header(&header, NOW + millis).is_ok();
    // Tolerated clock skew.
    assert_eq!((at(-60_001), at(-60_000), at(-1), at(0)), (false, true, true, true));
    // No skew is tolerated at the expiry.
    assert_eq!((at(86_399_999), at(86_400_000), at(86_400_001)), (true, false, false));
    let service = Caller::Service { name: "reports".into() };
    let header = format!("Bearer {}", token(&tokens("a"), &service));
    assert!(
        authorize_header(&header, NOW + 3_599_999).is_ok()
            && authorize_header(&header, NOW + 3_600_000).is_err()
    );
}

#[test]
fn the_error_is_the_message_that_api_gateway_maps_to_401() {
    let diagnostic = serde_json::to_value(Diagnostic::from(Unauthorized)).unwrap();
    assert_eq!(diagnostic, json!({"errorType": "Unauthorized", "errorMessage": "Unauthorized"}));
}
