//! Each condition of a write on its own: without it, an existing row would be overwritten. Ids are unique in
//! practice, so these tests reuse ids on purpose.

use erp_contracts::data::{StockDecided, StockDecision};
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::Clock;
use erp_service::SaveError;
use erp_testkit::dynamo::rows;
use sales::domain::{SalesOrder, Transitioned};
use sales::store::{DecisionOutcome, OrderChange};
use uuid::Uuid;

use crate::TestService;

impl TestService {
    /// Creates a draft and loads it.
    async fn saved(&self) -> SalesOrder {
        let id = self.draft().await.parse().unwrap();
        self.store.find(id).await.unwrap().unwrap()
    }

    fn advance(&self, old: &SalesOrder, transitioned: &Transitioned, event_id: Uuid) -> OrderChange {
        self.store.advance(old, transitioned, event_id, &Cause::default()).unwrap()
    }

    async fn apply(
        &self,
        order: &SalesOrder,
        stock_status: StockDecision,
        sequence: u64,
        event: Uuid,
    ) -> DecisionOutcome {
        let decided = StockDecided { order_id: order.id(), stock_status, sequence, items: Vec::new() };
        let kind = match stock_status {
            StockDecision::Allocated => EventKind::OrderAllocated,
            StockDecision::Backordered | StockDecision::Released => EventKind::OrderReleased,
        };
        let event = Event::new(event, kind, order.id(), self.clock.now(), &Cause::default(), &decided);
        self.store.apply_decision(&decided, &event.unwrap()).await.unwrap()
    }
}

#[tokio::test]
async fn an_order_with_an_id_in_use_overwrites_nothing() {
    let service = TestService::start().await;
    let first = service.saved().await;
    let before = rows(&service.table).await;
    let (customer_id, lines) = (first.summary().customer_id, first.lines().clone());
    let currency = "EUR".parse().unwrap();
    let second = SalesOrder::draft(first.id(), customer_id, lines, &currency, service.clock.now());
    service.store.insert(&second).unwrap().save(&service.table).await.unwrap_err();
    assert_eq!(rows(&service.table).await, before);
}

#[tokio::test]
async fn an_event_with_an_id_in_use_overwrites_nothing() {
    let (service, id) = (TestService::start().await, Uuid::now_v7());
    let draft = service.saved().await;
    let confirmed = draft.confirm(service.clock.now()).unwrap();
    service.advance(&draft, &confirmed, id).save(&service.table).await.unwrap();
    let before = rows(&service.table).await;
    let paid = confirmed.order().pay(service.clock.now()).unwrap();
    service.advance(confirmed.order(), &paid, id).save(&service.table).await.unwrap_err();
    assert_eq!(rows(&service.table).await, before);
}

#[tokio::test]
async fn an_order_that_changed_since_it_was_loaded_is_neither_revised_nor_advanced() {
    let service = TestService::start().await;
    let (old, now) = (service.saved().await, service.clock.now());
    let new = old.revise(old.summary().customer_id, old.lines().clone(), now).unwrap();
    service.store.revise(&old, &new).unwrap().save(&service.table).await.unwrap();
    let before = rows(&service.table).await;
    // A confirmation has another condition than a cancellation.
    let stale = [
        service.store.revise(&old, &new).unwrap(),
        service.advance(&old, &old.confirm(now).unwrap(), Uuid::now_v7()),
        service.advance(&old, &old.cancel(now).unwrap(), Uuid::now_v7()),
    ];
    for change in stale {
        let result = change.save(&service.table).await;
        assert!(matches!(result, Err(SaveError::Stale)), "{result:?}");
    }
    assert_eq!(rows(&service.table).await, before);
}

#[tokio::test]
async fn a_confirmation_does_not_hide_a_decision_of_inventory() {
    let service = TestService::start().await;
    let draft = service.saved().await;
    let outcome = service.apply(&draft, StockDecision::Released, 1, Uuid::now_v7()).await;
    assert_eq!(outcome, DecisionOutcome::Applied);
    let before = rows(&service.table).await;
    let confirmed = draft.confirm(service.clock.now()).unwrap();
    let result = service.advance(&draft, &confirmed, Uuid::now_v7()).save(&service.table).await;
    assert!(matches!(result, Err(SaveError::Stale)), "{result:?}");
    assert_eq!(rows(&service.table).await, before);
}

#[tokio::test]
async fn a_decision_in_the_history_is_neither_applied_again_nor_overwritten() {
    let (service, allocated, released) = (TestService::start().await, Uuid::now_v7(), Uuid::now_v7());
    let order = service.saved().await;
    let outcome = service.apply(&order, StockDecision::Released, 2, released).await;
    assert_eq!(outcome, DecisionOutcome::Applied);
    let outcome = service.apply(&order, StockDecision::Allocated, 1, allocated).await;
    assert_eq!(outcome, DecisionOutcome::Superseded);
    let before = rows(&service.table).await;
    for (status, sequence, event) in [
        (StockDecision::Allocated, 3, allocated),
        (StockDecision::Allocated, 1, allocated),
        (StockDecision::Released, 1, allocated),
    ] {
        assert_eq!(service.apply(&order, status, sequence, event).await, DecisionOutcome::Duplicate);
    }
    assert_eq!(rows(&service.table).await, before);
}
