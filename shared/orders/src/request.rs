//! A line in a request body, and validation errors as fields of the body.

use erp_domain::{ItemId, Money, PartyKind, Quantity};
use erp_http::openapi::money_input;
use erp_http::{FieldError, Fields, FromBody};

use crate::{InputError, LineInput, LinesError};

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

impl InputError {
    /// Returns the field of the body that has the error; the customer or vendor is in `customer_id` or
    /// `vendor_id`.
    pub fn field_error(self, party: PartyKind) -> FieldError {
        match self {
            Self::UnknownParty => {
                FieldError::body(format!("/{party}_id"), format!("there is no such {party}"))
            }
            Self::UnknownItem(index) => {
                FieldError::body(format!("/items/{index}/item_id"), "there is no such item")
            }
            Self::Subtotal(index) => {
                let reason = LinesError::Subtotal(index).to_string();
                FieldError::body(format!("/items/{index}/quantity"), reason)
            }
            Self::Total => FieldError::body("/items", LinesError::Total.to_string()),
            Self::Count(count) => FieldError::body("/items", LinesError::Count(count).to_string()),
        }
    }
}
