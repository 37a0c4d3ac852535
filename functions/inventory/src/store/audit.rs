//! Everything in the table, for whoever checks the books.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::Key;
use erp_aws::table::{Row, read};
use erp_aws::transaction::text;
use erp_contracts::{Place, StoreError};
use erp_domain::item::Item;
use erp_domain::order::Order;
use erp_domain::stock::{Allocation, Movement};
use erp_domain::{Id, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::row::{AllocationRow, MovementRow, WaitingRow};
use super::{DynamoStore, keys};
use crate::audit::{Audit, Balance, Entry, Level};

/// Neither events nor guards nor kept answers.
const BOOKS: &str = "#sk = :item OR #sk = :stock OR #sk = :allocation OR begins_with(#sk, :movement)";
const ALLOCATIONS: &str = "#sk = :allocation";
/// Movements that are read at once.
const MOVEMENTS: usize = 1000;
/// How often a balance is read anew because the stock changed meanwhile.
const ROUNDS: usize = 5;

/// The stock as it is, even if it is what it must not be.
#[derive(Debug, Deserialize)]
struct LevelRow {
    item_id: Id<Item>,
    quantity: i64,
    sequence: u64,
    updated_at: Timestamp,
}

impl From<LevelRow> for Level {
    fn from(row: LevelRow) -> Self {
        let LevelRow { item_id, quantity, sequence, updated_at } = row;
        Self { item_id, quantity, sequence, updated_at }
    }
}

/// A row, whether or not it can be read: one that cannot must not keep the others from being looked at.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Readable<T> {
    Yes(T),
    No {
        #[expect(dead_code, reason = "every row has one, so this fits whatever the other does not")]
        sk: String,
    },
}

impl<T> Readable<T> {
    fn yes(self) -> Option<T> {
        match self {
            Self::Yes(row) => Some(row),
            Self::No { .. } => None,
        }
    }
}

/// Whose row it is.
#[derive(Debug, Deserialize)]
struct ItemId {
    id: Id<Item>,
}

/// A movement, without what nobody sums up.
#[derive(Debug, Deserialize)]
struct Change {
    sk: String,
    item_id: Id<Item>,
    change: i64,
}

/// A movement by its identity.
#[derive(Debug, Deserialize)]
struct Written {
    item_id: Id<Item>,
    id: Uuid,
}

/// A row that is an allocation, or at least says whose.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum AllocationOrId {
    Allocation(Box<AllocationRow>),
    Id { order_id: Id<Order> },
}

/// A place in a line.
#[derive(Debug, Deserialize)]
struct InLine {
    pk: String,
}

fn entry(row: Row) -> Result<Entry, StoreError> {
    fn row_as<T: DeserializeOwned>(row: Row, entry: impl FnOnce(T) -> Entry) -> Result<Entry, StoreError> {
        read(row).map(entry)
    }
    let key = Key::of(&row)?;
    let read = match key.sk.as_str() {
        "ITEM" => row_as::<ItemId>(row, |row| Entry::Item(row.id)),
        "STOCK" => row_as::<LevelRow>(row, |row| Entry::Stock(row.into())),
        "ALLOCATION" => row_as::<AllocationRow>(row, |row| Entry::Allocation(row.into())),
        _ => row_as::<Change>(row, |row| Entry::Movement { item_id: row.item_id, change: row.change }),
    };
    Ok(read.unwrap_or_else(|error| Entry::Unreadable {
        key: format!("{} / {}", key.pk, key.sk),
        reason: match error {
            StoreError::Unavailable(cause) => cause.to_string(),
            other => other.to_string(),
        },
    }))
}

/// The stock that there is, if any; nothing if it cannot be read.
fn readable(row: Option<Readable<LevelRow>>) -> Option<Option<Level>> {
    match row {
        None => Some(None),
        Some(row) => row.yes().map(|row| Some(row.into())),
    }
}

impl DynamoStore {
    async fn part(
        &self,
        filter: &str,
        values: &[(&str, AttributeValue)],
        after: Option<&Place>,
    ) -> Result<(Vec<Entry>, Option<Place>), StoreError> {
        let (rows, more) = self.table.scan(filter, values, after.map(Key::from).as_ref()).await?;
        let entries = rows.into_iter().map(entry).collect::<Result<_, _>>()?;
        Ok((entries, more.map(Place::from)))
    }

    async fn level(&self, item_id: Id<Item>) -> Result<Option<Readable<LevelRow>>, StoreError> {
        self.table.get(&keys::stock(item_id)).await
    }
}

#[async_trait]
impl Audit for DynamoStore {
    async fn page(&self, after: Option<&Place>) -> Result<(Vec<Entry>, Option<Place>), StoreError> {
        let values = [
            (":item", text("ITEM")),
            (":stock", text("STOCK")),
            (":allocation", text("ALLOCATION")),
            (":movement", text(keys::MOVEMENT_PREFIX)),
        ];
        self.part(BOOKS, &values, after).await
    }

    async fn allocations_page(
        &self,
        after: Option<&Place>,
    ) -> Result<(Vec<Entry>, Option<Place>), StoreError> {
        self.part(ALLOCATIONS, &[(":allocation", text("ALLOCATION"))], after).await
    }

    async fn balance(&self, item_id: Id<Item>) -> Result<Option<Balance>, StoreError> {
        let partition = keys::partition(item_id);
        for _ in 0..ROUNDS {
            let Some(level) = readable(self.level(item_id).await?) else { return Ok(None) };
            let (mut movements, mut sum) = (0, 0);
            let mut after = None;
            loop {
                let rows: Vec<Readable<Change>> =
                    self.table.query_prefix(&partition, keys::MOVEMENT_PREFIX, after, MOVEMENTS).await?;
                let full = rows.len() == MOVEMENTS;
                after = None;
                for row in rows {
                    let Readable::Yes(row) = row else { return Ok(None) };
                    movements += 1;
                    sum += i128::from(row.change);
                    after = Some(row.sk);
                }
                if !full {
                    break;
                }
            }
            if readable(self.level(item_id).await?) == Some(level) {
                return Ok(Some(Balance { level, movements, sum }));
            }
        }
        Ok(None)
    }

    async fn levels(&self, items: &[Id<Item>]) -> Result<Vec<Level>, StoreError> {
        let keys: Vec<Key> = items.iter().map(|id| keys::stock(*id)).collect();
        let rows: Vec<Readable<LevelRow>> = self.table.get_all(&keys).await?;
        Ok(rows.into_iter().filter_map(Readable::yes).map(Level::from).collect())
    }

    async fn allocations(
        &self,
        orders: &[Id<Order>],
    ) -> Result<Vec<(Id<Order>, Option<Allocation>)>, StoreError> {
        let keys: Vec<Key> = orders.iter().map(|id| keys::allocation(*id)).collect();
        let rows: Vec<AllocationOrId> = self.table.get_all(&keys).await?;
        let found = rows.into_iter().map(|row| match row {
            AllocationOrId::Allocation(row) => {
                let allocation = Allocation::from(*row);
                (allocation.order_id, Some(allocation))
            }
            AllocationOrId::Id { order_id } => (order_id, None),
        });
        Ok(found.collect())
    }

    async fn written(&self, movements: &[Movement]) -> Result<Vec<(Id<Item>, Uuid)>, StoreError> {
        let keys: Vec<Key> = movements.iter().map(|movement| MovementRow::from(movement).key()).collect();
        let rows: Vec<Readable<Written>> = self.table.get_all(&keys).await?;
        Ok(rows.into_iter().filter_map(Readable::yes).map(|row| (row.item_id, row.id)).collect())
    }

    async fn lines(&self, allocation: &Allocation) -> Result<Vec<Id<Item>>, StoreError> {
        let keys: Vec<Key> = WaitingRow::of(allocation).map(|row| row.key()).collect();
        let rows: Vec<InLine> = self.table.get_all(&keys).await?;
        let there = |id: &Id<Item>| rows.iter().any(|row| row.pk == keys::partition(*id));
        Ok(allocation.demand.keys().copied().filter(there).collect())
    }
}
