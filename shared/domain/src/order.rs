//! Orders: lines, totals, and the lifecycle that sales and purchase orders share.
//!
//! ```text
//! sales:     draft ─ confirm → confirmed ─ pay → paid
//!              └ cancel → cancelled ← cancel ┘
//! purchase:  draft ─ receive → received ─ pay → paid
//!              └ cancel → cancelled
//! ```
//!
//! A transition hands back a [`Transitioned`], which is the only thing that a store saves with an event: nobody
//! can change the status of an order and forget to say so.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::contact::{ContactKind, Party};
use crate::item::Item;
use crate::{Id, Ids, Invalid, LineQuantity, Money, Timestamp};

/// The most lines an order may have: with its allocation row they fill one DynamoDB transaction of 100 actions.
pub const MAX_LINES: usize = 99;

/// Sales or purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    /// We sell to a customer.
    Sales,
    /// We buy from a vendor.
    Purchase,
}

impl OrderKind {
    /// The word for it in names of events and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sales => "sales",
            Self::Purchase => "purchase",
        }
    }

    /// At the start of a message: "Sales order".
    pub const fn title(self) -> &'static str {
        match self {
            Self::Sales => "Sales order",
            Self::Purchase => "Purchase order",
        }
    }

    /// Whom an order of this kind names.
    pub const fn party(self) -> ContactKind {
        match self {
            Self::Sales => ContactKind::Customer,
            Self::Purchase => ContactKind::Vendor,
        }
    }

    /// The statuses that an order of this kind can have.
    pub const fn statuses(self) -> &'static [Status] {
        match self {
            Self::Sales => &[Status::Draft, Status::Confirmed, Status::Paid, Status::Cancelled],
            Self::Purchase => &[Status::Draft, Status::Received, Status::Paid, Status::Cancelled],
        }
    }

    /// The transitions that an order of this kind knows.
    pub const fn transitions(self) -> &'static [Transition] {
        match self {
            Self::Sales => &[Transition::Confirm, Transition::Pay, Transition::Cancel],
            Self::Purchase => &[Transition::Receive, Transition::Pay, Transition::Cancel],
        }
    }

    /// The lifecycle: where a transition leads from a status.
    ///
    /// # Errors
    /// When it leads nowhere.
    pub const fn next(self, from: Status, transition: Transition) -> Result<Status, IllegalTransition> {
        use {OrderKind as K, Status as S, Transition as T};
        match (self, from, transition) {
            (K::Sales, S::Draft, T::Confirm) => Ok(S::Confirmed),
            (K::Purchase, S::Draft, T::Receive) => Ok(S::Received),
            (K::Sales, S::Confirmed, T::Pay) | (K::Purchase, S::Received, T::Pay) => Ok(S::Paid),
            (_, S::Draft, T::Cancel) | (K::Sales, S::Confirmed, T::Cancel) => Ok(S::Cancelled),
            (kind, from, transition) => Err(IllegalTransition { kind, from, transition }),
        }
    }
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// May still be changed.
    Draft,
    /// Sold: stock is asked for.
    Confirmed,
    /// Bought and arrived: stock is added.
    Received,
    /// Paid for.
    Paid,
    /// Given up.
    Cancelled,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Draft, Self::Confirmed, Self::Received, Self::Paid, Self::Cancelled];

    /// The word for it on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Confirmed => "confirmed",
            Self::Received => "received",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl FromStr for Status {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| Invalid::new("is not a status of an order"))
    }
}

/// What can be done to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transition {
    /// A draft sale becomes binding.
    Confirm,
    /// What was bought has arrived.
    Receive,
    /// The money was paid.
    Pay,
    /// The order is given up.
    Cancel,
}

impl Transition {
    /// The word for it in paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Receive => "receive",
            Self::Pay => "pay",
            Self::Cancel => "cancel",
        }
    }

    /// What an order is after it: "confirmed", "paid" …
    pub const fn participle(self) -> &'static str {
        match self {
            Self::Confirm => "confirmed",
            Self::Receive => "received",
            Self::Pay => "paid",
            Self::Cancel => "cancelled",
        }
    }
}

/// A transition that the lifecycle does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {} order that is {from} cannot be {}", kind.as_str(), transition.participle())]
pub struct IllegalTransition {
    /// Of which kind of order.
    pub kind: OrderKind,
    /// The status found.
    pub from: Status,
    /// What was asked.
    pub transition: Transition,
}

/// What inventory says of a sales order, a moment after the order's own status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StockStatus {
    /// Nothing was asked of inventory.
    #[default]
    None,
    /// Inventory was asked and has not answered.
    Pending,
    /// Every line was taken out of stock.
    Allocated,
    /// There is not enough; it holds nothing, waits, and is served when stock arrives, oldest first.
    Backordered,
    /// Cancelled: what it held was given back.
    Released,
}

impl StockStatus {
    /// The word for it on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pending => "pending",
            Self::Allocated => "allocated",
            Self::Backordered => "backordered",
            Self::Released => "released",
        }
    }
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line's id.
    pub id: Id<Line>,
    /// What is ordered.
    pub item_id: Id<Item>,
    /// How many.
    pub quantity: LineQuantity,
    /// What one costs.
    pub unit_price: Money,
    /// `quantity` × `unit_price`.
    pub subtotal: Money,
}

/// A line as it is asked for, with its price settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewLine {
    /// What is ordered.
    pub item_id: Id<Item>,
    /// How many.
    pub quantity: LineQuantity,
    /// What one costs.
    pub unit_price: Money,
}

/// Why lines do not make an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinesError {
    /// None, or more than [`MAX_LINES`].
    #[error("must have 1 to {MAX_LINES} lines, not {0}")]
    Count(usize),
    /// The subtotal of the line at this index is above [`Money::MAX`].
    #[error("quantity × unit_price must not be more than {}", Money::MAX)]
    Subtotal(usize),
    /// The total is above [`Money::MAX`].
    #[error("the total must not be more than {}", Money::MAX)]
    Total,
}

/// Lines with their total: never none, never more than [`MAX_LINES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    lines: Vec<Line>,
    total: Money,
}

impl Lines {
    /// Prices the lines.
    ///
    /// # Errors
    /// When there are too few or too many, or an amount does not fit.
    pub fn price(new: &[NewLine], ids: &dyn Ids) -> Result<Self, LinesError> {
        let mut total = Money::ZERO;
        let mut lines = Vec::with_capacity(new.len());
        for (index, line) in new.iter().enumerate() {
            let &NewLine { item_id, quantity, unit_price } = line;
            let subtotal = unit_price.checked_mul(quantity).ok_or(LinesError::Subtotal(index))?;
            total = total.checked_add(subtotal).ok_or(LinesError::Total)?;
            lines.push(Line { id: ids.make(), item_id, quantity, unit_price, subtotal });
        }
        Self::restore(lines, total)
    }

    /// Lines as they were saved.
    ///
    /// # Errors
    /// When there are too few or too many.
    pub fn restore(lines: Vec<Line>, total: Money) -> Result<Self, LinesError> {
        if lines.is_empty() || lines.len() > MAX_LINES {
            return Err(LinesError::Count(lines.len()));
        }
        Ok(Self { lines, total })
    }

    /// The lines in the order given.
    pub fn as_slice(&self) -> &[Line] {
        &self.lines
    }

    /// The sum of the subtotals.
    pub fn total(&self) -> Money {
        self.total
    }

    /// How many of each item: lines that name the same item are summed.
    pub fn demand(&self) -> BTreeMap<Id<Item>, i64> {
        let mut demand = BTreeMap::new();
        for line in &self.lines {
            *demand.entry(line.item_id).or_insert(0) += line.quantity.get();
        }
        demand
    }
}

/// A sales or purchase order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The order's id.
    pub id: Id<Order>,
    /// Sales or purchase.
    pub kind: OrderKind,
    /// The customer or vendor.
    pub party_id: Id<Party>,
    /// Where it stands.
    pub status: Status,
    /// What inventory said last; [`StockStatus::None`] for a purchase.
    pub stock_status: StockStatus,
    /// What is ordered.
    pub lines: Lines,
    /// ISO 4217 code.
    pub currency: String,
    /// 1 when created, one more with each change that a client makes. What inventory says does not count, or a
    /// client's `If-Match` would fail for something nobody did.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// An order that just went from one status to the next: what is saved together with its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transitioned {
    /// The order as it is now.
    pub order: Order,
    /// The status it had.
    pub from: Status,
    /// What was done.
    pub transition: Transition,
}

impl Order {
    /// A new draft.
    pub fn draft(
        id: Id<Self>,
        kind: OrderKind,
        party_id: Id<Party>,
        lines: Lines,
        currency: String,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            kind,
            party_id,
            status: Status::Draft,
            stock_status: StockStatus::None,
            lines,
            currency,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// The draft with another party and other lines.
    ///
    /// # Errors
    /// When it is no draft any more.
    pub fn revise(&self, party_id: Id<Party>, lines: Lines, now: Timestamp) -> Result<Self, NotADraft> {
        self.expect_draft()?;
        let updated_at = now.max(self.updated_at);
        Ok(Self { party_id, lines, version: self.version + 1, updated_at, ..self.clone() })
    }

    /// Whether it may still be changed.
    ///
    /// # Errors
    /// When it may not.
    pub fn expect_draft(&self) -> Result<(), NotADraft> {
        match self.status {
            Status::Draft => Ok(()),
            status @ (Status::Confirmed | Status::Received | Status::Paid | Status::Cancelled) => {
                Err(NotADraft { kind: self.kind, status })
            }
        }
    }

    /// Does what the lifecycle allows.
    ///
    /// # Errors
    /// When it allows no such thing from the status there is.
    pub fn apply(&self, transition: Transition, now: Timestamp) -> Result<Transitioned, IllegalTransition> {
        let status = self.kind.next(self.status, transition)?;
        let stock_status = match transition {
            Transition::Confirm => StockStatus::Pending,
            Transition::Receive | Transition::Pay | Transition::Cancel => self.stock_status,
        };
        let updated_at = now.max(self.updated_at);
        let order = Self { status, stock_status, version: self.version + 1, updated_at, ..self.clone() };
        Ok(Transitioned { order, from: self.status, transition })
    }
}

/// An order that can no longer be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {} order that is {status} can no longer be changed; only drafts can", kind.as_str())]
pub struct NotADraft {
    /// Of which kind of order.
    pub kind: OrderKind,
    /// The status found.
    pub status: Status,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::RandomIds;

    fn line(quantity: i64, unit_price: i64) -> NewLine {
        NewLine {
            item_id: Id::new(uuid::Uuid::nil()),
            quantity: LineQuantity::new(quantity).unwrap(),
            unit_price: Money::from_minor(unit_price).unwrap(),
        }
    }

    #[test]
    fn the_lifecycle_is_this_table_and_nothing_else() {
        let mut allowed = Vec::new();
        for kind in [OrderKind::Sales, OrderKind::Purchase] {
            for from in Status::ALL {
                for transition in
                    [Transition::Confirm, Transition::Receive, Transition::Pay, Transition::Cancel]
                {
                    if let Ok(to) = kind.next(from, transition) {
                        assert!(kind.statuses().contains(&from) && kind.statuses().contains(&to));
                        assert!(kind.transitions().contains(&transition));
                        allowed.push(format!("{} {from} {} {to}", kind.as_str(), transition.as_str()));
                    }
                }
            }
        }
        assert_eq!(
            allowed,
            [
                "sales draft confirm confirmed",
                "sales draft cancel cancelled",
                "sales confirmed pay paid",
                "sales confirmed cancel cancelled",
                "purchase draft receive received",
                "purchase draft cancel cancelled",
                "purchase received pay paid",
            ]
        );
    }

    #[test]
    fn a_second_confirm_names_the_status_found() {
        let lines = Lines::price(&[line(2, 150)], &RandomIds).unwrap();
        let now = Timestamp::from_millis(0);
        let order = Order::draft(
            Id::new(uuid::Uuid::nil()),
            OrderKind::Sales,
            Id::new(uuid::Uuid::nil()),
            lines,
            "USD".into(),
            now,
        );
        let confirmed = order.apply(Transition::Confirm, now).unwrap().order;
        assert_eq!((confirmed.version, confirmed.stock_status), (2, StockStatus::Pending));
        let refused = confirmed.apply(Transition::Confirm, now).unwrap_err();
        assert_eq!(refused.to_string(), "a sales order that is confirmed cannot be confirmed");
        assert!(confirmed.revise(order.party_id, order.lines.clone(), now).is_err());
    }

    #[test]
    fn lines_are_priced_exactly_or_refused() {
        let lines = Lines::price(&[line(3, 10), line(1, 5)], &RandomIds).unwrap();
        assert_eq!(lines.total().minor(), 35);
        assert_eq!(lines.demand().into_values().collect::<Vec<_>>(), [4], "the same item is summed");
        assert_eq!(Lines::price(&[], &RandomIds), Err(LinesError::Count(0)));
        assert_eq!(Lines::price(&[line(1, 1); 100], &RandomIds), Err(LinesError::Count(100)));
        assert!(Lines::price(&[line(1, 1); 99], &RandomIds).is_ok());
        let huge = Money::MAX.minor();
        assert_eq!(Lines::price(&[line(1, 0), line(2, huge)], &RandomIds), Err(LinesError::Subtotal(1)));
        assert_eq!(Lines::price(&[line(1, huge), line(1, huge)], &RandomIds), Err(LinesError::Total));
    }
}
