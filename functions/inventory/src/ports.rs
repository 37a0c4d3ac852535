//! What the stores of inventory promise.

use async_trait::async_trait;
use erp_contracts::{Along, Event, Page, Rows, StoreError};
use erp_domain::item::Item;
use erp_domain::order::Order;
use erp_domain::stock::{Allocation, Movement, Stock};
use erp_domain::{Id, StockLevel, Timestamp};

/// A condition of a write of items that did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// Another item has the SKU.
    SkuTaken,
    /// The item, or its stock, is not what was read any more.
    Stale,
}

/// Items with their stock.
///
/// Every write is one transaction with its event and, if there is one, the kept answer.
#[async_trait]
pub trait ItemStore: Send + Sync {
    /// The item and its stock, by consistent reads.
    async fn find(&self, id: Id<Item>) -> Result<Option<(Item, Stock)>, StoreError>;

    /// Those of the items that are there, with their stock.
    async fn find_all(&self, ids: &[Id<Item>]) -> Result<Vec<(Item, Stock)>, StoreError>;

    /// A page of the items, newest first.
    async fn list(&self, page: Page) -> Result<Rows<Item>, StoreError>;

    /// A page of the movements of an item, newest first.
    async fn movements(&self, id: Id<Item>, page: Page) -> Result<Rows<Movement>, StoreError>;

    /// Saves a new item, with a stock of nothing; [`Conflict::SkuTaken`] if its SKU is.
    async fn insert(&self, item: &Item, along: &Along) -> Result<(), StoreError<Conflict>>;

    /// Saves `new` in the place of `old`, if `old` is still what is there; else [`Conflict::Stale`]. The SKU that
    /// `old` had is free afterwards; [`Conflict::SkuTaken`] if the one that `new` has is not.
    async fn replace(&self, old: &Item, new: &Item, along: &Along) -> Result<(), StoreError<Conflict>>;

    /// Deletes the item and frees its SKU, if it is still what is there; else [`Conflict::Stale`]. Its stock and
    /// movements stay: an order that was confirmed before can still be served from them, and given back to them.
    async fn delete(&self, item: &Item, along: &Along) -> Result<(), StoreError<Conflict>>;

    /// Moves the stock that was read, together with its movement (none: the stock stays, and only what goes along
    /// is saved). [`Conflict::Stale`] if the stock has moved since or the item is gone.
    async fn adjust(
        &self,
        stock: &Stock,
        movement: Option<&Movement>,
        along: &Along,
    ) -> Result<(), StoreError<Conflict>>;
}

/// A condition of a write of allocations that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllocationConflict {
    /// The allocation is not what was read any more.
    Stale,
    /// There is less of an item than is asked for.
    Short,
}

/// An order that waits for an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The order.
    pub order_id: Id<Order>,
    /// How many it waits for.
    pub quantity: i64,
    /// Since when.
    pub since: Timestamp,
}

/// Allocations, the stock they move, and the line of those that wait.
#[async_trait]
pub trait AllocationStore: Send + Sync {
    /// The allocation of an order, by a consistent read.
    async fn find(&self, order_id: Id<Order>) -> Result<Option<Allocation>, StoreError>;

    /// How many of an item there are, by a consistent read; nothing of what is not there.
    async fn stock(&self, item_id: Id<Item>) -> Result<StockLevel, StoreError>;

    /// Saves `new` in the place of `old` (none: only if there is none yet), together with its event and, if `new`
    /// has a move that `old` has not, with the change of the stock of every item: all or nothing, in one
    /// transaction.
    ///
    /// [`AllocationConflict::Stale`] if `old` is not what is there, which is looked at first: whoever is late must
    /// not conclude anything from the stock. [`AllocationConflict::Short`] if that would take more than there is.
    async fn save(
        &self,
        old: Option<&Allocation>,
        new: &Allocation,
        event: Option<&Event>,
    ) -> Result<(), StoreError<AllocationConflict>>;

    /// Writes every movement of the allocation. They have the same keys each time, so writing them again changes
    /// nothing; that is why these writes have no condition.
    async fn write_movements(&self, allocation: &Allocation) -> Result<(), StoreError>;

    /// Puts the order into the line of each of its items; it may stand there already.
    async fn join_lines(&self, allocation: &Allocation) -> Result<(), StoreError>;

    /// Takes the order out of the line of each of its items; it may be gone already.
    async fn leave_lines(&self, allocation: &Allocation) -> Result<(), StoreError>;

    /// Who waits for an item, oldest first, by a consistent read: up to `limit` that stand behind `after`.
    async fn line(
        &self,
        item_id: Id<Item>,
        after: Option<Waiting>,
        limit: usize,
    ) -> Result<Vec<Waiting>, StoreError>;
}
