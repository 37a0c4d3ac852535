//! IAM: authenticates callers by access key and enforces the template's policies at every endpoint.
//!
//! A missing permission of a function fails here rather than after the deployment. The caller is identified by the
//! access key id in the `Authorization` header. The signature is not verified; instead, each access key id is itself
//! a secret of 129 bits, so that another user of the machine cannot guess one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use axum::http::HeaderMap;

use crate::deployment::{ACCOUNT, Function, Statement};
use crate::secrets::{Generate, SecretError, Secrets, random_alphanumeric, random_text};

/// An access key.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
}

impl Credentials {
    /// The access key of the platform's owner, the user who started it. It is generated once and stored with the
    /// other secrets, so that an exported key stays valid after a restart.
    ///
    /// # Errors
    ///
    /// When it cannot be generated or stored.
    pub fn of_owner(secrets: &Secrets) -> Result<Self, SecretError> {
        let upper_and_digits = Generate {
            length: ID_LENGTH,
            exclude_lowercase: true,
            exclude_punctuation: true,
            ..Generate::default()
        };
        let alphanumeric =
            Generate { length: SECRET_LENGTH, exclude_punctuation: true, ..Generate::default() };
        let id = secrets.get_or_generate("erp-local/access-key-id", &upper_and_digits)?;
        Ok(Self {
            access_key_id: format!("AKIA{id}"),
            secret_access_key: secrets.get_or_generate("erp-local/secret-access-key", &alphanumeric)?,
        })
    }

    /// A temporary access key of a function's role. The id contains the logical id, for logs.
    fn of_function(logical_id: &str) -> Result<Self, getrandom::Error> {
        let alphabet: Vec<char> = ('A'..='Z').chain('0'..='9').collect();
        let name: String = logical_id.chars().filter(char::is_ascii_alphanumeric).collect();
        let random = random_text(&alphabet, ID_LENGTH)?;
        Ok(Self {
            access_key_id: format!("ASIA{}{random}", name.to_ascii_uppercase()),
            secret_access_key: random_alphanumeric(SECRET_LENGTH)?,
        })
    }
}

/// Random characters of an access key id, out of 36: 129 bits.
const ID_LENGTH: usize = 25;
/// Characters of a secret access key, as on AWS.
const SECRET_LENGTH: usize = 40;

/// The principals that may call the endpoints: the owner and the roles of the functions.
#[derive(Debug)]
pub struct Iam {
    /// May do everything.
    owner: Credentials,
    /// By access key id.
    roles: BTreeMap<String, Role>,
    /// By logical id of the function.
    credentials: BTreeMap<String, Credentials>,
}

#[derive(Debug)]
struct Role {
    arn: String,
    statements: Vec<Statement>,
    /// The permissions used so far: actions, each with its resources.
    used: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl Role {
    fn record(&self, action: &str, resource_arn: &str) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.get(action).is_some_and(|resources| resources.contains(resource_arn)) {
            used.entry(action.to_owned()).or_default().insert(resource_arn.to_owned());
        }
    }
}

impl Iam {
    /// Creates an access key for each function.
    ///
    /// # Errors
    ///
    /// When the random number generator fails.
    pub fn new(owner: Credentials, functions: &[Function]) -> Result<Self, getrandom::Error> {
        let mut iam = Self { owner, roles: BTreeMap::new(), credentials: BTreeMap::new() };
        for function in functions {
            let credentials = Credentials::of_function(&function.logical_id)?;
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

    /// With an owner's key that is not stored.
    #[cfg(test)]
    pub(crate) fn for_tests(functions: &[Function]) -> Self {
        let owner = Credentials::of_owner(&Secrets::in_memory()).unwrap();
        Self::new(owner, functions).unwrap()
    }

    /// With one function that has this permission, and the function's access key.
    #[cfg(test)]
    pub(crate) fn allowing(action: &str, resource_arn: &str) -> (Self, Credentials) {
        let function = Function {
            logical_id: "Tester".to_owned(),
            name: "tester".to_owned(),
            binary: "tester".to_owned(),
            environment: BTreeMap::new(),
            memory_size: 128,
            timeout: std::time::Duration::from_secs(3),
            alias: None,
            reserved_concurrency: None,
            statements: vec![Statement {
                actions: vec![action.to_owned()],
                resources: vec![resource_arn.to_owned()],
            }],
        };
        let iam = Self::for_tests(&[function]);
        let keys = iam.credentials["Tester"].clone();
        (iam, keys)
    }

    /// The access key of the platform's owner.
    pub fn owner(&self) -> &Credentials {
        &self.owner
    }

    /// The access key of a function, by its logical id.
    pub fn credentials(&self, logical_id: &str) -> Option<&Credentials> {
        self.credentials.get(logical_id)
    }

    /// The permissions that a function has used, by its logical id: actions, each with the ARNs of the resources.
    pub fn used(&self, logical_id: &str) -> BTreeMap<String, BTreeSet<String>> {
        let role = self.credentials.get(logical_id).and_then(|keys| self.roles.get(&keys.access_key_id));
        role.map(|role| role.used.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap_or_default()
    }

    /// Checks whether the caller of a request may perform `action` on `resource_arn`.
    ///
    /// # Errors
    ///
    /// The error that AWS responds with when the caller may not.
    pub fn check(&self, headers: &HeaderMap, action: &str, resource_arn: &str) -> Result<(), Denied> {
        let key = caller(headers).ok_or(Denied::Anonymous)?;
        if key == self.owner.access_key_id {
            return Ok(());
        }
        let role = self.roles.get(key).ok_or(Denied::UnknownKey)?;
        if role.statements.iter().any(|statement| allows(statement, action, resource_arn)) {
            role.record(action, resource_arn);
            return Ok(());
        }
        Err(Denied::NotAllowed {
            user: role.arn.clone(),
            action: action.to_owned(),
            resource: resource_arn.to_owned(),
        })
    }
}

/// An authentication or authorization error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The request has no access key.
    #[error("Request is missing Authentication Token")]
    Anonymous,
    /// The access key is not known.
    #[error(
        "The security token included in the request is invalid: use the access key that `cargo run` shows at its start"
    )]
    UnknownKey,
    /// No statement of the function's policies allows the action.
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
            Self::Anonymous => "MissingAuthenticationTokenException",
            Self::UnknownKey => "UnrecognizedClientException",
            Self::NotAllowed { .. } => "AccessDeniedException",
        }
    }
}

/// The access key id in `Authorization: AWS4-HMAC-SHA256 Credential=<key>/<date>/<region>/<service>/aws4_request, …`.
pub(crate) fn caller(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(axum::http::header::AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = header.split_once("Credential=")?;
    credential.split('/').next().filter(|key| !key.is_empty())
}

fn allows(statement: &Statement, action: &str, resource_arn: &str) -> bool {
    // Names of actions are case-insensitive; ARNs are case-sensitive.
    let action = action.to_ascii_lowercase();
    statement.actions.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &action))
        && statement.resources.iter().any(|pattern| matches(pattern, resource_arn))
}

/// Matches `text` with a pattern in which `*` is any text and `?` is any character.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // The position of the last star, and the end of the text that it matches.
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
                Some((at, matched)) => {
                    star = Some((at, matched + 1));
                    p = at + 1;
                    t = matched + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|rest| *rest == b'*')
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

    /// The access key id of a function.
    fn id<'a>(iam: &'a Iam, function: &str) -> &'a str {
        &iam.credentials(function).unwrap().access_key_id
    }

    #[test]
    fn a_function_may_do_what_its_statements_allow_and_nothing_else() {
        let index = format!("{TABLE}/index/list");
        let any_index = format!("{TABLE}/index/*");
        let iam = Iam::for_tests(&[
            function("Reader", &[(&["dynamodb:GetItem"], &[TABLE]), (&["dynamodb:Query"], &[&any_index])]),
            function("Wild", &[(&["dynamodb:*Item"], &["arn:aws:dynamodb:*:*:table/erp-sale?"])]),
            function("Nothing", &[]),
        ]);
        let [reader, wild, nothing] = ["Reader", "Wild", "Nothing"].map(|name| id(&iam, name));
        for (key, action, resource, allowed) in [
            (reader, "dynamodb:GetItem", TABLE, true),
            (reader, "dynamodb:getitem", TABLE, true),
            (reader, "dynamodb:PutItem", TABLE, false),
            (reader, "dynamodb:GetItem", OTHER, false),
            (reader, "dynamodb:Query", TABLE, false),
            (reader, "dynamodb:Query", &index, true),
            (wild, "dynamodb:PutItem", TABLE, true),
            (wild, "dynamodb:Query", TABLE, false),
            (wild, "dynamodb:PutItem", OTHER, false),
            (nothing, "dynamodb:GetItem", TABLE, false),
            ("ASIAREADER", "dynamodb:GetItem", TABLE, false),
            ("test", "dynamodb:GetItem", TABLE, false),
            (&iam.owner().access_key_id, "dynamodb:DeleteTable", TABLE, true),
        ] {
            assert_eq!(
                iam.check(&signed(key), action, resource).is_ok(),
                allowed,
                "{key} {action} {resource}"
            );
        }
    }

    #[test]
    fn used_permissions_are_recorded_and_denied_ones_are_not() {
        let iam =
            Iam::for_tests(&[function("Reader", &[(&["dynamodb:GetItem", "dynamodb:Query"], &[TABLE])])]);
        let reader = id(&iam, "Reader");
        assert!(iam.check(&signed(reader), "dynamodb:GetItem", TABLE).is_ok());
        assert!(iam.check(&signed(reader), "dynamodb:PutItem", TABLE).is_err());
        let resources = BTreeSet::from([TABLE.to_owned()]);
        assert_eq!(iam.used("Reader"), BTreeMap::from([("dynamodb:GetItem".to_owned(), resources)]));
    }

    #[test]
    fn a_denial_names_the_caller_the_action_and_the_resource() {
        let iam = Iam::for_tests(&[function("Reader", &[])]);
        let message =
            iam.check(&signed(id(&iam, "Reader")), "dynamodb:PutItem", TABLE).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!(
                "User: arn:aws:sts::000000000000:assumed-role/reader/reader is not authorized to perform: \
                 dynamodb:PutItem on resource: {TABLE}"
            )),
            "{message}"
        );
    }

    #[test]
    fn an_unsigned_request_is_denied() {
        let denied = Iam::for_tests(&[]).check(&HeaderMap::new(), "dynamodb:GetItem", TABLE);
        assert_eq!(denied, Err(Denied::Anonymous));
    }

    #[test]
    fn another_access_key_is_denied() {
        for key in ["test", "AKIAIOSFODNN7EXAMPLE"] {
            let denied = Iam::for_tests(&[]).check(&signed(key), "dynamodb:GetItem", TABLE);
            assert_eq!(denied, Err(Denied::UnknownKey), "{key}");
        }
    }

    #[test]
    fn the_owners_access_key_is_stable_and_those_of_two_platforms_differ() {
        let secrets = Secrets::in_memory();
        let key = |secrets: &Secrets| Credentials::of_owner(secrets).unwrap().access_key_id;
        assert_eq!(key(&secrets), key(&secrets));
        assert_ne!(key(&secrets), key(&Secrets::in_memory()));
        let functions = [function("Reader", &[])];
        assert_ne!(
            id(&Iam::for_tests(&functions), "Reader"),
            id(&Iam::for_tests(&functions), "Reader"),
            "not predictable"
        );
    }

    #[test]
    fn wildcards_match_as_in_policies() {
        for (pattern, text, expected) in [
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
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
