//! Stock and movements.

use std::collections::BTreeMap;

use erp_contracts::{Place, StoreError};
use erp_domain::Id;
use erp_domain::item::Item;
use erp_domain::stock::{Allocation, Movement};
use inventory::audit::{Balance, Entry, Level};
use serde::{Deserialize, Serialize};

use super::finding::Kind;
use super::rules::{self, Verdict};
use super::{Check, Suspects};

/// The most items that are traced in one check; the next check traces others, if there ever are so many.
const TRACED: usize = 1000;
/// Movements that are asked for at once.
const CHUNK: usize = 100;

/// An item with fewer movements than changes, and those that were found to be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lag {
    /// Of the stock when that was seen.
    sequence: u64,
    /// How many movements there were.
    movements: u64,
    /// How many the allocations say are missing.
    missing: u64,
    /// What those come to.
    sum: i64,
}

/// The item whose rows are coming by, summed up.
#[derive(Debug, Default)]
pub(super) struct Sums {
    current: Option<(Id<Item>, Balance)>,
}

impl Sums {
    /// Adds a row; hands back the item before, if this is another's.
    fn add(
        &mut self,
        item_id: Id<Item>,
        level: Option<Level>,
        change: Option<i64>,
    ) -> Option<(Id<Item>, Balance)> {
        let done = match self.current {
            Some((current, _)) if current == item_id => None,
            _ => self.current.replace((item_id, Balance { level: None, movements: 0, sum: 0 })),
        };
        if let Some((_, balance)) = &mut self.current {
            balance.level = level.or(balance.level);
            if let Some(change) = change {
                balance.movements += 1;
                balance.sum += i128::from(change);
            }
        }
        done
    }

    /// Forgets the item whose rows have not all come by.
    pub(super) fn give_up(&mut self, suspects: &mut Suspects) {
        suspects.items.extend(self.current.take().map(|(item_id, _)| item_id));
    }
}

impl Check<'_> {
    /// A page of the inventory table.
    pub(super) async fn inventory(&mut self, after: Option<&Place>) -> Result<Option<Place>, StoreError> {
        let (entries, more) = self.books.inventory.page(after).await?;
        let mut allocations = Vec::new();
        for entry in entries {
            let done = match entry {
                Entry::Item(item_id) => self.sums.add(item_id, None, None),
                Entry::Stock(level) => self.sums.add(level.item_id, Some(level), None),
                Entry::Movement { item_id, change } => self.sums.add(item_id, None, Some(change)),
                Entry::Allocation(allocation) => {
                    allocations.push(allocation);
                    None
                }
                Entry::Unreadable { key, reason } => {
                    self.report.add(Kind::Unreadable, key, reason);
                    None
                }
            };
            self.count(done);
        }
        if more.is_none() {
            let last = self.sums.current.take();
            self.count(last);
        }
        self.report.allocations += allocations.len() as u64;
        self.match_allocations(&allocations).await?;
        Ok(more)
    }

    fn count(&mut self, item: Option<(Id<Item>, Balance)>) {
        let Some((item_id, balance)) = item else { return };
        self.report.items += 1;
        self.report.movements += balance.movements;
        if rules::balance(&balance) != Verdict::Right {
            self.suspects.items.insert(item_id);
        }
    }

    /// The second look at an item.
    pub(super) async fn examine_item(&mut self, item_id: Id<Item>) -> Result<(), StoreError> {
        let Some(balance) = self.books.inventory.balance(item_id).await? else {
            // It is sold faster than it can be read, or cannot be read at all, which has been said.
            self.report.in_flight += 1;
            return Ok(());
        };
        match rules::balance(&balance) {
            Verdict::Right => {}
            Verdict::Wrong(kind, detail) => self.report.add(kind, item_id, detail),
            Verdict::Behind if self.lagging.len() < TRACED => {
                let sequence = balance.level.map_or(0, |level| level.sequence);
                let lag = Lag { sequence, movements: balance.movements, missing: 0, sum: 0 };
                self.lagging.insert(item_id, lag);
            }
            Verdict::Behind => self.report.in_flight += 1,
        }
        Ok(())
    }

    /// A page of the allocations, for the movements of items that lag behind.
    pub(super) async fn trace(&mut self, after: Option<&Place>) -> Result<Option<Place>, StoreError> {
        let (entries, more) = self.books.inventory.allocations_page(after).await?;
        let movements = entries.iter().filter_map(|entry| match entry {
            Entry::Allocation(allocation) => Some(allocation.movements()),
            Entry::Item(_) | Entry::Stock(_) | Entry::Movement { .. } | Entry::Unreadable { .. } => None,
        });
        let wanted: Vec<Movement> =
            movements.flatten().filter(|movement| self.lagging.contains_key(&movement.item_id)).collect();
        for chunk in wanted.chunks(CHUNK) {
            let written = self.books.inventory.written(chunk).await?;
            for movement in
                chunk.iter().filter(|movement| !written.contains(&(movement.item_id, movement.id)))
            {
                if let Some(lag) = self.lagging.get_mut(&movement.item_id) {
                    lag.missing += 1;
                    lag.sum += movement.change;
                }
                if movement.at < self.before {
                    let subject = format!("{} / {}", movement.item_id, movement.id);
                    self.report.add(Kind::MovementMissing, subject, told(movement));
                }
            }
        }
        Ok(more)
    }

    /// Whether what is missing explains every lag.
    pub(super) async fn explain_lags(&mut self) -> Result<(), StoreError> {
        for (item_id, lag) in std::mem::take(&mut self.lagging) {
            let balance = self.books.inventory.balance(item_id).await?;
            let same = |balance: &Balance| {
                balance.movements == lag.movements
                    && balance.level.is_some_and(|level| level.sequence == lag.sequence)
            };
            match balance.filter(same).map(|balance| (balance, balance.level)) {
                Some((Balance { sum, movements, .. }, Some(level))) if level.updated_at < self.before => {
                    let explained = level.sequence - movements == lag.missing
                        && i128::from(level.quantity) - sum == i128::from(lag.sum);
                    if !explained {
                        let detail = format!(
                            "{} in stock after {} changes, {movements} movements come to {sum}; allocations explain {} more of {}",
                            level.quantity, level.sequence, lag.missing, lag.sum
                        );
                        self.report.add(Kind::StockDiffers, item_id, detail);
                    }
                }
                // It moved meanwhile, or just now.
                _ => self.report.in_flight += 1,
            }
        }
        Ok(())
    }

    /// The stock of the items of an allocation.
    pub(super) async fn levels(
        &self,
        allocation: &Allocation,
    ) -> Result<BTreeMap<Id<Item>, Level>, StoreError> {
        let items: Vec<Id<Item>> = allocation.demand.keys().copied().collect();
        let levels = self.books.inventory.levels(&items).await?;
        Ok(levels.into_iter().map(|level| (level.item_id, level)).collect())
    }
}

fn told(movement: &Movement) -> String {
    let Movement { change, kind, at, .. } = movement;
    let order = movement.order_id.map(|id| id.to_string()).unwrap_or_default();
    format!("{change} {} by order {order} at {at}", kind.as_str())
}
