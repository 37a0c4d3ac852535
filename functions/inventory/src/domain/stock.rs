//! The stock of an item, and its movements.

use std::collections::{BTreeMap, BTreeSet};

use erp_domain::{Demand, ItemId, OrderId, StockChange, StockLevel, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ItemError;

/// The stock of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    item_id: ItemId,
    quantity: StockLevel,
    /// The rows of items created before the two counters do not have them.
    #[serde(default)]
    allocated: i64,
    #[serde(default)]
    backordered: i64,
    /// At most the smallest quantity that an order in the back-order queue needs.
    #[serde(default = "smallest_possible")]
    smallest_backorder: i64,
    /// The number of orders that have begun to wait for the item.
    #[serde(default)]
    backorder_sequence: u64,
    sequence: u64,
    updated_at: Timestamp,
}

/// The lower bound in the rows of items created before it: no order needs less.
const fn smallest_possible() -> i64 {
    1
}

/// An adjustment that a user requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adjustment {
    /// Changes the quantity by a number.
    By(StockChange),
    /// Sets the quantity.
    SetTo {
        /// The new quantity.
        target: StockLevel,
        /// The quantity that the user has seen.
        expected: Option<StockLevel>,
    },
}

impl Stock {
    /// The lower bound while no order waits: more than the stock that a user can enter.
    pub const NO_BACKORDER: i64 = StockLevel::MAX + 1;

    /// Creates the stock of a new item: no quantity.
    pub fn empty(item_id: ItemId, now: Timestamp) -> Self {
        Self {
            item_id,
            quantity: StockLevel::ZERO,
            allocated: 0,
            backordered: 0,
            smallest_backorder: Self::NO_BACKORDER,
            backorder_sequence: 0,
            sequence: 0,
            updated_at: now,
        }
    }

    /// Returns the stock after an adjustment, with the change; `None` if the quantity stays as it is.
    ///
    /// # Errors
    /// [`ItemError::InsufficientStock`], [`ItemError::AboveMaximum`], [`ItemError::UnexpectedQuantity`].
    pub fn adjust(
        &self,
        adjustment: Adjustment,
        now: Timestamp,
    ) -> Result<Option<(Self, StockChange)>, ItemError> {
        let (quantity, change) = match adjustment {
            Adjustment::By(change) => match self.quantity.apply(change) {
                Some(quantity) => (quantity, change),
                None if change.get() < 0 => {
                    return Err(ItemError::InsufficientStock { available: self.quantity });
                }
                None => return Err(ItemError::AboveMaximum),
            },
            Adjustment::SetTo { expected: Some(expected), .. } if expected != self.quantity => {
                return Err(ItemError::UnexpectedQuantity { found: self.quantity });
            }
            Adjustment::SetTo { target, .. } => match self.quantity.change_to(target) {
                Some(change) => (target, change),
                None => return Ok(None),
            },
        };
        let updated_at = now.max(self.updated_at);
        Ok(Some((Self { quantity, sequence: self.sequence + 1, updated_at, ..*self }, change)))
    }

    /// Checks that the item can be deleted: no stock, and no order needs it.
    ///
    /// # Errors
    /// [`ItemError::InUse`].
    pub fn check_unused(&self) -> Result<(), ItemError> {
        let &Self { quantity: available, allocated, backordered, .. } = self;
        if available == StockLevel::ZERO && allocated == 0 && backordered == 0 {
            return Ok(());
        }
        Err(ItemError::InUse { available, allocated, backordered })
    }

    /// Returns the item.
    pub fn item_id(&self) -> ItemId {
        self.item_id
    }

    /// Returns the available quantity.
    pub fn quantity(&self) -> StockLevel {
        self.quantity
    }

    /// Returns the number of changes of the quantity: each has one movement.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns the time of the last change of the quantity.
    pub fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    /// Returns a lower bound of the quantities that orders in the back-order queue need;
    /// [`Stock::NO_BACKORDER`] if none waits.
    pub fn smallest_backorder(&self) -> i64 {
        self.smallest_backorder
    }

    /// Returns the number of orders that have begun to wait for the item.
    pub fn backorder_sequence(&self) -> u64 {
        self.backorder_sequence
    }

    /// Returns whether the quantity may be sufficient for an order in the back-order queue. If not, reading the queue
    /// is pointless.
    pub fn may_fulfil_backorder(&self) -> bool {
        self.quantity.get() >= self.smallest_backorder
    }
}

/// The stock of several items. Each was read strongly consistent, but not all at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StockSnapshot(BTreeMap<ItemId, Stock>);

impl FromIterator<Stock> for StockSnapshot {
    fn from_iter<I: IntoIterator<Item = Stock>>(stock: I) -> Self {
        Self(stock.into_iter().map(|stock| (stock.item_id, stock)).collect())
    }
}

impl StockSnapshot {
    /// Returns the stock of an item; `None` if the item does not exist, or was not read.
    pub fn get(&self, item_id: ItemId) -> Option<&Stock> {
        self.0.get(&item_id)
    }

    /// Returns the stock of each item, sorted by id.
    pub fn iter(&self) -> impl Iterator<Item = &Stock> {
        self.0.values()
    }

    /// Returns the items of a demand that do not exist: they were deleted. An id is never used again.
    pub fn missing(&self, demand: &Demand) -> BTreeSet<ItemId> {
        demand.items().filter(|item_id| !self.0.contains_key(item_id)).collect()
    }

    /// Returns whether the stock of every item of a demand is sufficient.
    pub fn suffices(&self, demand: &Demand) -> bool {
        demand.iter().all(|(item_id, needed)| {
            self.get(item_id).is_some_and(|stock| stock.quantity.get() >= needed.get())
        })
    }

    /// Takes a demand for which the stock suffices.
    pub fn take(&mut self, demand: &Demand) {
        for (item_id, taken) in demand.iter() {
            if let Some(stock) = self.0.get_mut(&item_id) {
                stock.quantity =
                    StockLevel::new(stock.quantity.get() - taken.get()).unwrap_or(StockLevel::ZERO);
            }
        }
    }

    /// Replaces the stock of items that were read again.
    pub fn update(&mut self, newer: Self) {
        self.0.extend(newer.0);
    }
}

/// A change of the stock of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// Unique among the movements of the item, and the same however often the movement is written.
    pub id: Uuid,
    /// The item.
    pub item_id: ItemId,
    /// The signed change.
    pub change: i64,
    /// The kind of the change.
    pub kind: MovementKind,
    /// The order; `None` for an adjustment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// The reason that the user entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The time of the change.
    pub at: Timestamp,
}

/// The kind of a change of stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MovementKind {
    /// Allocated to a sales order.
    Allocated,
    /// Returned to stock by a cancelled sales order.
    Released,
    /// Received from a vendor.
    Received,
    /// Adjusted by a user.
    Adjusted,
}

impl MovementKind {
    /// Returns the sign of an order's change: -1 removes stock, 1 adds stock. An adjustment has its own sign.
    pub const fn sign(self) -> i64 {
        match self {
            Self::Allocated => -1,
            Self::Released | Self::Received | Self::Adjusted => 1,
        }
    }
}
