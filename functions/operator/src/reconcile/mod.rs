//! Proves that the books are right: the stock of every item is the sum of its movements, every order and its
//! allocation agree, and no event was left lying.
//!
//! ```text
//! finding  what can be wrong, and the report
//! rules    what must hold, as plain functions
//! items    stock and movements; what lags behind is traced to the allocations it comes from
//! orders   orders and allocations
//! outbox   events that nobody published
//! ```
//!
//! It reads whole tables while they are being written, so a first look only says what to look at: it is eventually
//! consistent, and two rows are never read in one moment. What looks wrong is looked at again, a while later, by
//! consistent reads in an order in which a write in between cannot deceive. What may lag behind is wrong only when it
//! has done so for longer than [`Patience::minutes`]. It remembers no more than what looks wrong, and can stop after
//! any page and go on another time.

mod finding;
mod items;
mod orders;
mod outbox;
pub mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use erp_aws::Table;
use erp_contracts::{Place, StoreError};
use erp_domain::item::Item;
use erp_domain::order::{Order, OrderKind};
use erp_domain::{Clock, Id, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use finding::{Finding, Kind, Report};
use items::Lag;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// What one service decided must have reached the other after so many minutes. A message that fails is tried for
    /// half an hour before it is given up, every three minutes; five tries are patience enough.
    pub minutes: u32,
    /// The time between the first look at what seems wrong and the second.
    pub second_look: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { minutes: 15, second_look: Duration::from_secs(20) }
    }
}

/// The books of a deployment.
#[derive(Clone)]
pub struct Books {
    /// Items, stock, movements and allocations.
    pub inventory: Arc<dyn inventory::audit::Audit>,
    /// Sales orders.
    pub sales: Arc<dyn erp_orders::audit::Audit>,
    /// Purchase orders.
    pub purchase: Arc<dyn erp_orders::audit::Audit>,
    /// The tables with outboxes.
    pub outboxes: Vec<Table>,
    /// Tells how old something is.
    pub clock: Arc<dyn Clock>,
    /// How long things may take.
    pub patience: Patience,
}

/// What is looked at, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    #[default]
    Inventory,
    /// Where the movements are that items wait for.
    Lagging,
    Sales,
    Purchase,
    Outbox,
}

/// How far a check has come; the default is its beginning.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Progress {
    stage: Stage,
    after: Option<Place>,
    lagging: BTreeMap<Id<Item>, Lag>,
    /// How often it was continued.
    pub part: u32,
}

impl Progress {
    fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.after = None;
    }
}

/// What a part of a check came to.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What was found in this part.
    pub report: Report,
    /// Where to go on, if the time was over before the end.
    pub resume: Option<Progress>,
}

/// What looks wrong at first.
#[derive(Debug, Default)]
struct Suspects {
    items: BTreeSet<Id<Item>>,
    orders: BTreeSet<(Kindred, Id<Order>)>,
}

/// [`OrderKind`], in an order of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kindred {
    Sales,
    Purchase,
}

impl From<OrderKind> for Kindred {
    fn from(kind: OrderKind) -> Self {
        match kind {
            OrderKind::Sales => Self::Sales,
            OrderKind::Purchase => Self::Purchase,
        }
    }
}

/// So many suspects are looked at again before more are collected.
const MANY: usize = 500;

impl Suspects {
    fn are_many(&self) -> bool {
        self.items.len() + self.orders.len() >= MANY
    }

    fn is_empty(&self) -> bool {
        self.items.is_empty() && self.orders.is_empty()
    }
}

/// A check under way.
struct Check<'a> {
    books: &'a Books,
    /// What came before this is not on its way any more.
    before: Timestamp,
    report: Report,
    suspects: Suspects,
    lagging: BTreeMap<Id<Item>, Lag>,
    sums: items::Sums,
}

impl Books {
    /// Checks everything from where an earlier part stopped, until the end or until the time is over.
    ///
    /// # Errors
    /// When a table does not answer.
    pub async fn check(&self, mut progress: Progress, until: Option<Instant>) -> Result<Checked, StoreError> {
        let before = self.clock.now().plus_seconds(-60 * i64::from(self.patience.minutes));
        let mut check = Check {
            books: self,
            before,
            report: Report::default(),
            suspects: Suspects::default(),
            lagging: std::mem::take(&mut progress.lagging),
            sums: items::Sums::default(),
        };
        loop {
            let more = match progress.stage {
                Stage::Inventory => check.inventory(progress.after.as_ref()).await?,
                Stage::Lagging => check.trace(progress.after.as_ref()).await?,
                Stage::Sales => check.orders(OrderKind::Sales, progress.after.as_ref()).await?,
                Stage::Purchase => check.orders(OrderKind::Purchase, progress.after.as_ref()).await?,
                Stage::Outbox => {
                    check.outboxes().await?;
                    return Ok(Checked { report: check.report, resume: None });
                }
            };
            let ends = more.is_none();
            progress.after = more;
            if ends {
                check.look_again().await?;
                progress.enter(check.end(progress.stage).await?);
            } else if check.suspects.are_many() {
                check.look_again().await?;
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                // An item whose movements are on two sides of the cut looks wrong on both.
                check.sums.give_up(&mut check.suspects);
                check.look_again().await?;
                progress.lagging = check.lagging;
                progress.part += 1;
                return Ok(Checked { report: check.report, resume: Some(progress) });
            }
        }
    }

    fn orders(&self, kind: OrderKind) -> &dyn erp_orders::audit::Audit {
        match kind {
            OrderKind::Sales => self.sales.as_ref(),
            OrderKind::Purchase => self.purchase.as_ref(),
        }
    }
}

impl Check<'_> {
    /// What comes after a stage.
    async fn end(&mut self, stage: Stage) -> Result<Stage, StoreError> {
        Ok(match stage {
            Stage::Inventory if self.lagging.is_empty() => Stage::Sales,
            Stage::Inventory => Stage::Lagging,
            Stage::Lagging => {
                self.explain_lags().await?;
                Stage::Sales
            }
            Stage::Sales => Stage::Purchase,
            Stage::Purchase | Stage::Outbox => Stage::Outbox,
        })
    }

    /// Looks again at everything that looks wrong.
    async fn look_again(&mut self) -> Result<(), StoreError> {
        if self.suspects.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(self.books.patience.second_look).await;
        let Suspects { items, orders } = std::mem::take(&mut self.suspects);
        for item in items {
            self.examine_item(item).await?;
        }
        for (kind, order) in orders {
            let kind = match kind {
                Kindred::Sales => OrderKind::Sales,
                Kindred::Purchase => OrderKind::Purchase,
            };
            self.examine_order(kind, order).await?;
        }
        Ok(())
    }
}
