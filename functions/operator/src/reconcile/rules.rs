//! The invariants, as pure functions. Order and allocation are two rows that agree eventually: a pair that
//! may be seen within the grace period is a temporary discrepancy, any other one is permanent.

use erp_domain::Timestamp;
use inventory::domain::{Allocation, AllocationState, MovementKind};
use inventory::ledger::Balance;
use purchase::domain::PurchaseStatus;
use sales::domain::{SalesStatus, StockStatus};

use super::finding::FindingKind;
use super::order::{Order, OrderKind, describe_demand};

/// Rows that do not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Discrepancy {
    pub(super) kind: FindingKind,
    pub(super) detail: String,
    /// The time of the change that may cause it temporarily; `None` if it is permanent.
    pub(super) since: Option<Timestamp>,
}

impl Discrepancy {
    pub(super) fn permanent(kind: FindingKind, detail: String) -> Self {
        Self { kind, detail, since: None }
    }

    pub(super) fn temporary(kind: FindingKind, detail: String, since: Timestamp) -> Self {
        Self { kind, detail, since: Some(since) }
    }

    /// Returns whether it is a mismatch, if side effects of changes after `before` may be in flight.
    pub(super) fn is_mismatch(&self, before: Timestamp) -> bool {
        self.since.is_none_or(|since| since < before)
    }
}

/// The result of the check of a balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BalanceCheck {
    /// The stock is the sum of the movements.
    Consistent,
    Discrepancy(Discrepancy),
    /// Movements are not written yet.
    MovementsPending,
}

/// Checks the balance of an item. The stock counts its changes and every change has one movement, so the
/// number of pending movements is known. A deleted item has no stock; it could only be deleted when its stock
/// was 0.
pub(super) fn check_balance(balance: &Balance) -> BalanceCheck {
    let Balance { item_exists, stock, movements, sum, last_movement_at } = *balance;
    let Some(stock) = stock else {
        let detail = format!("{movements} movements add up to {sum}");
        return if item_exists {
            BalanceCheck::Discrepancy(Discrepancy::permanent(FindingKind::StockMissing, detail))
        } else if sum == 0 {
            BalanceCheck::Consistent
        } else {
            let (kind, detail) = (FindingKind::StockDiffers, format!("deleted; {detail}"));
            BalanceCheck::Discrepancy(Discrepancy { kind, detail, since: last_movement_at })
        };
    };
    let detail = format!(
        "{} in stock after {} changes, {movements} movements add up to {sum}",
        stock.quantity, stock.sequence
    );
    let kind = if stock.quantity < 0 {
        FindingKind::NegativeStock
    } else if movements < stock.sequence {
        return BalanceCheck::MovementsPending;
    } else if movements > stock.sequence {
        FindingKind::MovementWithoutChange
    } else if sum == i128::from(stock.quantity) {
        return BalanceCheck::Consistent;
    } else {
        FindingKind::StockDiffers
    };
    BalanceCheck::Discrepancy(Discrepancy::permanent(kind, detail))
}

/// Checks whether the stock changes of an allocation fit its state.
pub(super) fn check_allocation(allocation: &Allocation) -> Option<Discrepancy> {
    use MovementKind as M;
    let changes: Vec<M> = allocation.changes().iter().map(|change| change.kind).collect();
    let state = allocation.state();
    let fits = match state {
        AllocationState::Backordered => changes.is_empty(),
        AllocationState::Allocated => changes == [M::Allocated],
        AllocationState::Received => changes == [M::Received],
        AllocationState::Released => changes.is_empty() || changes == [M::Allocated, M::Released],
    };
    (!fits).then(|| {
        Discrepancy::permanent(FindingKind::ChangesDiffer, format!("{state} with the changes {changes:?}"))
    })
}

/// Checks an order with its allocation. The allocation must have been read first.
pub(super) fn check_order(order: &Order, allocation: Option<&Allocation>) -> Vec<Discrepancy> {
    let mut found: Vec<Discrepancy> = check_states(order, allocation).into_iter().collect();
    if let Some(allocation) = allocation {
        found.extend(check_demand(order, allocation));
        if let Order::Sales(order) = order {
            found.extend(check_stock_status(order, allocation));
        }
    }
    found
}

fn check_states(order: &Order, allocation: Option<&Allocation>) -> Option<Discrepancy> {
    use {AllocationState as A, PurchaseStatus as P, SalesStatus as S};
    let consistent = None;
    // Inventory applies the event of the order a moment later.
    let pending = Some((FindingKind::NotDecided, Some(order.updated_at())));
    let impossible = Some((FindingKind::StateDiffers, None));
    let state = allocation.map(Allocation::state);
    let pair = match order {
        Order::Sales(order) => match (order.status, state) {
            (S::Draft, None)
            | (S::Confirmed | S::Paid, Some(A::Allocated | A::Backordered))
            | (S::Cancelled, Some(A::Released)) => consistent,
            (S::Confirmed | S::Paid, None) | (S::Cancelled, None | Some(A::Allocated | A::Backordered)) => {
                pending
            }
            (S::Draft, Some(_))
            | (S::Confirmed | S::Paid, Some(A::Released | A::Received))
            | (S::Cancelled, Some(A::Received)) => impossible,
        },
        Order::Purchase(order) => match (order.status, state) {
            (P::Draft | P::Cancelled, None) | (P::Received | P::Paid, Some(A::Received)) => consistent,
            (P::Received | P::Paid, None) => pending,
            (P::Draft | P::Cancelled, Some(_))
            | (P::Received | P::Paid, Some(A::Allocated | A::Backordered | A::Released)) => impossible,
        },
    };
    pair.map(|(kind, since)| {
        let state = state.map_or_else(|| "missing".to_owned(), |state| state.to_string());
        let detail =
            format!("the {} order is {}, its allocation {state}", OrderKind::from(order), order.status());
        Discrepancy { kind, detail, since }
    })
}

/// Checks the quantities. An allocation that was released before it changed stock has none.
fn check_demand(order: &Order, allocation: &Allocation) -> Option<Discrepancy> {
    let unused = allocation.state() == AllocationState::Released && allocation.changes().is_empty();
    (!unused && allocation.demand() != order.demand()).then(|| {
        let detail = format!(
            "the order has {}, the allocation {}",
            describe_demand(order.demand()),
            describe_demand(allocation.demand())
        );
        Discrepancy::permanent(FindingKind::DemandDiffers, detail)
    })
}

/// Checks whether a sales order shows inventory's latest decision.
fn check_stock_status(order: &sales::ledger::OrderRecord, allocation: &Allocation) -> Option<Discrepancy> {
    let decided = StockStatus::from(allocation.state().decision()?);
    let detail = format!(
        "the order shows {} ({}), inventory decided {decided} ({})",
        order.stock_status,
        order.stock_sequence,
        allocation.sequence()
    );
    if order.stock_sequence < allocation.sequence() {
        let since = allocation.order().since;
        let last_change = allocation.changes().last().map_or(since, |change| change.at);
        let since = last_change.max(since).max(order.updated_at);
        Some(Discrepancy::temporary(FindingKind::StatusNotUpdated, detail, since))
    } else if order.stock_sequence > allocation.sequence() || order.stock_status != decided {
        Some(Discrepancy::permanent(FindingKind::StatusDiffers, detail))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use erp_domain::time::RandomIds;
    use erp_domain::{Demand, Id, Ids as _, Quantity};
    use inventory::domain::{ChangeStamp, OrderDemand};
    use inventory::ledger::StockRecord;
    use strum::VariantArray as _;

    use super::*;

    fn early() -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn stock(quantity: i64, sequence: u64) -> Option<StockRecord> {
        let item_id = Id::new(uuid::Uuid::nil());
        let (change_id, updated_at) = (None, early());
        Some(StockRecord { item_id, quantity, allocated: 0, backordered: 0, sequence, change_id, updated_at })
    }

    fn balance(stock: Option<StockRecord>, movements: u64, sum: i128) -> Balance {
        Balance { item_exists: true, stock, movements, sum, last_movement_at: Some(early()) }
    }

    fn kind(check: BalanceCheck) -> Option<FindingKind> {
        match check {
            BalanceCheck::Discrepancy(discrepancy) => Some(discrepancy.kind),
            BalanceCheck::Consistent | BalanceCheck::MovementsPending => None,
        }
    }

    #[test]
    fn a_balance_is_consistent_pending_or_a_discrepancy() {
        let of = |stock, movements, sum| check_balance(&balance(stock, movements, sum));
        assert_eq!(of(stock(0, 0), 0, 0), BalanceCheck::Consistent);
        assert_eq!(of(stock(7, 2), 2, 7), BalanceCheck::Consistent);
        assert_eq!(of(stock(7, 3), 2, 9), BalanceCheck::MovementsPending);
        assert_eq!(kind(of(stock(7, 2), 2, 8)), Some(FindingKind::StockDiffers));
        assert_eq!(kind(of(stock(7, 2), 3, 7)), Some(FindingKind::MovementWithoutChange));
        assert_eq!(
            kind(of(stock(-1, 2), 2, -1)),
            Some(FindingKind::NegativeStock),
            "although the sum agrees"
        );
        assert_eq!(kind(of(None, 0, 0)), Some(FindingKind::StockMissing));
    }

    #[test]
    fn the_movements_of_a_deleted_item_add_up_to_zero() {
        let deleted = |sum| check_balance(&Balance { item_exists: false, ..balance(None, 2, sum) });
        assert_eq!(deleted(0), BalanceCheck::Consistent);
        let BalanceCheck::Discrepancy(discrepancy) = deleted(3) else { panic!() };
        assert_eq!((discrepancy.kind, discrepancy.since), (FindingKind::StockDiffers, Some(early())));
    }

    fn demand() -> Demand {
        [(Id::new(uuid::Uuid::nil()), Quantity::new(2).unwrap())].into_iter().collect()
    }

    fn allocation(id: erp_domain::OrderId, state: AllocationState) -> Allocation {
        let order = OrderDemand { order_id: id, demand: demand(), since: early() };
        let stamp = || ChangeStamp { id: RandomIds.next(), at: early() };
        match state {
            AllocationState::Backordered => Allocation::backordered(&order, BTreeSet::new()),
            AllocationState::Allocated => Allocation::allocated(&order, stamp()),
            AllocationState::Received => Allocation::received(&order, stamp(), BTreeSet::new()),
            AllocationState::Released => {
                Allocation::allocated(&order, stamp()).release(stamp(), BTreeSet::new()).unwrap()
            }
        }
    }

    /// Returns an order that shows the decision of its allocation.
    fn sales_order(status: SalesStatus, allocation: Option<&Allocation>) -> Order {
        let decided =
            allocation.and_then(|allocation| Some((allocation.state().decision()?, allocation.sequence())));
        let (stock_status, stock_sequence) =
            decided.map_or((StockStatus::None, 0), |(decision, sequence)| (decision.into(), sequence));
        let id = Id::new(uuid::Uuid::nil());
        let updated_at = early();
        Order::Sales(sales::ledger::OrderRecord {
            id,
            status,
            stock_status,
            stock_sequence,
            demand: demand(),
            updated_at,
        })
    }

    fn purchase_order(status: PurchaseStatus) -> Order {
        let id = Id::new(uuid::Uuid::nil());
        Order::Purchase(purchase::ledger::OrderRecord { id, status, demand: demand(), updated_at: early() })
    }

    /// Covers every status of both kinds with every state of an allocation.
    #[test]
    fn every_pair_of_states_is_consistent_pending_or_impossible() {
        use AllocationState as A;
        let states = [None, Some(A::Backordered), Some(A::Allocated), Some(A::Released), Some(A::Received)];
        let mut table = String::new();
        let mut row = |kind: OrderKind, status: &str, order: &dyn Fn(Option<&Allocation>) -> Order| {
            table.push_str(&format!("{kind} {status}:"));
            for state in states {
                let allocation = state.map(|state| allocation(Id::new(uuid::Uuid::nil()), state));
                assert_eq!(allocation.as_ref().and_then(check_allocation), None);
                let found = check_order(&order(allocation.as_ref()), allocation.as_ref());
                table.push_str(match found.as_slice() {
                    [] => " consistent",
                    [Discrepancy { since: Some(_), .. }] => " pending",
                    _ => " impossible",
                });
            }
            table.push('\n');
        };
        for &status in SalesStatus::VARIANTS {
            row(OrderKind::Sales, status.into(), &|allocation| sales_order(status, allocation));
        }
        for &status in PurchaseStatus::VARIANTS {
            row(OrderKind::Purchase, status.into(), &|_| purchase_order(status));
        }
        // Without an allocation, backordered, allocated, released, received.
        assert_eq!(
            table,
            "sales draft: consistent impossible impossible impossible impossible\n\
             sales confirmed: pending consistent consistent impossible impossible\n\
             sales paid: pending consistent consistent impossible impossible\n\
             sales cancelled: pending pending pending consistent impossible\n\
             purchase draft: consistent impossible impossible impossible impossible\n\
             purchase received: pending impossible impossible impossible consistent\n\
             purchase paid: pending impossible impossible impossible consistent\n\
             purchase cancelled: consistent impossible impossible impossible impossible\n"
        );
    }

    #[test]
    fn a_temporary_discrepancy_is_a_mismatch_after_the_grace_period() {
        let discrepancy = |since| Discrepancy { kind: FindingKind::NotDecided, detail: String::new(), since };
        let before = early().plus_seconds(60);
        assert!(discrepancy(None).is_mismatch(before) && discrepancy(Some(early())).is_mismatch(before));
        assert!(!discrepancy(Some(before)).is_mismatch(before));
    }
}
