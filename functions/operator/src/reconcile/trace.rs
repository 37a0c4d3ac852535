//! Movements that items lack: a second scan of the allocations finds out which changes have none.

use std::collections::{BTreeMap, BTreeSet};

use erp_aws::StoreError;
use erp_domain::{Demand, ItemId};
use inventory::domain::Movement;
use inventory::ledger::{Balance, LedgerEntry, StockRecord};

use super::Ledger;
use super::finding::{Finding, FindingKind, Report};
use super::rules::BalanceCheck;

/// Maximum items whose pending movements are traced in one reconciliation; further ones are left to the next.
const MAX_TRACED: usize = 1000;

/// An item with fewer movements than stock changes, and the missing movements found so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pending {
    /// Number of stock changes when the item was checked.
    sequence: u64,
    /// Number of movements then.
    movements: u64,
    /// Number of movements of allocations that are missing.
    missing: u64,
    /// Their sum.
    sum: i64,
}

/// Items with pending movements.
#[derive(Debug, Default)]
pub(super) struct Trace(BTreeMap<ItemId, Pending>);

impl Trace {
    /// Checks an item, and adds it if movements are pending.
    pub(super) async fn check_item(
        &mut self,
        ledger: &Ledger,
        item_id: ItemId,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        match ledger.balance_check(item_id).await? {
            Some((_, BalanceCheck::Consistent)) => {}
            Some((_, BalanceCheck::Discrepancy(found))) if found.is_mismatch(ledger.before()) => {
                report.add(Finding::new(found.kind, item_id, found.detail));
            }
            Some((balance, BalanceCheck::MovementsPending)) if self.0.len() < MAX_TRACED => {
                let sequence = balance.stock.map_or(0, |stock| stock.sequence);
                let pending = Pending { sequence, movements: balance.movements, missing: 0, sum: 0 };
                self.0.insert(item_id, pending);
            }
            // `None`: the stock changes faster than it can be read, or a row is unreadable, which the scan reports.
            Some((_, BalanceCheck::Discrepancy(_) | BalanceCheck::MovementsPending)) | None => {
                report.in_flight += 1;
            }
        }
        Ok(())
    }

    /// Finds the missing movements of all items.
    pub(super) async fn run(mut self, ledger: &Ledger, report: &mut Report) -> Result<(), StoreError> {
        let mut after = None;
        while !self.0.is_empty() {
            let (entries, next) = ledger.inventory.allocation_entries(after.as_ref()).await?;
            let movements = entries.iter().filter_map(|entry| match entry {
                Ok(LedgerEntry::Allocation(allocation)) => Some(allocation.movements()),
                _ => None,
            });
            self.trace(ledger, movements.flatten(), report).await?;
            after = next;
            if after.is_none() {
                break;
            }
        }
        self.check_sums(ledger, report).await
    }

    async fn trace(
        &mut self,
        ledger: &Ledger,
        movements: impl Iterator<Item = Movement>,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let expected: Vec<Movement> =
            movements.filter(|movement| self.0.contains_key(&movement.item_id)).collect();
        let recorded: BTreeSet<_> =
            ledger.inventory.recorded_movements(&expected).await?.into_iter().collect();
        let before = ledger.before();
        for movement in expected {
            let Movement { id, item_id, change, kind, order_id, at, .. } = movement;
            if recorded.contains(&(item_id, id)) {
                continue;
            }
            if let Some(pending) = self.0.get_mut(&item_id) {
                pending.missing += 1;
                pending.sum += change;
            }
            if at < before {
                let order = order_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
                let detail = format!("{change} ({kind:?}) by order {order} at {at}");
                let subject = format!("{item_id} / {id}");
                report.add(Finding::new(FindingKind::MovementMissing, subject, detail));
            }
        }
        Ok(())
    }

    /// Checks whether the missing movements account for the whole difference of each item.
    async fn check_sums(self, ledger: &Ledger, report: &mut Report) -> Result<(), StoreError> {
        let before = ledger.before();
        for (item_id, pending) in self.0 {
            let balance = ledger.inventory.balance(item_id).await?;
            let unchanged = |balance: &Balance| {
                balance.movements == pending.movements
                    && balance.stock.is_some_and(|stock| stock.sequence == pending.sequence)
            };
            match balance.filter(unchanged).map(|balance| (balance, balance.stock)) {
                Some((Balance { sum, movements, .. }, Some(stock))) if stock.updated_at < before => {
                    let accounted = stock.sequence - movements == pending.missing
                        && i128::from(stock.quantity) - sum == i128::from(pending.sum);
                    if !accounted {
                        let detail = format!(
                            "{} in stock after {} changes, {movements} movements add up to {sum}; {} missing movements \
                             of allocations add up to {}",
                            stock.quantity, stock.sequence, pending.missing, pending.sum
                        );
                        report.add(Finding::new(FindingKind::StockDiffers, item_id, detail));
                    }
                }
                // The stock has changed since, or within the grace period.
                _ => report.in_flight += 1,
            }
        }
        Ok(())
    }
}

impl Ledger {
    /// Reads the stock of the items of an order.
    pub(crate) async fn stock_of(
        &self,
        demand: &Demand,
    ) -> Result<BTreeMap<ItemId, StockRecord>, StoreError> {
        let items: Vec<ItemId> = demand.items().collect();
        let records = self.inventory.stock_records(&items).await?;
        Ok(records.into_iter().map(|stock| (stock.item_id, stock)).collect())
    }
}
