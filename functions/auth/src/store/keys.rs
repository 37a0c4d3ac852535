//! Every key of the auth table. The test at the end prints them beside what they are for; it is their documentation.

use erp_aws::Key;
use erp_domain::identity::User;
use erp_domain::{Email, Id};

use crate::ports::Target;
use crate::secret::TokenHash;

/// A user; their events stand in the same partition.
pub(super) fn user(id: Id<User>) -> Key {
    Key::new(format!("USER#{id}"), "USER")
}

/// Holds an e-mail address for one user.
pub(super) fn email(email: &Email) -> Key {
    Key::new(format!("EMAIL#{email}"), "EMAIL")
}

/// There once somebody was registered.
pub(super) fn first_user() -> Key {
    Key::new("PLATFORM", "FIRST_USER")
}

/// Attempts to guess a secret.
pub(super) fn attempts(target: &Target) -> Key {
    match target {
        Target::User(email) => Key::new(format!("LOGIN#{email}"), "FAILURES"),
        Target::Service(name) => Key::new(format!("SERVICE_LOGIN#{name}"), "FAILURES"),
    }
}

/// Resets asked for, for an address, and the newest token.
pub(super) fn requests(email: &Email) -> Key {
    Key::new(format!("RESET_REQUESTS#{email}"), "REQUESTS")
}

/// A reset token.
pub(super) fn reset(hash: &TokenHash) -> Key {
    Key::new(format!("RESET#{}", hash.as_str()), "RESET")
}

/// Stands where the event would stand if there were a user.
pub(super) fn nobody(hash: &TokenHash) -> Key {
    Key::new(format!("RESET#{}", hash.as_str()), "NOBODY")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn access_patterns() {
        let id = Id::new("01890000-0000-7000-8000-000000000005".parse().unwrap());
        let address = Email::parse("ann@example.com").unwrap();
        let hash = TokenHash::of(&Secret::new("token"));
        let rows = [
            ("a user by their id", user(id)),
            ("a user by their e-mail address, and whether it is taken", email(&address)),
            ("whether there is a user", first_user()),
            ("failed logins", attempts(&Target::User(address.clone()))),
            ("failed logins of a service", attempts(&Target::Service("reports".into()))),
            ("resets asked for, and the newest token", requests(&address)),
            ("a reset token", reset(&hash)),
            ("in the place of an event, for nobody", nobody(&hash)),
        ];
        let table: String = rows.map(|(use_, key)| format!("{use_}: {} / {}\n", key.pk, key.sk)).concat();
        assert_eq!(
            table,
            "a user by their id: USER#01890000-0000-7000-8000-000000000005 / USER\n\
             a user by their e-mail address, and whether it is taken: EMAIL#ann@example.com / EMAIL\n\
             whether there is a user: PLATFORM / FIRST_USER\n\
             failed logins: LOGIN#ann@example.com / FAILURES\n\
             failed logins of a service: SERVICE_LOGIN#reports / FAILURES\n\
             resets asked for, and the newest token: RESET_REQUESTS#ann@example.com / REQUESTS\n\
             a reset token: RESET#PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A / RESET\n\
             in the place of an event, for nobody: RESET#PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A / NOBODY\n"
        );
    }
}
