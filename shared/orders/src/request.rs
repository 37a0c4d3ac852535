//! A line in a request body.

use erp_domain::{ItemId, Money, Quantity};
use erp_http::openapi::money_input;
use erp_http::{Fields, FromBody};

use crate::LineInput;

/// A line of an order.
#[derive(Debug, utoipa::ToSchema)]
pub struct OrderItemRequest {
    /// The item. Several lines may order the same item.
    pub item_id: ItemId,
    /// The quantity.
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000_000, example = 20)]
    pub quantity: Quantity,
    /// The price of one; the item's list price by default.
    #[schema(schema_with = money_input, required = false)]
    pub unit_price: Option<Money>,
}

impl FromBody for OrderItemRequest {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let item_id = fields.text("item_id", str::parse);
        let quantity = fields.integer("quantity", Quantity::of_line);
        let unit_price = fields.optional_decimal("unit_price", Money::parse);
        Some(Self { item_id: item_id?, quantity: quantity?, unit_price: unit_price? })
    }
}

impl From<OrderItemRequest> for LineInput {
    fn from(request: OrderItemRequest) -> Self {
        let OrderItemRequest { item_id, quantity, unit_price } = request;
        Self { item_id, quantity, unit_price }
    }
}
