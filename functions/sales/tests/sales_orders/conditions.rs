//! Every condition of a write by itself: what would be overwritten without it stays as it is. Ids that are drawn twice
//! are never seen in real life, and that is why they are made here.

use erp_contracts::data::{OrderChanged, StockDecided, order_event};
use erp_contracts::{Along, Cause, Event, EventKind, StoreError};
use erp_domain::order::{Order, StockStatus, Transition, Transitioned};
use erp_domain::{Clock, Id};
use erp_orders::ports::{DecisionStore, Noted, OrderStore, Stale};
use erp_testkit::dynamo::rows;
use uuid::Uuid;

use crate::House;

const NOTHING: Along = Along { event: None, record: None };

impl House {
    /// A new draft, as it is read.
    async fn saved(&self) -> Order {
        let id = self.draft().await.parse().unwrap();
        OrderStore::find(&self.store, id).await.unwrap().unwrap()
    }

    fn next(&self, order: &Order, transition: Transition) -> Transitioned {
        order.apply(transition, self.clock.now()).unwrap()
    }

    /// The event of a transition, with this id.
    fn event_of(&self, done: &Transitioned, id: Uuid) -> Along {
        let (kind, data) = (order_event(done), OrderChanged::from(done));
        let event = Event::new(id, kind, done.order.id, self.clock.now(), &Cause::default(), &data);
        Along { event: Some(event.unwrap()), record: None }
    }

    async fn note(&self, order: &Order, stock_status: StockStatus, sequence: u64, event: Uuid) -> Noted {
        let decided = StockDecided { order_id: order.id, stock_status, sequence, items: Vec::new() };
        let kind = match stock_status {
            StockStatus::Allocated => EventKind::OrderAllocated,
            _ => EventKind::OrderReleased,
        };
        let event = Event::new(event, kind, order.id, self.clock.now(), &Cause::default(), &decided);
        self.store.note(&decided, &event.unwrap()).await.unwrap()
    }
}

#[tokio::test]
async fn an_id_that_is_drawn_twice_overwrites_no_order() {
    let house = House::start().await;
    let first = house.saved().await;
    let before = rows(&house.table).await;
    let second = Order { id: Id::new(first.id.uuid()), currency: "EUR".into(), ..first };
    house.store.insert(&second, &NOTHING).await.unwrap_err();
    assert_eq!(rows(&house.table).await, before);
}

#[tokio::test]
async fn an_event_id_that_is_drawn_twice_overwrites_no_event() {
    let (house, id) = (House::start().await, Uuid::now_v7());
    let draft = house.saved().await;
    let confirmed = house.next(&draft, Transition::Confirm);
    house.store.advance(&draft, &confirmed, &house.event_of(&confirmed, id)).await.unwrap();
    let before = rows(&house.table).await;
    let paid = house.next(&confirmed.order, Transition::Pay);
    house.store.advance(&confirmed.order, &paid, &house.event_of(&paid, id)).await.unwrap_err();
    assert_eq!(rows(&house.table).await, before);
}

#[tokio::test]
async fn what_was_read_too_long_ago_is_neither_revised_nor_advanced() {
    let house = House::start().await;
    let old = house.saved().await;
    let new = old.revise(old.party_id, old.lines.clone(), house.clock.now()).unwrap();
    house.store.revise(&old, &new, &NOTHING).await.unwrap();
    let before = rows(&house.table).await;
    // A confirmation asks inventory, and a cancellation does not: they have conditions of their own.
    let (confirmed, cancelled) =
        (house.next(&old, Transition::Confirm), house.next(&old, Transition::Cancel));
    let late = [
        house.store.revise(&old, &new, &NOTHING).await,
        house.store.advance(&old, &confirmed, &house.event_of(&confirmed, Uuid::now_v7())).await,
        house.store.advance(&old, &cancelled, &house.event_of(&cancelled, Uuid::now_v7())).await,
    ];
    for late in late {
        assert!(matches!(late, Err(StoreError::Conflict(Stale))), "{late:?}");
    }
    assert_eq!(rows(&house.table).await, before);
}

#[tokio::test]
async fn a_confirmation_does_not_hide_what_inventory_said() {
    let house = House::start().await;
    let draft = house.saved().await;
    assert_eq!(house.note(&draft, StockStatus::Released, 1, Uuid::now_v7()).await, Noted::News);
    let before = rows(&house.table).await;
    let confirmed = house.next(&draft, Transition::Confirm);
    let late = house.store.advance(&draft, &confirmed, &house.event_of(&confirmed, Uuid::now_v7())).await;
    assert!(matches!(late, Err(StoreError::Conflict(Stale))), "{late:?}");
    assert_eq!(rows(&house.table).await, before);
}

#[tokio::test]
async fn what_stands_in_the_history_is_neither_noted_again_nor_overwritten() {
    let (house, allocated, released) = (House::start().await, Uuid::now_v7(), Uuid::now_v7());
    let order = house.saved().await;
    assert_eq!(house.note(&order, StockStatus::Released, 2, released).await, Noted::News);
    assert_eq!(house.note(&order, StockStatus::Allocated, 1, allocated).await, Noted::Older);
    let before = rows(&house.table).await;
    for (status, sequence, event) in [
        (StockStatus::Allocated, 3, allocated),
        (StockStatus::Allocated, 1, allocated),
        (StockStatus::Released, 1, allocated),
    ] {
        assert_eq!(house.note(&order, status, sequence, event).await, Noted::Duplicate);
    }
    assert_eq!(rows(&house.table).await, before);
}
