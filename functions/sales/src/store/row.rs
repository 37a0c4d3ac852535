//! Rows of the sales table.

use erp_aws::StoreError;
use erp_domain::{Money, OrderId, PartyId, Timestamp, minor_units};
use serde::{Deserialize, Serialize};

use crate::domain::{OrderSummary, SalesOrder, SalesStatus, StockStatus};

/// The row of an order.
pub(crate) type OrderRow = erp_orders::row::OrderRow<Attributes>;

/// The attributes of an order besides its keys and lines.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attributes {
    #[serde(flatten)]
    summary: SummaryRow,
    /// The sequence of the decision in `stock_status`; 0 before the first one.
    pub(crate) stock_sequence: u64,
}

/// An order as the entry of an index.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SummaryRow(#[serde(with = "SummaryAttributes")] pub(super) OrderSummary);

/// The attributes of an order that the indexes project (`NonKeyAttributes` in `template.yaml`).
#[derive(Serialize, Deserialize)]
#[serde(remote = "OrderSummary")]
struct SummaryAttributes {
    id: OrderId,
    #[serde(rename = "party_id")]
    customer_id: PartyId,
    status: SalesStatus,
    stock_status: StockStatus,
    #[serde(rename = "total", with = "minor_units")]
    total_amount: Money,
    currency: String,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<&SalesOrder> for OrderRow {
    fn from(order: &SalesOrder) -> Self {
        let summary = order.summary().clone();
        let (id, status, customer_id) = (summary.id, summary.status, summary.customer_id);
        let attributes = Attributes { summary: SummaryRow(summary), stock_sequence: 0 };
        Self::new(id, status, customer_id, order.lines(), attributes)
    }
}

impl TryFrom<OrderRow> for SalesOrder {
    type Error = StoreError;
    fn try_from(row: OrderRow) -> Result<Self, StoreError> {
        let (attributes, lines) = row.into_parts(|attributes| attributes.summary.0.total_amount)?;
        Ok(Self::restore(attributes.summary.0, lines))
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

    fn order() -> SalesOrder {
        let ids: &dyn Ids = &RandomIds;
        let quantity = Quantity::new(3).unwrap();
        let line = NewLine { item_id: ids.make(), quantity, unit_price: Money::from_minor(150).unwrap() };
        let lines = Lines::new(&[line, line], ids).unwrap();
        SalesOrder::draft(ids.make(), ids.make(), lines, &"USD".parse().unwrap(), SystemClock.now())
    }

    #[test]
    fn access_patterns() {
        let id: OrderId = Id::new("01890000-0000-7000-8000-000000000005".parse().unwrap());
        let customer_id = Id::new("01890000-0000-7000-8000-000000000006".parse().unwrap());
        let rows = [
            ("an order by its id, with its lines", keys::order(id)),
            ("the history of an order, oldest first", Key::new(keys::order(id).pk, event_sk(id.uuid()))),
            ("orders, newest first (index list)", Key::new(shard(keys::LIST, id.uuid()), id.to_string())),
            (
                "orders of a status, newest first (index status)",
                Key::new(shard(&keys::status(SalesStatus::Draft), id.uuid()), id.to_string()),
            ),
            (
                "orders of a customer, newest first, any or one status (index party)",
                Key::new(keys::party(customer_id), id.to_string()),
            ),
        ];
        let table: String = rows.map(|(use_, key)| format!("{use_}: {} / {}\n", key.pk, key.sk)).concat();
        assert_eq!(
            table,
            "an order by its id, with its lines: ORDER#01890000-0000-7000-8000-000000000005 / ORDER\n\
             the history of an order, oldest first: ORDER#01890000-0000-7000-8000-000000000005 / EVENT#01890000-0000-7000-8000-000000000005\n\
             orders, newest first (index list): ORDERS#1 / 01890000-0000-7000-8000-000000000005\n\
             orders of a status, newest first (index status): STATUS#draft#1 / 01890000-0000-7000-8000-000000000005\n\
             orders of a customer, newest first, any or one status (index party): PARTY#01890000-0000-7000-8000-000000000006 / 01890000-0000-7000-8000-000000000005\n"
        );
        assert!(!keys::order(id).sk.starts_with(EVENT_PREFIX), "the row of an order is not an event row");
    }

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let order = order();
        let mut row: Row = write(&OrderRow::from(&order)).unwrap();
        assert_eq!(row["total"], AttributeValue::N("900".to_owned()));
        assert_eq!(row["lines"], erp_orders::row::attribute(order.lines()).unwrap());
        assert_eq!(SalesOrder::try_from(read::<OrderRow>(row.clone()).unwrap()).unwrap(), order);
        row.insert("total".to_owned(), AttributeValue::N("901".to_owned()));
        assert!(SalesOrder::try_from(read::<OrderRow>(row).unwrap()).is_err(), "its lines sum up to 900");
    }

    #[test]
    fn the_indexes_project_what_a_list_shows() {
        let row: Row = write(&SummaryRow(order().summary().clone())).unwrap();
        let summary: BTreeSet<&str> = row.keys().map(String::as_str).collect();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");
        let template = std::fs::read_to_string(path).unwrap();
        let (_, table) = template.split_once("\n  SalesTable:\n").unwrap();
        let (table, _) = table.split_once("\n\n").unwrap();
        let projected: Vec<BTreeSet<&str>> = table
            .lines()
            .filter_map(|line| line.trim().strip_prefix("NonKeyAttributes: [")?.strip_suffix(']'))
            .map(|names| names.split(", ").collect())
            .collect();
        assert_eq!(projected.len(), 3, "list, status and party of SalesTable");
        for names in projected {
            assert_eq!(names, summary, "make NonKeyAttributes in template.yaml equal to SummaryRow");
        }
    }
}
