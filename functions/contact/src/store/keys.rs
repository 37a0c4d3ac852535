//! The keys of the contact table. The test at the end documents them by access pattern.

use erp_aws::Key;
use erp_domain::{EmailAddress, PartyId, PartyKind};

fn prefix(kind: PartyKind) -> &'static str {
    match kind {
        PartyKind::Customer => "CUSTOMER",
        PartyKind::Vendor => "VENDOR",
    }
}

/// Returns the key of a contact. Its events are in the same partition.
pub(super) fn contact(kind: PartyKind, id: PartyId) -> Key {
    Key::new(format!("{}#{id}", prefix(kind)), "CONTACT")
}

/// Returns the key of the guard that keeps an e-mail address unique among the contacts of a kind.
pub(super) fn email(kind: PartyKind, email: &EmailAddress) -> Key {
    Key::new(format!("EMAIL#{}#{email}", prefix(kind)), "GUARD")
}

/// Returns the name of the list of the contacts of a kind, in the index `list`.
pub(super) fn list(kind: PartyKind) -> String {
    format!("{}S", prefix(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_patterns() {
        let id = "01890000-0000-7000-8000-000000000005".parse::<PartyId>().unwrap();
        let address = EmailAddress::parse("ann@example.com").unwrap();
        let rows = [
            ("a contact by its id", contact(PartyKind::Customer, id)),
            ("whether an e-mail address is taken", email(PartyKind::Vendor, &address)),
            (
                "contacts, newest first (index list)",
                Key::new(erp_aws::list::shard(&list(PartyKind::Customer), id.uuid()), id.to_string()),
            ),
        ];
        let table: String =
            rows.map(|(pattern, key)| format!("{pattern}: {} / {}\n", key.pk, key.sk)).concat();
        assert_eq!(
            table,
            "a contact by its id: CUSTOMER#01890000-0000-7000-8000-000000000005 / CONTACT\n\
             whether an e-mail address is taken: EMAIL#VENDOR#ann@example.com / GUARD\n\
             contacts, newest first (index list): CUSTOMERS#1 / 01890000-0000-7000-8000-000000000005\n"
        );
    }
}
