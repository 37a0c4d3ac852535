//! Decisions about lines: prices, totals, validation against items, shortages. No `async`.

use std::collections::BTreeSet;

use erp_domain::{Ids, ItemId, PartyId, Quantity};
use serde::Serialize;

use crate::{ItemSnapshots, LineInput, Lines, LinesError, NewLine};

/// The content of an order as a client sends it: well-formed, references not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderInput {
    /// The customer or vendor.
    pub party_id: PartyId,
    /// The lines, in their order.
    pub lines: Vec<LineInput>,
}

impl OrderInput {
    /// Returns the distinct items.
    pub fn items(&self) -> BTreeSet<ItemId> {
        self.lines.iter().map(|line| line.item_id).collect()
    }
}

/// A validation error of an order. Lines are identified by their index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputError {
    /// The customer or vendor does not exist.
    UnknownParty,
    /// The item does not exist.
    UnknownItem(usize),
    /// The lines do not form an order.
    Lines(LinesError),
}

/// Prices the lines: the price sent by the client, or the item's list price.
///
/// # Errors
/// All validation errors at once.
pub fn price_lines(
    input: &OrderInput,
    party_exists: bool,
    items: &ItemSnapshots,
    ids: &dyn Ids,
) -> Result<Lines, Vec<InputError>> {
    let mut errors = Vec::new();
    if !party_exists {
        errors.push(InputError::UnknownParty);
    }
    let mut lines = Vec::with_capacity(input.lines.len());
    for (index, line) in input.lines.iter().enumerate() {
        let Some(item) = items.get(&line.item_id) else {
            errors.push(InputError::UnknownItem(index));
            continue;
        };
        let &LineInput { item_id, quantity, unit_price } = line;
        let unit_price = unit_price.unwrap_or(item.unit_price);
        // `Lines::new` stops at the first error; here all are collected.
        if unit_price.checked_mul(quantity).is_none() {
            errors.push(InputError::Lines(LinesError::Subtotal(index)));
        }
        lines.push(NewLine { item_id, quantity, unit_price });
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Lines::new(&lines, ids).map_err(|error| vec![InputError::Lines(error)])
}

/// An item whose available quantity is less than the order needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shortage {
    /// The item.
    pub item_id: ItemId,
    /// The quantity of the order, its lines summed.
    pub wanted: i64,
    /// The available quantity.
    pub available: i64,
    /// The indexes of the lines of this item.
    #[serde(skip)]
    pub lines: Vec<usize>,
}

/// Returns the items that are short. A deleted item has no stock.
pub fn shortages(lines: &Lines, items: &ItemSnapshots) -> Vec<Shortage> {
    let short = |(item_id, wanted): (ItemId, Quantity)| {
        let wanted = wanted.get();
        let available = items.get(&item_id).map_or(0, |item| item.quantity);
        let named = lines.as_slice().iter().enumerate().filter(|(_, line)| line.item_id == item_id);
        let lines = named.map(|(index, _)| index).collect();
        (wanted > available).then_some(Shortage { item_id, wanted, available, lines })
    };
    lines.demand().iter().filter_map(short).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use erp_contracts::query::ItemSnapshot;
    use erp_domain::time::RandomIds;
    use erp_domain::{Id, Money};
    use uuid::Uuid;

    fn item(n: u128) -> ItemId {
        Id::new(Uuid::from_u128(n))
    }

    fn line(n: u128, quantity: i64, unit_price: Option<i64>) -> LineInput {
        LineInput {
            item_id: item(n),
            quantity: Quantity::of_line(quantity).unwrap(),
            unit_price: unit_price.map(|minor| Money::from_minor(minor).unwrap()),
        }
    }

    fn input(lines: &[LineInput]) -> OrderInput {
        OrderInput { party_id: Id::new(Uuid::nil()), lines: lines.to_vec() }
    }

    fn items(items: &[(u128, i64, i64)]) -> ItemSnapshots {
        let items = items.iter().map(|&(n, minor, quantity)| {
            let unit_price = Money::from_minor(minor).unwrap();
            (item(n), ItemSnapshot { id: item(n), unit_price, quantity })
        });
        items.collect()
    }

    #[test]
    fn the_default_price_is_the_list_price_and_zero_is_a_price() {
        let input = input(&[line(1, 2, None), line(1, 1, Some(0)), line(2, 1, Some(5))]);
        let lines = price_lines(&input, true, &items(&[(1, 150, 0), (2, 100, 0)]), &RandomIds).unwrap();
        let prices: Vec<_> = lines.as_slice().iter().map(|line| line.unit_price.minor()).collect();
        assert_eq!(prices, [150, 0, 5]);
        assert_eq!(lines.total().minor(), 305);
    }

    #[test]
    fn every_error_is_reported_at_once() {
        let huge = Money::MAX.minor();
        let input = input(&[line(1, 2, Some(huge)), line(9, 1, None), line(1, 1, None), line(2, 3, None)]);
        let errors = price_lines(&input, false, &items(&[(1, 1, 0), (2, huge, 0)]), &RandomIds).unwrap_err();
        assert_eq!(
            errors,
            [
                InputError::UnknownParty,
                InputError::Lines(LinesError::Subtotal(0)),
                InputError::UnknownItem(1),
                InputError::Lines(LinesError::Subtotal(3))
            ]
        );
    }

    #[test]
    fn a_total_out_of_range_is_rejected() {
        let input = input(&[line(1, 1, None), line(1, 1, None)]);
        let items = items(&[(1, Money::MAX.minor(), 0)]);
        assert_eq!(
            price_lines(&input, true, &items, &RandomIds),
            Err(vec![InputError::Lines(LinesError::Total)])
        );
    }

    #[test]
    fn lines_of_one_item_are_short_together() {
        let input = input(&[line(1, 3, None), line(2, 1, None), line(1, 2, None), line(3, 1, None)]);
        let there = items(&[(1, 1, 4), (2, 1, 1), (3, 1, 0)]);
        let lines = price_lines(&input, true, &there, &RandomIds).unwrap();
        let gone = items(&[(1, 1, 4), (2, 1, 1)]);
        assert_eq!(
            shortages(&lines, &gone),
            [
                Shortage { item_id: item(1), wanted: 5, available: 4, lines: vec![0, 2] },
                Shortage { item_id: item(3), wanted: 1, available: 0, lines: vec![3] },
            ]
        );
        assert_eq!(shortages(&lines, &items(&[(1, 1, 5), (2, 1, 1), (3, 1, 1)])), []);
    }
}
