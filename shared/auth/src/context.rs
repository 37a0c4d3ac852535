//! The caller in the authorizer context, which API Gateway passes from the authorizer to a service: flat text fields,
//! because the context of a Lambda authorizer may contain nothing else.

use std::collections::BTreeMap;

use erp_domain::Timestamp;
use erp_domain::identity::Caller;

use crate::Verified;

/// Returns the fields of a verified token. They include the expiry, because the gateway caches the authorizer's response
/// for minutes, and the service rejects a token that expired meanwhile.
pub fn to_fields(verified: &Verified) -> BTreeMap<&'static str, String> {
    let expires = ("exp", verified.expires_at.as_seconds().to_string());
    match &verified.caller {
        Caller::User { id, email, role } => {
            let user = [("sub", id.to_string()), ("email", email.to_string()), ("role", role.to_string())];
            BTreeMap::from_iter([expires, ("type", "user".to_owned())].into_iter().chain(user))
        }
        Caller::Service { name } => {
            BTreeMap::from([expires, ("type", "service".to_owned()), ("sub", name.clone())])
        }
    }
}

/// Parses the fields; `field` looks one up. `None` if one is missing or invalid.
pub fn from_fields<'a>(field: impl Fn(&str) -> Option<&'a str>) -> Option<Verified> {
    let subject = field("sub")?;
    let caller = match field("type")? {
        "user" => Caller::User {
            id: subject.parse().ok()?,
            email: erp_domain::EmailAddress::parse(field("email")?).ok()?,
            role: field("role")?.parse().ok()?,
        },
        "service" if !subject.is_empty() => Caller::Service { name: subject.to_owned() },
        _ => return None,
    };
    let seconds: i64 = field("exp")?.parse().ok()?;
    Some(Verified { caller, expires_at: Timestamp::from_millis(seconds.checked_mul(1000)?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use erp_domain::identity::Role;

    #[test]
    fn a_caller_round_trips_and_an_incomplete_one_is_rejected() {
        let expires_at = Timestamp::from_millis(5_000);
        for caller in [
            Caller::Service { name: "reports".into() },
            Caller::User {
                id: erp_domain::Id::new(uuid::Uuid::nil()),
                email: erp_domain::EmailAddress::parse("a@b.c").unwrap(),
                role: Role::FinanceManager,
            },
        ] {
            let verified = Verified { caller, expires_at };
            let fields = to_fields(&verified);
            assert_eq!(from_fields(|name| fields.get(name).map(String::as_str)), Some(verified));
            for missing in fields.keys() {
                let lookup = |name: &str| fields.get(name).filter(|_| name != *missing).map(String::as_str);
                assert_eq!(from_fields(lookup), None, "without {missing}");
            }
        }
    }
}
