//! What whoever checks the books may read, and nothing that could change them. Quantities are plain numbers here: a
//! checker must be able to see the ones that must not be.

use async_trait::async_trait;
use erp_contracts::{Place, StoreError};
use erp_domain::item::Item;
use erp_domain::order::Order;
use erp_domain::stock::{Allocation, Movement};
use erp_domain::{Id, Timestamp};
use uuid::Uuid;

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// An item that has not been deleted.
    Item(Id<Item>),
    /// How many of an item there are.
    Stock(Level),
    /// A change of the stock of an item.
    Movement {
        /// The item.
        item_id: Id<Item>,
        /// By how many.
        change: i64,
    },
    /// What an order takes, waits for, brought or gave back.
    Allocation(Allocation),
    /// A row that should be one of these and cannot be read.
    Unreadable {
        /// Where it stands.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

/// How many of an item there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// The item.
    pub item_id: Id<Item>,
    /// How many.
    pub quantity: i64,
    /// How often that has changed. Every change has one movement.
    pub sequence: u64,
    /// When it last did.
    pub updated_at: Timestamp,
}

/// The stock of an item beside the movements that were written of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// The stock; none if there is no row of it.
    pub level: Option<Level>,
    /// How many movements there are.
    pub movements: u64,
    /// Their sum.
    pub sum: i128,
}

/// Read-only access to everything in the table.
#[async_trait]
pub trait Audit: Send + Sync {
    /// A part of the table, behind a place, and the place to go on at, if there is more. What belongs to one item
    /// comes together. It may be out of date by a moment: what looks wrong must be looked at again, by the other
    /// calls, which are consistent.
    async fn page(&self, after: Option<&Place>) -> Result<(Vec<Entry>, Option<Place>), StoreError>;

    /// As [`Audit::page`], allocations only.
    async fn allocations_page(
        &self,
        after: Option<&Place>,
    ) -> Result<(Vec<Entry>, Option<Place>), StoreError>;

    /// The balance of an item at one moment: the stock did not change while its movements were read. None if it
    /// changed every time, which only says that the item is sold fast, or if one of these rows cannot be read, which
    /// [`Audit::page`] says.
    async fn balance(&self, item_id: Id<Item>) -> Result<Option<Balance>, StoreError>;

    /// The stock of those of the items that have one that can be read.
    async fn levels(&self, items: &[Id<Item>]) -> Result<Vec<Level>, StoreError>;

    /// The allocations of those of the orders that have one; nothing beside the id of one that cannot be read.
    async fn allocations(
        &self,
        orders: &[Id<Order>],
    ) -> Result<Vec<(Id<Order>, Option<Allocation>)>, StoreError>;

    /// The ids, with their items, of those of the movements that were written.
    async fn written(&self, movements: &[Movement]) -> Result<Vec<(Id<Item>, Uuid)>, StoreError>;

    /// The items in whose line the order of the allocation stands.
    async fn lines(&self, allocation: &Allocation) -> Result<Vec<Id<Item>>, StoreError>;
}
