//! The scan of a part of the tables. It only selects candidates, which are checked afterwards.

use std::collections::{BTreeMap, BTreeSet};

use erp_aws::table::Unreadable;
use erp_aws::{ScanCursor, ScanSegment, StoreError};
use erp_domain::{ItemId, OrderId};
use inventory::domain::Allocation;
use inventory::ledger::{Balance, LedgerEntry};
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use super::Ledger;
use super::check::Check;
use super::finding::{Finding, FindingKind, Report};
use super::order::{Order, OrderKind};
use super::rules::{BalanceCheck, check_allocation, check_balance, check_order};

/// A table to scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Stage {
    Inventory,
    Sales,
    Purchase,
}

/// The state of a scan between two pages.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Scan {
    /// The position; `None` at the beginning and at the end.
    pub(super) after: Option<ScanCursor>,
    /// The item whose rows are being scanned, with the sum of its movements so far.
    scanned: Option<(ItemId, Balance)>,
    /// The figures, and the unreadable rows.
    pub(super) report: Report,
    /// Items that are not consistent, and orders that do not agree, when they are scanned.
    #[serde(skip)]
    pub(super) candidates: BTreeSet<Check>,
}

impl Scan {
    /// Scans the next page. The scan is complete if no position follows.
    pub(super) async fn page(
        &mut self,
        ledger: &Ledger,
        stage: Stage,
        segment: ScanSegment,
    ) -> Result<(), StoreError> {
        match stage {
            Stage::Inventory => self.inventory_page(ledger, segment).await,
            Stage::Sales => self.orders_page(ledger, OrderKind::Sales, segment).await,
            Stage::Purchase => self.orders_page(ledger, OrderKind::Purchase, segment).await,
        }
    }

    async fn inventory_page(&mut self, ledger: &Ledger, segment: ScanSegment) -> Result<(), StoreError> {
        let (entries, next) = ledger.inventory.entries(segment, self.after.as_ref()).await?;
        let mut allocations = Vec::new();
        for entry in entries {
            match entry {
                Ok(LedgerEntry::Item(item_id)) => self.balance(item_id).item_exists = true,
                Ok(LedgerEntry::Stock(stock)) => self.balance(stock.item_id).stock = Some(stock),
                Ok(LedgerEntry::Movement(movement)) => {
                    let balance = self.balance(movement.item_id);
                    balance.movements += 1;
                    balance.sum += i128::from(movement.change);
                }
                Ok(LedgerEntry::Allocation(allocation)) => allocations.push(allocation),
                Ok(LedgerEntry::Backorder(_)) => {}
                Err(Unreadable { key, reason }) => {
                    self.report.add(Finding::new(FindingKind::Unreadable, key, reason));
                }
            }
        }
        self.after = next;
        if self.after.is_none() {
            self.check_scanned();
        }
        self.report.allocations += allocations.len() as u64;
        self.select_allocations(ledger, &allocations).await
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
            self.candidates.insert(Check::Balance { item_id });
        }
    }

    /// Selects allocations without orders, and inconsistent ones. The rest is checked with the orders.
    async fn select_allocations(
        &mut self,
        ledger: &Ledger,
        allocations: &[Allocation],
    ) -> Result<(), StoreError> {
        let backorders = ledger.check_backorders(&allocations.iter().collect::<Vec<_>>()).await?;
        let before = ledger.before();
        for kind in OrderKind::ALL {
            let of_kind = || allocations.iter().filter(|found| OrderKind::of(found.state()) == kind);
            let ids: Vec<OrderId> = of_kind().map(Allocation::order_id).collect();
            let orders: BTreeMap<_, _> = ledger.find_orders(kind, &ids).await?.into_iter().collect();
            for allocation in of_kind() {
                let order_id = allocation.order_id();
                let mut of_queue = backorders.get(&order_id).into_iter().flatten();
                let is_candidate = !orders.contains_key(&order_id)
                    || check_allocation(allocation).is_some()
                    || of_queue.any(|discrepancy| discrepancy.is_mismatch(before));
                if is_candidate {
                    self.candidates.insert(Check::Order { kind, order_id });
                }
            }
        }
        Ok(())
    }

    async fn orders_page(
        &mut self,
        ledger: &Ledger,
        kind: OrderKind,
        segment: ScanSegment,
    ) -> Result<(), StoreError> {
        let (rows, next) = ledger.order_page(kind, segment, self.after.as_ref()).await?;
        let mut orders: Vec<Order> = Vec::new();
        for row in rows {
            match row {
                Ok(order) => orders.push(order),
                Err(Unreadable { key, reason }) => {
                    let subject = format!("{kind} {key}");
                    self.report.add(Finding::new(FindingKind::Unreadable, subject, reason));
                }
            }
        }
        match kind {
            OrderKind::Sales => self.report.sales_orders += orders.len() as u64,
            OrderKind::Purchase => self.report.purchase_orders += orders.len() as u64,
        }
        let found = ledger.allocations(orders.iter().map(Order::id)).await?;
        let before = ledger.before();
        for order in &orders {
            let order_id = order.id();
            let allocation = match found.get(&order_id) {
                // Unreadable, which the scan of the inventory table reports.
                Some(None) => continue,
                Some(Some(allocation)) => Some(allocation),
                None => None,
            };
            let discrepancies = check_order(order, allocation);
            if discrepancies.iter().any(|discrepancy| discrepancy.is_mismatch(before)) {
                self.candidates.insert(Check::Order { kind, order_id });
            } else if !discrepancies.is_empty() {
                self.report.in_flight += 1;
            }
        }
        self.after = next;
        Ok(())
    }

    /// Checks the candidates, counts those that are pending, and returns the mismatches.
    pub(super) async fn check_candidates(
        &mut self,
        ledger: &Ledger,
    ) -> Result<Vec<(Check, Finding)>, StoreError> {
        let outcomes = ledger.check(&std::mem::take(&mut self.candidates)).await?;
        self.report.in_flight += outcomes.values().filter(|outcome| outcome.pending).count() as u64;
        let mismatches = |(check, outcome): (Check, super::check::Outcome)| {
            outcome.mismatches.into_iter().map(move |finding| (check, finding))
        };
        Ok(outcomes.into_iter().flat_map(mismatches).collect())
    }
}
