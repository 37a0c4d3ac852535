//! Whole numbers of things.

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// How many of an item a line orders: 1 to 1,000,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct LineQuantity(i64);

impl LineQuantity {
    /// The most a line may order.
    pub const MAX: i64 = 1_000_000_000;

    /// A checked quantity.
    ///
    /// # Errors
    /// When it is below 1 or above [`LineQuantity::MAX`].
    pub fn new(quantity: i64) -> Result<Self, Invalid> {
        match quantity {
            ..1 => Err(Invalid::new("must be at least 1")),
            1..=Self::MAX => Ok(Self(quantity)),
            _ => Err(Invalid::new(format!("must not be more than {}", Self::MAX))),
        }
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for LineQuantity {
    type Error = Invalid;
    fn try_from(quantity: i64) -> Result<Self, Invalid> {
        Self::new(quantity)
    }
}
impl From<LineQuantity> for i64 {
    fn from(quantity: LineQuantity) -> i64 {
        quantity.0
    }
}

/// How many of an item are there: never fewer than none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct StockLevel(i64);

impl StockLevel {
    /// The most that a person may say is there. Goods that arrive or come back are counted beyond it: they are there.
    pub const MAX: i64 = 1_000_000_000_000;
    /// Nothing there.
    pub const ZERO: Self = Self(0);

    /// A level that was counted.
    ///
    /// # Errors
    /// When it is negative.
    pub fn new(quantity: i64) -> Result<Self, Invalid> {
        if quantity < 0 { Err(Invalid::new("must not be negative")) } else { Ok(Self(quantity)) }
    }

    /// A level that a person wants.
    ///
    /// # Errors
    /// When it is negative or above [`StockLevel::MAX`].
    pub fn wanted(quantity: i64) -> Result<Self, Invalid> {
        if quantity > Self::MAX {
            return Err(Invalid::new(format!("must not be more than {}", Self::MAX)));
        }
        Self::new(quantity)
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The level after a person's change, unless there is none: below zero, or raised above the maximum.
    pub fn after(self, change: StockChange) -> Option<Self> {
        let level = self.0.checked_add(change.0)?;
        if change.0 < 0 { Self::new(level).ok() } else { Self::wanted(level).ok() }
    }

    /// The change that leads to another level; none if it is the same.
    pub const fn change_to(self, target: Self) -> Option<StockChange> {
        // Neither is negative, so the difference fits.
        match target.0 - self.0 {
            0 => None,
            change => Some(StockChange(change)),
        }
    }
}

impl TryFrom<i64> for StockLevel {
    type Error = Invalid;
    fn try_from(quantity: i64) -> Result<Self, Invalid> {
        Self::new(quantity)
    }
}
impl From<StockLevel> for i64 {
    fn from(level: StockLevel) -> i64 {
        level.0
    }
}

/// A change of stock, up or down, never nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct StockChange(i64);

impl StockChange {
    /// A change that a person asks for.
    ///
    /// # Errors
    /// When it is zero or larger than a person may say any stock is.
    pub fn new(change: i64) -> Result<Self, Invalid> {
        if change == 0 {
            return Err(Invalid::new("must not be 0"));
        }
        if change.unsigned_abs() > StockLevel::MAX.unsigned_abs() {
            return Err(Invalid::new(format!("must be between -{0} and {0}", StockLevel::MAX)));
        }
        Ok(Self(change))
    }

    /// The signed number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for StockChange {
    type Error = Invalid;
    fn try_from(change: i64) -> Result<Self, Invalid> {
        Self::new(change)
    }
}
impl From<StockChange> for i64 {
    fn from(change: StockChange) -> i64 {
        change.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrived_is_counted_beyond_what_a_person_may_say() {
        let full = StockLevel::new(StockLevel::MAX).unwrap();
        let over = StockLevel::new(StockLevel::MAX + LineQuantity::MAX).unwrap();
        let by = |change| StockChange::new(change).unwrap();
        assert_eq!(over.after(by(-1)).map(StockLevel::get), Some(StockLevel::MAX + LineQuantity::MAX - 1));
        assert_eq!((over.after(by(1)), full.after(by(1))), (None, None));
        assert_eq!(full.after(by(-StockLevel::MAX)), Some(StockLevel::ZERO));
        assert_eq!(StockLevel::ZERO.after(by(-1)), None);
        assert!(
            StockLevel::wanted(StockLevel::MAX).is_ok() && StockLevel::wanted(StockLevel::MAX + 1).is_err()
        );
        assert!(StockLevel::new(-1).is_err() && StockLevel::wanted(-1).is_err());
        let most = StockLevel::new(i64::MAX).unwrap();
        assert_eq!(most.change_to(StockLevel::ZERO).map(StockChange::get), Some(-i64::MAX));
        assert_eq!(StockLevel::ZERO.change_to(most).map(StockChange::get), Some(i64::MAX));
        assert_eq!((most.change_to(most), most.after(by(1))), (None, None));
    }
}
