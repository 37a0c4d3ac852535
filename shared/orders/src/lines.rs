//! Priced lines with their total.

use erp_contracts::data::OrderLine;
use erp_domain::{Demand, Ids, ItemId, LineId, Money, Quantity};

/// Maximum lines of an order: with its allocation row they fill one DynamoDB transaction of 100 actions.
pub const MAX_LINES: usize = 99;

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line's id.
    pub id: LineId,
    /// The ordered item.
    pub item_id: ItemId,
    /// The ordered quantity.
    pub quantity: Quantity,
    /// The price of one.
    pub unit_price: Money,
    /// `quantity` × `unit_price`.
    pub subtotal: Money,
}

impl From<&Line> for OrderLine {
    fn from(line: &Line) -> Self {
        Self { item_id: line.item_id, quantity: line.quantity, unit_price: line.unit_price }
    }
}

/// A priced line without an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewLine {
    /// The ordered item.
    pub item_id: ItemId,
    /// The ordered quantity.
    pub quantity: Quantity,
    /// The price of one.
    pub unit_price: Money,
}

/// The reason why lines do not form an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinesError {
    /// No line, or more than [`MAX_LINES`].
    #[error("must have 1 to {MAX_LINES} lines, not {0}")]
    Count(usize),
    /// The subtotal of the line at this index exceeds [`Money::MAX`].
    #[error("quantity × unit_price must not be more than {}", Money::MAX)]
    Subtotal(usize),
    /// The total exceeds [`Money::MAX`].
    #[error("the total must not be more than {}", Money::MAX)]
    Total,
}

/// 1 to [`MAX_LINES`] lines with their total.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    lines: Vec<Line>,
    total: Money,
}

impl Lines {
    /// Creates lines with new ids, and adds them up.
    pub fn new(new: &[NewLine], ids: &dyn Ids) -> Result<Self, LinesError> {
        let mut lines = Vec::with_capacity(new.len());
        for (index, line) in new.iter().enumerate() {
            let &NewLine { item_id, quantity, unit_price } = line;
            let subtotal = unit_price.checked_mul(quantity).ok_or(LinesError::Subtotal(index))?;
            lines.push(Line { id: ids.make(), item_id, quantity, unit_price, subtotal });
        }
        Self::restore(lines)
    }

    /// Creates lines from stored lines.
    pub(crate) fn restore(lines: Vec<Line>) -> Result<Self, LinesError> {
        if lines.is_empty() || lines.len() > MAX_LINES {
            return Err(LinesError::Count(lines.len()));
        }
        let mut subtotals = lines.iter().map(|line| line.subtotal);
        let total = subtotals.try_fold(Money::ZERO, Money::checked_add).ok_or(LinesError::Total)?;
        Ok(Self { lines, total })
    }

    /// Returns the lines in the order given.
    pub fn as_slice(&self) -> &[Line] {
        &self.lines
    }

    /// Returns the sum of the subtotals.
    pub fn total(&self) -> Money {
        self.total
    }

    /// Returns the quantity per item; lines of the same item are summed.
    pub fn demand(&self) -> Demand {
        self.lines.iter().map(|line| (line.item_id, line.quantity)).collect()
    }
}

#[cfg(test)]
mod tests {
    use erp_domain::Id;
    use erp_domain::time::RandomIds;

    use super::*;

    fn line(quantity: i64, unit_price: i64) -> NewLine {
        NewLine {
            item_id: Id::new(uuid::Uuid::nil()),
            quantity: Quantity::new(quantity).unwrap(),
            unit_price: Money::from_minor(unit_price).unwrap(),
        }
    }

    #[test]
    fn lines_are_priced_exactly_or_rejected() {
        let lines = Lines::new(&[line(3, 10), line(1, 5)], &RandomIds).unwrap();
        assert_eq!(lines.total().minor(), 35);
        let demand: Vec<_> = lines.demand().iter().map(|(_, quantity)| quantity.get()).collect();
        assert_eq!(demand, [4], "the same item is summed");
        assert_eq!(Lines::new(&[], &RandomIds), Err(LinesError::Count(0)));
        assert_eq!(Lines::new(&[line(1, 1); 100], &RandomIds), Err(LinesError::Count(100)));
        assert!(Lines::new(&[line(1, 1); 99], &RandomIds).is_ok());
        let huge = Money::MAX.minor();
        assert_eq!(Lines::new(&[line(1, 0), line(2, huge)], &RandomIds), Err(LinesError::Subtotal(1)));
        assert_eq!(Lines::new(&[line(1, huge), line(1, huge)], &RandomIds), Err(LinesError::Total));
    }
}
