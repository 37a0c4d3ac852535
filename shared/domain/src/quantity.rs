//! Whole numbers of things.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ItemId, ValidationError};

/// A positive quantity of an item.
///
/// A quantity that a client enters is at most [`Quantity::MAX_LINE`]; sums may be larger.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = i64, minimum = 1, example = 20))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64")]
pub struct Quantity(i64);

impl Quantity {
    /// The largest quantity of an order line.
    pub const MAX_LINE: i64 = 1_000_000_000;

    /// Creates a quantity of at least 1.
    pub fn new(quantity: i64) -> Result<Self, ValidationError> {
        if quantity < 1 { Err(ValidationError::new("must be at least 1")) } else { Ok(Self(quantity)) }
    }

    /// Creates the quantity of an order line: 1 to [`Quantity::MAX_LINE`].
    pub fn of_line(quantity: i64) -> Result<Self, ValidationError> {
        if quantity > Self::MAX_LINE {
            return Err(ValidationError::new(format!("must not be more than {}", Self::MAX_LINE)));
        }
        Self::new(quantity)
    }

    /// Returns the number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Adds, saturating at `i64::MAX`.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl TryFrom<i64> for Quantity {
    type Error = ValidationError;
    fn try_from(quantity: i64) -> Result<Self, ValidationError> {
        Self::new(quantity)
    }
}

/// The quantity of each item that an order moves; lines of the same item are summed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Demand(BTreeMap<ItemId, Quantity>);

impl Demand {
    /// Returns the items, sorted by id.
    pub fn items(&self) -> impl Iterator<Item = ItemId> + '_ {
        self.0.keys().copied()
    }

    /// Returns items with quantities, sorted by id.
    pub fn iter(&self) -> impl Iterator<Item = (ItemId, Quantity)> + '_ {
        self.0.iter().map(|(item_id, quantity)| (*item_id, *quantity))
    }

    /// Returns the quantity of an item.
    pub fn get(&self, item_id: ItemId) -> Option<Quantity> {
        self.0.get(&item_id).copied()
    }
}

impl FromIterator<(ItemId, Quantity)> for Demand {
    fn from_iter<I: IntoIterator<Item = (ItemId, Quantity)>>(lines: I) -> Self {
        let mut demand = BTreeMap::new();
        for (item_id, quantity) in lines {
            demand
                .entry(item_id)
                .and_modify(|sum: &mut Quantity| *sum = sum.saturating_add(quantity))
                .or_insert(quantity);
        }
        Self(demand)
    }
}

/// The quantity of an item in stock, never negative.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = i64, minimum = 0, example = 50))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "i64")]
pub struct StockLevel(i64);

impl StockLevel {
    /// The largest level that a client may enter. Receipts and returns are counted beyond it, because the goods exist.
    pub const MAX: i64 = 1_000_000_000_000;
    /// No stock.
    pub const ZERO: Self = Self(0);

    /// Creates a level of at least 0.
    pub fn new(quantity: i64) -> Result<Self, ValidationError> {
        if quantity < 0 { Err(ValidationError::new("must not be negative")) } else { Ok(Self(quantity)) }
    }

    /// Creates a level that a client entered: 0 to [`StockLevel::MAX`].
    pub fn entered(quantity: i64) -> Result<Self, ValidationError> {
        if quantity > Self::MAX {
            return Err(ValidationError::new(format!("must not be more than {}", Self::MAX)));
        }
        Self::new(quantity)
    }

    /// Returns the number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Applies a change that a client entered. Returns `None` if the result is negative, or raised above
    /// [`StockLevel::MAX`].
    pub fn apply(self, change: StockChange) -> Option<Self> {
        let level = self.0.checked_add(change.0)?;
        if change.0 < 0 { Self::new(level).ok() } else { Self::entered(level).ok() }
    }

    /// Returns the change from this level to `target`, or `None` if they are equal.
    pub const fn change_to(self, target: Self) -> Option<StockChange> {
        // Neither is negative, so the difference fits.
        match target.0 - self.0 {
            0 => None,
            change => Some(StockChange(change)),
        }
    }
}

impl TryFrom<i64> for StockLevel {
    type Error = ValidationError;
    fn try_from(quantity: i64) -> Result<Self, ValidationError> {
        Self::new(quantity)
    }
}

/// A change of stock, positive or negative, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockChange(i64);

impl StockChange {
    /// Creates a change that a client entered: up to [`StockLevel::MAX`] in either direction, not 0.
    pub fn new(change: i64) -> Result<Self, ValidationError> {
        if change == 0 {
            return Err(ValidationError::new("must not be 0"));
        }
        if change.unsigned_abs() > StockLevel::MAX.unsigned_abs() {
            return Err(ValidationError::new(format!("must be between -{0} and {0}", StockLevel::MAX)));
        }
        Ok(Self(change))
    }

    /// Returns the signed number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn received_goods_are_counted_beyond_what_a_client_may_enter() {
        let full = StockLevel::new(StockLevel::MAX).unwrap();
        let over = StockLevel::new(StockLevel::MAX + Quantity::MAX_LINE).unwrap();
        let by = |change| StockChange::new(change).unwrap();
        let expected = StockLevel::MAX + Quantity::MAX_LINE - 1;
        assert_eq!(over.apply(by(-1)).map(StockLevel::get), Some(expected));
        assert_eq!((over.apply(by(1)), full.apply(by(1))), (None, None));
        assert_eq!(full.apply(by(-StockLevel::MAX)), Some(StockLevel::ZERO));
        assert_eq!(StockLevel::ZERO.apply(by(-1)), None);
        assert!(StockLevel::entered(StockLevel::MAX).is_ok());
        assert!(StockLevel::entered(StockLevel::MAX + 1).is_err());
        assert!(StockLevel::new(-1).is_err() && StockLevel::entered(-1).is_err());
        let most = StockLevel::new(i64::MAX).unwrap();
        assert_eq!(most.change_to(StockLevel::ZERO).map(StockChange::get), Some(-i64::MAX));
        assert_eq!(StockLevel::ZERO.change_to(most).map(StockChange::get), Some(i64::MAX));
        assert_eq!((most.change_to(most), most.apply(by(1))), (None, None));
    }

    #[test]
    fn a_line_orders_1_to_1_000_000_000() {
        for (quantity, valid) in
            [(0, false), (1, true), (Quantity::MAX_LINE, true), (Quantity::MAX_LINE + 1, false)]
        {
            assert_eq!(Quantity::of_line(quantity).is_ok(), valid, "{quantity}");
        }
    }
}
