//! Use cases: load, decide, return the change to commit.

use std::sync::Arc;

use erp_contracts::{Cause, Event};
use erp_domain::{Clock, Ids, OrderId, PartyKind};
use erp_orders::history;
use erp_orders::pricing::price_lines;
use erp_orders::{Currency, Lines, OrderInput, Upstreams};
use erp_service::{Precondition, ServiceError};

use crate::domain::{IllegalTransition, PurchaseOrder, PurchaseOrderError};
use crate::store::{OrderChange, PurchaseStore};

type Error = ServiceError<PurchaseOrderError>;
type Result<T> = std::result::Result<T, Error>;

/// What the use cases depend on.
#[derive(Clone)]
pub struct PurchaseOrders {
    /// The purchase table.
    pub store: PurchaseStore,
    /// Contact and inventory.
    pub upstreams: Arc<dyn Upstreams>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub ids: Arc<dyn Ids>,
    /// The currency of new orders.
    pub currency: Currency,
}

impl From<PurchaseOrderError> for Error {
    fn from(error: PurchaseOrderError) -> Self {
        Self::Rejected(error)
    }
}

impl From<IllegalTransition> for Error {
    fn from(error: IllegalTransition) -> Self {
        Self::Rejected(PurchaseOrderError::IllegalTransition(error))
    }
}

impl PurchaseOrders {
    /// Returns an order.
    ///
    /// # Errors
    /// [`PurchaseOrderError::NotFound`].
    pub async fn get(&self, id: OrderId) -> Result<PurchaseOrder> {
        Ok(self.store.find(id).await?.ok_or(PurchaseOrderError::NotFound)?)
    }

    /// Returns the events of an order, oldest first. A draft has none.
    ///
    /// # Errors
    /// [`PurchaseOrderError::NotFound`].
    pub async fn history(&self, id: OrderId) -> Result<Vec<Event>> {
        self.get(id).await?;
        Ok(history::read(self.store.table(), id).await?)
    }

    /// Creates a draft.
    ///
    /// # Errors
    /// [`PurchaseOrderError::Invalid`].
    pub async fn create(&self, input: &OrderInput) -> Result<OrderChange> {
        let lines = self.price(input).await?;
        let now = self.clock.now();
        let order = PurchaseOrder::draft(self.ids.make(), input.party_id, lines, &self.currency, now);
        Ok(self.store.insert(&order)?)
    }

    /// Replaces vendor and lines of a draft.
    ///
    /// # Errors
    /// [`PurchaseOrderError::NotFound`], [`PurchaseOrderError::VersionMismatch`],
    /// [`PurchaseOrderError::NotADraft`], [`PurchaseOrderError::Invalid`].
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

    /// Records that the goods of a draft have arrived.
    ///
    /// # Errors
    /// [`PurchaseOrderError::NotFound`], [`PurchaseOrderError::VersionMismatch`],
    /// [`PurchaseOrderError::IllegalTransition`], [`PurchaseOrderError::VendorGone`].
    pub async fn receive(
        &self,
        id: OrderId,
        precondition: &Precondition,
        cause: &Cause,
    ) -> Result<OrderChange> {
        let old = self.load_expected(id, precondition).await?;
        let received = old.receive(self.clock.now())?;
        let vendor_id = old.summary().vendor_id;
        if !self.upstreams.party_exists(PartyKind::Vendor, vendor_id).await? {
            return Err(PurchaseOrderError::VendorGone(vendor_id).into());
        }
        Ok(self.store.advance(&old, &received, self.ids.next(), cause)?)
    }

    /// Records that the vendor was paid.
    ///
    /// # Errors
    /// [`PurchaseOrderError::NotFound`], [`PurchaseOrderError::VersionMismatch`],
    /// [`PurchaseOrderError::IllegalTransition`].
    pub async fn pay(&self, id: OrderId, precondition: &Precondition, cause: &Cause) -> Result<OrderChange> {
        let old = self.load_expected(id, precondition).await?;
        let paid = old.pay(self.clock.now())?;
        Ok(self.store.advance(&old, &paid, self.ids.next(), cause)?)
    }

    /// Cancels a draft.
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

    async fn load_expected(&self, id: OrderId, precondition: &Precondition) -> Result<PurchaseOrder> {
        let order = self.get(id).await?;
        precondition.check(order.version()).map_err(PurchaseOrderError::VersionMismatch)?;
        Ok(order)
    }

    /// Queries both contexts side by side, once each, and prices the lines.
    async fn price(&self, input: &OrderInput) -> Result<Lines> {
        let (vendor_exists, items) = tokio::try_join!(
            self.upstreams.party_exists(PartyKind::Vendor, input.party_id),
            self.upstreams.items(input.items()),
        )?;
        Ok(price_lines(input, vendor_exists, &items, self.ids.as_ref())
            .map_err(PurchaseOrderError::Invalid)?)
    }
}
