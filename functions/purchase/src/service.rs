//! Use cases: load, decide, return the change to commit.

use std::sync::Arc;

use erp_aws::{Page, PageRequest, StoreError};
use erp_contracts::{Cause, Event};
use erp_domain::{Clock, Ids, OrderId, PartyId, PartyKind};
use erp_orders::pricing::price_lines;
use erp_orders::{Currency, Lines, OrderInput, Upstreams};
use erp_service::{Precondition, ServiceError};

use crate::domain::{
    IllegalTransition, OrderSummary, PurchaseOrder, PurchaseOrderError, PurchaseStatus, Transitioned,
};
use crate::store::{OrderChange, PurchaseStore};

type Error = ServiceError<PurchaseOrderError>;

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
    pub async fn get(&self, id: OrderId) -> Result<PurchaseOrder, Error> {
        Ok(self.store.find(id).await?.ok_or(PurchaseOrderError::NotFound)?)
    }

    /// Returns a page of orders, newest first.
    ///
    /// # Errors
    /// If the table is unavailable.
    pub async fn list(
        &self,
        status: Option<PurchaseStatus>,
        vendor_id: Option<PartyId>,
        page: PageRequest,
    ) -> Result<Page<OrderSummary>, StoreError> {
        self.store.list(status, vendor_id, page).await
    }

    /// Returns the events of an order, oldest first. A draft has none.
    ///
    /// # Errors
    /// [`PurchaseOrderError::NotFound`].
    pub async fn history(&self, id: OrderId) -> Result<Vec<Event>, Error> {
        self.get(id).await?;
        Ok(self.store.history(id).await?)
    }

    /// Creates a draft.
    ///
    /// # Errors
    /// [`PurchaseOrderError::Invalid`].
    pub async fn create(&self, input: &OrderInput) -> Result<OrderChange, Error> {
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
    ) -> Result<OrderChange, Error> {
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
    ) -> Result<OrderChange, Error> {
        let old = self.load_expected(id, precondition).await?;
        let received = old.receive(self.clock.now())?;
        let vendor_id = old.summary().vendor_id;
        if !self.upstreams.party_exists(PartyKind::Vendor, vendor_id).await? {
            return Err(PurchaseOrderError::VendorGone(vendor_id).into());
        }
        self.advance(&old, &received, cause)
    }

    /// Records that the vendor was paid.
    ///
    /// # Errors
    /// [`PurchaseOrderError::NotFound`], [`PurchaseOrderError::VersionMismatch`],
    /// [`PurchaseOrderError::IllegalTransition`].
    pub async fn pay(
        &self,
        id: OrderId,
        precondition: &Precondition,
        cause: &Cause,
    ) -> Result<OrderChange, Error> {
        let old = self.load_expected(id, precondition).await?;
        self.advance(&old, &old.pay(self.clock.now())?, cause)
    }

    /// Cancels a draft.
    ///
    /// # Errors
    /// As [`PurchaseOrders::pay`].
    pub async fn cancel(
        &self,
        id: OrderId,
        precondition: &Precondition,
        cause: &Cause,
    ) -> Result<OrderChange, Error> {
        let old = self.load_expected(id, precondition).await?;
        self.advance(&old, &old.cancel(self.clock.now())?, cause)
    }

    fn advance(
        &self,
        old: &PurchaseOrder,
        transitioned: &Transitioned,
        cause: &Cause,
    ) -> Result<OrderChange, Error> {
        Ok(self.store.advance(old, transitioned, self.ids.next(), cause)?)
    }

    async fn load_expected(&self, id: OrderId, precondition: &Precondition) -> Result<PurchaseOrder, Error> {
        let order = self.get(id).await?;
        precondition.check(order.version()).map_err(PurchaseOrderError::VersionMismatch)?;
        Ok(order)
    }

    /// Queries both contexts side by side, once each, and prices the lines.
    async fn price(&self, input: &OrderInput) -> Result<Lines, Error> {
        let (vendor_exists, items) = tokio::try_join!(
            self.upstreams.party_exists(PartyKind::Vendor, input.party_id),
            self.upstreams.items(input.items()),
        )?;
        Ok(price_lines(input, vendor_exists, &items, self.ids.as_ref())
            .map_err(PurchaseOrderError::Invalid)?)
    }
}
