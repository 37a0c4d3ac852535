//! What a store of orders promises, and what is asked of other services.

use std::collections::BTreeSet;
use std::error::Error;

use async_trait::async_trait;
use erp_contracts::data::StockDecided;
use erp_contracts::{Along, Event, Page, Rows, StoreError};
use erp_domain::contact::{ContactKind, Party};
use erp_domain::item::Item;
use erp_domain::order::{Order, Status, StockStatus, Transitioned};
use erp_domain::{Id, Money, Timestamp};

use crate::pricing::Facts;

/// The order is not, or no longer, what was read: at that status and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale;

/// There is no such order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchOrder;

/// An order as lists show it: without its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The order's id.
    pub id: Id<Order>,
    /// The customer or vendor.
    pub party_id: Id<Party>,
    /// Where it stands.
    pub status: Status,
    /// What inventory said last.
    pub stock_status: StockStatus,
    /// What it costs.
    pub total: Money,
    /// ISO 4217 code.
    pub currency: String,
    /// How often a client changed it.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When a client last changed it.
    pub updated_at: Timestamp,
}

impl From<&Order> for Summary {
    fn from(order: &Order) -> Self {
        Self {
            id: order.id,
            party_id: order.party_id,
            status: order.status,
            stock_status: order.stock_status,
            total: order.lines.total(),
            currency: order.currency.clone(),
            version: order.version,
            created_at: order.created_at,
            updated_at: order.updated_at,
        }
    }
}

/// Which orders a list shows; all, if nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filter {
    /// Those that stand there.
    pub status: Option<Status>,
    /// Those of this customer or vendor.
    pub party: Option<Id<Party>>,
}

/// Orders of one kind.
///
/// Every write is one transaction with its event and, if there is one, the kept answer. None of them writes what
/// inventory decided, except that a confirmation makes it "pending": see [`DecisionStore`], which writes at the same
/// time.
#[async_trait]
pub trait OrderStore: Send + Sync {
    /// The order with its lines, by a consistent read.
    async fn find(&self, id: Id<Order>) -> Result<Option<Order>, StoreError>;

    /// A page of the orders, newest first.
    async fn list(&self, filter: Filter, page: Page) -> Result<Rows<Summary>, StoreError>;

    /// What happened to the order, oldest first, by a consistent read; nothing for an order that is not there.
    async fn history(&self, id: Id<Order>) -> Result<Vec<Event>, StoreError>;

    /// Saves a new order.
    async fn insert(&self, order: &Order, along: &Along) -> Result<(), StoreError>;

    /// Saves the party and the lines of `new`, if the order still has the status and the version of `old`; else
    /// [`Stale`].
    async fn revise(&self, old: &Order, new: &Order, along: &Along) -> Result<(), StoreError<Stale>>;

    /// Saves the new status, if the order still has the status and the version of `old`; else [`Stale`]. Party and
    /// lines are left alone. The stock status is too, unless the transition sets it, which is only done while
    /// inventory has decided nothing.
    async fn advance(&self, old: &Order, done: &Transitioned, along: &Along)
    -> Result<(), StoreError<Stale>>;
}

/// What became of a decision of inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It was news: the order shows it now.
    News,
    /// The order shows newer news; this one is in its history.
    Older,
    /// It was noted before; nothing was written.
    Duplicate,
}

/// What inventory decided about sales orders.
#[async_trait]
pub trait DecisionStore: Send + Sync {
    /// Writes the decision into the order if its sequence is higher than any before, and the event into the order's
    /// history if it is not there, in one transaction; [`NoSuchOrder`] if there is no such order. Status, version
    /// and `updated_at` are left alone: they tell what clients did, and a client's `If-Match` must not fail for
    /// something that nobody did.
    ///
    /// Whatever the order and the number of deliveries, the order ends with the decision of the highest sequence.
    async fn note(&self, decided: &StockDecided, event: &Event) -> Result<Noted, StoreError<NoSuchOrder>>;
}

/// A question that another service did not answer: that is no "no".
#[derive(Debug, thiserror::Error)]
#[error("a question was not answered")]
pub struct Unanswered(#[source] pub Box<dyn Error + Send + Sync>);

impl<C> From<Unanswered> for StoreError<C> {
    fn from(Unanswered(cause): Unanswered) -> Self {
        Self::Unavailable(cause)
    }
}

/// Whom an order may name.
#[async_trait]
pub trait Parties: Send + Sync {
    /// Whether there is such a customer or vendor.
    async fn exists(&self, kind: ContactKind, id: Id<Party>) -> Result<bool, Unanswered>;
}

/// What an order may name.
#[async_trait]
pub trait Items: Send + Sync {
    /// Price and stock of those of the items that are there; one question, however many items.
    async fn facts(&self, items: BTreeSet<Id<Item>>) -> Result<Facts, Unanswered>;
}
