//! Who calls, and whether they may: the policies of the template, enforced by every endpoint.
//!
//! A function that lacks a permission is found out here and not after the deployment. The caller is the access
//! key id in the `Authorization` header; the signature over the request is not verified, because all that this
//! would keep out is a program on the same machine that already reads the functions' environment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use axum::http::HeaderMap;

use crate::broker::Authorize;
use crate::deployment::{ACCOUNT, Function, Statement};
use crate::secrets::random_text;

/// The access key id, and the secret key, of whoever runs the platform: they may do everything.
pub const OWNER: &str = "test";

/// Keys of one function's role.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`, new at every start.
    pub secret_access_key: String,
}

/// The callers there are.
#[derive(Debug, Default)]
pub struct Iam {
    /// By access key id.
    roles: BTreeMap<String, Role>,
    /// By logical id of the function.
    credentials: BTreeMap<String, Credentials>,
}

#[derive(Debug)]
struct Role {
    arn: String,
    statements: Vec<Statement>,
    /// What was allowed so far: actions, each with the resources that it was for.
    used: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl Role {
    fn note(&self, action: &str, resource_arn: &str) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.get(action).is_some_and(|resources| resources.contains(resource_arn)) {
            used.entry(action.to_owned()).or_default().insert(resource_arn.to_owned());
        }
    }
}

impl Iam {
    /// Gives every function its own keys.
    ///
    /// # Errors
    ///
    /// When the operating system gives no random numbers.
    pub fn new(functions: &[Function]) -> Result<Self, getrandom::Error> {
        let mut iam = Self::default();
        for function in functions {
            let credentials = Credentials {
                access_key_id: access_key_id(&function.logical_id),
                secret_access_key: random_secret()?,
            };
            let role = Role {
                arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/{0}/{0}", function.name),
                statements: function.statements.clone(),
                used: Mutex::default(),
            };
            iam.roles.insert(credentials.access_key_id.clone(), role);
            iam.credentials.insert(function.logical_id.clone(), credentials);
        }
        Ok(iam)
    }

    /// The keys of a function.
    pub fn credentials(&self, logical_id: &str) -> Option<&Credentials> {
        self.credentials.get(logical_id)
    }

    /// What a function has made use of, by its logical id: actions, each with the ARNs of the resources.
    pub fn used(&self, logical_id: &str) -> BTreeMap<String, BTreeSet<String>> {
        let role = self.credentials.get(logical_id).and_then(|keys| self.roles.get(&keys.access_key_id));
        role.map(|role| role.used.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap_or_default()
    }

    /// Whether the caller of a request may do `action` on `resource_arn`.
    ///
    /// # Errors
    ///
    /// What AWS says to a caller who may not.
    pub fn check(&self, headers: &HeaderMap, action: &str, resource_arn: &str) -> Result<(), Denied> {
        let key = caller(headers).ok_or(Denied::Nobody)?;
        if key == OWNER {
            return Ok(());
        }
        let role = self.roles.get(key).ok_or_else(|| Denied::Stranger(key.to_owned()))?;
        if role.statements.iter().any(|statement| allows(statement, action, resource_arn)) {
            role.note(action, resource_arn);
            return Ok(());
        }
        Err(Denied::NotAllowed {
            user: role.arn.clone(),
            action: action.to_owned(),
            resource: resource_arn.to_owned(),
        })
    }
}

/// Why a caller may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The request names no access key.
    #[error("Request is missing Authentication Token")]
    Nobody,
    /// The access key is not one of this platform's.
    #[error(
        "The security token included in the request is invalid: {0} is not a key of this platform (use test/test)"
    )]
    Stranger(String),
    /// No statement of the function's policies allows it.
    #[error(
        "User: {user} is not authorized to perform: {action} on resource: {resource} because no identity-based \
         policy allows the {action} action"
    )]
    NotAllowed {
        /// ARN of the assumed role.
        user: String,
        /// Such as `dynamodb:PutItem`.
        action: String,
        /// ARN of the resource.
        resource: String,
    },
}

impl Denied {
    /// The name of the exception in the JSON protocols.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Nobody => "MissingAuthenticationTokenException",
            Self::Stranger(_) => "UnrecognizedClientException",
            Self::NotAllowed { .. } => "AccessDeniedException",
        }
    }
}

impl Authorize for Iam {
    fn check(&self, headers: &HeaderMap, action: &str, resource_arn: &str) -> Result<(), String> {
        Iam::check(self, headers, action, resource_arn).map_err(|denied| denied.to_string())
    }
}

/// `Authorization: AWS4-HMAC-SHA256 Credential=<key>/<date>/<region>/<service>/aws4_request, …`.
pub(crate) fn caller(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(axum::http::header::AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = header.split_once("Credential=")?;
    credential.split('/').next().filter(|key| !key.is_empty())
}

fn allows(statement: &Statement, action: &str, resource_arn: &str) -> bool {
    // The names of actions have no case; ARNs do.
    let action = action.to_ascii_lowercase();
    statement.actions.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &action))
        && statement.resources.iter().any(|pattern| matches(pattern, resource_arn))
}

/// Whether `text` fits a pattern in which `*` is any text and `?` any character.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and what it has swallowed so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&expected) if expected == b'?' || expected == text[t] => {
                p += 1;
                t += 1;
            }
            Some(_) | None => match star {
                Some((at, swallowed)) => {
                    star = Some((at, swallowed + 1));
                    p = at + 1;
                    t = swallowed + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|rest| *rest == b'*')
}

/// Temporary keys begin with `ASIA`; the rest tells whose they are in a log.
fn access_key_id(logical_id: &str) -> String {
    let name: String = logical_id.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("ASIA{}", name.to_ascii_uppercase())
}

fn random_secret() -> Result<String, getrandom::Error> {
    let alphabet: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
    random_text(&alphabet, 40)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn function(id: &str, statements: &[(&[&str], &[&str])]) -> Function {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Function {
            logical_id: id.to_owned(),
            name: id.to_lowercase(),
            binary: "x".to_owned(),
            environment: BTreeMap::new(),
            memory_size: 128,
            timeout: Duration::from_secs(3),
            alias: None,
            reserved_concurrency: None,
            statements: statements
                .iter()
                .map(|(actions, resources)| Statement {
                    actions: owned(actions),
                    resources: owned(resources),
                })
                .collect(),
        }
    }

    fn signed(key: &str) -> HeaderMap {
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={key}/20250101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
        );
        HeaderMap::from_iter([(axum::http::header::AUTHORIZATION, value.parse().unwrap())])
    }

    const TABLE: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/erp-sales";
    const OTHER: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/erp-sales-2";

    #[test]
    fn a_function_may_do_what_its_statements_say_and_nothing_else() {
        let index = format!("{TABLE}/index/list");
        let any_index = format!("{TABLE}/index/*");
        let iam = Iam::new(&[
            function("Reader", &[(&["dynamodb:GetItem"], &[TABLE]), (&["dynamodb:Query"], &[&any_index])]),
            function("Wild", &[(&["dynamodb:*Item"], &["arn:aws:dynamodb:*:*:table/erp-sale?"])]),
            function("Nothing", &[]),
        ])
        .unwrap();
        for (key, action, resource, allowed) in [
            ("ASIAREADER", "dynamodb:GetItem", TABLE, true),
            ("ASIAREADER", "dynamodb:getitem", TABLE, true),
            ("ASIAREADER", "dynamodb:PutItem", TABLE, false),
            ("ASIAREADER", "dynamodb:GetItem", OTHER, false),
            ("ASIAREADER", "dynamodb:Query", TABLE, false),
            ("ASIAREADER", "dynamodb:Query", &index, true),
            ("ASIAWILD", "dynamodb:PutItem", TABLE, true),
            ("ASIAWILD", "dynamodb:Query", TABLE, false),
            ("ASIAWILD", "dynamodb:PutItem", OTHER, false),
            ("ASIANOTHING", "dynamodb:GetItem", TABLE, false),
            ("AKIASTRANGER", "dynamodb:GetItem", TABLE, false),
            ("test", "dynamodb:DeleteTable", TABLE, true),
        ] {
            assert_eq!(
                iam.check(&signed(key), action, resource).is_ok(),
                allowed,
                "{key} {action} {resource}"
            );
        }
    }

    #[test]
    fn what_was_made_use_of_is_remembered_and_what_was_refused_is_not() {
        let iam = Iam::new(&[function("Reader", &[(&["dynamodb:GetItem", "dynamodb:Query"], &[TABLE])])]);
        let iam = iam.unwrap();
        assert!(iam.check(&signed("ASIAREADER"), "dynamodb:GetItem", TABLE).is_ok());
        assert!(iam.check(&signed("ASIAREADER"), "dynamodb:PutItem", TABLE).is_err());
        let resources = BTreeSet::from([TABLE.to_owned()]);
        assert_eq!(iam.used("Reader"), BTreeMap::from([("dynamodb:GetItem".to_owned(), resources)]));
    }

    #[test]
    fn a_refusal_names_who_what_and_where() {
        let iam = Iam::new(&[function("Reader", &[])]).unwrap();
        let message = iam.check(&signed("ASIAREADER"), "dynamodb:PutItem", TABLE).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!(
                "User: arn:aws:sts::000000000000:assumed-role/reader/reader is not authorized to perform: \
                 dynamodb:PutItem on resource: {TABLE}"
            )),
            "{message}"
        );
    }

    #[test]
    fn nobody_is_not_the_owner() {
        assert!(Iam::default().check(&HeaderMap::new(), "dynamodb:GetItem", TABLE).is_err());
    }

    #[test]
    fn wildcards_match_as_in_policies() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbbd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*ab", "aab", true),
            ("a*b*c", "a-b-b-c", true),
            ("abc", "abcd", false),
            ("abc*", "abc", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
