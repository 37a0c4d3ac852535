//! The authorizer as API Gateway sees it: JSON in, JSON out.

use erp_auth::{Keyring, Tokens};
use erp_domain::identity::{Caller, Role};
use erp_domain::{Clock, Email, Id, Timestamp};
use lambda_runtime::Diagnostic;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Request, Response, Unauthorized, authorize};

const NOW: i64 = 1_800_000_000_000;
const ARN: &str = "arn:aws:execute-api:us-east-1:123456789012:api/dev/GET/api/items";

struct At(i64);
impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0)
    }
}

fn tokens(key: &str) -> Tokens {
    let keys = json!({"kid": "k1", "key": key.repeat(40)});
    Tokens::new(Keyring::from_json(&keys.to_string()).unwrap(), "erp", "api")
}

fn user(role: Role) -> Caller {
    Caller::User { id: Id::new(Uuid::nil()), email: Email::parse("ann@example.com").unwrap(), role }
}

fn token(tokens: &Tokens, caller: &Caller) -> String {
    let (token, _) = tokens.sign(caller, Uuid::nil(), Timestamp::from_millis(NOW)).unwrap();
    token
}

fn ask(header: &str, now: i64) -> Result<Value, Unauthorized> {
    let event = json!({"type": "TOKEN", "authorizationToken": header, "methodArn": ARN});
    answer(event, now)
}

fn answer(event: Value, now: i64) -> Result<Value, Unauthorized> {
    let request: Request = serde_json::from_value(event).unwrap();
    let response: Response = authorize(&tokens("a"), &At(now), &request)?;
    Ok(serde_json::to_value(response).unwrap())
}

#[test]
fn a_good_token_becomes_a_policy_and_the_callers_context() {
    let good = token(&tokens("a"), &user(Role::InventoryManager));
    let answer = ask(&format!("bearer {good}"), NOW).unwrap();
    assert_eq!(answer["principalId"], Uuid::nil().to_string());
    assert_eq!(answer["policyDocument"]["Version"], "2012-10-17");
    let statement = &answer["policyDocument"]["Statement"][0];
    assert_eq!(statement["Effect"], "Allow");
    assert_eq!(statement["Action"], "execute-api:Invoke");
    let resources = statement["Resource"].as_array().unwrap();
    let prefix = "arn:aws:execute-api:us-east-1:123456789012:api/dev";
    assert!(resources.contains(&json!(format!("{prefix}/POST/api/items"))), "other routes too");
    assert!(!resources.contains(&json!(format!("{prefix}/DELETE/api/items/*"))));
    assert_eq!(
        answer["context"],
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
fn a_service_is_named_as_one() {
    let service = Caller::Service { name: "reports".into() };
    let good = token(&tokens("a"), &service);
    let answer = ask(&format!("Bearer {good}"), NOW).unwrap();
    assert_eq!(answer["principalId"], "service:reports");
    assert_eq!(answer["context"]["type"], "service");
    assert_eq!(answer["context"].get("role"), None);
}

#[test]
fn whatever_is_wrong_with_a_token_is_unauthorized() {
    let good = token(&tokens("a"), &user(Role::FinanceManager));
    let forged = token(&tokens("b"), &user(Role::FinanceManager));
    for header in [
        String::new(),
        "Bearer".into(),
        "Bearer ".into(),
        good.clone(),
        format!("Basic {good}"),
        format!("Bearer {forged}"),
        format!("Bearer {}", &good[..good.len() - 4]),
        format!("Bearer {good} {good}"),
        format!("Bearer {}", "a".repeat(100_000)),
    ] {
        assert_eq!(ask(&header, NOW), Err(Unauthorized), "{header:.60}");
    }
    let day = 86_400_000;
    assert_eq!(ask(&format!("Bearer {good}"), NOW + day), Err(Unauthorized), "expired");
    assert_eq!(ask(&format!("Bearer {good}"), NOW - day), Err(Unauthorized), "early");
    for event in [
        json!({}),
        json!({"authorizationToken": null, "methodArn": ARN}),
        json!({"authorizationToken": format!("Bearer {good}"), "methodArn": "elsewhere"}),
    ] {
        assert_eq!(answer(event, NOW), Err(Unauthorized));
    }
}

#[test]
fn a_token_is_good_from_a_minute_before_it_was_made_until_the_second_it_ends() {
    let header = format!("Bearer {}", token(&tokens("a"), &user(Role::FinanceManager)));
    let at = |millis: i64| ask(&header, NOW + millis).is_ok();
    // Clocks of two machines may differ by so much; a token from further in the future was made by nobody honest.
    assert_eq!((at(-60_001), at(-60_000), at(-1), at(0)), (false, true, true, true));
    // It ends when it says, with nothing added: whoever made it knew the same clock.
    assert_eq!((at(86_399_999), at(86_400_000), at(86_400_001)), (true, false, false));
    let service = Caller::Service { name: "reports".into() };
    let header = format!("Bearer {}", token(&tokens("a"), &service));
    assert!(ask(&header, NOW + 3_599_999).is_ok() && ask(&header, NOW + 3_600_000).is_err());
}

#[test]
fn the_error_is_the_one_word_that_api_gateway_answers_401_to() {
    let diagnostic = serde_json::to_value(Diagnostic::from(Unauthorized)).unwrap();
    assert_eq!(diagnostic, json!({"errorType": "Unauthorized", "errorMessage": "Unauthorized"}));
}
