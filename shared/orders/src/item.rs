//! A line in a response.

use erp_domain::{ItemId, LineId, Money, OrderId, Quantity};
use serde::Serialize;

use crate::{Line, Lines};

/// A line of an order.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OrderItem {
    id: LineId,
    order_id: OrderId,
    item_id: ItemId,
    quantity: Quantity,
    /// The price of one.
    unit_price: Money,
    /// `quantity` × `unit_price`.
    subtotal: Money,
}

impl OrderItem {
    /// Converts the lines of an order, in their order.
    pub fn all(order_id: OrderId, lines: &Lines) -> Vec<Self> {
        let item = |&Line { id, item_id, quantity, unit_price, subtotal }: &Line| Self {
            id,
            order_id,
            item_id,
            quantity,
            unit_price,
            subtotal,
        };
        lines.as_slice().iter().map(item).collect()
    }
}
