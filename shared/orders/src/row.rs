//! Lines as an attribute of an order's row.

use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::StoreError;
use erp_domain::{ItemId, LineId, Money, Quantity};
use serde::{Deserialize, Serialize};

use crate::{Line, Lines};

/// A line in a row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LineRow {
    id: LineId,
    item_id: ItemId,
    quantity: Quantity,
    /// Minor units.
    unit_price: i64,
}

impl LineRow {
    /// Converts lines to rows.
    pub fn from_lines(lines: &Lines) -> Vec<Self> {
        let row = |line: &Line| Self {
            id: line.id,
            item_id: line.item_id,
            quantity: line.quantity,
            unit_price: line.unit_price.minor(),
        };
        lines.as_slice().iter().map(row).collect()
    }

    /// Converts rows to lines.
    ///
    /// # Errors
    /// If an amount or the number of lines is out of range.
    pub fn into_lines(rows: Vec<Self>) -> Result<Lines, StoreError> {
        let line = |row: Self| {
            let unit_price = Money::from_minor(row.unit_price).map_err(StoreError::new)?;
            let subtotal = unit_price.checked_mul(row.quantity);
            let subtotal =
                subtotal.ok_or_else(|| StoreError::new("the subtotal of a line is out of range"))?;
            Ok(Line { id: row.id, item_id: row.item_id, quantity: row.quantity, unit_price, subtotal })
        };
        let lines = rows.into_iter().map(line).collect::<Result<_, StoreError>>()?;
        Lines::restore(lines).map_err(StoreError::new)
    }
}

/// Serialises lines as the value of an attribute.
///
/// # Errors
/// Never in practice: every field has a supported type.
pub fn attribute(lines: &Lines) -> Result<AttributeValue, StoreError> {
    serde_dynamo::to_attribute_value(LineRow::from_lines(lines)).map_err(StoreError::new)
}
