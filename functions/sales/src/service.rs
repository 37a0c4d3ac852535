//! Use cases: load, decide, return the change to commit.

use std::sync::Arc;

use erp_contracts::{Cause, Event};
use erp_domain::{Clock, Ids, OrderId, PartyKind};
use erp_orders::history;
use erp_orders::pricing::{price_lines, shortages};
use erp_orders::{Currency, Lines, OrderInput, Upstreams};
use erp_service::{Precondition, ServiceError};

use crate::domain::{IllegalTransition, SalesOrder, SalesOrderError};
use crate::store::{OrderChange, SalesStore};

type Error = ServiceError<SalesOrderError>;
type Result<T> = std::result::Result<T, Error>;

/// What the use cases depend on.
#[derive(Clone)]
pub struct SalesOrders {
    /// The sales table.
    pub store: SalesStore,
    /// Contact and inventory.
    pub upstreams: Arc<dyn Upstreams>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub ids: Arc<dyn Ids>,
    /// The currency of new orders.
    pub currency: Currency,
}

impl From<SalesOrderError> for Error {
    fn from(error: SalesOrderError) -> Self {
        Self::Rejected(error)
    }
}

impl From<IllegalTransition> for Error {
    fn from(error: IllegalTransition) -> Self {
        Self::Rejected(SalesOrderError::IllegalTransition(error))
    }
}

impl SalesOrders {
    /// Returns an order.
    ///
    /// # Errors
    /// [`SalesOrderError::NotFound`].
    pub async fn get(&self, id: OrderId) -> Result<SalesOrder> {
        Ok(self.store.find(id).await?.ok_or(SalesOrderError::NotFound)?)
    }

    /// Returns the events of an order, oldest first. A draft has none.
    ///
    /// # Errors
    /// [`SalesOrderError::NotFound`].
    pub async fn history(&self, id: OrderId) -> Result<Vec<Event>> {
        self.get(id).await?;
        Ok(history::read(self.store.table(), id).await?)
    }

    /// Creates a draft.
    ///
    /// # Errors
    /// [`SalesOrderError::Invalid`].
    pub async fn create(&self, input: &OrderInput) -> Result<OrderChange> {
        let lines = self.price(input).await?;
        let now = self.clock.now();
        let order = SalesOrder::draft(self.ids.make(), input.party_id, lines, &self.currency, now);
        Ok(self.store.insert(&order)?)
    }

    /// Replaces customer and lines of a draft.
    ///
    /// # Errors
    /// [`SalesOrderError::NotFound`], [`SalesOrderError::VersionMismatch`], [`SalesOrderError::NotADraft`],
    /// [`SalesOrderError::Invalid`].
    pub async fn update(
        &self,
        id: OrderId,
        input: &OrderInput,
        precondition: &Precondition,
    ) -> Result<OrderChange> {
        let old = self.load_expected(id, precondition).await?;
        old.expect_draft()?;
        let lines = self.price(input).await?;
        let new = old.revise(input.party_id, lines, self.clock.now())?;
        Ok(self.store.revise(&old, &new)?)
    }

    /// Confirms a draft. `require_stock` rejects it unless all items are available now; nothing is reserved,
    /// so the order may still be back-ordered.
    ///
    /// # Errors
    /// [`SalesOrderError::NotFound`], [`SalesOrderError::VersionMismatch`],
    /// [`SalesOrderError::IllegalTransition`], [`SalesOrderError::CustomerGone`],
    /// [`SalesOrderError::InsufficientStock`].
    pub async fn confirm(
        &self,
        id: OrderId,
        require_stock: bool,
        precondition: &Precondition,
        cause: &Cause,
    ) -> Result<OrderChange> {
        let old = self.load_expected(id, precondition).await?;
        let confirmed = old.confirm(self.clock.now())?;
        let customer_id = old.summary().customer_id;
        if !self.upstreams.party_exists(PartyKind::Customer, customer_id).await? {
            return Err(SalesOrderError::CustomerGone(customer_id).into());
        }
        if require_stock {
            let items = self.upstreams.items(old.lines().demand().items().collect()).await?;
            let short = shortages(old.lines(), &items);
            if !short.is_empty() {
                return Err(SalesOrderError::InsufficientStock(short).into());
            }
        }
        Ok(self.store.advance(&old, &confirmed, self.ids.next(), cause)?)
    }

    /// Records that the customer has paid.
    ///
    /// # Errors
    /// [`SalesOrderError::NotFound`], [`SalesOrderError::VersionMismatch`],
    /// [`SalesOrderError::IllegalTransition`].
    pub async fn pay(&self, id: OrderId, precondition: &Precondition, cause: &Cause) -> Result<OrderChange> {
        let old = self.load_expected(id, precondition).await?;
        let paid = old.pay(self.clock.now())?;
        Ok(self.store.advance(&old, &paid, self.ids.next(), cause)?)
    }

    /// Cancels a draft or a confirmed order.
    pub async fn cancel(
        &self,
        id: OrderId,
        precondition: &Precondition,
        cause: &Cause,
    ) -> Result<OrderChange> {
        let old = self.load_expected(id, precondition).await?;
        let cancelled = old.cancel(self.clock.now())?;
        Ok(self.store.advance(&old, &cancelled, self.ids.next(), cause)?)
    }

    async fn load_expected(&self, id: OrderId, precondition: &Precondition) -> Result<SalesOrder> {
        let order = self.get(id).await?;
        precondition.check(order.version()).map_err(SalesOrderError::VersionMismatch)?;
        Ok(order)
    }

    /// Queries both contexts side by side, once each, and prices the lines.
    async fn price(&self, input: &OrderInput) -> Result<Lines> {
        let (customer_exists, items) = tokio::try_join!(
            self.upstreams.party_exists(PartyKind::Customer, input.party_id),
            self.upstreams.items(input.items()),
        )?;
        Ok(price_lines(input, customer_exists, &items, self.ids.as_ref())
            .map_err(SalesOrderError::Invalid)?)
    }
}
