//! Rows of orders: keys, lines and index entries.

use std::fmt::Display;

use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::list::{List, shard, shards};
use erp_aws::transaction::text;
use erp_aws::{Key, StoreError, Table};
use erp_domain::{ItemId, LineId, Money, OrderId, PartyId, Quantity, minor_units};
use serde::{Deserialize, Serialize};

use crate::{Line, Lines, keys};

/// Filter: orders of a status among those of a customer or vendor.
const OF_STATUS: &str = "#status = :status";

/// The row of an order; `A` has the attributes that its context defines.
#[derive(Debug, Serialize, Deserialize)]
pub struct OrderRow<A> {
    pk: String,
    sk: String,
    list_pk: String,
    list_sk: OrderId,
    status_pk: String,
    status_sk: OrderId,
    party_pk: String,
    party_sk: OrderId,
    lines: Vec<LineRow>,
    /// The attributes of the context.
    #[serde(flatten)]
    pub attributes: A,
}

impl<A> OrderRow<A> {
    /// Creates the row of an order.
    pub fn new(id: OrderId, status: impl Display, party: PartyId, lines: &Lines, attributes: A) -> Self {
        let Key { pk, sk } = keys::order(id);
        Self {
            pk,
            sk,
            list_pk: shard(keys::LIST, id.uuid()),
            list_sk: id,
            status_pk: status_partition(status, id),
            status_sk: id,
            party_pk: keys::party(party),
            party_sk: id,
            lines: lines.as_slice().iter().map(LineRow::from).collect(),
            attributes,
        }
    }

    /// Returns the order's id.
    pub fn id(&self) -> OrderId {
        self.list_sk
    }

    /// Returns the lines, whose sum must be `total`, and the attributes of the context.
    ///
    /// # Errors
    /// If an amount or the number of lines is out of range, or the sum differs.
    pub fn into_parts(self, total: impl Fn(&A) -> Money) -> Result<(A, Lines), StoreError> {
        let lines = self.lines.into_iter().map(Line::try_from).collect::<Result<_, _>>()?;
        let lines = Lines::restore(lines).map_err(StoreError::new)?;
        if total(&self.attributes) != lines.total() {
            return Err(StoreError::new("the total of an order is not the sum of its lines"));
        }
        Ok((self.attributes, lines))
    }
}

/// Returns the partition of an order in the index `status`.
pub fn status_partition(status: impl Display, id: OrderId) -> String {
    shard(&keys::status(status), id.uuid())
}

/// Returns the list of the orders of a status, of a customer or vendor, of both, or of all orders.
pub fn list(table: &Table, status: Option<impl Display>, party: Option<PartyId>) -> List<'_> {
    let (index, partitions, filter) = match (party, status) {
        (Some(party), status) => {
            let of_status = status.map(|status| (OF_STATUS, vec![(":status", text(status))]));
            ("party", vec![keys::party(party)], of_status)
        }
        (None, Some(status)) => ("status", shards(&keys::status(status)), None),
        (None, None) => ("list", shards(keys::LIST), None),
    };
    List { table, index: Some(index), partitions, prefix: "", filter }
}

/// A line in a row.
#[derive(Debug, Serialize, Deserialize)]
struct LineRow {
    id: LineId,
    item_id: ItemId,
    quantity: Quantity,
    #[serde(with = "minor_units")]
    unit_price: Money,
}

impl From<&Line> for LineRow {
    fn from(&Line { id, item_id, quantity, unit_price, .. }: &Line) -> Self {
        Self { id, item_id, quantity, unit_price }
    }
}

impl TryFrom<LineRow> for Line {
    type Error = StoreError;
    fn try_from(LineRow { id, item_id, quantity, unit_price }: LineRow) -> Result<Self, StoreError> {
        let subtotal = unit_price.checked_mul(quantity);
        let subtotal = subtotal.ok_or_else(|| StoreError::new("the subtotal of a line is out of range"))?;
        Ok(Self { id, item_id, quantity, unit_price, subtotal })
    }
}

/// Serialises lines as the value of an attribute.
pub fn attribute(lines: &Lines) -> Result<AttributeValue, StoreError> {
    let rows: Vec<LineRow> = lines.as_slice().iter().map(LineRow::from).collect();
    serde_dynamo::to_attribute_value(rows).map_err(StoreError::new)
}
