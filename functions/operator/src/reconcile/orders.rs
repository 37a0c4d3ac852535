//! Orders and allocations.

use std::collections::{BTreeMap, BTreeSet};

use erp_aws::StoreError;
use erp_domain::{ItemId, OrderId, Quantity};
use inventory::domain::{Allocation, AllocationState};

use super::Ledger;
use super::check::{Allocations, Outcome};
use super::finding::{Finding, FindingKind};
use super::order::{Order, OrderKind, describe_demand};
use super::rules::{Discrepancy, check_allocation, check_order};

/// Attempts to read an order while its allocation does not change.
const ATTEMPTS: usize = 3;

/// The subject of a check of an order.
type Subject = (OrderKind, OrderId);

impl Ledger {
    /// Checks orders, given their allocations. The allocation is read before the order, and again after it if they do
    /// not agree: an order is written before its allocation, so it cannot be older than what the allocation follows
    /// from.
    pub(super) async fn check_orders(
        &self,
        mut open: BTreeSet<Subject>,
        mut allocations: Allocations,
    ) -> Result<BTreeMap<Subject, Outcome>, StoreError> {
        let mut outcomes = BTreeMap::new();
        for _ in 0..ATTEMPTS {
            if open.is_empty() {
                break;
            }
            let mut found = self.discrepancies(&open, &allocations).await?;
            let agree = |subject: &Subject| found.get(subject).is_none_or(Vec::is_empty);
            let (agreeing, suspicious): (BTreeSet<Subject>, BTreeSet<Subject>) =
                open.into_iter().partition(agree);
            outcomes.extend(agreeing.into_iter().map(|subject| (subject, Outcome::default())));
            let again = self.allocations(suspicious.iter().map(|(_, id)| *id)).await?;
            let (unchanged, changed): (BTreeSet<Subject>, BTreeSet<Subject>) =
                suspicious.into_iter().partition(|(_, id)| again.get(id) == allocations.get(id));
            for subject in unchanged {
                let outcome = self.outcome(subject.1, found.remove(&subject).unwrap_or_default());
                outcomes.insert(subject, outcome);
            }
            (open, allocations) = (changed, again);
        }
        outcomes.extend(open.into_iter().map(|subject| (subject, Outcome::PENDING)));
        Ok(outcomes)
    }

    fn outcome(&self, id: OrderId, discrepancies: Vec<Discrepancy>) -> Outcome {
        let before = self.before();
        let (mismatches, pending): (Vec<_>, Vec<_>) =
            discrepancies.into_iter().partition(|discrepancy| discrepancy.is_mismatch(before));
        let finding = |Discrepancy { kind, detail, .. }| Finding::new(kind, id, detail);
        Outcome { mismatches: mismatches.into_iter().map(finding).collect(), pending: !pending.is_empty() }
    }

    async fn discrepancies(
        &self,
        subjects: &BTreeSet<Subject>,
        allocations: &Allocations,
    ) -> Result<BTreeMap<Subject, Vec<Discrepancy>>, StoreError> {
        let mut orders: BTreeMap<Subject, Option<Order>> = BTreeMap::new();
        for kind in OrderKind::ALL {
            let ids: Vec<OrderId> =
                subjects.iter().filter(|(of, _)| *of == kind).map(|(_, id)| *id).collect();
            let read = self.find_orders(kind, &ids).await?;
            orders.extend(read.into_iter().map(|(id, order)| ((kind, id), order)));
        }
        let of_kind = |(kind, id): &Subject| {
            let allocation = allocations.get(id).and_then(Option::as_ref);
            allocation.filter(|allocation| OrderKind::of(allocation.state()) == *kind)
        };
        let mut backorders =
            self.check_backorders(&subjects.iter().filter_map(of_kind).collect::<Vec<_>>()).await?;
        let mut found = BTreeMap::new();
        for subject in subjects {
            let allocation = allocations.get(&subject.1);
            let readable = allocation.and_then(Option::as_ref);
            let mut discrepancies = match orders.get(subject) {
                Some(Some(order)) if allocation.is_none() || readable.is_some() => {
                    check_order(order, readable)
                }
                // One of them is unreadable, which is a mismatch of its own.
                Some(_) => Vec::new(),
                None => without_order(readable).into_iter().collect(),
            };
            if let Some(allocation) = of_kind(subject) {
                discrepancies.extend(check_allocation(allocation));
                discrepancies.extend(backorders.remove(&subject.1).unwrap_or_default());
            }
            found.insert(*subject, discrepancies);
        }
        Ok(found)
    }

    /// Compares back-ordered allocations with the queues and the stock of their items. Other allocations are ignored.
    pub(super) async fn check_backorders(
        &self,
        allocations: &[&Allocation],
    ) -> Result<BTreeMap<OrderId, Vec<Discrepancy>>, StoreError> {
        let is_backordered = |found: &&&Allocation| found.state() == AllocationState::Backordered;
        let allocations: Vec<&Allocation> = allocations.iter().filter(is_backordered).copied().collect();
        let queued = self.inventory.queued_items(&allocations).await?;
        let items: BTreeSet<ItemId> = allocations.iter().flat_map(|found| found.demand().items()).collect();
        let stock = self.inventory.stock_records(&Vec::from_iter(items)).await?;
        let stock: BTreeMap<ItemId, _> = stock.into_iter().map(|stock| (stock.item_id, stock)).collect();
        let mut found = BTreeMap::new();
        for allocation in allocations {
            let (order_id, demand) = (allocation.order_id(), allocation.demand());
            let mut discrepancies = Vec::new();
            let missing = demand.items().filter(|item_id| !queued.contains(&(order_id, *item_id)));
            let missing: Vec<String> = missing.map(|item_id| item_id.to_string()).collect();
            if !missing.is_empty() {
                let detail = format!("not in the queue of {}", missing.join(", "));
                discrepancies.push(Discrepancy::permanent(FindingKind::NotQueued, detail));
            }
            let sufficient_since = |(item_id, quantity): (ItemId, Quantity)| {
                let stock = stock.get(&item_id).filter(|stock| stock.quantity >= quantity.get());
                stock.map(|stock| stock.updated_at)
            };
            let since: Option<Vec<_>> = demand.iter().map(sufficient_since).collect();
            if let Some(since) = since.and_then(|times| times.into_iter().max()) {
                let backordered_since = allocation.order().since;
                let detail = format!("back-ordered since {backordered_since}: {}", describe_demand(demand));
                let since = since.max(backordered_since);
                discrepancies.push(Discrepancy::temporary(
                    FindingKind::BackorderedDespiteStock,
                    detail,
                    since,
                ));
            }
            found.insert(order_id, discrepancies);
        }
        Ok(found)
    }
}

fn without_order(allocation: Option<&Allocation>) -> Option<Discrepancy> {
    allocation.map(|allocation| {
        let detail = format!("{}: {}", allocation.state(), describe_demand(allocation.demand()));
        Discrepancy::permanent(FindingKind::AllocationWithoutOrder, detail)
    })
}
