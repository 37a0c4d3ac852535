//! Every order of the table, for whoever checks the books.

use async_trait::async_trait;
use erp_aws::Key;
use erp_aws::table::{Row, read};
use erp_aws::transaction::text;
use erp_contracts::{Place, StoreError};
use erp_domain::Id;
use erp_domain::order::Order;
use serde::Deserialize;

use super::row::OrderRow;
use super::{DynamoStore, keys};
use crate::audit::{Audit, Audited, Entry};

/// Orders, without their events and the kept answers.
const ORDERS: &str = "#sk = :order";

/// A row that is an order, or at least says which.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OrderOrId {
    Order(Box<OrderRow>),
    Id { id: Id<Order> },
}

impl DynamoStore {
    fn audited(&self, row: OrderRow) -> Result<Audited, StoreError> {
        let stock_sequence = row.stock_sequence();
        Ok(Audited { order: row.into_order(self.kind)?, stock_sequence })
    }

    fn entry(&self, row: Row) -> Result<Entry, StoreError> {
        let key = Key::of(&row)?;
        let audited = read(row).and_then(|row| self.audited(row));
        Ok(match audited {
            Ok(audited) => Entry::Order(Box::new(audited)),
            Err(error) => Entry::Unreadable {
                key: format!("{} / {}", key.pk, key.sk),
                reason: match error {
                    StoreError::Unavailable(cause) => cause.to_string(),
                    other => other.to_string(),
                },
            },
        })
    }
}

#[async_trait]
impl Audit for DynamoStore {
    async fn page(&self, after: Option<&Place>) -> Result<(Vec<Entry>, Option<Place>), StoreError> {
        let values = [(":order", text("ORDER"))];
        let (rows, more) = self.table.scan(ORDERS, &values, after.map(Key::from).as_ref()).await?;
        let entries = rows.into_iter().map(|row| self.entry(row)).collect::<Result<_, _>>()?;
        Ok((entries, more.map(Place::from)))
    }

    async fn find_all(&self, ids: &[Id<Order>]) -> Result<Vec<(Id<Order>, Option<Audited>)>, StoreError> {
        let keys: Vec<Key> = ids.iter().map(|id| keys::order(*id)).collect();
        let rows: Vec<OrderOrId> = self.table.get_all(&keys).await?;
        let found = rows.into_iter().map(|row| match row {
            OrderOrId::Order(row) => (row.id(), self.audited(*row).ok()),
            OrderOrId::Id { id } => (id, None),
        });
        Ok(found.collect())
    }
}
