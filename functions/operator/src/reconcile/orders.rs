//! Orders and allocations.

use std::collections::BTreeMap;

use erp_contracts::{Place, StoreError};
use erp_domain::Id;
use erp_domain::order::{Order, OrderKind};
use erp_domain::stock::{Allocation, AllocationState};
use erp_orders::audit::{Audited, Entry};

use super::Check;
use super::finding::Kind;
use super::rules::{self, Suspicion};

/// Rows that are asked for at once.
const CHUNK: usize = 100;
/// How often an order is read anew because inventory decided something meanwhile.
const ROUNDS: usize = 3;

/// Which kind of order an allocation in this state is of.
pub(crate) const fn kind_of(state: AllocationState) -> OrderKind {
    match state {
        AllocationState::Received => OrderKind::Purchase,
        AllocationState::Backordered | AllocationState::Allocated | AllocationState::Released => {
            OrderKind::Sales
        }
    }
}

impl Check<'_> {
    /// A page of the orders.
    pub(super) async fn orders(
        &mut self,
        kind: OrderKind,
        after: Option<&Place>,
    ) -> Result<Option<Place>, StoreError> {
        let (entries, more) = self.books.orders(kind).page(after).await?;
        let mut orders: Vec<Audited> = Vec::new();
        for entry in entries {
            match entry {
                Entry::Order(order) => orders.push(*order),
                Entry::Unreadable { key, reason } => {
                    let key = format!("{} {key}", kind.as_str());
                    self.report.add(Kind::Unreadable, key, reason);
                }
            }
        }
        match kind {
            OrderKind::Sales => self.report.sales_orders += orders.len() as u64,
            OrderKind::Purchase => self.report.purchase_orders += orders.len() as u64,
        }
        for chunk in orders.chunks(CHUNK) {
            let ids: Vec<Id<Order>> = chunk.iter().map(|audited| audited.order.id).collect();
            let found: BTreeMap<_, _> = self.books.inventory.allocations(&ids).await?.into_iter().collect();
            for audited in chunk {
                let id = audited.order.id;
                let allocation = match found.get(&id) {
                    // That it cannot be read has been said.
                    Some(None) => continue,
                    Some(Some(allocation)) => Some(allocation),
                    None => None,
                };
                let suspicions = rules::order(audited, allocation);
                if self.any_is_wrong(&suspicions) {
                    self.suspects.orders.insert((kind.into(), id));
                } else if !suspicions.is_empty() {
                    self.report.in_flight += 1;
                }
            }
        }
        Ok(more)
    }

    fn any_is_wrong(&self, suspicions: &[Suspicion]) -> bool {
        suspicions.iter().any(|suspicion| suspicion.is_wrong(self.before))
    }

    /// Whether allocations have orders, and whether those that wait are waited upon. The rest is seen from the orders.
    pub(super) async fn match_allocations(&mut self, allocations: &[Allocation]) -> Result<(), StoreError> {
        for kind in [OrderKind::Sales, OrderKind::Purchase] {
            let of_kind: Vec<_> = allocations.iter().filter(|found| kind_of(found.state) == kind).collect();
            for chunk in of_kind.chunks(CHUNK) {
                let ids: Vec<Id<Order>> = chunk.iter().map(|allocation| allocation.order_id).collect();
                let found = self.books.orders(kind).find_all(&ids).await?;
                for allocation in chunk {
                    let id = allocation.order_id;
                    let wrong = !found.iter().any(|(found, _)| *found == id)
                        || rules::allocation(allocation).is_some()
                        || !self.waiting(allocation).await?.is_empty();
                    if wrong {
                        self.suspects.orders.insert((kind.into(), id));
                    }
                }
            }
        }
        Ok(())
    }

    /// What is wrong with an order's waiting, if it waits.
    async fn waiting(&self, allocation: &Allocation) -> Result<Vec<Suspicion>, StoreError> {
        if allocation.state != AllocationState::Backordered {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let lines = self.books.inventory.lines(allocation).await?;
        let missing: Vec<_> = allocation.demand.keys().filter(|item| !lines.contains(item)).collect();
        if !missing.is_empty() {
            let detail = format!("it does not wait for {missing:?}");
            found.push(Suspicion { kind: Kind::NotInLine, detail, since: None });
        }
        let levels = self.levels(allocation).await?;
        let enough = |(item, quantity): (&_, &i64)| {
            levels.get(item).filter(|level| level.quantity >= *quantity).map(|level| level.updated_at)
        };
        let since: Option<Vec<_>> = allocation.demand.iter().map(enough).collect();
        if let Some(since) = since.and_then(|times| times.into_iter().max()) {
            let detail = format!("it waits for {:?}, since {}", allocation.demand, allocation.since);
            let since = Some(since.max(allocation.since));
            found.push(Suspicion { kind: Kind::WaitsBesideStock, detail, since });
        }
        found.retain(|suspicion| suspicion.is_wrong(self.before));
        Ok(found)
    }

    /// The second look at an order. The allocation is read before the order, and again after it: an order is always
    /// written first, so it cannot be behind what the allocation follows from.
    pub(super) async fn examine_order(&mut self, kind: OrderKind, id: Id<Order>) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            let allocation = self.books.inventory.allocations(&[id]).await?;
            let order = self.books.orders(kind).find_all(&[id]).await?;
            let readable = allocation.first().and_then(|(_, allocation)| allocation.as_ref());
            let mut suspicions = match order.first() {
                Some((_, Some(audited))) if allocation.is_empty() || readable.is_some() => {
                    rules::order(audited, readable)
                }
                // That one of them cannot be read has been said.
                Some(_) => Vec::new(),
                None => missing(readable).into_iter().collect(),
            };
            if let Some(allocation) = readable.filter(|allocation| kind_of(allocation.state) == kind) {
                suspicions.extend(rules::allocation(allocation));
                suspicions.extend(self.waiting(allocation).await?);
            }
            if self.books.inventory.allocations(&[id]).await? != allocation {
                continue;
            }
            if suspicions.iter().any(|suspicion| !suspicion.is_wrong(self.before)) {
                self.report.in_flight += 1;
            }
            for Suspicion { kind, detail, .. } in suspicions.iter().filter(|s| s.is_wrong(self.before)) {
                self.report.add(*kind, id, detail);
            }
            return Ok(());
        }
        self.report.in_flight += 1;
        Ok(())
    }
}

/// There is no order.
fn missing(allocation: Option<&Allocation>) -> Option<Suspicion> {
    allocation.map(|allocation| Suspicion {
        kind: Kind::AllocationWithoutOrder,
        detail: format!("it is {}, of {:?}", allocation.state.as_str(), allocation.demand),
        since: None,
    })
}
