//! Rows of the purchase table.

use erp_aws::StoreError;
use erp_domain::{Money, OrderId, PartyId, Timestamp, minor_units};
use serde::{Deserialize, Serialize};

use crate::domain::{OrderSummary, PurchaseOrder, PurchaseStatus};

/// The row of an order.
pub(crate) type OrderRow = erp_orders::row::OrderRow<SummaryRow>;

/// An order as the entry of an index.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SummaryRow(#[serde(with = "SummaryAttributes")] pub(super) OrderSummary);

/// The attributes of an order that the indexes project (`NonKeyAttributes` in `template.yaml`).
#[derive(Serialize, Deserialize)]
#[serde(remote = "OrderSummary")]
struct SummaryAttributes {
    id: OrderId,
    #[serde(rename = "party_id")]
    vendor_id: PartyId,
    status: PurchaseStatus,
    #[serde(rename = "total", with = "minor_units")]
    total_amount: Money,
    currency: String,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<&PurchaseOrder> for OrderRow {
    fn from(order: &PurchaseOrder) -> Self {
        let summary = order.summary().clone();
        let (id, status, vendor_id) = (summary.id, summary.status, summary.vendor_id);
        Self::new(id, status, vendor_id, order.lines(), SummaryRow(summary))
    }
}

impl TryFrom<OrderRow> for PurchaseOrder {
    type Error = StoreError;
    fn try_from(row: OrderRow) -> Result<Self, StoreError> {
        let (SummaryRow(summary), lines) = row.into_parts(|SummaryRow(summary)| summary.total_amount)?;
        Ok(Self::restore(summary, lines))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aws_sdk_dynamodb::types::AttributeValue;
    use erp_aws::Key;
    use erp_aws::list::shard;
    use erp_aws::outbox::{EVENT_PREFIX, event_sk};
    use erp_aws::table::{Row, read, write};
    use erp_domain::time::{RandomIds, SystemClock};
    use erp_domain::{Clock, Id, Ids, Quantity};
    use erp_orders::{Lines, NewLine, keys};

    use super::*;

    fn order() -> PurchaseOrder {
        let ids: &dyn Ids = &RandomIds;
        let quantity = Quantity::new(3).unwrap();
        let line = NewLine { item_id: ids.make(), quantity, unit_price: Money::from_minor(150).unwrap() };
        let lines = Lines::new(&[line, line], ids).unwrap();
        PurchaseOrder::draft(ids.make(), ids.make(), lines, &"USD".parse().unwrap(), SystemClock.now())
    }

    #[test]
    fn access_patterns() {
        let id: OrderId = Id::new("01890000-0000-7000-8000-000000000005".parse().unwrap());
        let vendor_id = Id::new("01890000-0000-7000-8000-000000000006".parse().unwrap());
        let rows = [
            ("an order by its id, with its lines", keys::order(id)),
            ("the history of an order, oldest first", Key::new(keys::order(id).pk, event_sk(id.uuid()))),
            ("orders, newest first (index list)", Key::new(shard(keys::LIST, id.uuid()), id.to_string())),
            (
                "orders of a status, newest first (index status)",
                Key::new(shard(&keys::status(PurchaseStatus::Draft), id.uuid()), id.to_string()),
            ),
            (
                "orders of a vendor, newest first, any or one status (index party)",
                Key::new(keys::party(vendor_id), id.to_string()),
            ),
        ];
        let table: String = rows.map(|(use_, key)| format!("{use_}: {} / {}\n", key.pk, key.sk)).concat();
        assert_eq!(
            table,
            "an order by its id, with its lines: ORDER#01890000-0000-7000-8000-000000000005 / ORDER\n\
             the history of an order, oldest first: ORDER#01890000-0000-7000-8000-000000000005 / EVENT#01890000-0000-7000-8000-000000000005\n\
             orders, newest first (index list): ORDERS#1 / 01890000-0000-7000-8000-000000000005\n\
             orders of a status, newest first (index status): STATUS#draft#1 / 01890000-0000-7000-8000-000000000005\n\
             orders of a vendor, newest first, any or one status (index party): PARTY#01890000-0000-7000-8000-000000000006 / 01890000-0000-7000-8000-000000000005\n"
        );
        assert!(!keys::order(id).sk.starts_with(EVENT_PREFIX), "the row of an order is not an event row");
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
        let row: Row = write(&SummaryRow(order().summary().clone())).unwrap();
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
