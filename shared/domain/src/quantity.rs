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

/// How many of an item are there: 0 to 1,000,000,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct StockLevel(i64);

impl StockLevel {
    /// The most that a person may say is there.
    pub const MAX: i64 = 1_000_000_000_000;
    /// Nothing there.
    pub const ZERO: Self = Self(0);

    /// A checked level.
    ///
    /// # Errors
    /// When it is negative or above [`StockLevel::MAX`].
    pub fn new(quantity: i64) -> Result<Self, Invalid> {
        match quantity {
            ..0 => Err(Invalid::new("must not be negative")),
            0..=Self::MAX => Ok(Self(quantity)),
            _ => Err(Invalid::new(format!("must not be more than {}", Self::MAX))),
        }
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The level after a change, unless there is none: below zero or above the maximum.
    pub fn after(self, change: StockChange) -> Option<Self> {
        self.0.checked_add(change.0).and_then(|level| Self::new(level).ok())
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
    /// A checked change.
    ///
    /// # Errors
    /// When it is zero or larger than any stock may be.
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
