//! Checks of single subjects, strongly consistent. Changes of rows and scans only determine what is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use erp_aws::StoreError;
use erp_domain::{ItemId, OrderId};
use inventory::ledger::Balance;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Ledger;
use super::finding::{Finding, FindingKind};
use super::order::OrderKind;
use super::rules::{BalanceCheck, check_balance};

/// A subject to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Check {
    /// The stock of an item is the sum of its movements.
    Balance { item_id: ItemId },
    /// A change of stock has its movement.
    Movement { item_id: ItemId, id: Uuid, change: i64 },
    /// A movement belongs to a change of stock.
    Origin { item_id: ItemId, id: Uuid, change: i64, order_id: Option<OrderId> },
    /// An order agrees with its allocation.
    Order { kind: OrderKind, order_id: OrderId },
    /// No order at the head of the back-order queue of an item waits although stock is sufficient.
    Queue { item_id: ItemId },
}

impl Check {
    /// Returns whether the rows that it compares are written within seconds of one another, and are few. The others
    /// are worth their cost only after the grace period.
    pub(crate) fn is_immediate(&self) -> bool {
        match self {
            Self::Movement { .. } | Self::Origin { .. } | Self::Order { .. } => true,
            Self::Balance { .. } | Self::Queue { .. } => false,
        }
    }
}

/// Part of the keys of rows: equal checks have equal texts.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balance { item_id } => write!(f, "balance#{item_id}"),
            Self::Movement { item_id, id, change } => write!(f, "movement#{item_id}#{id}#{change}"),
            Self::Origin { item_id, id, change, .. } => write!(f, "origin#{item_id}#{id}#{change}"),
            Self::Order { kind, order_id } => write!(f, "{kind}#{order_id}"),
            Self::Queue { item_id } => write!(f, "queue#{item_id}"),
        }
    }
}

/// The outcome of a check. The subject agrees if there are no mismatches and nothing is pending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) mismatches: Vec<Finding>,
    /// Whether the subject may agree later, without a further change by a client.
    pub(crate) pending: bool,
}

impl Outcome {
    const AGREES: Self = Self { mismatches: Vec::new(), pending: false };
    pub(super) const PENDING: Self = Self { mismatches: Vec::new(), pending: true };

    pub(crate) fn agrees(&self) -> bool {
        *self == Self::AGREES
    }

    fn mismatch(finding: Finding) -> Self {
        Self { mismatches: vec![finding], pending: false }
    }
}

/// Outcomes by check.
pub(crate) type Outcomes = BTreeMap<Check, Outcome>;

impl Ledger {
    /// Runs checks. Reads are batched and shared: an order is read once, however many checks need it. A check of a
    /// queue is replaced by checks of the orders in it.
    pub(crate) async fn check(&self, checks: &BTreeSet<Check>) -> Result<Outcomes, StoreError> {
        let mut outcomes = Outcomes::new();
        let (mut movements, mut origins, mut orders) = (Vec::new(), Vec::new(), BTreeSet::new());
        for &check in checks {
            match check {
                Check::Balance { item_id } => {
                    outcomes.insert(check, self.check_item(item_id).await?);
                }
                Check::Queue { item_id } => {
                    let waiting = self.inventory.first_backorders(item_id).await?;
                    orders.extend(waiting.into_iter().map(|id| (OrderKind::Sales, id)));
                }
                Check::Order { kind, order_id } => drop(orders.insert((kind, order_id))),
                Check::Movement { .. } => movements.push(check),
                Check::Origin { .. } => origins.push(check),
            }
        }
        outcomes.extend(self.check_movements(&movements).await?);
        let of_order = |check: &Check| match check {
            Check::Origin { order_id, .. } => *order_id,
            _ => None,
        };
        let related: BTreeSet<OrderId> = origins.iter().filter_map(of_order).collect();
        let allocations = self.allocations(orders.iter().map(|(_, id)| *id).chain(related)).await?;
        outcomes.extend(self.check_origins(&origins, &allocations).await?);
        for ((kind, order_id), outcome) in self.check_orders(orders, allocations).await? {
            outcomes.insert(Check::Order { kind, order_id }, outcome);
        }
        Ok(outcomes)
    }

    /// Checks whether changes of stock have their movements.
    async fn check_movements(&self, checks: &[Check]) -> Result<Outcomes, StoreError> {
        let ids: BTreeSet<(ItemId, Uuid)> = checks.iter().filter_map(movement).collect();
        let found = self.inventory.movements(&Vec::from_iter(ids)).await?;
        let found: BTreeMap<_, _> = found.iter().map(|row| ((row.item_id, row.id), row.change)).collect();
        let outcome = |check: &Check| {
            let &Check::Movement { item_id, id, change } = check else { return None };
            let outcome = match found.get(&(item_id, id)) {
                Some(recorded) if *recorded == change => Outcome::AGREES,
                Some(recorded) => {
                    let detail = format!("the stock changed by {change}, its movement {id} is {recorded}");
                    Outcome::mismatch(Finding::new(FindingKind::StockDiffers, item_id, detail))
                }
                None => {
                    let (subject, detail) =
                        (format!("{item_id} / {id}"), format!("the stock changed by {change}"));
                    Outcome::mismatch(Finding::new(FindingKind::MovementMissing, subject, detail))
                }
            };
            Some((*check, outcome))
        };
        Ok(checks.iter().filter_map(outcome).collect())
    }

    /// Checks whether movements belong to changes of stock: to those of the allocation of their order, or to an
    /// adjustment. Both were written in the transaction that changed the stock.
    async fn check_origins(
        &self,
        checks: &[Check],
        allocations: &Allocations,
    ) -> Result<Outcomes, StoreError> {
        let adjustments: BTreeSet<(ItemId, Uuid)> = checks
            .iter()
            .filter(|check| matches!(check, Check::Origin { order_id: None, .. }))
            .filter_map(movement)
            .collect();
        let adjusted = self.inventory.adjustments(&Vec::from_iter(adjustments)).await?;
        let outcome = |check: &Check| {
            let &Check::Origin { item_id, id, change, order_id } = check else { return None };
            let belongs = match order_id {
                None => adjusted.contains(&(item_id, id)),
                Some(order_id) => match allocations.get(&order_id) {
                    // It is unreadable, which is a mismatch of its own.
                    Some(None) => true,
                    Some(Some(allocation)) => allocation.movements().into_iter().any(|movement| {
                        (movement.item_id, movement.id, movement.change) == (item_id, id, change)
                    }),
                    None => false,
                },
            };
            let outcome = if belongs {
                Outcome::AGREES
            } else {
                let detail = format!("no change of stock has the movement {id} of {change}");
                Outcome::mismatch(Finding::new(FindingKind::MovementWithoutChange, item_id, detail))
            };
            Some((*check, outcome))
        };
        Ok(checks.iter().filter_map(outcome).collect())
    }

    async fn check_item(&self, item_id: ItemId) -> Result<Outcome, StoreError> {
        let Some((balance, check)) = self.balance_check(item_id).await? else { return Ok(Outcome::PENDING) };
        let before = self.before();
        Ok(match check {
            BalanceCheck::Consistent => Outcome::AGREES,
            BalanceCheck::Discrepancy(found) if found.is_mismatch(before) => {
                Outcome::mismatch(Finding::new(found.kind, item_id, found.detail))
            }
            BalanceCheck::Discrepancy(_) => Outcome::PENDING,
            BalanceCheck::MovementsPending => match balance.stock {
                Some(stock) if stock.updated_at < before => {
                    let (movements, changes) = (balance.movements, stock.sequence);
                    let detail = format!(
                        "{movements} movements of {changes} changes; erp reconcile names the missing"
                    );
                    Outcome::mismatch(Finding::new(FindingKind::MovementMissing, item_id, detail))
                }
                _ => Outcome::PENDING,
            },
        })
    }

    /// Reads and checks the balance of an item; `None` if the stock changes faster than it can be read, or if a row is
    /// unreadable, which is a mismatch of its own.
    pub(super) async fn balance_check(
        &self,
        item_id: ItemId,
    ) -> Result<Option<(Balance, BalanceCheck)>, StoreError> {
        let balance = self.inventory.balance(item_id).await?;
        Ok(balance.map(|balance| (balance, check_balance(&balance))))
    }

    /// Reads the allocations of orders; `None` stands for one that cannot be decoded.
    pub(super) async fn allocations(
        &self,
        orders: impl Iterator<Item = OrderId>,
    ) -> Result<Allocations, StoreError> {
        let ids: BTreeSet<OrderId> = orders.collect();
        Ok(self.inventory.allocations(&Vec::from_iter(ids)).await?.into_iter().collect())
    }
}

/// Allocations by order.
pub(super) type Allocations = BTreeMap<OrderId, Option<inventory::domain::Allocation>>;

fn movement(check: &Check) -> Option<(ItemId, Uuid)> {
    match *check {
        Check::Movement { item_id, id, .. } | Check::Origin { item_id, id, .. } => Some((item_id, id)),
        Check::Balance { .. } | Check::Order { .. } | Check::Queue { .. } => None,
    }
}
