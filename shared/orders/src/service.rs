//! Use cases: load, decide, save.

use std::sync::Arc;

use erp_contracts::data::{OrderChanged, order_event};
use erp_contracts::{Answer, Cause, Event, Expect, Page, Rows, StoreError, Write};
use erp_domain::order::{IllegalTransition, Lines, NotADraft, Order, OrderKind, Transition, Transitioned};
use erp_domain::{Clock, Id, Ids};

use crate::ports::{Filter, Items, OrderStore, Parties, Summary};
use crate::pricing::{self, Fault, Shortage, Wanted};

/// How often a change is decided anew because somebody else was faster.
const ROUNDS: usize = 5;

/// Why a use case refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such order.
    NotFound(OrderKind),
    /// What is asked for cannot be ordered, for all these reasons.
    Faults(OrderKind, Vec<Fault>),
    /// The lifecycle has no such step from the status found.
    Illegal(IllegalTransition),
    /// Only drafts are changed.
    NotADraft(NotADraft),
    /// The client wants it only if all is there, and it is not.
    Short(Vec<Shortage>),
    /// The client means another version than this one.
    VersionMismatch(u64),
    /// Others change it so fast that this change does not get in.
    Busy,
}

/// What a client asks to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// What.
    pub transition: Transition,
    /// Only if everything is in stock at this moment. It reserves nothing: what is confirmed may still have to
    /// wait.
    pub require_stock: bool,
}

impl From<Transition> for Command {
    fn from(transition: Transition) -> Self {
        Self { transition, require_stock: false }
    }
}

/// Orders of one kind.
#[derive(Clone)]
pub struct Orders {
    /// Sales or purchase.
    pub kind: OrderKind,
    /// Where they are.
    pub store: Arc<dyn OrderStore>,
    /// Who knows customers and vendors.
    pub parties: Arc<dyn Parties>,
    /// Who knows items.
    pub items: Arc<dyn Items>,
    /// When things happen.
    pub clock: Arc<dyn Clock>,
    /// What they are called.
    pub ids: Arc<dyn Ids>,
    /// ISO 4217 code of the currency that new orders are in.
    pub currency: String,
}

impl Orders {
    /// One order.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn get(&self, id: Id<Order>) -> Result<Order, StoreError<Refusal>> {
        let found = self.store.find(id).await.map_err(StoreError::widen)?;
        found.ok_or(StoreError::Conflict(Refusal::NotFound(self.kind)))
    }

    /// A page of orders.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn list(&self, filter: Filter, page: Page) -> Result<Rows<Summary>, StoreError> {
        self.store.list(filter, page).await
    }

    /// What happened to an order, oldest first. A draft has no history: nobody but its author has seen it.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn history(&self, id: Id<Order>) -> Result<Vec<Event>, StoreError<Refusal>> {
        self.get(id).await?;
        self.store.history(id).await.map_err(StoreError::widen)
    }

    /// A new draft.
    ///
    /// # Errors
    /// [`Refusal::Faults`].
    pub async fn create(&self, wanted: Wanted, write: Write<Order>) -> Result<Answer, StoreError<Refusal>> {
        let lines = self.settle(&wanted).await?;
        let now = self.clock.now();
        let id = self.ids.make();
        let order = Order::draft(id, self.kind, wanted.party_id, lines, self.currency.clone(), now);
        // No event: nobody else has to know of a draft, and the list of kinds has none.
        let (answer, along) = write.along(&order, None, now)?;
        self.store.insert(&order, &along).await.map_err(StoreError::widen)?;
        Ok(answer)
    }

    /// Another party and other lines for a draft.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::VersionMismatch`], [`Refusal::NotADraft`], [`Refusal::Faults`].
    pub async fn update(
        &self,
        id: Id<Order>,
        wanted: Wanted,
        expect: &Expect,
        write: Write<Order>,
    ) -> Result<Answer, StoreError<Refusal>> {
        let mut old = self.expected(id, expect).await?;
        old.expect_draft().map_err(refuse(Refusal::NotADraft))?;
        // Asked once: a round that is lost to somebody else changes nothing about what the others know.
        let lines = self.settle(&wanted).await?;
        for _ in 0..ROUNDS {
            let now = self.clock.now();
            let new = old.revise(wanted.party_id, lines.clone(), now).map_err(refuse(Refusal::NotADraft))?;
            let (answer, along) = write.along(&new, None, now)?;
            match self.store.revise(&old, &new, &along).await {
                Ok(()) => return Ok(answer),
                Err(StoreError::Conflict(_)) => old = self.expected(id, expect).await?,
                Err(error) => return Err(error.map(|_| Refusal::Busy)),
            }
        }
        Err(StoreError::Conflict(Refusal::Busy))
    }

    /// The next step of an order's life.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::VersionMismatch`], [`Refusal::Illegal`], [`Refusal::Short`].
    pub async fn advance(
        &self,
        id: Id<Order>,
        command: Command,
        expect: &Expect,
        write: Write<Transitioned>,
    ) -> Result<Answer, StoreError<Refusal>> {
        for _ in 0..ROUNDS {
            let old = self.expected(id, expect).await?;
            let now = self.clock.now();
            let done = old.apply(command.transition, now).map_err(refuse(Refusal::Illegal))?;
            if command.require_stock {
                self.require_stock(&old.lines).await?;
            }
            let event = self.event(&done, &write.cause)?;
            let (answer, along) = write.along(&done, Some(event), now)?;
            match self.store.advance(&old, &done, &along).await {
                Ok(()) => return Ok(answer),
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.map(|_| Refusal::Busy)),
            }
        }
        Err(StoreError::Conflict(Refusal::Busy))
    }

    async fn expected(&self, id: Id<Order>, expect: &Expect) -> Result<Order, StoreError<Refusal>> {
        let order = self.get(id).await?;
        if expect.accepts(order.version) {
            Ok(order)
        } else {
            Err(StoreError::Conflict(Refusal::VersionMismatch(order.version)))
        }
    }

    /// Asks both services side by side, once each, and prices the lines.
    async fn settle(&self, wanted: &Wanted) -> Result<Lines, StoreError<Refusal>> {
        let (party, facts) = tokio::join!(
            self.parties.exists(self.kind.party(), wanted.party_id),
            self.items.facts(wanted.items()),
        );
        pricing::settle(wanted, party?, &facts?, self.ids.as_ref())
            .map_err(|faults| StoreError::Conflict(Refusal::Faults(self.kind, faults)))
    }

    async fn require_stock(&self, lines: &Lines) -> Result<(), StoreError<Refusal>> {
        let facts = self.items.facts(lines.demand().into_keys().collect()).await?;
        let short = pricing::shortages(lines, &facts);
        if short.is_empty() { Ok(()) } else { Err(StoreError::Conflict(Refusal::Short(short))) }
    }

    fn event(&self, done: &Transitioned, cause: &Cause) -> Result<Event, StoreError<Refusal>> {
        let order = &done.order;
        let data = OrderChanged::from(done);
        Ok(Event::new(self.ids.next(), order_event(done), order.id, order.updated_at, cause, &data)?)
    }
}

fn refuse<E>(refusal: fn(E) -> Refusal) -> impl Fn(E) -> StoreError<Refusal> {
    move |error| StoreError::Conflict(refusal(error))
}
