//! The checks that changes of rows require.
//!
//! A change of stock is right if the sequence grows by one and the movement of this change exists with exactly this
//! change. If each change is right, the stock is the sum of its movements, by induction, and no check reads more than
//! one movement. Any other change of the stock row, such as a deletion or a restoration, requires that the whole
//! balance is checked.

use std::collections::BTreeSet;

use aws_lambda_events::event::dynamodb::EventRecord;
use erp_aws::table::Row;
use erp_aws::{Key, StoreError, error_chain};
use erp_domain::OrderId;
use inventory::ledger::{LedgerEntry, MovementRecord, StockRecord};

use super::check::Check;
use super::finding::{Finding, FindingKind};
use super::order::OrderKind;

/// The table of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Inventory,
    Orders(OrderKind),
}

/// What changes of rows require.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) checks: BTreeSet<Check>,
    /// Mismatches that need no further check.
    pub(crate) findings: Vec<Finding>,
}

impl Changes {
    /// Adds a stream record.
    pub(crate) fn add(&mut self, source: Source, record: EventRecord) {
        let change = record.change;
        let image = |image: serde_dynamo::Item| Some(Row::from(image)).filter(|row| !row.is_empty());
        let (keys, old, new) = (Row::from(change.keys), image(change.old_image), image(change.new_image));
        if old == new {
            return;
        }
        let key =
            Key::of(&keys).map_or_else(|_| format!("{keys:?}"), |Key { pk, sk }| format!("{pk} / {sk}"));
        let added = match source {
            Source::Inventory => self.add_inventory(old, new),
            Source::Orders(kind) => self.add_order(kind, &keys, new),
        };
        if let Err(error) = added {
            let subject = match source {
                Source::Inventory => key,
                Source::Orders(kind) => format!("{kind} {key}"),
            };
            let reason = error_chain(error.into_cause().as_ref());
            self.findings.push(Finding::new(FindingKind::Unreadable, subject, reason));
        }
    }

    fn add_inventory(&mut self, old: Option<Row>, new: Option<Row>) -> Result<(), StoreError> {
        // A row that was unreadable is a finding since then.
        let old = old.and_then(|row| LedgerEntry::decode(row).ok().flatten());
        let new = new.map(LedgerEntry::decode).transpose()?.flatten();
        match (old, new) {
            (old, Some(LedgerEntry::Stock(new))) => {
                let old = match old {
                    Some(LedgerEntry::Stock(old)) => Some(old),
                    _ => None,
                };
                self.add_stock(old, new);
            }
            (Some(LedgerEntry::Stock(old)), None) => {
                self.checks.insert(Check::Balance { item_id: old.item_id });
            }
            (None, Some(LedgerEntry::Movement(MovementRecord { item_id, id, change, order_id }))) => {
                self.checks.insert(Check::Origin { item_id, id, change, order_id });
            }
            (Some(LedgerEntry::Movement(old)), new) => self.add_changed_movement(old, new),
            (_, Some(LedgerEntry::Allocation(allocation)))
            | (Some(LedgerEntry::Allocation(allocation)), None) => {
                let kind = OrderKind::of(allocation.state());
                self.checks.insert(Check::Order { kind, order_id: allocation.order_id() });
            }
            // It may still be needed in the queue.
            (Some(LedgerEntry::Backorder(order_id)), None) => {
                self.checks.insert(Check::Order { kind: OrderKind::Sales, order_id });
            }
            _ => {}
        }
        Ok(())
    }

    fn add_stock(&mut self, old: Option<StockRecord>, new: StockRecord) {
        let item_id = new.item_id;
        if new.quantity < 0 {
            let detail = format!("{} in stock after {} changes", new.quantity, new.sequence);
            self.findings.push(Finding::new(FindingKind::NegativeStock, item_id, detail));
        }
        self.checks.extend(stock_check(old, new));
        let arrived = old.is_some_and(|old| new.quantity > old.quantity);
        if arrived && new.backordered > 0 {
            self.checks.insert(Check::Queue { item_id });
        }
    }

    fn add_changed_movement(&mut self, old: MovementRecord, new: Option<LedgerEntry>) {
        let detail = match new {
            Some(LedgerEntry::Movement(new)) => format!("{} was changed to {}", old.change, new.change),
            _ => format!("{} was deleted", old.change),
        };
        let subject = format!("{} / {}", old.item_id, old.id);
        self.findings.push(Finding::new(FindingKind::MovementChanged, subject, detail));
    }

    fn add_order(&mut self, kind: OrderKind, keys: &Row, new: Option<Row>) -> Result<(), StoreError> {
        let Key { pk, sk } = Key::of(keys)?;
        if sk != "ORDER" {
            return Ok(());
        }
        let id = pk.strip_prefix("ORDER#").and_then(|id| id.parse::<OrderId>().ok());
        let order_id = id.ok_or_else(|| StoreError::new("the partition key is not that of an order"))?;
        self.checks.insert(Check::Order { kind, order_id });
        if let Some(row) = new {
            match kind {
                OrderKind::Sales => sales::ledger::OrderReader::decode(row).map(drop)?,
                OrderKind::Purchase => purchase::ledger::OrderReader::decode(row).map(drop)?,
            }
        }
        Ok(())
    }
}

/// Returns the check that a change of a stock row requires; `None` if the quantity is the same.
fn stock_check(old: Option<StockRecord>, new: StockRecord) -> Option<Check> {
    let item_id = new.item_id;
    let balance = Some(Check::Balance { item_id });
    let Some(old) = old else {
        // A new item has no stock. Another row was restored.
        return if (new.quantity, new.sequence) == (0, 0) { None } else { balance };
    };
    if (old.quantity, old.sequence, old.change_id) == (new.quantity, new.sequence, new.change_id) {
        return None;
    }
    match (new.quantity.checked_sub(old.quantity), new.change_id) {
        (Some(change), Some(id))
            if change != 0
                && old.sequence.checked_add(1) == Some(new.sequence)
                && old.change_id != Some(id) =>
        {
            Some(Check::Movement { item_id, id, change })
        }
        _ => balance,
    }
}

#[cfg(test)]
mod tests {
    use erp_domain::{Id, Timestamp};
    use uuid::Uuid;

    use super::*;

    fn stock(quantity: i64, sequence: u64, change: Option<u128>) -> StockRecord {
        StockRecord {
            item_id: Id::new(Uuid::nil()),
            quantity,
            allocated: 0,
            backordered: 0,
            sequence,
            change_id: change.map(Uuid::from_u128),
            updated_at: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn a_regular_change_of_stock_requires_its_movement_and_any_other_one_the_balance() {
        let item_id = Id::new(Uuid::nil());
        let balance = Some(Check::Balance { item_id });
        let movement = |change, id| Some(Check::Movement { item_id, id: Uuid::from_u128(id), change });
        let old = || Some(stock(5, 2, Some(2)));
        for (old, new, expected) in [
            (None, stock(0, 0, None), None),
            (None, stock(5, 2, Some(2)), balance),
            (old(), stock(5, 2, Some(2)), None),
            (old(), stock(7, 3, Some(3)), movement(2, 3)),
            (Some(stock(5, 2, None)), stock(4, 3, Some(3)), movement(-1, 3)),
            (old(), stock(7, 2, Some(2)), balance),
            (old(), stock(5, 3, Some(3)), balance),
            (old(), stock(7, 4, Some(3)), balance),
            (old(), stock(7, 1, Some(1)), balance),
            (old(), stock(7, 3, Some(2)), balance),
            (old(), stock(7, 3, None), balance),
            (Some(stock(i64::MIN, 2, None)), stock(7, 3, Some(3)), balance),
        ] {
            assert_eq!(stock_check(old, new), expected, "{old:?} {new:?}");
        }
    }
}
