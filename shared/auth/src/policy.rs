//! The policy that the authorizer returns
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html>).
//!
//! API Gateway caches the response by token and uses it for every route, so the policy names every route that the caller
//! may use, not only the called one. A route that it does not name is denied.

use erp_domain::identity::Caller;
use serde::Serialize;

use crate::access::RULES;

/// The policy document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    version: &'static str,
    statement: [Statement; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    action: &'static str,
    effect: &'static str,
    resource: Vec<String>,
}

/// Returns the policy of a caller for the API and stage of a method's ARN
/// (`arn:aws:execute-api:REGION:ACCOUNT:API/STAGE/METHOD/PATH`); `None` if `method_arn` is not such an ARN.
///
/// `*` in a policy also matches `/`, so a path that ends with a parameter permits longer paths too. That is harmless
/// where the longer paths have the same rule; paths with another rule (`POST …/{id}/pay`) have no prefix that ends with
/// a parameter and the same method. The services check each route again.
pub fn for_caller(method_arn: &str, caller: &Caller) -> Option<Policy> {
    let mut parts = method_arn.splitn(3, '/');
    let (api, stage) = (parts.next()?, parts.next()?);
    if !api.starts_with("arn:") || stage.is_empty() {
        return None;
    }
    let resource: Vec<String> = RULES
        .iter()
        .filter(|rule| rule.access.allows(caller))
        .map(|rule| format!("{api}/{stage}/{}{}", rule.method, wildcard(rule.path)))
        .collect();
    Some(Policy {
        version: "2012-10-17",
        statement: [Statement { action: "execute-api:Invoke", effect: "Allow", resource }],
    })
}

fn wildcard(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "*" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use erp_domain::identity::Role;
    use erp_domain::{EmailAddress, Id};

    const ARN: &str = "arn:aws:execute-api:us-east-1:000000000000:local/dev/GET/api/items";

    fn allowed(caller: &Caller) -> Vec<String> {
        for_caller(ARN, caller).unwrap().statement[0].resource.clone()
    }

    fn user(role: Role) -> Caller {
        Caller::User { id: Id::new(uuid::Uuid::nil()), email: EmailAddress::parse("a@b.c").unwrap(), role }
    }

    #[test]
    fn a_policy_names_every_route_of_its_caller_and_no_other() {
        let prefix = "arn:aws:execute-api:us-east-1:000000000000:local/dev/";
        let has = |list: &[String], route: &str| list.contains(&format!("{prefix}{route}"));
        let (finance, inventory) =
            (allowed(&user(Role::FinanceManager)), allowed(&user(Role::InventoryManager)));
        let service = allowed(&Caller::Service { name: "s".into() });
        assert_eq!(finance.len(), RULES.len());
        assert!(has(&inventory, "POST/api/sales/orders/*/confirm"));
        assert!(!has(&inventory, "POST/api/sales/orders/*/pay"));
        assert!(!inventory.iter().any(|route| route.contains("/DELETE/")));
        assert!(has(&service, "GET/api/items/*/stock"));
        assert!(!service.iter().any(|route| route.contains("orders") || route.contains("/PUT/")));
    }

    #[test]
    fn a_policy_does_not_exceed_the_limit_of_api_gateway() {
        let policy = for_caller(ARN, &user(Role::FinanceManager)).unwrap();
        assert!(serde_json::to_string(&policy).unwrap().len() < 8192, "an authorizer's policy may have 8 KB");
    }

    #[test]
    fn an_invalid_arn_gets_no_policy() {
        for text in ["", "arn:aws:execute-api:r:a:api", "x/dev/GET/", "arn:a//GET"] {
            assert!(for_caller(text, &user(Role::FinanceManager)).is_none(), "{text}");
        }
    }
}
