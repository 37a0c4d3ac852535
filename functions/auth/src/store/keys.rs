//! The keys of the auth table. The snapshot of the test documents them.

use erp_aws::Key;
use erp_domain::{EmailAddress, UserId};

use super::Counter;
use crate::domain::{SourceNetwork, TokenHash};

/// A user; the user's events are in the same partition.
pub(super) fn user(id: UserId) -> Key {
    Key::new(format!("USER#{id}"), "USER")
}

/// Reserves an e-mail address for one user.
pub(super) fn email(email: &EmailAddress) -> Key {
    Key::new(format!("EMAIL#{email}"), "EMAIL")
}

/// Exists once a user was registered.
pub(super) fn first_user() -> Key {
    Key::new("PLATFORM", "FIRST_USER")
}

/// Attempts to guess a secret.
pub(super) fn attempts(counter: &Counter) -> Key {
    match counter {
        Counter::Account(email) => Key::new(format!("LOGIN#{email}"), "FAILURES"),
        Counter::Login(email, network) => Key::new(format!("LOGIN#{email}"), format!("FAILURES#{network}")),
        Counter::Service(network) => Key::new(format!("SERVICE_LOGIN#{network}"), "FAILURES"),
        Counter::Bootstrap(network) => Key::new(format!("BOOTSTRAP#{network}"), "FAILURES"),
    }
}

/// Resets granted for an address: to one source network, with its newest token, or to all of them.
pub(super) fn requests(email: &EmailAddress, network: Option<&SourceNetwork>) -> Key {
    let sk = network.map_or("REQUESTS".to_owned(), |network| format!("REQUESTS#{network}"));
    Key::new(format!("RESET_REQUESTS#{email}"), sk)
}

/// A reset token.
pub(super) fn reset(hash: &TokenHash) -> Key {
    Key::new(format!("RESET#{}", hash.as_str()), "RESET")
}

/// Takes the place of the event if there is no user.
pub(super) fn placeholder(hash: &TokenHash) -> Key {
    Key::new(format!("RESET#{}", hash.as_str()), "NOBODY")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;

    #[test]
    fn access_patterns() {
        let id = "01890000-0000-7000-8000-000000000005".parse().unwrap();
        let address = EmailAddress::parse("ann@example.com").unwrap();
        let network = SourceNetwork::of(Some("203.0.113.7"));
        let hash = TokenHash::of(&Secret::new("token"));
        let rows = [
            ("a user by id", user(id)),
            ("a user by e-mail address, and whether it is taken", email(&address)),
            ("whether there is a user", first_user()),
            ("failed logins", attempts(&Counter::Account(address.clone()))),
            ("failed logins from a network", attempts(&Counter::Login(address.clone(), network.clone()))),
            (
                "failed requests for service tokens from a network",
                attempts(&Counter::Service(network.clone())),
            ),
            ("wrong bootstrap secrets from a network", attempts(&Counter::Bootstrap(network.clone()))),
            ("resets granted", requests(&address, None)),
            ("resets granted to a network, and the newest token", requests(&address, Some(&network))),
            ("a reset token", reset(&hash)),
            ("takes the place of the event if there is no user", placeholder(&hash)),
        ];
        let table: String = rows.map(|(use_, key)| format!("{use_}: {} / {}\n", key.pk, key.sk)).concat();
        insta::assert_snapshot!(table, @r"
        a user by id: USER#01890000-0000-7000-8000-000000000005 / USER
        a user by e-mail address, and whether it is taken: EMAIL#ann@example.com / EMAIL
        whether there is a user: PLATFORM / FIRST_USER
        failed logins: LOGIN#ann@example.com / FAILURES
        failed logins from a network: LOGIN#ann@example.com / FAILURES#203.0.113.0/24
        failed requests for service tokens from a network: SERVICE_LOGIN#203.0.113.0/24 / FAILURES
        wrong bootstrap secrets from a network: BOOTSTRAP#203.0.113.0/24 / FAILURES
        resets granted: RESET_REQUESTS#ann@example.com / REQUESTS
        resets granted to a network, and the newest token: RESET_REQUESTS#ann@example.com / REQUESTS#203.0.113.0/24
        a reset token: RESET#PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A / RESET
        takes the place of the event if there is no user: RESET#PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A / NOBODY
        ");
    }
}
