//! Decisions about lines: what they cost, what is wrong with them, what is short. Plain functions.

use std::collections::{BTreeMap, BTreeSet};

use erp_contracts::question::ItemFacts;
use erp_domain::contact::Party;
use erp_domain::item::Item;
use erp_domain::order::{Lines, LinesError, NewLine};
use erp_domain::{Id, Ids, LineQuantity, Money};

/// An order as a client asks for it: well-formed, but whether what it names is there nobody knows yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The customer or vendor.
    pub party_id: Id<Party>,
    /// The lines in the order given.
    pub lines: Vec<WantedLine>,
}

/// A line as a client asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedLine {
    /// What is ordered.
    pub item_id: Id<Item>,
    /// How many.
    pub quantity: LineQuantity,
    /// What one costs; the item's own price if it is not said.
    pub unit_price: Option<Money>,
}

impl Wanted {
    /// The items it names, each once.
    pub fn items(&self) -> BTreeSet<Id<Item>> {
        self.lines.iter().map(|line| line.item_id).collect()
    }
}

/// What is known of the items that were asked about.
pub type Facts = BTreeMap<Id<Item>, ItemFacts>;

/// What is wrong with a well-formed order. Lines are named by their index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There is no such customer or vendor.
    UnknownParty,
    /// There is no such item.
    UnknownItem(usize),
    /// Quantity times price is more than an amount can be.
    Subtotal(usize),
    /// The sum of the lines is more than an amount can be.
    Total,
    /// There are no lines, or too many.
    Count(usize),
}

/// The lines with their prices settled.
///
/// # Errors
/// With everything that is wrong at once.
pub fn settle(wanted: &Wanted, party: bool, facts: &Facts, ids: &dyn Ids) -> Result<Lines, Vec<Fault>> {
    let mut faults = Vec::new();
    if !party {
        faults.push(Fault::UnknownParty);
    }
    let mut lines = Vec::with_capacity(wanted.lines.len());
    for (index, line) in wanted.lines.iter().enumerate() {
        let Some(item) = facts.get(&line.item_id) else {
            faults.push(Fault::UnknownItem(index));
            continue;
        };
        let &WantedLine { item_id, quantity, unit_price } = line;
        let unit_price = unit_price.unwrap_or(item.unit_price);
        // `Lines::price` stops at the first that does not fit; a client wants to hear of all.
        if unit_price.checked_mul(quantity).is_none() {
            faults.push(Fault::Subtotal(index));
        }
        lines.push(NewLine { item_id, quantity, unit_price });
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Lines::price(&lines, ids).map_err(|error| {
        vec![match error {
            LinesError::Count(count) => Fault::Count(count),
            LinesError::Subtotal(index) => Fault::Subtotal(index),
            LinesError::Total => Fault::Total,
        }]
    })
}

/// An item of which there is not enough at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// The item.
    pub item_id: Id<Item>,
    /// How many the order wants, its lines summed.
    pub wanted: i64,
    /// How many there are.
    pub available: i64,
    /// The lines that want it, by their index.
    pub lines: Vec<usize>,
}

/// What is short. An item that is gone has none left.
pub fn shortages(lines: &Lines, facts: &Facts) -> Vec<Shortage> {
    let short = |(item_id, wanted): (Id<Item>, i64)| {
        let available = facts.get(&item_id).map_or(0, |item| item.quantity);
        let named = lines.as_slice().iter().enumerate().filter(|(_, line)| line.item_id == item_id);
        let lines = named.map(|(index, _)| index).collect();
        (wanted > available).then_some(Shortage { item_id, wanted, available, lines })
    };
    lines.demand().into_iter().filter_map(short).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use erp_domain::ports::RandomIds;
    use uuid::Uuid;

    fn item(n: u128) -> Id<Item> {
        Id::new(Uuid::from_u128(n))
    }

    fn line(n: u128, quantity: i64, unit_price: Option<i64>) -> WantedLine {
        WantedLine {
            item_id: item(n),
            quantity: LineQuantity::new(quantity).unwrap(),
            unit_price: unit_price.map(|minor| Money::from_minor(minor).unwrap()),
        }
    }

    fn wanted(lines: &[WantedLine]) -> Wanted {
        Wanted { party_id: Id::new(Uuid::nil()), lines: lines.to_vec() }
    }

    fn facts(items: &[(u128, i64, i64)]) -> Facts {
        let facts = items.iter().map(|&(n, minor, quantity)| {
            let unit_price = Money::from_minor(minor).unwrap();
            (item(n), ItemFacts { id: item(n), unit_price, quantity })
        });
        facts.collect()
    }

    #[test]
    fn a_price_that_is_not_said_is_the_items_and_free_is_a_price() {
        let wanted = wanted(&[line(1, 2, None), line(1, 1, Some(0)), line(2, 1, Some(5))]);
        let lines = settle(&wanted, true, &facts(&[(1, 150, 0), (2, 100, 0)]), &RandomIds).unwrap();
        let prices: Vec<_> = lines.as_slice().iter().map(|line| line.unit_price.minor()).collect();
        assert_eq!(prices, [150, 0, 5]);
        assert_eq!(lines.total().minor(), 305);
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let huge = Money::MAX.minor();
        let wanted = wanted(&[line(1, 2, Some(huge)), line(9, 1, None), line(1, 1, None), line(2, 3, None)]);
        let faults = settle(&wanted, false, &facts(&[(1, 1, 0), (2, huge, 0)]), &RandomIds).unwrap_err();
        assert_eq!(
            faults,
            [Fault::UnknownParty, Fault::Subtotal(0), Fault::UnknownItem(1), Fault::Subtotal(3)]
        );
    }

    #[test]
    fn a_total_that_does_not_fit_is_refused() {
        let wanted = wanted(&[line(1, 1, None), line(1, 1, None)]);
        let facts = facts(&[(1, Money::MAX.minor(), 0)]);
        assert_eq!(settle(&wanted, true, &facts, &RandomIds), Err(vec![Fault::Total]));
    }

    #[test]
    fn lines_that_name_one_item_are_short_together() {
        let wanted = wanted(&[line(1, 3, None), line(2, 1, None), line(1, 2, None), line(3, 1, None)]);
        let there = facts(&[(1, 1, 4), (2, 1, 1), (3, 1, 0)]);
        let lines = settle(&wanted, true, &there, &RandomIds).unwrap();
        let gone = facts(&[(1, 1, 4), (2, 1, 1)]);
        assert_eq!(
            shortages(&lines, &gone),
            [
                Shortage { item_id: item(1), wanted: 5, available: 4, lines: vec![0, 2] },
                Shortage { item_id: item(3), wanted: 1, available: 0, lines: vec![3] },
            ]
        );
        assert_eq!(shortages(&lines, &facts(&[(1, 1, 5), (2, 1, 1), (3, 1, 1)])), []);
    }
}
