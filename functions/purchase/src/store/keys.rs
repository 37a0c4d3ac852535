//! Every key of the purchase table. The test at the end prints them with their access patterns; it documents
//! them.

use erp_aws::Key;
use erp_domain::{OrderId, PartyId};

use crate::domain::PurchaseStatus;

/// All orders, in the index `list`; spread over its shards.
pub(super) const LIST: &str = "ORDERS";

/// An order; its events are in the same partition.
pub(crate) fn order(id: OrderId) -> Key {
    Key::new(format!("ORDER#{id}"), "ORDER")
}

/// The orders of a status, in the index `status`; spread over its shards.
pub(super) fn status(status: PurchaseStatus) -> String {
    format!("STATUS#{status}")
}

/// The orders of a vendor, in the index `party`: one partition each, because a single vendor does not order
/// fast enough to need shards.
pub(super) fn vendor(id: PartyId) -> String {
    format!("PARTY#{id}")
}

#[cfg(test)]
mod tests {
    use erp_aws::list::shard;
    use erp_aws::outbox::{EVENT_PREFIX, event_sk};
    use erp_domain::Id;

    use super::*;

    #[test]
    fn access_patterns() {
        let id: OrderId = Id::new("01890000-0000-7000-8000-000000000005".parse().unwrap());
        let vendor_id = Id::new("01890000-0000-7000-8000-000000000006".parse().unwrap());
        let rows = [
            ("an order by its id, with its lines", order(id)),
            ("the history of an order, oldest first", Key::new(order(id).pk, event_sk(id.uuid()))),
            ("orders, newest first (index list)", Key::new(shard(LIST, id.uuid()), id.to_string())),
            (
                "orders of a status, newest first (index status)",
                Key::new(shard(&status(PurchaseStatus::Draft), id.uuid()), id.to_string()),
            ),
            (
                "orders of a vendor, newest first, any or one status (index party)",
                Key::new(vendor(vendor_id), id.to_string()),
            ),
        ];
        let table: String = rows.map(|(use_, key)| format!("{use_}: {} / {}\n", key.pk, key.sk)).concat();
        assert_eq!(
            table,
            "an order by its id, with its lines: ORDER#01890000-0000-7000-8000-000000000005 / ORDER\n\
             the history of an order, oldest first: ORDER#01890000-0000-7000-8000-000000000005 / EVENT#01890000-0000-7000-8000-000000000005\n\
             orders, newest first (index list): ORDERS#1 / 01890000-0000-7000-8000-000000000005\n\
             orders of a status, newest first (index status): STATUS#draft#1 / 01890000-0000-7000-8000-000000000005\n\
             orders of a vendor, newest first, any or one status (index party): PARTY#01890000-0000-7000-8000-000000000006 / 01890000-0000-7000-8000-000000000005\n"
        );
        assert!(!order(id).sk.starts_with(EVENT_PREFIX), "the row of an order is not an event row");
    }
}
