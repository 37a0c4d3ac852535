//! Items, their stock and their movements.

use std::collections::HashMap;

use erp_aws::list::List;
use erp_aws::metric::Metric;
use erp_aws::table::ABSENT;
use erp_aws::transaction::{Change as RowChange, number, text};
use erp_aws::{Key, Page, PageRequest, StoreError, Transaction};
use erp_contracts::Event;
use erp_domain::ItemId;
use erp_service::{Change, OnFailure};

use super::row::{GuardRow, ItemOrStock, ItemRow, MovementRow, StockRow};
use super::{InventoryStore, keys};
use crate::domain::{Item, ItemError, Movement, Stock};

/// The item has the version that was read.
const SAME_VERSION: &str = "#version = :version";
/// The stock has not changed since it was read.
const SAME_SEQUENCE: &str = "#sequence = :sequence";
/// The item has no stock, and no order needs it. Rows written before the counters do not have them.
const UNUSED: &str = "#quantity = :zero AND (attribute_not_exists(#allocated) OR #allocated = :zero) AND (attribute_not_exists(#backordered) OR #backordered = :zero)";
/// The SKU is reserved for this item.
const RESERVED_BY: &str = "#id = :id";

/// A change of an item that is not saved yet.
pub type ItemChange = Change<Item, ItemError>;

type ItemTransaction = Transaction<OnFailure<ItemError>>;

impl InventoryStore {
    /// Reads an item and its stock, strongly consistent.
    ///
    /// # Errors
    /// If the table is unavailable, or the item has no stock row.
    pub async fn find(&self, id: ItemId) -> Result<Option<(Item, Stock)>, StoreError> {
        Ok(self.find_all(&[id]).await?.pop())
    }

    /// Reads the items that exist with their stock, strongly consistent. The ids must be distinct.
    pub async fn find_all(&self, ids: &[ItemId]) -> Result<Vec<(Item, Stock)>, StoreError> {
        let keys: Vec<Key> = ids.iter().flat_map(|id| [keys::item(*id), keys::stock(*id)]).collect();
        let mut items = Vec::new();
        let mut stocks = HashMap::new();
        for row in self.table.get_all(&keys).await? {
            match row {
                ItemOrStock::Item(row) => items.push(Item::restore(row.data)),
                ItemOrStock::Stock(StockRow { value: stock, .. }) => {
                    stocks.insert(stock.item_id(), stock);
                }
            }
        }
        let with_stock = items.into_iter().map(|item| match stocks.remove(&item.id()) {
            Some(stock) => Ok((item, stock)),
            // Also if the item is being deleted: the batch is not a snapshot. A later attempt finds neither row.
            None => Err(StoreError::new("an item has no stock row")),
        });
        with_stock.collect()
    }

    /// Reads a page of the items, newest first.
    pub async fn list(&self, page: PageRequest) -> Result<Page<Item>, StoreError> {
        let list = List::sharded(&self.table, "list", keys::ITEMS);
        list.page::<ItemRow>(page).await?.try_map(|row| Ok(Item::restore(row.data)))
    }

    /// Reads a page of the movements of an item, newest first.
    pub async fn movements(&self, id: ItemId, page: PageRequest) -> Result<Page<Movement>, StoreError> {
        let partitions = vec![keys::partition(id)];
        let list =
            List { table: &self.table, index: None, partitions, prefix: keys::MOVEMENT_PREFIX, filter: None };
        list.page::<MovementRow>(page).await?.try_map(|row| Ok(row.value))
    }

    /// Inserts a new item with an empty stock.
    pub fn insert(&self, item: &Item, event: &Event) -> Result<ItemChange, StoreError> {
        let stock = Stock::empty(item.id(), item.data().created_at);
        let stock = StockRow { key: keys::stock(item.id()), value: stock };
        let mut transaction = Transaction::new();
        transaction.put(OnFailure::Bug, &self.table, &ItemRow::from(item), ABSENT)?;
        transaction.put(OnFailure::Bug, &self.table, &stock, ABSENT)?;
        self.reserve_sku(&mut transaction, item)?;
        Change::new(item.clone(), transaction).with_event(&self.table, &keys::partition(item.id()), event)
    }

    /// Replaces an item if it still has the version of `old`. The SKU of `old` becomes free.
    pub fn replace(&self, old: &Item, new: &Item, event: &Event) -> Result<ItemChange, StoreError> {
        let mut transaction = Transaction::new();
        let version = vec![(":version", number(old.version()))];
        transaction.put_with(OnFailure::Stale, &self.table, &ItemRow::from(new), SAME_VERSION, version)?;
        if old.data().sku != new.data().sku {
            self.reserve_sku(&mut transaction, new)?;
            self.free_sku(&mut transaction, old)?;
        }
        Change::new(new.clone(), transaction).with_event(&self.table, &keys::partition(new.id()), event)
    }

    /// Deletes an item and its stock if the item has the same version and is unused, and frees its SKU. The movements
    /// stay.
    pub fn delete(&self, item: &Item, event: &Event) -> Result<ItemChange, StoreError> {
        let mut transaction = Transaction::new();
        let same = RowChange {
            key: keys::item(item.id()),
            update: String::new(),
            condition: SAME_VERSION,
            values: vec![(":version", number(item.version()))],
        };
        transaction.delete(OnFailure::Stale, &self.table, same)?;
        let unused = RowChange {
            key: keys::stock(item.id()),
            update: String::new(),
            condition: UNUSED,
            values: vec![(":zero", number(0))],
        };
        transaction.delete(OnFailure::Stale, &self.table, unused)?;
        self.free_sku(&mut transaction, item)?;
        Change::new(item.clone(), transaction).with_event(&self.table, &keys::partition(item.id()), event)
    }

    /// Changes the stock from `old` to `new` and adds the movement, if the stock has not changed since it was read.
    pub fn adjust(
        &self,
        old: &Stock,
        new: &Stock,
        movement: &Movement,
        event: &Event,
    ) -> Result<Change<Stock, ItemError>, StoreError> {
        let mut transaction = Transaction::new();
        let change = RowChange {
            key: keys::stock(old.item_id()),
            update: "SET #quantity = :quantity, #sequence = :next, #updated_at = :at, #change_id = :change"
                .into(),
            condition: SAME_SEQUENCE,
            values: vec![
                (":quantity", number(new.quantity().get())),
                (":next", number(new.sequence())),
                (":at", text(new.updated_at())),
                (":change", text(movement.id)),
                (":sequence", number(old.sequence())),
            ],
        };
        transaction.update(OnFailure::Stale, &self.table, change)?;
        transaction.put(OnFailure::Bug, &self.table, &MovementRow::from(movement.clone()), ABSENT)?;
        let change = Change::new(*new, transaction).with_metric(Metric::StockMovements, 1);
        change.with_event(&self.table, &keys::partition(old.item_id()), event)
    }

    fn reserve_sku(&self, transaction: &mut ItemTransaction, item: &Item) -> Result<(), StoreError> {
        let guard = GuardRow { key: keys::sku(&item.data().sku), id: item.id() };
        transaction.put(OnFailure::Rejected(ItemError::SkuTaken), &self.table, &guard, ABSENT)
    }

    fn free_sku(&self, transaction: &mut ItemTransaction, item: &Item) -> Result<(), StoreError> {
        let reserved = RowChange {
            key: keys::sku(&item.data().sku),
            update: String::new(),
            condition: RESERVED_BY,
            values: vec![(":id", text(item.id()))],
        };
        transaction.delete(OnFailure::Bug, &self.table, reserved)
    }
}
