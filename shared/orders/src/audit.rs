//! What whoever checks the books may read of orders, and nothing that could change them.

use async_trait::async_trait;
use erp_contracts::{Place, StoreError};
use erp_domain::Id;
use erp_domain::order::Order;

/// An order, and how far it has heard of inventory.
#[derive(Debug, Clone, PartialEq)]
pub struct Audited {
    /// The order.
    pub order: Order,
    /// The sequence of the decision that its stock status shows; 0 while there was none.
    pub stock_sequence: u64,
}

/// A row of an order.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// It can be read.
    Order(Box<Audited>),
    /// It cannot.
    Unreadable {
        /// Where it stands.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

/// Read-only access to every order of a table.
#[async_trait]
pub trait Audit: Send + Sync {
    /// A part of the orders, behind a place, and the place to go on at, if there are more. They may be out of date by
    /// a moment: what looks wrong must be looked at again, by [`Audit::find_all`].
    async fn page(&self, after: Option<&Place>) -> Result<(Vec<Entry>, Option<Place>), StoreError>;

    /// Those of the orders that are there, by consistent reads; nothing beside the id of one that cannot be read.
    async fn find_all(&self, ids: &[Id<Order>]) -> Result<Vec<(Id<Order>, Option<Audited>)>, StoreError>;
}
