//! Use cases of items, and of adjustments of their stock.

use std::sync::Arc;

use erp_aws::{Page, PageRequest, Transaction};
use erp_contracts::data::{ItemChanged, StockAdjusted};
use erp_contracts::{Cause, Event, EventError, EventKind};
use erp_domain::{Clock, Ids, ItemId};
use erp_service::{Change, Precondition, ServiceError};

use crate::domain::{Adjustment, Item, ItemDetails, ItemError, Movement, MovementKind, Stock};
use crate::store::{InventoryStore, ItemChange};

type Result<T> = std::result::Result<T, ServiceError<ItemError>>;

/// Items and their stock.
#[derive(Clone)]
pub struct Items {
    /// The inventory table.
    pub store: InventoryStore,
    /// The source of times.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub ids: Arc<dyn Ids>,
}

impl Items {
    /// Returns an item with its stock.
    ///
    /// # Errors
    /// [`ItemError::NotFound`].
    pub async fn get(&self, id: ItemId) -> Result<(Item, Stock)> {
        self.store.find(id).await?.ok_or(ServiceError::Rejected(ItemError::NotFound))
    }

    /// Returns a page of the movements of an item, newest first.
    ///
    /// # Errors
    /// [`ItemError::NotFound`].
    pub async fn movements(&self, id: ItemId, page: PageRequest) -> Result<Page<Movement>> {
        self.get(id).await?;
        Ok(self.store.movements(id, page).await?)
    }

    /// Creates an item.
    ///
    /// # Errors
    /// [`ItemError::SkuTaken`], once the change is saved.
    pub async fn create(&self, details: ItemDetails, cause: &Cause) -> Result<ItemChange> {
        let item = Item::create(self.ids.make(), details, self.clock.now());
        Ok(self.store.insert(&item, &self.event(EventKind::ItemCreated, &item, cause)?)?)
    }

    /// Replaces the details of an item.
    ///
    /// # Errors
    /// [`ItemError::NotFound`], [`ItemError::VersionMismatch`]; [`ItemError::SkuTaken`], once the change is saved.
    pub async fn update(
        &self,
        id: ItemId,
        details: ItemDetails,
        precondition: &Precondition,
        cause: &Cause,
    ) -> Result<ItemChange> {
        let (old, _) = self.expected(id, precondition).await?;
        let new = old.update(details, self.clock.now());
        Ok(self.store.replace(&old, &new, &self.event(EventKind::ItemUpdated, &new, cause)?)?)
    }

    /// Deletes an item that has no stock and that no order needs.
    ///
    /// # Errors
    /// [`ItemError::NotFound`], [`ItemError::VersionMismatch`], [`ItemError::InUse`].
    pub async fn delete(&self, id: ItemId, precondition: &Precondition, cause: &Cause) -> Result<ItemChange> {
        let (item, stock) = self.expected(id, precondition).await?;
        stock.check_unused().map_err(ServiceError::Rejected)?;
        Ok(self.store.delete(&item, &self.event(EventKind::ItemDeleted, &item, cause)?)?)
    }

    /// Adjusts the stock of an item. The worker fulfils back-orders from what it adds, as from a receipt.
    ///
    /// # Errors
    /// [`ItemError::NotFound`], [`ItemError::VersionMismatch`], and those of [`Stock::adjust`].
    pub async fn adjust(
        &self,
        id: ItemId,
        adjustment: Adjustment,
        reason: Option<String>,
        precondition: &Precondition,
        cause: &Cause,
    ) -> Result<Change<Stock, ItemError>> {
        let (_, old) = self.get(id).await?;
        check(precondition, old.sequence())?;
        let adjusted = old.adjust(adjustment, self.clock.now()).map_err(ServiceError::Rejected)?;
        let Some((new, change)) = adjusted else { return Ok(Change::new(old, Transaction::new())) };
        let (event_id, change, at) = (self.ids.next(), change.get(), new.updated_at());
        let data =
            StockAdjusted { item_id: id, change, quantity: new.quantity().get(), reason: reason.clone() };
        let event = Event::new(event_id, EventKind::StockAdjusted, id, at, cause, &data)?;
        let kind = MovementKind::Adjusted;
        let movement = Movement { id: event_id, item_id: id, change, kind, order_id: None, reason, at };
        Ok(self.store.adjust(&old, &new, &movement, &event)?)
    }

    async fn expected(&self, id: ItemId, precondition: &Precondition) -> Result<(Item, Stock)> {
        let (item, stock) = self.get(id).await?;
        check(precondition, item.version())?;
        Ok((item, stock))
    }

    fn event(&self, kind: EventKind, item: &Item, cause: &Cause) -> std::result::Result<Event, EventError> {
        Event::new(self.ids.next(), kind, item.id(), self.clock.now(), cause, &ItemChanged::from(item))
    }
}

fn check(precondition: &Precondition, version: u64) -> Result<()> {
    precondition.check(version).map_err(|found| ServiceError::Rejected(ItemError::VersionMismatch(found)))
}
