//! Orders and allocations.

use std::collections::BTreeMap;

use erp_aws::table::Unreadable;
use erp_aws::{ScanCursor, StoreError};
use erp_domain::{ItemId, OrderId, Quantity};
use inventory::domain::{Allocation, AllocationState};

use super::finding::FindingKind;
use super::order::{Order, OrderKind, describe_demand};
use super::rules::{Discrepancy, check_allocation, check_order};
use super::{NextPage, Reconciliation};

/// Attempts to read an order while its allocation does not change.
const ATTEMPTS: usize = 3;

impl Reconciliation<'_> {
    /// Scans a page of the orders of a kind.
    pub(super) async fn orders_page(&mut self, kind: OrderKind, after: Option<&ScanCursor>) -> NextPage {
        let (rows, next) = self.ledger.order_page(kind, after).await?;
        let mut orders: Vec<Order> = Vec::new();
        for row in rows {
            match row {
                Ok(order) => orders.push(order),
                Err(Unreadable { key, reason }) => {
                    self.report.add(FindingKind::Unreadable, format!("{kind} {key}"), reason);
                }
            }
        }
        match kind {
            OrderKind::Sales => self.report.sales_orders += orders.len() as u64,
            OrderKind::Purchase => self.report.purchase_orders += orders.len() as u64,
        }
        let ids: Vec<OrderId> = orders.iter().map(Order::id).collect();
        let found: BTreeMap<_, _> = self.ledger.inventory.allocations(&ids).await?.into_iter().collect();
        for order in &orders {
            let id = order.id();
            let allocation = match found.get(&id) {
                // Unreadable, which the scan of the inventory table reports.
                Some(None) => continue,
                Some(Some(allocation)) => Some(allocation),
                None => None,
            };
            let discrepancies = check_order(order, allocation);
            if discrepancies.iter().any(|discrepancy| discrepancy.is_mismatch(self.before)) {
                self.orders.insert((kind, id));
            } else if !discrepancies.is_empty() {
                self.report.in_flight += 1;
            }
        }
        Ok(next)
    }

    /// Checks whether allocations have orders and are consistent. The rest is checked with the orders.
    pub(super) async fn check_allocations(&mut self, allocations: &[Allocation]) -> Result<(), StoreError> {
        for kind in [OrderKind::Sales, OrderKind::Purchase] {
            let of_kind = || allocations.iter().filter(|found| OrderKind::of(found.state()) == kind);
            let ids: Vec<OrderId> = of_kind().map(Allocation::order_id).collect();
            let orders: BTreeMap<_, _> = self.ledger.find_orders(kind, &ids).await?.into_iter().collect();
            for allocation in of_kind() {
                let id = allocation.order_id();
                let is_candidate = !orders.contains_key(&id)
                    || check_allocation(allocation).is_some()
                    || !self.check_backorder(allocation).await?.is_empty();
                if is_candidate {
                    self.orders.insert((kind, id));
                }
            }
        }
        Ok(())
    }

    /// Returns the mismatches of a back-ordered allocation with the queues and the stock of its items.
    async fn check_backorder(&self, allocation: &Allocation) -> Result<Vec<Discrepancy>, StoreError> {
        if allocation.state() != AllocationState::Backordered {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let demand = allocation.demand();
        let queued = self.ledger.inventory.queued_items(allocation).await?;
        let missing: Vec<String> =
            demand.items().filter(|item_id| !queued.contains(item_id)).map(|id| id.to_string()).collect();
        if !missing.is_empty() {
            let detail = format!("not in the queue of {}", missing.join(", "));
            found.push(Discrepancy::permanent(FindingKind::NotQueued, detail));
        }
        let stock = self.ledger.stock_of(demand).await?;
        let sufficient_since = |(item_id, quantity): (ItemId, Quantity)| {
            let stock = stock.get(&item_id).filter(|stock| stock.quantity >= quantity.get());
            stock.map(|stock| stock.updated_at)
        };
        let since: Option<Vec<_>> = demand.iter().map(sufficient_since).collect();
        if let Some(since) = since.and_then(|times| times.into_iter().max()) {
            let backordered_since = allocation.order().since;
            let detail = format!("back-ordered since {backordered_since}: {}", describe_demand(demand));
            let since = since.max(backordered_since);
            found.push(Discrepancy::temporary(FindingKind::BackorderedDespiteStock, detail, since));
        }
        found.retain(|discrepancy| discrepancy.is_mismatch(self.before));
        Ok(found)
    }

    /// Checks an order again, consistently. The allocation is read before the order and again after it: an
    /// order is written before its allocation, so it cannot be older than what the allocation follows from.
    pub(super) async fn recheck_order(&mut self, kind: OrderKind, id: OrderId) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            let allocation = self.ledger.inventory.allocations(&[id]).await?;
            let order = self.ledger.find_orders(kind, &[id]).await?;
            let readable = allocation.first().and_then(|(_, allocation)| allocation.as_ref());
            let mut discrepancies = match order.first() {
                Some((_, Some(order))) if allocation.is_empty() || readable.is_some() => {
                    check_order(order, readable)
                }
                // One of them is unreadable, which the scans report.
                Some(_) => Vec::new(),
                None => without_order(readable).into_iter().collect(),
            };
            if let Some(allocation) = readable.filter(|allocation| OrderKind::of(allocation.state()) == kind)
            {
                discrepancies.extend(check_allocation(allocation));
                discrepancies.extend(self.check_backorder(allocation).await?);
            }
            if self.ledger.inventory.allocations(&[id]).await? != allocation {
                continue;
            }
            let (mismatches, in_flight): (Vec<_>, Vec<_>) =
                discrepancies.into_iter().partition(|discrepancy| discrepancy.is_mismatch(self.before));
            self.report.in_flight += u64::from(!in_flight.is_empty());
            for Discrepancy { kind, detail, .. } in mismatches {
                self.report.add(kind, id, detail);
            }
            return Ok(());
        }
        self.report.in_flight += 1;
        Ok(())
    }
}

fn without_order(allocation: Option<&Allocation>) -> Option<Discrepancy> {
    allocation.map(|allocation| {
        let detail = format!("{}: {}", allocation.state(), describe_demand(allocation.demand()));
        Discrepancy::permanent(FindingKind::AllocationWithoutOrder, detail)
    })
}
