//! The payload (`data`) of each event type.

use erp_domain::identity::Role;
use erp_domain::{Demand, EmailAddress, ItemId, Money, OrderId, PartyId, Quantity, Sku, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Payload of `contact.*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactChanged {
    /// The contact.
    pub id: PartyId,
    /// Its name.
    pub name: String,
    /// Its e-mail address.
    pub email: EmailAddress,
    /// Its version after the change.
    pub version: u64,
}

/// Payload of `inventory.item.*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemChanged {
    /// The item.
    pub id: ItemId,
    /// Its name.
    pub name: String,
    /// Its SKU.
    pub sku: Sku,
    /// Its list price.
    pub unit_price: Money,
    /// Its version after the change.
    pub version: u64,
}

/// Payload of `sales.order.*` and `purchase.order.*`. `S` is the status type of the publishing context; a consumer that
/// does not need the status uses [`serde::de::IgnoredAny`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderChanged<S> {
    /// The order.
    pub order_id: OrderId,
    /// The customer or vendor.
    pub party_id: PartyId,
    /// The status after the transition.
    pub status: S,
    /// The status before the transition.
    pub previous_status: S,
    /// The total of the order.
    pub total_amount: Money,
    /// ISO 4217 code.
    pub currency: String,
    /// The order's version after the transition.
    pub version: u64,
    /// The order's lines.
    pub items: Vec<OrderLine>,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// The item.
    pub item_id: ItemId,
    /// The ordered quantity.
    pub quantity: Quantity,
    /// The price of one.
    pub unit_price: Money,
}

impl<S> OrderChanged<S> {
    /// Returns the quantity per item; lines of the same item are summed.
    pub fn demand(&self) -> Demand {
        self.items.iter().map(|line| (line.item_id, line.quantity)).collect()
    }
}

/// The result of allocating stock to a sales order, as inventory publishes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum StockDecision {
    /// Every line is allocated.
    Allocated,
    /// Stock is short: nothing is allocated, and the order is in the back-order queue.
    Backordered,
    /// The order was cancelled: its allocation was released.
    Released,
}

/// Payload of `inventory.order.*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockDecided {
    /// The sales order.
    pub order_id: OrderId,
    /// The result.
    pub stock_status: StockDecision,
    /// Increases with each decision about the order: a consumer ignores a lower sequence than it has seen.
    pub sequence: u64,
    /// The quantities that were allocated, are back-ordered or were released.
    pub items: Vec<ItemQuantity>,
}

/// A quantity of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemQuantity {
    /// The item.
    pub item_id: ItemId,
    /// The quantity.
    pub quantity: Quantity,
}

/// Payload of `inventory.stock.adjusted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockAdjusted {
    /// The item.
    pub item_id: ItemId,
    /// The signed change.
    pub change: i64,
    /// The stock after the change.
    pub quantity: i64,
    /// The reason that the user entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Payload of `inventory.backorders.remaining`: the position of a walk through the back-order queue of an item, which
/// an increase of its stock started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackordersRemaining {
    /// The item.
    pub item_id: ItemId,
    /// The change of stock that started the walk, which identifies it.
    pub change_id: Uuid,
    /// The number of messages that have continued the walk.
    pub step: u64,
    /// The last order that was tried; `None` if the walk has not begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<BackorderPosition>,
    /// The number of orders that had begun to wait for the item when the walk began.
    pub backorder_sequence: u64,
    /// The smallest quantity of the orders that were tried and still wait; `None` if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest: Option<Quantity>,
}

/// The position of an order in a back-order queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackorderPosition {
    /// The time by which the queue is sorted.
    pub since: Timestamp,
    /// The order.
    pub order_id: OrderId,
}

/// Payload of `auth.user.registered`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRegistered {
    /// The user.
    pub user_id: UserId,
    /// The user's e-mail address.
    pub email: EmailAddress,
    /// The user's role.
    pub role: Role,
}

/// Payload of `auth.password.reset_requested`. It does not contain the reset token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordResetRequested {
    /// The user.
    pub user_id: UserId,
    /// The user's e-mail address.
    pub email: EmailAddress,
    /// Expiry of the reset token.
    pub expires_at: Timestamp,
}
