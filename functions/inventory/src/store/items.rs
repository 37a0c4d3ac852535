//! Items, their stock and their movements.

use std::collections::HashMap;

use async_trait::async_trait;
use erp_aws::list::{List, shards};
use erp_aws::metric::{self, Metric};
use erp_aws::outbox::EventRow;
use erp_aws::table::{NOT_THERE, THERE};
use erp_aws::transaction::{number, text};
use erp_aws::{Change, Key, Transaction, TransactionError, answers};
use erp_contracts::{Along, Page, Rows, StoreError};
use erp_domain::item::Item;
use erp_domain::stock::{Movement, Stock};
use erp_domain::{Id, StockLevel};

use super::row::{GuardRow, ItemOrStock, ItemRow, MovementRow, StockRow};
use super::{DynamoStore, keys};
use crate::ports::{Conflict, ItemStore};

/// The item is still at the version that was read.
const SAME_VERSION: &str = "#version = :version";
/// The stock has not moved since it was read.
const SAME_SEQUENCE: &str = "#sequence = :sequence";
/// The SKU is held by this item.
const HELD_BY: &str = "#id = :id";

/// The actions of a write, by what their conditions are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Item,
    Stock,
    Movement,
    TakeSku,
    FreeSku,
    Event,
    Answer,
}

/// Which condition it was. The answer comes first: when it is there, this very request was carried out before, and
/// that is why the others do not hold.
fn conflict(error: TransactionError<Action>) -> StoreError<Conflict> {
    if error.failed(&Action::Answer) {
        StoreError::Answered
    } else if error.failed(&Action::Item) || error.failed(&Action::Stock) {
        StoreError::Conflict(Conflict::Stale)
    } else if error.failed(&Action::TakeSku) {
        StoreError::Conflict(Conflict::SkuTaken)
    } else {
        error.into()
    }
}

impl DynamoStore {
    fn take_sku(
        &self,
        transaction: &mut Transaction<Action>,
        item: &Item,
    ) -> Result<(), StoreError<Conflict>> {
        let Key { pk, sk } = keys::sku(&item.details.sku);
        transaction.put(Action::TakeSku, &self.table, &GuardRow { pk, sk, id: item.id }, NOT_THERE)
    }

    fn free_sku(
        &self,
        transaction: &mut Transaction<Action>,
        item: &Item,
    ) -> Result<(), StoreError<Conflict>> {
        let key = keys::sku(&item.details.sku);
        let values = vec![(":id", text(item.id))];
        let change = Change { key, update: String::new(), condition: HELD_BY, values };
        transaction.delete(Action::FreeSku, &self.table, change)
    }

    async fn commit(
        &self,
        mut transaction: Transaction<Action>,
        id: Id<Item>,
        along: &Along,
    ) -> Result<(), StoreError<Conflict>> {
        if let Some(event) = &along.event {
            let row = EventRow::to_publish::<Conflict>(&keys::partition(id), event)?;
            transaction.put(Action::Event, &self.table, &row, NOT_THERE)?;
        }
        if let Some(record) = &along.record {
            answers::add(&mut transaction, Action::Answer, &self.table, record)?;
        }
        if transaction.is_empty() {
            return Ok(());
        }
        transaction.commit(&self.table).await.map_err(conflict)
    }
}

#[async_trait]
impl ItemStore for DynamoStore {
    async fn find(&self, id: Id<Item>) -> Result<Option<(Item, Stock)>, StoreError> {
        Ok(self.find_all(&[id]).await?.pop())
    }

    async fn find_all(&self, ids: &[Id<Item>]) -> Result<Vec<(Item, Stock)>, StoreError> {
        let keys: Vec<Key> = ids.iter().flat_map(|id| [keys::item(*id), keys::stock(*id)]).collect();
        let mut items = Vec::new();
        let mut stocks = HashMap::new();
        for row in self.table.get_all(&keys).await? {
            match row {
                ItemOrStock::Item(row) => items.push(row.into_item()?),
                ItemOrStock::Stock(row) => {
                    let stock = row.into_stock()?;
                    stocks.insert(stock.item_id, stock);
                }
            }
        }
        let with_stock = items.into_iter().map(|item| match stocks.remove(&item.id) {
            Some(stock) => Ok((item, stock)),
            None => Err(StoreError::unavailable("an item has no stock row")),
        });
        with_stock.collect()
    }

    async fn list(&self, page: Page) -> Result<Rows<Item>, StoreError> {
        let partitions = shards(keys::ITEMS);
        let list = List { table: &self.table, index: Some("list"), partitions, prefix: "", filter: None };
        let Rows { rows, next } = list.page::<ItemRow>(page).await?;
        let rows = rows.into_iter().map(ItemRow::into_item).collect::<Result<_, _>>()?;
        Ok(Rows { rows, next })
    }

    async fn movements(&self, id: Id<Item>, page: Page) -> Result<Rows<Movement>, StoreError> {
        let partitions = vec![keys::partition(id)];
        let list =
            List { table: &self.table, index: None, partitions, prefix: keys::MOVEMENT_PREFIX, filter: None };
        let Rows { rows, next } = list.page::<MovementRow>(page).await?;
        Ok(Rows { rows: rows.into_iter().map(Movement::from).collect(), next })
    }

    async fn insert(&self, item: &Item, along: &Along) -> Result<(), StoreError<Conflict>> {
        let stock =
            Stock { item_id: item.id, quantity: StockLevel::ZERO, sequence: 0, updated_at: item.created_at };
        let mut transaction = Transaction::new();
        transaction.put(Action::Item, &self.table, &ItemRow::from(item), NOT_THERE)?;
        transaction.put(Action::Stock, &self.table, &StockRow::from(&stock), NOT_THERE)?;
        self.take_sku(&mut transaction, item)?;
        self.commit(transaction, item.id, along).await
    }

    async fn replace(&self, old: &Item, new: &Item, along: &Along) -> Result<(), StoreError<Conflict>> {
        let mut transaction = Transaction::new();
        let version = vec![(":version", number(old.version))];
        transaction.put_with(Action::Item, &self.table, &ItemRow::from(new), SAME_VERSION, version)?;
        if old.details.sku != new.details.sku {
            self.take_sku(&mut transaction, new)?;
            self.free_sku(&mut transaction, old)?;
        }
        self.commit(transaction, new.id, along).await
    }

    async fn delete(&self, item: &Item, along: &Along) -> Result<(), StoreError<Conflict>> {
        let mut transaction = Transaction::new();
        let values = vec![(":version", number(item.version))];
        let gone =
            Change { key: keys::item(item.id), update: String::new(), condition: SAME_VERSION, values };
        transaction.delete(Action::Item, &self.table, gone)?;
        self.free_sku(&mut transaction, item)?;
        self.commit(transaction, item.id, along).await
    }

    async fn adjust(
        &self,
        stock: &Stock,
        movement: Option<&Movement>,
        along: &Along,
    ) -> Result<(), StoreError<Conflict>> {
        let mut transaction = Transaction::new();
        if let Some(movement) = movement {
            let there = Change {
                key: keys::item(stock.item_id),
                update: String::new(),
                condition: THERE,
                values: vec![],
            };
            transaction.check(Action::Item, &self.table, there)?;
            let change = Change {
                key: keys::stock(stock.item_id),
                update:
                    "SET #quantity = #quantity + :change, #sequence = #sequence + :one, #updated_at = :at"
                        .into(),
                condition: SAME_SEQUENCE,
                values: vec![
                    (":change", number(movement.change)),
                    (":one", number(1)),
                    (":at", text(movement.at)),
                    (":sequence", number(stock.sequence)),
                ],
            };
            transaction.update(Action::Stock, &self.table, change)?;
            transaction.put(Action::Movement, &self.table, &MovementRow::from(movement), NOT_THERE)?;
        }
        self.commit(transaction, stock.item_id, along).await?;
        if movement.is_some() {
            metric::count(Metric::StockMovements);
        }
        Ok(())
    }
}
