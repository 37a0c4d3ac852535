//! What is answered about an order of either kind. What names the customer or vendor is in the functions.

use erp_domain::item::Item;
use erp_domain::order::{Line, Order};
use erp_domain::{Id, LineQuantity, Money};
use serde::Serialize;
use utoipa::ToSchema;

/// A line of an order.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderItem {
    #[schema(value_type = uuid::Uuid)]
    id: Id<Line>,
    #[schema(value_type = uuid::Uuid)]
    order_id: Id<Order>,
    #[schema(value_type = uuid::Uuid)]
    item_id: Id<Item>,
    #[schema(value_type = i64, example = 20)]
    quantity: LineQuantity,
    #[schema(value_type = f64, example = 90000.00)]
    unit_price: Money,
    #[schema(value_type = f64, example = 1800000.00)]
    subtotal: Money,
}

impl OrderItem {
    /// The lines of an order, in their order.
    pub fn all(order: &Order) -> Vec<Self> {
        let item = |line: &Line| Self {
            id: line.id,
            order_id: order.id,
            item_id: line.item_id,
            quantity: line.quantity,
            unit_price: line.unit_price,
            subtotal: line.subtotal,
        };
        order.lines.as_slice().iter().map(item).collect()
    }
}

/// Something that happened to an order: a CloudEvent (version 1.0), as it was published.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes erp_contracts::Event")]
pub struct OrderEvent {
    #[schema(example = "1.0")]
    specversion: String,
    id: uuid::Uuid,
    /// The service that it comes from.
    #[schema(example = "/erp/sales")]
    source: String,
    #[schema(example = "sales.order.confirmed")]
    r#type: String,
    /// The id of the order.
    subject: String,
    #[schema(value_type = String, format = DateTime)]
    time: String,
    #[schema(example = "application/json")]
    datacontenttype: String,
    /// Who did it.
    actor: Option<String>,
    /// The `X-Request-Id` of the request that it follows from.
    correlationid: Option<String>,
    /// What there is to say, by `type`.
    #[schema(value_type = Object)]
    data: (),
}
