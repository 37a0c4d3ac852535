//! Sales orders: the aggregate and its lifecycle. No `async`.
//!
//! ```text
//! draft ─ confirm → confirmed ─ pay → paid
//!   └ cancel → cancelled ← cancel ┘
//! ```
//!
//! A transition returns a [`Transitioned`]: the new order with its event. The store saves both in one
//! transaction and has no other way to save a status.

use erp_contracts::data::{OrderChanged, OrderLine, StockDecision};
use erp_contracts::{Cause, Event, EventError, EventKind};
use erp_domain::{Money, OrderId, PartyId, Timestamp};
use erp_orders::{Currency, InputError, Lines, Shortage};
use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

/// The status of a sales order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, IntoStaticStr, VariantArray, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schema(as = SalesOrderStatus)]
pub enum SalesStatus {
    /// May still be changed.
    Draft,
    /// Binding: inventory allocates stock.
    Confirmed,
    /// Paid by the customer.
    Paid,
    /// Cancelled: inventory releases its allocation.
    Cancelled,
}

/// The stock of a sales order as inventory decided it, a moment after the order's own status.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, IntoStaticStr, VariantArray, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schema(as = SalesOrderStockStatus)]
pub enum StockStatus {
    /// The order was never confirmed.
    None,
    /// Confirmed; inventory has not decided yet.
    Pending,
    /// Every line is allocated.
    Allocated,
    /// Stock is short: nothing is allocated, and the order is in the back-order queue.
    Backordered,
    /// Cancelled: the allocation was released.
    Released,
}

impl From<StockDecision> for StockStatus {
    fn from(decision: StockDecision) -> Self {
        match decision {
            StockDecision::Allocated => Self::Allocated,
            StockDecision::Backordered => Self::Backordered,
            StockDecision::Released => Self::Released,
        }
    }
}

/// A transition of a sales order; its name is the last segment of its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Transition {
    /// Makes a draft binding.
    Confirm,
    /// Records that the customer has paid.
    Pay,
    /// Cancels the order.
    Cancel,
}

impl Transition {
    /// Returns the status after the transition.
    pub const fn target(self) -> SalesStatus {
        match self {
            Self::Confirm => SalesStatus::Confirmed,
            Self::Pay => SalesStatus::Paid,
            Self::Cancel => SalesStatus::Cancelled,
        }
    }

    const fn event_kind(self) -> EventKind {
        match self {
            Self::Confirm => EventKind::SalesConfirmed,
            Self::Pay => EventKind::SalesPaid,
            Self::Cancel => EventKind::SalesCancelled,
        }
    }
}

impl SalesStatus {
    /// Returns whether the lifecycle has this transition from this status.
    pub const fn allows(self, transition: Transition) -> bool {
        matches!(
            (self, transition),
            (Self::Draft, Transition::Confirm | Transition::Cancel)
                | (Self::Confirmed, Transition::Pay | Transition::Cancel)
        )
    }
}

/// A sales order without its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SalesOrder)]
pub struct OrderSummary {
    /// Id of the order.
    pub id: OrderId,
    /// The customer.
    pub customer_id: PartyId,
    /// Current status.
    pub status: SalesStatus,
    /// Inventory's last decision.
    pub stock_status: StockStatus,
    /// The sum of the lines.
    pub total_amount: Money,
    /// ISO 4217 code.
    #[schema(example = "USD")]
    pub currency: String,
    /// 1 for a new draft, incremented by each change of a client. Decisions of inventory do not count, so
    /// they do not invalidate a client's `If-Match`.
    pub version: u64,
    /// When the draft was created.
    pub created_at: Timestamp,
    /// When a client last changed the order; decisions of inventory do not count.
    pub updated_at: Timestamp,
}

/// A sales order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SalesOrder {
    summary: OrderSummary,
    lines: Lines,
}

/// A sales order after a transition, with what its event needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transitioned {
    order: SalesOrder,
    previous_status: SalesStatus,
    transition: Transition,
}

/// A transition that the lifecycle does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sales order that is {found} cannot be {}", transition.target())]
pub struct IllegalTransition {
    /// The current status.
    pub found: SalesStatus,
    /// The requested transition.
    pub transition: Transition,
}

/// The reason why a request about a sales order is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SalesOrderError {
    /// The order does not exist.
    NotFound,
    /// The request has these validation errors.
    Invalid(Vec<InputError>),
    /// The lifecycle does not have this transition.
    IllegalTransition(IllegalTransition),
    /// Only drafts can be changed; this is the current status.
    NotADraft(SalesStatus),
    /// The customer was deleted after the draft was written.
    CustomerGone(PartyId),
    /// The client requires stock, and these items are short.
    InsufficientStock(Vec<Shortage>),
    /// The client expects another version than the current one, which this is.
    VersionMismatch(u64),
}

impl SalesOrder {
    /// Creates a draft.
    pub fn draft(
        id: OrderId,
        customer_id: PartyId,
        lines: Lines,
        currency: &Currency,
        now: Timestamp,
    ) -> Self {
        let summary = OrderSummary {
            id,
            customer_id,
            status: SalesStatus::Draft,
            stock_status: StockStatus::None,
            total_amount: lines.total(),
            currency: currency.as_str().to_owned(),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        Self { summary, lines }
    }

    /// Restores a stored order.
    pub(crate) fn restore(summary: OrderSummary, lines: Lines) -> Self {
        Self { summary, lines }
    }

    /// Returns the id.
    pub fn id(&self) -> OrderId {
        self.summary.id
    }

    /// Returns the status.
    pub fn status(&self) -> SalesStatus {
        self.summary.status
    }

    /// Returns the version.
    pub fn version(&self) -> u64 {
        self.summary.version
    }

    /// Returns everything but the lines.
    pub fn summary(&self) -> &OrderSummary {
        &self.summary
    }

    /// Returns the lines.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// Checks that the order may still be changed.
    ///
    /// # Errors
    /// [`SalesOrderError::NotADraft`].
    pub fn expect_draft(&self) -> Result<(), SalesOrderError> {
        let status = self.status();
        if status == SalesStatus::Draft { Ok(()) } else { Err(SalesOrderError::NotADraft(status)) }
    }

    /// Replaces customer and lines of a draft.
    ///
    /// # Errors
    /// [`SalesOrderError::NotADraft`].
    pub fn revise(
        &self,
        customer_id: PartyId,
        lines: Lines,
        now: Timestamp,
    ) -> Result<Self, SalesOrderError> {
        self.expect_draft()?;
        let summary = OrderSummary { customer_id, total_amount: lines.total(), ..self.next_summary(now) };
        Ok(Self { summary, lines })
    }

    /// Makes a draft binding.
    pub fn confirm(&self, now: Timestamp) -> Result<Transitioned, IllegalTransition> {
        let mut confirmed = self.transition(Transition::Confirm, now)?;
        confirmed.order.summary.stock_status = StockStatus::Pending;
        Ok(confirmed)
    }

    /// Records that the customer has paid a confirmed order.
    pub fn pay(&self, now: Timestamp) -> Result<Transitioned, IllegalTransition> {
        self.transition(Transition::Pay, now)
    }

    /// Cancels a draft or a confirmed order.
    pub fn cancel(&self, now: Timestamp) -> Result<Transitioned, IllegalTransition> {
        self.transition(Transition::Cancel, now)
    }

    fn transition(&self, transition: Transition, now: Timestamp) -> Result<Transitioned, IllegalTransition> {
        let previous_status = self.status();
        if !previous_status.allows(transition) {
            return Err(IllegalTransition { found: previous_status, transition });
        }
        let summary = OrderSummary { status: transition.target(), ..self.next_summary(now) };
        let order = Self { summary, lines: self.lines.clone() };
        Ok(Transitioned { order, previous_status, transition })
    }

    /// Increments the version. `updated_at` never decreases, even if the clock was set back.
    fn next_summary(&self, now: Timestamp) -> OrderSummary {
        let summary = self.summary.clone();
        OrderSummary { version: summary.version + 1, updated_at: now.max(summary.updated_at), ..summary }
    }
}

impl Transitioned {
    /// Returns the order after the transition.
    pub fn order(&self) -> &SalesOrder {
        &self.order
    }

    /// Returns the transition.
    pub fn transition(&self) -> Transition {
        self.transition
    }

    /// Creates the event of the transition.
    pub fn event(&self, id: Uuid, cause: &Cause) -> Result<Event, EventError> {
        let OrderSummary { id: order_id, status, total_amount, currency, version, updated_at, .. } =
            self.order.summary.clone();
        let payload = OrderChanged {
            order_id,
            party_id: self.order.summary.customer_id,
            status,
            previous_status: self.previous_status,
            total_amount,
            currency,
            version,
            items: self.order.lines.as_slice().iter().map(OrderLine::from).collect(),
        };
        Event::new(id, self.transition.event_kind(), order_id, updated_at, cause, &payload)
    }
}

#[cfg(test)]
mod tests {
    use erp_domain::time::RandomIds;
    use erp_domain::{Ids, Quantity};
    use erp_orders::NewLine;

    use super::*;

    fn draft() -> SalesOrder {
        let ids: &dyn Ids = &RandomIds;
        let line = NewLine {
            item_id: ids.make(),
            quantity: Quantity::new(2).unwrap(),
            unit_price: Money::from_minor(150).unwrap(),
        };
        let lines = Lines::new(&[line], ids).unwrap();
        SalesOrder::draft(
            ids.make(),
            ids.make(),
            lines,
            &"USD".parse().unwrap(),
            Timestamp::from_millis(1_000),
        )
    }

    #[test]
    fn the_lifecycle_is_this_table_and_nothing_else() {
        let mut table = Vec::new();
        for from in SalesStatus::VARIANTS {
            for transition in Transition::VARIANTS {
                let outcome = if from.allows(*transition) {
                    transition.target().to_string()
                } else {
                    "illegal".to_owned()
                };
                table.push(format!("{from} {transition}: {outcome}"));
            }
        }
        assert_eq!(
            table,
            [
                "draft confirm: confirmed",
                "draft pay: illegal",
                "draft cancel: cancelled",
                "confirmed confirm: illegal",
                "confirmed pay: paid",
                "confirmed cancel: cancelled",
                "paid confirm: illegal",
                "paid pay: illegal",
                "paid cancel: illegal",
                "cancelled confirm: illegal",
                "cancelled pay: illegal",
                "cancelled cancel: illegal",
            ]
        );
    }

    #[test]
    fn a_second_confirm_names_the_status_found() {
        let (order, now) = (draft(), Timestamp::from_millis(0));
        let confirmed = order.confirm(now).unwrap();
        let summary = confirmed.order().summary();
        assert_eq!((summary.version, summary.stock_status), (2, StockStatus::Pending));
        assert_eq!(summary.updated_at, order.summary().updated_at, "the clock was set back");
        let rejected = confirmed.order().confirm(now).unwrap_err();
        assert_eq!(rejected.to_string(), "a sales order that is confirmed cannot be confirmed");
        assert!(confirmed.order().revise(summary.customer_id, order.lines().clone(), now).is_err());
    }

    #[test]
    fn only_a_confirmation_changes_the_stock_status() {
        let now = Timestamp::from_millis(0);
        let cancelled = draft().cancel(now).unwrap();
        assert_eq!(cancelled.order().summary().stock_status, StockStatus::None);
        let confirmed = draft().confirm(now).unwrap();
        for next in [confirmed.order().pay(now), confirmed.order().cancel(now)] {
            assert_eq!(next.unwrap().order().summary().stock_status, StockStatus::Pending);
        }
    }
}
