//! Access control: every route with every kind of token.

use std::collections::BTreeMap;

use erp_auth::access::{RULES, Rule};
use erp_auth::{Access, Keyring, Tokens};
use erp_client::{Client, Response};
use erp_domain::identity::{Caller, Role};
use erp_domain::time::SystemClock;
use erp_domain::{Clock as _, EmailAddress, Id};
use serde_json::json;
use uuid::Uuid;

use crate::assertions;
use crate::fixture::{concurrently, send, unique};
use crate::target::{Target, tokens};

/// A client with a kind of token, or without one.
struct Credential {
    name: &'static str,
    client: Client,
    /// The authenticated caller; `None` if the platform must reject the token.
    caller: Option<Caller>,
}

/// How the platform decides on a request.
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
    let credential = |name, token: String, caller| Credential { name, client: client.with_token(token), caller };
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
        credentials.push(credential("a service token", service_token(&client, platform).await, Some(service())));
    }
    credentials
}

/// Returns a service token from the API.
async fn service_token(client: &Client, platform: &erp_local::platform::Platform) -> String {
    let functions = &platform.deployment().functions;
    let secrets = functions.iter().find_map(|function| function.environment.get("SERVICE_CREDENTIALS"));
    let secrets: BTreeMap<String, String> = serde_json::from_str(secrets.unwrap()).unwrap();
    let body = json!({"service_name": "integration", "service_secret": secrets["integration"]});
    assertions::success(&send(client, "POST", "/api/auth/service-token", Some(&body)).await, 200);
    send(client, "POST", "/api/auth/service-token", Some(&body)).await.text_at("/token")
}

/// Sends a request for a resource that does not exist, with an empty object as body, so that it has no effect if it is
/// allowed.
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
