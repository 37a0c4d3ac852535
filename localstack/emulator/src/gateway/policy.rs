//! Evaluates the authorizer's policy document.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html>

use serde::Deserialize;
use serde_json::Value;

use crate::iam::matches;

/// The action of an API request.
const ACTION: &str = "execute-api:Invoke";

/// A policy document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy(Vec<Statement>);

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    effect: Effect,
    #[serde(default)]
    action: OneOrMany,
    #[serde(default)]
    resource: OneOrMany,
    #[serde(default)]
    condition: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl OneOrMany {
    fn any(&self, matches: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::One(one) => matches(one),
            Self::Many(many) => many.iter().any(|one| matches(one)),
        }
    }
}

/// The result of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// A statement allows it and none denies it.
    Allowed,
    /// A statement denies it: an explicit deny.
    Denied,
    /// No statement applies: an implicit deny.
    NotAllowed,
}

impl Policy {
    /// Parses a policy document.
    ///
    /// # Errors
    /// When it is not a supported policy document.
    pub(super) fn parse(document: &Value) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Statements {
            Many(Vec<Statement>),
            One(Statement),
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Document {
            statement: Statements,
        }
        let document = Document::deserialize(document)?;
        Ok(Self(match document.statement {
            Statements::Many(many) => many,
            Statements::One(one) => vec![one],
        }))
    }

    /// Decides whether the policy allows the method with this ARN.
    pub(super) fn decide(&self, method_arn: &str) -> Decision {
        let mut decision = Decision::NotAllowed;
        for statement in self.0.iter().filter(|statement| statement.applies_to(method_arn)) {
            match statement.effect {
                Effect::Deny => return Decision::Denied,
                // Conditions are not supported, so an Allow with a condition allows nothing.
                Effect::Allow if statement.condition.is_none() => decision = Decision::Allowed,
                Effect::Allow => {}
            }
        }
        decision
    }
}

impl Statement {
    fn applies_to(&self, method_arn: &str) -> bool {
        let action = ACTION.to_ascii_lowercase();
        self.action.any(|pattern| matches(&pattern.to_ascii_lowercase(), &action))
            && self.resource.any(|pattern| matches(pattern, method_arn))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BASE: &str = "arn:aws:execute-api:us-east-1:000000000000:local/dev";

    #[test]
    fn an_explicit_deny_takes_precedence_and_the_default_is_deny() {
        let allow = |resource: &str| json!({"Effect": "Allow", "Action": ACTION, "Resource": resource});
        let deny = |resource: &str| json!({"Effect": "Deny", "Action": [ACTION], "Resource": [resource]});
        let everything = format!("{BASE}/*");
        let deletes = format!("{BASE}/DELETE/*");
        for (name, statement, expected) in [
            ("nothing", json!([]), Decision::NotAllowed),
            ("one statement, no list", allow(&everything), Decision::Allowed),
            ("everything", json!([allow("*")]), Decision::Allowed),
            ("another stage", json!([allow("arn:aws:execute-api:*:*:local/prod/*")]), Decision::NotAllowed),
            ("allow, then deny", json!([allow(&everything), deny(&deletes)]), Decision::Denied),
            ("deny, then allow", json!([deny(&deletes), allow(&everything)]), Decision::Denied),
            (
                "a deny of another method",
                json!([allow(&everything), deny(&format!("{BASE}/PUT/*"))]),
                Decision::Allowed,
            ),
            (
                "another action",
                json!([{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]),
                Decision::NotAllowed,
            ),
            ("any action", json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]), Decision::Allowed),
            (
                "a condition allows nothing",
                json!([{"Effect": "Allow", "Action": ACTION, "Resource": "*", "Condition": {"Bool": {}}}]),
                Decision::NotAllowed,
            ),
            (
                "a deny with a condition denies",
                json!([allow("*"), {"Effect": "Deny", "Action": ACTION, "Resource": "*", "Condition": {}}]),
                Decision::Denied,
            ),
            (
                "NotAction is not supported",
                json!([{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}]),
                Decision::NotAllowed,
            ),
        ] {
            let policy = Policy::parse(&json!({"Version": "2012-10-17", "Statement": statement})).unwrap();
            assert_eq!(policy.decide(&format!("{BASE}/DELETE/api/items/1")), expected, "{name}");
        }
    }

    #[test]
    fn a_malformed_policy_is_an_error() {
        for document in [
            json!(null),
            json!({}),
            json!({"Statement": [{"Effect": "Perhaps", "Action": ACTION, "Resource": "*"}]}),
            json!({"Statement": [{"Effect": "Allow", "Action": 7, "Resource": "*"}]}),
        ] {
            assert!(Policy::parse(&document).is_err(), "{document}");
        }
    }
}
