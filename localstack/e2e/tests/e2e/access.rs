//! Nobody acts without the right role, on any route: every rule with every kind of token.

use std::collections::BTreeMap;

use erp_auth::access::{RULES, Rule};
use erp_auth::{Access, Keyring, Tokens};
use erp_client::{Client, Response};
use erp_domain::identity::{Caller, Role};
use erp_domain::ports::SystemClock;
use erp_domain::{Clock as _, Email, Id};
use serde_json::json;
use uuid::Uuid;

use crate::assertions;
use crate::fixture::{concurrently, send, unique};
use crate::target::{Target, tokens};

/// What a request comes with instead of a token.
struct Credential {
    name: &'static str,
    client: Client,
    /// Who the platform must take it for; nobody, if it is good for nothing.
    caller: Option<Caller>,
}

/// What the gateway and the service behind it make of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Unauthorized,
    Forbidden,
    Passed,
}

impl Verdict {
    fn of(response: &Response) -> Self {
        match response.status {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            _ => Self::Passed,
        }
    }

    /// What must come, from the rule alone.
    fn expected(access: Access, caller: Option<&Caller>) -> Self {
        match (access, caller) {
            (Access::Public, _) => Self::Passed,
            (_, None) => Self::Unauthorized,
            (access, Some(caller)) if access.allows(caller) => Self::Passed,
            (_, Some(_)) => Self::Forbidden,
        }
    }
}

fn user(role: Role) -> Caller {
    let email = Email::parse("somebody@example.com").unwrap();
    Caller::User { id: Id::new(Uuid::now_v7()), email, role }
}

fn service() -> Caller {
    Caller::Service { name: "integration".to_owned() }
}

/// Everything a request can come with; somewhere else, only what can be had without the platform's key.
async fn credentials(target: &Target) -> Vec<Credential> {
    let client = target.client();
    let with = |name, token: String, caller| Credential { name, client: client.with_token(token), caller };
    let signed = |tokens: &Tokens, caller: &Caller, ago: i64| {
        tokens.sign(caller, Uuid::now_v7(), SystemClock.now().plus_seconds(-ago)).unwrap().0
    };
    let log_in = async |role| {
        let client =
            erp_client::walkthrough::register_and_log_in(&client, role, &mut erp_client::walkthrough::Silent)
                .await;
        client.unwrap_or_else(|error| panic!("{error}"))
    };
    let forger = Keyring::from_json(&json!({"kid": "k1", "key": unique().repeat(2)}).to_string()).unwrap();
    let forger = Tokens::new(forger, "erp", "erp-order-platform");
    let finance = user(Role::FinanceManager);
    let mut all = vec![
        Credential { name: "no token", client: client.clone(), caller: None },
        with("a malformed token", "not.a.token".to_owned(), None),
        with("a token signed with another key", signed(&forger, &finance, 0), None),
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
    if let Some(platform) = target.platform_or_skip("access with an expired token and with a service's") {
        let tokens = tokens(platform);
        all.push(with("an expired token", signed(&tokens, &finance, 86_401), None));
        all.push(with("a service's token", service_token(&client, platform).await, Some(service())));
    }
    all
}

/// A service's token, as a service gets one.
async fn service_token(client: &Client, platform: &erp_local::platform::Platform) -> String {
    let functions = &platform.deployment().functions;
    let secrets = functions.iter().find_map(|function| function.environment.get("SERVICE_CREDENTIALS"));
    let secrets: BTreeMap<String, String> = serde_json::from_str(secrets.unwrap()).unwrap();
    let body = json!({"service_name": "integration", "service_secret": secrets["integration"]});
    assertions::success(&send(client, "POST", "/api/auth/service-token", Some(&body)).await, 200);
    send(client, "POST", "/api/auth/service-token", Some(&body)).await.text_at("/token")
}

/// Asks for what is not there, with a body that says nothing: whoever may do this changes nothing by it.
async fn ask(credential: &Credential, rule: &Rule) -> Response {
    let path = rule.path.replace("{id}", &Uuid::now_v7().to_string()).replace("{proxy+}", "index.html");
    let body = matches!(rule.method, "POST" | "PUT").then(|| json!({}));
    send(&credential.client, rule.method, &path, body.as_ref()).await
}

#[tokio::test]
async fn every_route_lets_in_who_its_rule_names_and_nobody_else() {
    let target = Target::shared();
    let credentials = credentials(&target).await;
    let all = RULES.iter().flat_map(|rule| credentials.iter().map(move |credential| (rule, credential)));
    let wrong = concurrently(all, async |(rule, credential)| {
        let response = ask(credential, rule).await;
        let (found, expected) =
            (Verdict::of(&response), Verdict::expected(rule.access, credential.caller.as_ref()));
        match found {
            Verdict::Unauthorized => drop(assertions::problem(&response, 401, "unauthorized")),
            Verdict::Forbidden => drop(assertions::problem(&response, 403, "forbidden")),
            Verdict::Passed if response.status >= 500 => panic!("{}: {}", response.request, response.text),
            Verdict::Passed => assertions::common(&response),
        }
        let Rule { method, path, access } = rule;
        let name = credential.name;
        (found != expected)
            .then(|| format!("{method} {path} ({access:?}) with {name}: {found:?}, not {expected:?}"))
    })
    .await;
    let wrong: Vec<_> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A change of a rule is a decision: whoever makes it changes this too.
#[test]
fn the_rules_are_these_many_of_each_kind() {
    let count = |access| RULES.iter().filter(|rule| rule.access == access).count();
    let kinds = [Access::Public, Access::Reader, Access::Manager, Access::FinanceManager];
    assert_eq!(
        kinds.map(|access| (access, count(access))),
        [(Access::Public, 9), (Access::Reader, 8), (Access::Manager, 21), (Access::FinanceManager, 5)],
        "a route was added, or its rule changed: if it was meant, write the new numbers here"
    );
    assert_eq!(RULES.len(), 43);
}

#[tokio::test]
async fn a_token_is_taken_in_a_bearer_header_and_nowhere_else() {
    let target = Target::shared();
    let Some(platform) = target.platform_or_skip("where a token may stand") else { return };
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
