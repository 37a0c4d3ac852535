//! Access control: every route with every kind of token.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use erp_auth::access::{RULES, Rule};
use erp_auth::{Access, Keyring, Tokens};
use erp_client::{Client, Response};
use erp_domain::identity::{Caller, Role};
use erp_domain::time::SystemClock;
use erp_domain::{Clock as _, EmailAddress, Id};
use erp_local::platform::Platform;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::assertions;
use crate::fixture::{concurrently, send, unique};
use crate::target::{Target, environment, tokens};

/// A client with a kind of token, or without one.
struct Credential {
    name: &'static str,
    client: Client,
    /// The authenticated caller; `None` if the platform must reject the token.
    caller: Option<Caller>,
}

/// The decision of the platform on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Unauthorized,
    Forbidden,
    Allowed,
}

impl Decision {
    fn of(response: &Response) -> Self {
        match response.status {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            _ => Self::Allowed,
        }
    }

    /// Returns the decision that follows from the access rule.
    fn expected(access: Access, caller: Option<&Caller>) -> Self {
        match (access, caller) {
            (Access::Public, _) => Self::Allowed,
            (_, None) => Self::Unauthorized,
            (access, Some(caller)) if access.allows(caller) => Self::Allowed,
            (_, Some(_)) => Self::Forbidden,
        }
    }
}

fn user(role: Role) -> Caller {
    let email = EmailAddress::parse("user@example.com").unwrap();
    Caller::User { id: Id::new(Uuid::now_v7()), email, role }
}

fn service() -> Caller {
    Caller::Service { name: "integration".to_owned() }
}

/// Returns every kind of credential. On a remote platform, those that do not need its signing key.
async fn credentials(target: &Target) -> Vec<Credential> {
    let client = target.client();
    let credential =
        |name, token: String, caller| Credential { name, client: client.with_token(token), caller };
    let signed = |tokens: &Tokens, caller: &Caller, ago: i64| {
        tokens.sign(caller, Uuid::now_v7(), SystemClock.now().plus_seconds(-ago)).unwrap().0
    };
    let log_in = async |role| {
        let client =
            erp_client::walkthrough::register_and_log_in(&client, role, &mut erp_client::walkthrough::Silent)
                .await;
        client.unwrap_or_else(|error| panic!("{error}"))
    };
    let other_key = Keyring::from_json(&json!({"kid": "k1", "key": unique().repeat(2)}).to_string()).unwrap();
    let other_key = Tokens::new(other_key, "erp", "erp-order-platform");
    let finance = user(Role::FinanceManager);
    let mut credentials = vec![
        Credential { name: "no token", client: client.clone(), caller: None },
        credential("a malformed token", "not.a.token".to_owned(), None),
        credential("a token signed with another key", signed(&other_key, &finance, 0), None),
        Credential {
            name: "inventory_manager",
            client: log_in("inventory_manager").await,
            caller: Some(user(Role::InventoryManager)),
        },
        Credential {
            name: "finance_manager",
            client: log_in("finance_manager").await,
            caller: Some(finance.clone()),
        },
    ];
    if let Some(platform) = target.platform_or_skip("access with expired tokens and service tokens") {
        let tokens = tokens(platform);
        credentials.push(credential("an expired token", signed(&tokens, &finance, 86_401), None));
        credentials.push(credential(
            "a service token",
            service_token(&client, platform).await,
            Some(service()),
        ));
    }
    credentials
}

/// Returns a service token from the API.
async fn service_token(client: &Client, platform: &Platform) -> String {
    let secrets = environment(platform, "SERVICE_CREDENTIALS");
    let secrets: BTreeMap<String, String> = serde_json::from_str(&secrets).unwrap();
    let body = json!({"service_name": "integration", "service_secret": secrets["integration"]});
    let response = send(client, "POST", "/api/auth/service-token", Some(&body)).await;
    assertions::success(&response, 200);
    response.text_at("/token")
}

/// Sends a request for a resource that does not exist, with an empty object as body, so that it has no effect
/// if it is allowed.
async fn request(credential: &Credential, rule: &Rule) -> Response {
    let path = rule.path.replace("{id}", &Uuid::now_v7().to_string()).replace("{proxy+}", "index.html");
    let body = matches!(rule.method, "POST" | "PUT").then(|| json!({}));
    send(&credential.client, rule.method, &path, body.as_ref()).await
}

#[tokio::test]
async fn every_route_allows_exactly_the_callers_of_its_rule() {
    let target = Target::shared();
    let credentials = credentials(&target).await;
    let all = RULES.iter().flat_map(|rule| credentials.iter().map(move |credential| (rule, credential)));
    let violations = concurrently(all, async |(rule, credential)| {
        let response = request(credential, rule).await;
        let (found, expected) =
            (Decision::of(&response), Decision::expected(rule.access, credential.caller.as_ref()));
        match found {
            Decision::Unauthorized => drop(assertions::problem(&response, 401, "unauthorized")),
            Decision::Forbidden => drop(assertions::problem(&response, 403, "forbidden")),
            Decision::Allowed if response.status >= 500 => panic!("{}: {}", response.request, response.text),
            Decision::Allowed => assertions::common(&response),
        }
        let Rule { method, path, access } = rule;
        let name = credential.name;
        (found != expected)
            .then(|| format!("{method} {path} ({access:?}) with {name}: {found:?}, not {expected:?}"))
    })
    .await;
    let violations: Vec<_> = violations.into_iter().flatten().collect();
    assert!(violations.is_empty(), "{violations:#?}");
}

/// A change of the rules must be deliberate.
#[test]
fn the_number_of_rules_of_each_kind_is_known() {
    let count = |access| RULES.iter().filter(|rule| rule.access == access).count();
    let kinds = [Access::Public, Access::Reader, Access::Manager, Access::FinanceManager];
    assert_eq!(
        kinds.map(|access| (access, count(access))),
        [(Access::Public, 9), (Access::Reader, 8), (Access::Manager, 21), (Access::FinanceManager, 5)],
        "a route was added, or its rule changed: if that is intended, change the numbers here"
    );
    assert_eq!(RULES.len(), 43);
}

#[tokio::test]
async fn a_token_is_accepted_in_a_bearer_header_only() {
    let target = Target::shared();
    let Some(platform) = target.platform_or_skip("the places of a token") else { return };
    let caller = user(Role::InventoryManager);
    let (token, _) = tokens(platform).sign(&caller, Uuid::now_v7(), SystemClock.now()).unwrap();
    let client = target.client();
    for (header, status) in [
        (format!("Bearer {token}"), 200),
        (format!("bearer {token}"), 200),
        (token.clone(), 401),
        (format!("Basic {token}"), 401),
        (format!("Bearer {token} {token}"), 401),
        (format!("Bearer {}", &token[..token.len() - 3]), 401),
        ("Bearer".to_owned(), 401),
        (String::new(), 401),
    ] {
        let response =
            crate::fixture::send_bare(&client, "GET", "/api/items", &[("authorization", &header)]).await;
        assert_eq!(response.status, status, "{header:?}: {}", response.text);
    }
    let response = send(&client, "GET", &format!("/api/items?access_token={token}"), None).await;
    assertions::problem(&response, 401, "unauthorized");
}

/// Signs a token with the key of a platform, from a valid header and valid claims that `change` may alter.
fn signed_token(platform: &Platform, change: impl Fn(&mut Value, &mut Value)) -> String {
    let [keys, issuer, audience] =
        ["JWT_KEYS", "JWT_ISSUER", "JWT_AUDIENCE"].map(|name| environment(platform, name));
    let keys: Value = serde_json::from_str(&keys).unwrap();
    let now = SystemClock.now().as_seconds();
    let mut header = json!({"alg": "HS256", "typ": "JWT", "kid": keys["kid"]});
    let mut claims = json!({
        "sub": Uuid::now_v7(), "email": "user@example.com", "role": "finance_manager", "type": "user", "iss": issuer,
        "aud": audience, "iat": now, "exp": now + 3600, "jti": Uuid::now_v7(),
    });
    change(&mut header, &mut claims);
    let message = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let key = EncodingKey::from_secret(keys["key"].as_str().unwrap().as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

#[tokio::test]
async fn a_signed_token_is_accepted_only_if_all_its_claims_are_valid() {
    let target = Target::shared();
    let Some(platform) = target.platform_or_skip("tokens with other claims") else { return };
    let now = SystemClock.now().as_seconds();
    let set = |name: &'static str, value: i64| {
        move |_: &mut Value, claims: &mut Value| claims[name] = Value::from(value)
    };
    let critical = |header: &mut Value, _: &mut Value| header["crit"] = json!(["b64"]);
    let other_issuer = |_: &mut Value, claims: &mut Value| claims["iss"] = json!("other");
    for (name, token, status) in [
        ("valid", signed_token(platform, |_, _| {}), 200),
        ("nbf in the past", signed_token(platform, set("nbf", now - 10)), 200),
        ("nbf in an hour", signed_token(platform, set("nbf", now + 3600)), 401),
        ("iat in an hour", signed_token(platform, set("iat", now + 3600)), 401),
        ("exp in the past", signed_token(platform, set("exp", now - 1)), 401),
        ("exp in ten years", signed_token(platform, set("exp", now + 315_360_000)), 401),
        ("crit", signed_token(platform, critical), 401),
        ("another issuer", signed_token(platform, other_issuer), 401),
    ] {
        let response = send(&target.client().with_token(token), "GET", "/api/items", None).await;
        assert_eq!(response.status, status, "{name}: {}", response.text);
        if status == 401 {
            assertions::problem(&response, 401, "unauthorized");
        }
    }
}
