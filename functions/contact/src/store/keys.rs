//! Every key of the contact table. The test at the end prints them beside what they are for; it is their
//! documentation.

use erp_aws::Key;
use erp_domain::contact::{ContactKind, Party};
use erp_domain::{Email, Id};

fn word(kind: ContactKind) -> &'static str {
    match kind {
        ContactKind::Customer => "CUSTOMER",
        ContactKind::Vendor => "VENDOR",
    }
}

/// A contact; its events stand in the same partition.
pub(super) fn contact(kind: ContactKind, id: Id<Party>) -> Key {
    Key::new(format!("{}#{id}", word(kind)), "CONTACT")
}

/// Holds an e-mail address for one contact of a kind.
pub(super) fn email(kind: ContactKind, email: &Email) -> Key {
    Key::new(format!("EMAIL#{}#{email}", word(kind)), "GUARD")
}

/// The list of the contacts of a kind, in the index `list`.
pub(super) fn list(kind: ContactKind) -> &'static str {
    match kind {
        ContactKind::Customer => "CUSTOMERS",
        ContactKind::Vendor => "VENDORS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_patterns() {
        let id = Id::new("01890000-0000-7000-8000-000000000005".parse().unwrap());
        let address = Email::parse("ann@example.com").unwrap();
        let rows = [
            ("a contact by its id", contact(ContactKind::Customer, id)),
            ("whether an e-mail address is taken", email(ContactKind::Vendor, &address)),
            (
                "contacts, newest first (index list)",
                Key::new(erp_aws::list::shard(list(ContactKind::Customer), id.uuid()), id.to_string()),
            ),
        ];
        let table: String = rows.map(|(use_, key)| format!("{use_}: {} / {}\n", key.pk, key.sk)).concat();
        assert_eq!(
            table,
            "a contact by its id: CUSTOMER#01890000-0000-7000-8000-000000000005 / CONTACT\n\
             whether an e-mail address is taken: EMAIL#VENDOR#ann@example.com / GUARD\n\
             contacts, newest first (index list): CUSTOMERS#1 / 01890000-0000-7000-8000-000000000005\n"
        );
    }
}
