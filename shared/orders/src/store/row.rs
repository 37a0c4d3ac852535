//! Rows of the sales and purchase tables.

use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::list;
use erp_contracts::StoreError;
use erp_domain::contact::Party;
use erp_domain::item::Item;
use erp_domain::order::{Line, Lines, Order, OrderKind, Status, StockStatus};
use erp_domain::{Id, LineQuantity, Money, Timestamp};
use serde::{Deserialize, Serialize};

use super::keys;
use crate::ports::Summary;

/// An order with its lines inside: one read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OrderRow {
    pk: String,
    sk: String,
    list_pk: String,
    list_sk: Id<Order>,
    status_pk: String,
    status_sk: Id<Order>,
    party_pk: String,
    party_sk: Id<Order>,
    #[serde(flatten)]
    summary: SummaryRow,
    /// The sequence of the decision that `stock_status` shows; 0 while there was none.
    stock_sequence: u64,
    lines: Vec<LineRow>,
}

/// What the indexes hold of an order besides their keys: the list of attributes in `template.yaml`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SummaryRow {
    id: Id<Order>,
    party_id: Id<Party>,
    status: Status,
    stock_status: StockStatus,
    /// Minor units.
    total: i64,
    currency: String,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
struct LineRow {
    id: Id<Line>,
    item_id: Id<Item>,
    quantity: LineQuantity,
    /// Minor units.
    unit_price: i64,
}

/// The partition of the index `status` that an order stands in.
pub(super) fn status_pk(order: &Order) -> String {
    list::shard(&keys::status(order.status), order.id.uuid())
}

/// Lines as the value of an attribute.
pub(super) fn lines<C>(lines: &Lines) -> Result<AttributeValue, StoreError<C>> {
    serde_dynamo::to_attribute_value(line_rows(lines)).map_err(StoreError::unavailable)
}

fn line_rows(lines: &Lines) -> Vec<LineRow> {
    let row = |line: &Line| LineRow {
        id: line.id,
        item_id: line.item_id,
        quantity: line.quantity,
        unit_price: line.unit_price.minor(),
    };
    lines.as_slice().iter().map(row).collect()
}

impl From<&Order> for OrderRow {
    fn from(order: &Order) -> Self {
        let key = keys::order(order.id);
        Self {
            pk: key.pk,
            sk: key.sk,
            list_pk: list::shard(keys::LIST, order.id.uuid()),
            list_sk: order.id,
            status_pk: status_pk(order),
            status_sk: order.id,
            party_pk: keys::party(order.party_id),
            party_sk: order.id,
            summary: SummaryRow {
                id: order.id,
                party_id: order.party_id,
                status: order.status,
                stock_status: order.stock_status,
                total: order.lines.total().minor(),
                currency: order.currency.clone(),
                version: order.version,
                created_at: order.created_at,
                updated_at: order.updated_at,
            },
            stock_sequence: 0,
            lines: line_rows(&order.lines),
        }
    }
}

impl SummaryRow {
    pub(super) fn into_summary(self) -> Result<Summary, StoreError> {
        Ok(Summary {
            id: self.id,
            party_id: self.party_id,
            status: self.status,
            stock_status: self.stock_status,
            total: Money::from_minor(self.total).map_err(StoreError::unavailable)?,
            currency: self.currency,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

impl LineRow {
    fn into_line(self) -> Result<Line, StoreError> {
        let unit_price = Money::from_minor(self.unit_price).map_err(StoreError::unavailable)?;
        let subtotal = unit_price.checked_mul(self.quantity);
        let subtotal = subtotal.ok_or_else(|| StoreError::unavailable("a line costs more than can be"))?;
        Ok(Line { id: self.id, item_id: self.item_id, quantity: self.quantity, unit_price, subtotal })
    }
}

impl OrderRow {
    pub(super) fn id(&self) -> Id<Order> {
        self.summary.id
    }

    pub(super) fn stock_sequence(&self) -> u64 {
        self.stock_sequence
    }

    pub(super) fn into_order(self, kind: OrderKind) -> Result<Order, StoreError> {
        let lines: Vec<Line> = self.lines.into_iter().map(LineRow::into_line).collect::<Result<_, _>>()?;
        let summary = self.summary.into_summary()?;
        Ok(Order {
            id: summary.id,
            kind,
            party_id: summary.party_id,
            status: summary.status,
            stock_status: summary.stock_status,
            lines: Lines::restore(lines, summary.total).map_err(StoreError::unavailable)?,
            currency: summary.currency,
            version: summary.version,
            created_at: summary.created_at,
            updated_at: summary.updated_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use erp_aws::table::Row;
    use erp_domain::order::NewLine;
    use erp_domain::ports::{Clock, Ids, RandomIds, SystemClock};

    fn order() -> Order {
        let ids: &dyn Ids = &RandomIds;
        let quantity = LineQuantity::new(3).unwrap();
        let line = NewLine { item_id: ids.make(), quantity, unit_price: Money::from_minor(150).unwrap() };
        let lines = Lines::price(&[line, line], ids).unwrap();
        Order::draft(ids.make(), OrderKind::Sales, ids.make(), lines, "USD".to_owned(), SystemClock.now())
    }

    #[test]
    fn an_order_comes_back_as_it_went() {
        let order = order();
        let row: Row = erp_aws::table::write::<_, ()>(&OrderRow::from(&order)).unwrap();
        assert_eq!(row["total"], AttributeValue::N("900".to_owned()));
        assert_eq!(row["lines"], lines::<()>(&order.lines).unwrap());
        let read: OrderRow = erp_aws::table::read::<_, ()>(row).unwrap();
        assert_eq!(read.into_order(OrderKind::Sales).unwrap(), order);
    }

    #[test]
    fn the_indexes_hold_what_a_list_shows() {
        let row: Row = erp_aws::table::write::<_, ()>(&OrderRow::from(&order()).summary).unwrap();
        let wanted: BTreeSet<&str> = row.keys().map(String::as_str).collect();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");
        let template = std::fs::read_to_string(path).unwrap();
        let projected: Vec<BTreeSet<&str>> = template
            .lines()
            .filter_map(|line| line.trim().strip_prefix("NonKeyAttributes: [")?.strip_suffix(']'))
            .map(|names| names.split(", ").collect())
            .collect();
        assert_eq!(projected.len(), 6, "list, status and party of SalesTable and PurchaseTable");
        for names in projected {
            assert_eq!(names, wanted, "make NonKeyAttributes in template.yaml and SummaryRow the same");
        }
    }
}
