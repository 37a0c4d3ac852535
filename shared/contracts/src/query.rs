//! Synchronous queries from one context to another, by Lambda invocation: one query, however many lines an order has.

use erp_domain::{ItemId, Money, PartyId, PartyKind};
use serde::{Deserialize, Serialize};

/// Request of `contact-query`: looks up a customer or vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartyQuery {
    /// Customer or vendor.
    pub kind: PartyKind,
    /// The id to look up.
    pub id: PartyId,
}

/// Response of `contact-query`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartyQueryResponse {
    /// Whether the contact exists; a deleted one does not.
    pub exists: bool,
}

/// Request of `inventory-query`: looks up items with their price and stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemsQuery {
    /// The ids to look up, at most 99.
    pub items: Vec<ItemId>,
}

/// Response of `inventory-query`: the items that exist, each once, in no order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemsQueryResponse {
    /// The items found.
    pub items: Vec<ItemSnapshot>,
}

/// Price and stock of an item at the time of a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemSnapshot {
    /// The item.
    pub id: ItemId,
    /// The list price.
    pub unit_price: Money,
    /// The available quantity.
    pub quantity: i64,
}
