//! Every key of the sales and purchase tables. The test at the end prints them beside what they are for; it is their
//! documentation.

use erp_aws::Key;
use erp_domain::Id;
use erp_domain::contact::Party;
use erp_domain::order::{Order, Status};

/// All orders, in the index `list`; spread over its shards.
pub(super) const LIST: &str = "ORDERS";

/// An order; its events stand in the same partition.
pub(super) fn order(id: Id<Order>) -> Key {
    Key::new(format!("ORDER#{id}"), "ORDER")
}

/// The orders of a status, in the index `status`; spread over its shards.
pub(super) fn status(status: Status) -> String {
    format!("STATUS#{status}")
}

/// The orders of a customer or vendor, in the index `party`. One partition each: nobody orders fast enough to need
/// more.
pub(super) fn party(id: Id<Party>) -> String {
    format!("PARTY#{id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use erp_aws::list::shard;
    use erp_aws::outbox::{EVENT_PREFIX, event_sk};

    #[test]
    fn access_patterns() {
        let id: Id<Order> = Id::new("01890000-0000-7000-8000-000000000005".parse().unwrap());
        let party_id = Id::new("01890000-0000-7000-8000-000000000006".parse().unwrap());
        let rows = [
            ("an order by its id, lines inside", order(id)),
            ("what happened to it, oldest first", Key::new(order(id).pk, event_sk(id.uuid()))),
            ("orders, newest first (index list)", Key::new(shard(LIST, id.uuid()), id.to_string())),
            (
                "orders of a status, newest first (index status)",
                Key::new(shard(&status(Status::Draft), id.uuid()), id.to_string()),
            ),
            (
                "orders of a party, newest first, any or one status (index party)",
                Key::new(party(party_id), id.to_string()),
            ),
        ];
        let table: String = rows.map(|(use_, key)| format!("{use_}: {} / {}\n", key.pk, key.sk)).concat();
        assert_eq!(
            table,
            "an order by its id, lines inside: ORDER#01890000-0000-7000-8000-000000000005 / ORDER\n\
             what happened to it, oldest first: ORDER#01890000-0000-7000-8000-000000000005 / EVENT#01890000-0000-7000-8000-000000000005\n\
             orders, newest first (index list): ORDERS#1 / 01890000-0000-7000-8000-000000000005\n\
             orders of a status, newest first (index status): STATUS#draft#1 / 01890000-0000-7000-8000-000000000005\n\
             orders of a party, newest first, any or one status (index party): PARTY#01890000-0000-7000-8000-000000000006 / 01890000-0000-7000-8000-000000000005\n"
        );
        assert!(!order(id).sk.starts_with(EVENT_PREFIX), "an order is no event of itself");
    }
}
