//! Purchase orders: the aggregate and its lifecycle. No `async`.
//!
//! ```text
//! draft ─ receive → received ─ pay → paid
//!   └ cancel → cancelled
//! ```
//!
//! A transition returns a [`Transitioned`]: the new order with its event. The store saves both in one
//! transaction and has no other way to save a status.

use erp_contracts::data::{OrderChanged, OrderLine};
use erp_contracts::{Cause, Event, EventError, EventKind};
use erp_domain::{Money, OrderId, PartyId, Timestamp};
use erp_orders::{Currency, InputError, Lines};
use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

/// The status of a purchase order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, IntoStaticStr, VariantArray, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schema(as = PurchaseOrderStatus)]
pub enum PurchaseStatus {
    /// May still be changed.
    Draft,
    /// The goods have arrived: inventory adds them to stock.
    Received,
    /// Paid to the vendor.
    Paid,
    /// Cancelled before the goods arrived.
    Cancelled,
}

/// A transition of a purchase order; its name is the last segment of its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Transition {
    /// Records that the goods have arrived.
    Receive,
    /// Records that the vendor was paid.
    Pay,
    /// Cancels the order.
    Cancel,
}

impl Transition {
    /// Returns the status after the transition.
    pub const fn target(self) -> PurchaseStatus {
        match self {
            Self::Receive => PurchaseStatus::Received,
            Self::Pay => PurchaseStatus::Paid,
            Self::Cancel => PurchaseStatus::Cancelled,
        }
    }

    const fn event_kind(self) -> EventKind {
        match self {
            Self::Receive => EventKind::PurchaseReceived,
            Self::Pay => EventKind::PurchasePaid,
            Self::Cancel => EventKind::PurchaseCancelled,
        }
    }
}

impl PurchaseStatus {
    /// Returns whether the lifecycle has this transition from this status.
    pub const fn allows(self, transition: Transition) -> bool {
        matches!(
            (self, transition),
            (Self::Draft, Transition::Receive | Transition::Cancel) | (Self::Received, Transition::Pay)
        )
    }
}

/// A purchase order without its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = PurchaseOrder)]
pub struct OrderSummary {
    /// Id of the order.
    pub id: OrderId,
    /// The vendor.
    pub vendor_id: PartyId,
    /// Current status.
    pub status: PurchaseStatus,
    /// The sum of the lines.
    pub total_amount: Money,
    /// ISO 4217 code.
    #[schema(example = "USD")]
    pub currency: String,
    /// 1 for a new draft, incremented by each change.
    pub version: u64,
    /// When the draft was created.
    pub created_at: Timestamp,
    /// When the order was last changed.
    pub updated_at: Timestamp,
}

/// A purchase order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurchaseOrder {
    summary: OrderSummary,
    lines: Lines,
}

/// A purchase order after a transition, with what its event needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transitioned {
    order: PurchaseOrder,
    previous_status: PurchaseStatus,
    transition: Transition,
}

/// A transition that the lifecycle does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a purchase order that is {found} cannot be {}", transition.target())]
pub struct IllegalTransition {
    /// The current status.
    pub found: PurchaseStatus,
    /// The requested transition.
    pub transition: Transition,
}

/// The reason why a request about a purchase order is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PurchaseOrderError {
    /// The order does not exist.
    NotFound,
    /// The request has these validation errors.
    Invalid(Vec<InputError>),
    /// The lifecycle does not have this transition.
    IllegalTransition(IllegalTransition),
    /// Only drafts can be changed; this is the current status.
    NotADraft(PurchaseStatus),
    /// The vendor was deleted after the draft was written.
    VendorGone(PartyId),
    /// The client expects another version than the current one, which this is.
    VersionMismatch(u64),
}

impl PurchaseOrder {
    /// Creates a draft.
    pub fn draft(id: OrderId, vendor_id: PartyId, lines: Lines, currency: &Currency, now: Timestamp) -> Self {
        let summary = OrderSummary {
            id,
            vendor_id,
            status: PurchaseStatus::Draft,
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
    pub fn status(&self) -> PurchaseStatus {
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
    /// [`PurchaseOrderError::NotADraft`].
    pub fn expect_draft(&self) -> Result<(), PurchaseOrderError> {
        let status = self.status();
        if status == PurchaseStatus::Draft { Ok(()) } else { Err(PurchaseOrderError::NotADraft(status)) }
    }

    /// Replaces vendor and lines of a draft.
    ///
    /// # Errors
    /// [`PurchaseOrderError::NotADraft`].
    pub fn revise(
        &self,
        vendor_id: PartyId,
        lines: Lines,
        now: Timestamp,
    ) -> Result<Self, PurchaseOrderError> {
        self.expect_draft()?;
        let summary = OrderSummary { vendor_id, total_amount: lines.total(), ..self.next_summary(now) };
        Ok(Self { summary, lines })
    }

    /// Records that the goods of a draft have arrived.
    pub fn receive(&self, now: Timestamp) -> Result<Transitioned, IllegalTransition> {
        self.transition(Transition::Receive, now)
    }

    /// Records that the vendor was paid for a received order.
    pub fn pay(&self, now: Timestamp) -> Result<Transitioned, IllegalTransition> {
        self.transition(Transition::Pay, now)
    }

    /// Cancels a draft.
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
    pub fn order(&self) -> &PurchaseOrder {
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
            party_id: self.order.summary.vendor_id,
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

    fn draft() -> PurchaseOrder {
        let ids: &dyn Ids = &RandomIds;
        let line = NewLine {
            item_id: ids.make(),
            quantity: Quantity::new(2).unwrap(),
            unit_price: Money::from_minor(150).unwrap(),
        };
        let lines = Lines::new(&[line], ids).unwrap();
        PurchaseOrder::draft(
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
        for from in PurchaseStatus::VARIANTS {
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
                "draft receive: received",
                "draft pay: illegal",
                "draft cancel: cancelled",
                "received receive: illegal",
                "received pay: paid",
                "received cancel: illegal",
                "paid receive: illegal",
                "paid pay: illegal",
                "paid cancel: illegal",
                "cancelled receive: illegal",
                "cancelled pay: illegal",
                "cancelled cancel: illegal",
            ]
        );
    }

    #[test]
    fn a_second_receipt_names_the_status_found() {
        let (order, now) = (draft(), Timestamp::from_millis(0));
        let received = order.receive(now).unwrap();
        let summary = received.order().summary();
        assert_eq!(summary.version, 2);
        assert_eq!(summary.updated_at, order.summary().updated_at, "the clock was set back");
        let rejected = received.order().receive(now).unwrap_err();
        assert_eq!(rejected.to_string(), "a purchase order that is received cannot be received");
        assert!(received.order().revise(summary.vendor_id, order.lines().clone(), now).is_err());
    }
}
