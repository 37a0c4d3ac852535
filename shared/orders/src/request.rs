//! A line in a request body, and validation errors as fields of the body.

use erp_domain::{ItemId, Money, PartyKind, Quantity};
use erp_http::openapi::money_input;
use erp_http::{FieldError, Fields, FromBody};

use crate::{InputError, LinesError};

/// A line of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, utoipa::ToSchema)]
#[schema(as = OrderItemRequest)]
pub struct LineInput {
    /// The item. Several lines may order the same item.
    pub item_id: ItemId,
    /// The quantity.
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000_000, example = 20)]
    pub quantity: Quantity,
    /// The price of one; the item's list price by default.
    #[schema(schema_with = money_input, required = false)]
    pub unit_price: Option<Money>,
}

impl FromBody for LineInput {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let item_id = fields.text("item_id", str::parse);
        let quantity = fields.integer("quantity", Quantity::of_line);
        let unit_price = fields.optional_decimal("unit_price", Money::parse);
        Some(Self { item_id: item_id?, quantity: quantity?, unit_price: unit_price? })
    }
}

impl InputError {
    /// Returns the field of the body that has the error; the customer or vendor is in `customer_id` or
    /// `vendor_id`.
    pub fn field_error(self, party: PartyKind) -> FieldError {
        let (pointer, reason) = match self {
            Self::UnknownParty => (format!("/{party}_id"), format!("there is no such {party}")),
            Self::UnknownItem(index) => {
                (format!("/items/{index}/item_id"), "there is no such item".to_owned())
            }
            Self::Lines(error @ LinesError::Subtotal(index)) => {
                (format!("/items/{index}/quantity"), error.to_string())
            }
            Self::Lines(error @ (LinesError::Total | LinesError::Count(_))) => {
                ("/items".to_owned(), error.to_string())
            }
        };
        FieldError::body(pointer, reason)
    }
}
