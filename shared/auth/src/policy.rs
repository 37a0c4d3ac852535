//! The policy that the authorizer returns
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html>).
//!
//! API Gateway caches the response by token and uses it for every route, so the policy covers all routes of the caller,
//! not only the called one. It goes by role and path prefix, and so does not grow with routes: a statement allows
//! prefixes, a second one denies what only finance managers may do below them. What no statement allows is denied. The
//! services check the rule of each route again.

use erp_domain::identity::Caller;
use serde::Serialize;

use crate::Access;

/// Path prefixes of the protected routes, with the callers that may `GET` the routes below them. Users of any role may
/// use the other methods, too.
const PREFIXES: [(&str, Access); 5] = [
    ("/api/customers", Access::Reader),
    ("/api/vendors", Access::Reader),
    ("/api/items", Access::Reader),
    ("/api/sales/orders", Access::Manager),
    ("/api/purchase/orders", Access::Manager),
];

/// Methods and paths that only finance managers may use: deletions and payments. The final `*` also covers a trailing
/// slash.
const FINANCE: [&str; 2] = ["DELETE/*", "POST/api/*/pay*"];

/// The policy document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
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
/// `*` in a resource also matches `/`.
pub fn for_caller(method_arn: &str, caller: &Caller) -> Option<Policy> {
    let mut parts = method_arn.splitn(3, '/');
    let (api, stage) = (parts.next()?, parts.next()?);
    if !api.starts_with("arn:") || stage.is_empty() {
        return None;
    }
    let statement = |effect, resources: &[String]| Statement {
        action: "execute-api:Invoke",
        effect,
        resource: resources.iter().map(|resource| format!("{api}/{stage}/{resource}")).collect(),
    };
    let method = if Access::Manager.allows(caller) { "*" } else { "GET" };
    let prefixes = PREFIXES.iter().filter(|(_, access)| access.allows(caller));
    let allowed =
        prefixes.flat_map(|(prefix, _)| [format!("{method}{prefix}"), format!("{method}{prefix}/*")]);
    let mut policy =
        Policy { version: "2012-10-17", statement: vec![statement("Allow", &allowed.collect::<Vec<_>>())] };
    if !Access::FinanceManager.allows(caller) {
        policy.statement.push(statement("Deny", &FINANCE.map(str::to_owned)));
    }
    Some(policy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::RULES;
    use erp_domain::identity::Role;
    use erp_domain::{EmailAddress, Id};

    /// As long as an ARN gets with the partitions and regions of AWS.
    const STAGE: &str = "arn:aws-us-gov:execute-api:ap-southeast-2:123456789012:abcdefghij/production";

    fn callers() -> [Caller; 3] {
        let user = |role| Caller::User {
            id: Id::new(uuid::Uuid::nil()),
            email: EmailAddress::parse("a@b.c").unwrap(),
            role,
        };
        let service = Caller::Service { name: "reports".into() };
        [user(Role::FinanceManager), user(Role::InventoryManager), service]
    }

    fn policy(caller: &Caller) -> Policy {
        for_caller(&format!("{STAGE}/GET/api/items"), caller).unwrap()
    }

    /// Matches as API Gateway does: `*` stands for any characters, also for none and for `/`.
    fn matches(pattern: &str, text: &str) -> bool {
        match pattern.split_once('*') {
            None => pattern == text,
            Some((literal, rest)) => text.strip_prefix(literal).is_some_and(|text| {
                text.char_indices().any(|(at, _)| matches(rest, &text[at..])) || matches(rest, "")
            }),
        }
    }

    /// Evaluates a policy as API Gateway does: an explicit denial precedes, and the default is denial.
    fn allows(policy: &Policy, method: &str, path: &str) -> bool {
        let arn = format!("{STAGE}/{method}{path}");
        let has = |effect: &str| {
            let mut statements = policy.statement.iter().filter(|statement| statement.effect == effect);
            statements.any(|statement| statement.resource.iter().any(|pattern| matches(pattern, &arn)))
        };
        has("Allow") && !has("Deny")
    }

    #[test]
    fn a_policy_allows_exactly_the_protected_routes_of_its_caller() {
        for caller in callers() {
            let policy = policy(&caller);
            for rule in RULES {
                let path = rule.path.replace("{id}", "01890000-0000-7000-8000-000000000005");
                let expected = rule.access != Access::Public && rule.access.allows(&caller);
                // The gateway routes a path with a trailing slash like the path without it.
                for path in [path.clone(), format!("{path}/")] {
                    let found = allows(&policy, rule.method, &path);
                    assert_eq!(
                        found, expected,
                        "{} {path} for {caller:?}: change PREFIXES or FINANCE in policy.rs, or the rule",
                        rule.method
                    );
                }
            }
        }
    }

    #[test]
    fn a_policy_allows_no_unknown_prefix_and_no_other_api_or_stage() {
        let unknown = [
            "",
            "/",
            "/api",
            "/api/",
            "/api/users",
            "/api/reports/sales",
            "/api/customer",
            "/api/customers-export",
            "/api/itemsets/1",
            "/api/sales",
            "/api/sales/quotes",
            "/api/purchase/orders2",
            "/api/auth/login",
            "/items",
            "/API/items",
            "/health",
        ];
        for caller in callers() {
            let policy = policy(&caller);
            for path in unknown {
                for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] {
                    assert!(!allows(&policy, method, path), "{method} {path} for {caller:?}");
                }
            }
            let resources: Vec<_> =
                policy.statement.iter().flat_map(|statement| &statement.resource).collect();
            assert!(resources.iter().all(|resource| resource.starts_with(&format!("{STAGE}/"))));
        }
    }

    #[test]
    fn a_new_route_that_deletes_or_pays_is_for_finance_managers_only() {
        let [finance, inventory, service] = callers().map(|caller| policy(&caller));
        for (method, path, expected) in [
            ("GET", "/api/items/1/prices", [true, true, true]),
            ("POST", "/api/items/import", [true, true, false]),
            ("PATCH", "/api/items/1", [true, true, false]),
            ("DELETE", "/api/items/1/prices/2", [true, false, false]),
            ("DELETE", "/api/sales/orders/1", [true, false, false]),
            ("POST", "/api/sales/orders/1/payments", [true, false, false]),
            ("POST", "/api/sales/orders/1/payments/2/refunds", [true, false, false]),
            ("GET", "/api/sales/orders/1/payments", [true, true, false]),
        ] {
            let found = [&finance, &inventory, &service].map(|policy| allows(policy, method, path));
            assert_eq!(found, expected, "{method} {path}");
        }
    }

    #[test]
    fn a_policy_has_at_most_2_kb_and_its_size_depends_on_prefixes_only() {
        /// Everything but the resources.
        const FRAME: usize = 200;
        /// The longest method and path after the stage, with quotes and a comma.
        const PATH: usize = 32;
        let resources = 2 * PREFIXES.len() + FINANCE.len();
        for caller in callers() {
            let size = serde_json::to_string(&policy(&caller)).unwrap().len();
            assert!(size <= 2048, "{size} bytes for {caller:?}");
            assert!(size <= FRAME + resources * (STAGE.len() + PATH), "{size} bytes for {caller:?}");
        }
        assert!(resources < RULES.len() / 2, "fewer resources than routes");
    }

    #[test]
    fn an_invalid_arn_gets_no_policy() {
        for text in ["", "arn:aws:execute-api:r:a:api", "x/dev/GET/", "arn:a//GET"] {
            assert!(for_caller(text, &callers()[0]).is_none(), "{text}");
        }
    }
}
