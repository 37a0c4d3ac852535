//! Rows of the purchase table.

use erp_aws::{StoreError, list};
use erp_domain::{Money, OrderId, PartyId, Timestamp};
use erp_orders::row::LineRow;
use serde::{Deserialize, Serialize};

use super::keys;
use crate::domain::{OrderSummary, PurchaseOrder, PurchaseStatus};

/// An order with its lines.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OrderRow {
    pk: String,
    sk: String,
    list_pk: String,
    list_sk: OrderId,
    status_pk: String,
    status_sk: OrderId,
    party_pk: String,
    party_sk: OrderId,
    #[serde(flatten)]
    summary: SummaryRow,
    lines: Vec<LineRow>,
}

/// The attributes of an order that the indexes project (`NonKeyAttributes` in `template.yaml`).
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SummaryRow {
    id: OrderId,
    party_id: PartyId,
    status: PurchaseStatus,
    /// Minor units.
    total: i64,
    currency: String,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl OrderRow {
    pub(crate) fn id(&self) -> OrderId {
        self.summary.id
    }
}

/// Returns the partition of an order in the index `status`.
pub(super) fn status_pk(order: &PurchaseOrder) -> String {
    list::shard(&keys::status(order.status()), order.id().uuid())
}

impl From<&PurchaseOrder> for OrderRow {
    fn from(order: &PurchaseOrder) -> Self {
        let (summary, id) = (order.summary(), order.id());
        let key = keys::order(id);
        Self {
            pk: key.pk,
            sk: key.sk,
            list_pk: list::shard(keys::LIST, id.uuid()),
            list_sk: id,
            status_pk: status_pk(order),
            status_sk: id,
            party_pk: keys::vendor(summary.vendor_id),
            party_sk: id,
            summary: SummaryRow {
                id,
                party_id: summary.vendor_id,
                status: summary.status,
                total: summary.total_amount.minor(),
                currency: summary.currency.clone(),
                version: summary.version,
                created_at: summary.created_at,
                updated_at: summary.updated_at,
            },
            lines: LineRow::from_lines(order.lines()),
        }
    }
}

impl TryFrom<SummaryRow> for OrderSummary {
    type Error = StoreError;
    fn try_from(row: SummaryRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            vendor_id: row.party_id,
            status: row.status,
            total_amount: Money::from_minor(row.total).map_err(StoreError::new)?,
            currency: row.currency,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl TryFrom<OrderRow> for PurchaseOrder {
    type Error = StoreError;
    fn try_from(row: OrderRow) -> Result<Self, StoreError> {
        let (summary, lines) = (OrderSummary::try_from(row.summary)?, LineRow::into_lines(row.lines)?);
        if summary.total_amount != lines.total() {
            return Err(StoreError::new("the total of an order is not the sum of its lines"));
        }
        Ok(Self::restore(summary, lines))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aws_sdk_dynamodb::types::AttributeValue;
    use erp_aws::table::{Row, read, write};
    use erp_domain::time::{RandomIds, SystemClock};
    use erp_domain::{Clock, Ids, Quantity};
    use erp_orders::{Lines, NewLine};

    use super::*;

    fn order() -> PurchaseOrder {
        let ids: &dyn Ids = &RandomIds;
        let quantity = Quantity::new(3).unwrap();
        let line = NewLine { item_id: ids.make(), quantity, unit_price: Money::from_minor(150).unwrap() };
        let lines = Lines::new(&[line, line], ids).unwrap();
        PurchaseOrder::draft(ids.make(), ids.make(), lines, &"USD".parse().unwrap(), SystemClock.now())
    }

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let order = order();
        let mut row: Row = write(&OrderRow::from(&order)).unwrap();
        assert_eq!(row["total"], AttributeValue::N("900".to_owned()));
        assert_eq!(row["lines"], erp_orders::row::attribute(order.lines()).unwrap());
        assert_eq!(PurchaseOrder::try_from(read::<OrderRow>(row.clone()).unwrap()).unwrap(), order);
        row.insert("total".to_owned(), AttributeValue::N("901".to_owned()));
        assert!(PurchaseOrder::try_from(read::<OrderRow>(row).unwrap()).is_err(), "its lines sum up to 900");
    }

    #[test]
    fn the_indexes_project_what_a_list_shows() {
        let row: Row = write(&OrderRow::from(&order()).summary).unwrap();
        let mut summary: BTreeSet<&str> = row.keys().map(String::as_str).collect();
        // Projected since purchase orders had it; the projection of an existing index cannot be changed.
        summary.insert("stock_status");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");
        let template = std::fs::read_to_string(path).unwrap();
        let (_, table) = template.split_once("\n  PurchaseTable:\n").unwrap();
        let (table, _) = table.split_once("\n\n").unwrap();
        let projected: Vec<BTreeSet<&str>> = table
            .lines()
            .filter_map(|line| line.trim().strip_prefix("NonKeyAttributes: [")?.strip_suffix(']'))
            .map(|names| names.split(", ").collect())
            .collect();
        assert_eq!(projected.len(), 3, "list, status and party of PurchaseTable");
        for names in projected {
            assert_eq!(names, summary, "make NonKeyAttributes in template.yaml equal to SummaryRow");
        }
    }
}
