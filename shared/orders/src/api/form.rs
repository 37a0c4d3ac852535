//! Request bodies and queries.

use erp_contracts::Page;
use erp_domain::order::{MAX_LINES, OrderKind, Status};
use erp_domain::{Invalid, LineQuantity, Money};
use erp_http::{Fields, FromBody, ListQuery, Problem};
use utoipa::ToSchema;

use super::party_field;
use crate::ports::Filter;
use crate::pricing::{Wanted, WantedLine};

/// A line that is asked for.
#[derive(ToSchema)]
pub struct OrderItemRequest {
    /// What is ordered. Two lines may name the same item.
    pub item_id: uuid::Uuid,
    /// How many.
    #[schema(minimum = 1, maximum = 1_000_000_000, example = 20)]
    pub quantity: i64,
    /// What one costs, with at most two decimals, as a number or a string; the item's own price if it is not said.
    #[schema(example = 90000.00)]
    pub unit_price: Option<f64>,
}

impl FromBody for WantedLine {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let item_id = fields.text("item_id", str::parse);
        let quantity = fields.integer("quantity", LineQuantity::new);
        let unit_price = fields.optional_decimal("unit_price", Money::parse);
        Some(Self { item_id: item_id?, quantity: quantity?, unit_price: unit_price? })
    }
}

/// Reads an order of this kind.
pub fn wanted(fields: &mut Fields<'_, '_>, kind: OrderKind) -> Option<Wanted> {
    let party_id = fields.text(party_field(kind), str::parse);
    let lines = fields.list("items", 1, MAX_LINES);
    Some(Wanted { party_id: party_id?, lines: lines? })
}

/// How to confirm; may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ToSchema)]
pub struct ConfirmRequest {
    /// Whether to refuse (409 `insufficient_stock`) unless everything is in stock at this moment.
    #[schema(default = false)]
    pub require_stock: bool,
}

impl FromBody for ConfirmRequest {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let require_stock = fields.optional_bool("require_stock")?;
        Some(Self { require_stock: require_stock.unwrap_or_default() })
    }
}

/// The body of a request that has nothing to say: none, or an empty object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Nothing;

impl FromBody for Nothing {
    fn from_fields(_: &mut Fields<'_, '_>) -> Option<Self> {
        Some(Self)
    }
}

/// Reads the query of a list.
///
/// # Errors
/// With every fault of the query.
pub fn filter(mut query: ListQuery, kind: OrderKind) -> Result<(Filter, Page), Problem> {
    let status = query.filter("status", |text| status(text, kind));
    let party = query.filter(party_field(kind), str::parse);
    Ok((Filter { status, party }, query.finish()?))
}

fn status(text: &str, kind: OrderKind) -> Result<Status, Invalid> {
    let known = kind.statuses();
    known.iter().copied().find(|status| status.as_str() == text).ok_or_else(|| {
        let words: Vec<_> = known.iter().map(|status| status.as_str()).collect();
        Invalid::new(format!("must be one of {}", words.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_that_the_kind_has() {
        assert_eq!(status("confirmed", OrderKind::Sales), Ok(Status::Confirmed));
        let refused = status("confirmed", OrderKind::Purchase).unwrap_err();
        assert_eq!(refused.to_string(), "must be one of draft, received, paid, cancelled");
        assert!(status("Draft", OrderKind::Sales).is_err());
    }
}
