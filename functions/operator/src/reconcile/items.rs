//! Stock and movements.

use std::collections::{BTreeMap, BTreeSet};

use erp_aws::table::Unreadable;
use erp_aws::{ScanCursor, StoreError};
use erp_domain::{Demand, ItemId};
use inventory::domain::Movement;
use inventory::ledger::{Balance, LedgerEntry, StockRecord};
use serde::{Deserialize, Serialize};

use super::finding::FindingKind;
use super::rules::{BalanceCheck, check_balance};
use super::{Ledger, NextPage, Reconciliation};

/// Maximum items whose pending movements are traced in one reconciliation; further ones are left to the next.
const MAX_TRACED: usize = 1000;

/// An item with fewer movements than stock changes, and the missing movements found so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    /// Number of stock changes when the item was checked.
    sequence: u64,
    /// Number of movements then.
    movements: u64,
    /// Number of movements of allocations that are missing.
    missing: u64,
    /// Their sum.
    sum: i64,
}

impl Reconciliation<'_> {
    /// Scans a page of the inventory table.
    pub(super) async fn inventory_page(&mut self, after: Option<&ScanCursor>) -> NextPage {
        let (entries, next) = self.ledger.inventory.entries(after).await?;
        let mut allocations = Vec::new();
        for entry in entries {
            match entry {
                Ok(LedgerEntry::Item(item_id)) => self.balance(item_id).item_exists = true,
                Ok(LedgerEntry::Stock(stock)) => self.balance(stock.item_id).stock = Some(stock),
                Ok(LedgerEntry::Movement { item_id, change }) => {
                    let balance = self.balance(item_id);
                    balance.movements += 1;
                    balance.sum += i128::from(change);
                }
                Ok(LedgerEntry::Allocation(allocation)) => allocations.push(allocation),
                Err(Unreadable { key, reason }) => self.report.add(FindingKind::Unreadable, key, reason),
            }
        }
        if next.is_none() {
            self.check_scanned();
        }
        self.report.allocations += allocations.len() as u64;
        self.check_allocations(&allocations).await?;
        Ok(next)
    }

    /// Returns the balance of the item whose rows are being scanned. The first row of an item completes the
    /// previous one.
    fn balance(&mut self, item_id: ItemId) -> &mut Balance {
        if self.scanned.is_some_and(|(scanned, _)| scanned != item_id) {
            self.check_scanned();
        }
        let empty = Balance { item_exists: false, stock: None, movements: 0, sum: 0, last_movement_at: None };
        &mut self.scanned.get_or_insert((item_id, empty)).1
    }

    fn check_scanned(&mut self) {
        let Some((item_id, balance)) = self.scanned.take() else { return };
        self.report.items += 1;
        self.report.movements += balance.movements;
        if check_balance(&balance) != BalanceCheck::Consistent {
            self.items.insert(item_id);
        }
    }

    /// Checks an item again, consistently.
    pub(super) async fn recheck_item(&mut self, item_id: ItemId) -> Result<(), StoreError> {
        let Some(balance) = self.ledger.inventory.balance(item_id).await? else {
            // The stock changes faster than it can be read, or a row is unreadable, which the scan reports.
            self.report.in_flight += 1;
            return Ok(());
        };
        match check_balance(&balance) {
            BalanceCheck::Consistent => {}
            BalanceCheck::Discrepancy(discrepancy) if discrepancy.is_mismatch(self.before) => {
                self.report.add(discrepancy.kind, item_id, discrepancy.detail);
            }
            BalanceCheck::MovementsPending if self.pending.len() < MAX_TRACED => {
                let sequence = balance.stock.map_or(0, |stock| stock.sequence);
                let pending = Pending { sequence, movements: balance.movements, missing: 0, sum: 0 };
                self.pending.insert(item_id, pending);
            }
            BalanceCheck::Discrepancy(_) | BalanceCheck::MovementsPending => self.report.in_flight += 1,
        }
        Ok(())
    }

    /// Scans a page of the allocations for missing movements of items with pending movements.
    pub(super) async fn trace_page(&mut self, after: Option<&ScanCursor>) -> NextPage {
        if self.pending.is_empty() {
            return Ok(None);
        }
        let (entries, next) = self.ledger.inventory.allocation_entries(after).await?;
        let movements = entries.iter().filter_map(|entry| match entry {
            Ok(LedgerEntry::Allocation(allocation)) => Some(allocation.movements()),
            Ok(LedgerEntry::Item(_) | LedgerEntry::Stock(_) | LedgerEntry::Movement { .. }) | Err(_) => None,
        });
        let expected: Vec<Movement> =
            movements.flatten().filter(|movement| self.pending.contains_key(&movement.item_id)).collect();
        let recorded: BTreeSet<_> =
            self.ledger.inventory.recorded_movements(&expected).await?.into_iter().collect();
        for movement in expected {
            let Movement { id, item_id, change, kind, order_id, at, .. } = movement;
            if recorded.contains(&(item_id, id)) {
                continue;
            }
            if let Some(pending) = self.pending.get_mut(&item_id) {
                pending.missing += 1;
                pending.sum += change;
            }
            if at < self.before {
                let order = order_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
                let detail = format!("{change} ({kind:?}) by order {order} at {at}");
                self.report.add(FindingKind::MovementMissing, format!("{item_id} / {id}"), detail);
            }
        }
        if next.is_none() {
            self.check_pending().await?;
        }
        Ok(next)
    }

    /// Checks whether the missing movements account for the whole difference of each item.
    async fn check_pending(&mut self) -> Result<(), StoreError> {
        for (item_id, pending) in std::mem::take(&mut self.pending) {
            let balance = self.ledger.inventory.balance(item_id).await?;
            let unchanged = |balance: &Balance| {
                balance.movements == pending.movements
                    && balance.stock.is_some_and(|stock| stock.sequence == pending.sequence)
            };
            match balance.filter(unchanged).map(|balance| (balance, balance.stock)) {
                Some((Balance { sum, movements, .. }, Some(stock))) if stock.updated_at < self.before => {
                    let accounted = stock.sequence - movements == pending.missing
                        && i128::from(stock.quantity) - sum == i128::from(pending.sum);
                    if !accounted {
                        let detail = format!(
                            "{} in stock after {} changes, {movements} movements add up to {sum}; {} missing movements \
                             of allocations add up to {}",
                            stock.quantity, stock.sequence, pending.missing, pending.sum
                        );
                        self.report.add(FindingKind::StockDiffers, item_id, detail);
                    }
                }
                // The stock has changed since, or within the grace period.
                _ => self.report.in_flight += 1,
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
