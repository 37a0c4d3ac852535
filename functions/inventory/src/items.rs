//! Use cases of items, and of adjusting stock by hand: load, decide, save.

use std::sync::Arc;

use erp_contracts::data::{Change, ItemChanged, StockAdjusted};
use erp_contracts::{Answer, Cause, Event, EventKind, Expect, Page, Rows, StoreError, Write};
use erp_domain::item::{Item, ItemDetails};
use erp_domain::stock::{Adjustment, AdjustmentError, Movement, MovementKind, Stock};
use erp_domain::{Clock, Id, Ids, StockLevel, Timestamp};

use crate::ports::{Conflict, ItemStore};

/// How often a change is decided anew because somebody else was faster. Stock moves often.
const ROUNDS: usize = 20;

/// Why a use case refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such item.
    NotFound,
    /// Another item has the SKU.
    SkuTaken,
    /// The client means another version than this one.
    VersionMismatch(u64),
    /// The stock cannot be adjusted like that.
    Adjustment(AdjustmentError),
    /// Others change it so fast that this change does not get in.
    Busy,
}

type Result<T> = std::result::Result<T, StoreError<Refusal>>;

fn refuse<T>(refusal: Refusal) -> Result<T> {
    Err(StoreError::Conflict(refusal))
}

/// Items and their stock.
#[derive(Clone)]
pub struct Items {
    /// Where they are.
    pub store: Arc<dyn ItemStore>,
    /// When things happen.
    pub clock: Arc<dyn Clock>,
    /// What they are called.
    pub ids: Arc<dyn Ids>,
}

impl Items {
    /// One item with its stock.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn get(&self, id: Id<Item>) -> Result<(Item, Stock)> {
        let found = self.store.find(id).await.map_err(StoreError::widen)?;
        found.map_or_else(|| refuse(Refusal::NotFound), Ok)
    }

    /// A page of items.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn list(&self, page: Page) -> std::result::Result<Rows<Item>, StoreError> {
        self.store.list(page).await
    }

    /// A page of the movements of an item.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn movements(&self, id: Id<Item>, page: Page) -> Result<Rows<Movement>> {
        self.get(id).await?;
        self.store.movements(id, page).await.map_err(StoreError::widen)
    }

    /// A new item.
    ///
    /// # Errors
    /// [`Refusal::SkuTaken`].
    pub async fn create(&self, details: ItemDetails, write: Write<Item>) -> Result<Answer> {
        let now = self.clock.now();
        let item = Item::create(self.ids.make(), details, now);
        let event = self.event(Change::Created, &item, now, &write.cause)?;
        let (answer, along) = write.along(&item, Some(event), now)?;
        self.store.insert(&item, &along).await.map_err(|error| error.map(refusal))?;
        Ok(answer)
    }

    /// Other details for an item.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::VersionMismatch`], [`Refusal::SkuTaken`].
    pub async fn update(
        &self,
        id: Id<Item>,
        details: ItemDetails,
        expect: &Expect,
        write: Write<Item>,
    ) -> Result<Answer> {
        for _ in 0..ROUNDS {
            let old = self.expected(id, expect).await?;
            let now = self.clock.now();
            let new = old.update(details.clone(), now);
            let event = self.event(Change::Updated, &new, now, &write.cause)?;
            let (answer, along) = write.along(&new, Some(event), now)?;
            match self.store.replace(&old, &new, &along).await {
                Ok(()) => return Ok(answer),
                Err(StoreError::Conflict(Conflict::Stale)) => {}
                Err(error) => return Err(error.map(refusal)),
            }
        }
        refuse(Refusal::Busy)
    }

    /// No such item any more. Its SKU is free again; orders that name it keep their data.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::VersionMismatch`].
    pub async fn delete(&self, id: Id<Item>, expect: &Expect, write: Write<Item>) -> Result<Answer> {
        for _ in 0..ROUNDS {
            let item = self.expected(id, expect).await?;
            let now = self.clock.now();
            let event = self.event(Change::Deleted, &item, now, &write.cause)?;
            let (answer, along) = write.along(&item, Some(event), now)?;
            match self.store.delete(&item, &along).await {
                Ok(()) => return Ok(answer),
                Err(StoreError::Conflict(Conflict::Stale)) => {}
                Err(error) => return Err(error.map(refusal)),
            }
        }
        refuse(Refusal::Busy)
    }

    /// More or less of an item, by hand. What it adds serves the orders that wait for it, a moment later: the worker
    /// hears of it as it hears of a receipt.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::VersionMismatch`], [`Refusal::Adjustment`].
    pub async fn adjust(
        &self,
        id: Id<Item>,
        adjustment: Adjustment,
        reason: Option<String>,
        expect: &Expect,
        write: Write<Stock>,
    ) -> Result<Answer> {
        for _ in 0..ROUNDS {
            let (_, stock) = self.get(id).await?;
            if !expect.accepts(stock.sequence) {
                return refuse(Refusal::VersionMismatch(stock.sequence));
            }
            let change =
                stock.adjust(adjustment).map_err(|error| StoreError::Conflict(Refusal::Adjustment(error)))?;
            let now = self.clock.now().max(stock.updated_at);
            let new = change.and_then(|change| {
                let quantity = stock.quantity.after(change)?;
                Some((change, Stock { quantity, sequence: stock.sequence + 1, updated_at: now, ..stock }))
            });
            let saved = match new {
                None => {
                    let (answer, along) = write.along(&stock, None, now)?;
                    self.store.adjust(&stock, None, &along).await.map(|()| answer)
                }
                Some((change, new)) => {
                    let event_id = self.ids.next();
                    let movement = Movement {
                        id: event_id,
                        item_id: id,
                        change: change.get(),
                        kind: MovementKind::Adjusted,
                        order_id: None,
                        reason: reason.clone(),
                        at: now,
                    };
                    let data = adjusted(&movement, new.quantity);
                    let event = Event::new(event_id, EventKind::StockAdjusted, id, now, &write.cause, &data)?;
                    let (answer, along) = write.along(&new, Some(event), now)?;
                    self.store.adjust(&stock, Some(&movement), &along).await.map(|()| answer)
                }
            };
            match saved {
                Ok(answer) => return Ok(answer),
                Err(StoreError::Conflict(Conflict::Stale)) => {}
                Err(error) => return Err(error.map(refusal)),
            }
        }
        refuse(Refusal::Busy)
    }

    async fn expected(&self, id: Id<Item>, expect: &Expect) -> Result<Item> {
        let (item, _) = self.get(id).await?;
        if expect.accepts(item.version) { Ok(item) } else { refuse(Refusal::VersionMismatch(item.version)) }
    }

    fn event(&self, change: Change, item: &Item, now: Timestamp, cause: &Cause) -> Result<Event> {
        Ok(Event::new(self.ids.next(), change.of_item(), item.id, now, cause, &ItemChanged::from(item))?)
    }
}

fn adjusted(movement: &Movement, quantity: StockLevel) -> StockAdjusted {
    StockAdjusted {
        item_id: movement.item_id,
        change: movement.change,
        quantity: quantity.get(),
        reason: movement.reason.clone(),
    }
}

fn refusal(conflict: Conflict) -> Refusal {
    match conflict {
        Conflict::SkuTaken => Refusal::SkuTaken,
        Conflict::Stale => Refusal::Busy,
    }
}
