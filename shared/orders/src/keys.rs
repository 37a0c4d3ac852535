//! Keys of orders, in the table and in its indexes. Tests in the contexts print them with their access patterns.

use std::fmt::Display;

use erp_aws::Key;
use erp_domain::{OrderId, PartyId};

/// All orders, in the index `list`; spread over its shards.
pub const LIST: &str = "ORDERS";
/// The sort key of an order.
pub(crate) const ORDER: &str = "ORDER";

/// An order; its events are in the same partition.
pub fn order(id: OrderId) -> Key {
    Key::new(format!("ORDER#{id}"), ORDER)
}

/// The orders of a status, in the index `status`; spread over its shards.
pub fn status(status: impl Display) -> String {
    format!("STATUS#{status}")
}

/// The orders of a customer or vendor, in the index `party`: one partition each, because a single party does
/// not trade fast enough to need shards.
pub fn party(id: PartyId) -> String {
    format!("PARTY#{id}")
}
