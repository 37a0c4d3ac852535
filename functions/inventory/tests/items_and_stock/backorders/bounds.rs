//! The lower bound of the quantities that wait for an item, which makes walks unnecessary.

use super::*;

#[tokio::test]
async fn a_bound_is_raised_only_if_no_order_has_begun_to_wait() {
    let inventory = Inventory::start().await;
    let item = inventory.item(0).await;
    let confirm = |quantity| order_event(SalesConfirmed, Uuid::now_v7(), &[(item, quantity)]);
    inventory.deliver(&[confirm(7)]).await;
    let seen = inventory.stock_row(item).await;
    assert_eq!((seen.smallest_backorder(), seen.backorder_sequence()), (7, 1));
    inventory.deliver(&[confirm(9), confirm(4)]).await;
    let raise = async |bound, sequence| {
        let change = inventory.store.raise_bound(Id::new(item), bound, sequence).unwrap();
        change.save(inventory.store.table()).await
    };
    // A walk that began when the order of 7 waited, and ends now.
    let late = raise(7, 1).await;
    assert!(matches!(late, Err(SaveError::Stale)), "{late:?}");
    assert_eq!(inventory.stock_row(item).await.smallest_backorder(), 4);
    raise(4, 3).await.unwrap();
}

#[tokio::test]
async fn an_order_does_not_begin_to_wait_above_a_bound_that_was_raised_meanwhile() {
    let inventory = Inventory::start().await;
    let item = inventory.item(0).await;
    let order = |quantity| OrderDemand {
        order_id: Id::new(Uuid::now_v7()),
        demand: demand(&[(item, quantity)]),
        since: SystemClock.now(),
    };
    let save = async |quantity, stock: &inventory::domain::StockSnapshot| {
        let waiting = Allocation::backordered(&order(quantity), BTreeSet::new());
        let change = inventory.store.save_allocation(None, &waiting, None, stock).unwrap();
        change.save(inventory.store.table()).await
    };
    let read = async || inventory.store.stock(std::iter::once(Id::new(item))).await.unwrap();
    let empty = read().await;
    save(3, &empty).await.unwrap();
    let low = read().await;
    // The bound was lowered to 3 since `empty` was read, and is raised to 8 after `low` was read.
    let raised = save(2, &empty).await;
    assert!(raised.is_ok(), "it is still too high for 2");
    let stale = save(5, &empty).await;
    assert!(matches!(stale, Err(SaveError::Stale)), "{stale:?}");
    inventory.update_stock(Id::new(item), "SET smallest_backorder = :eight", &[(":eight", 8)]).await;
    let stale = save(5, &low).await;
    assert!(matches!(stale, Err(SaveError::Stale)), "{stale:?}");
    save(5, &read().await).await.unwrap();
    assert_eq!(inventory.stock_row(item).await.smallest_backorder(), 5);
}

#[tokio::test]
async fn a_stock_row_without_a_bound_gets_one_from_the_first_walk() {
    let inventory = Inventory::start().await;
    let item = inventory.item(0).await;
    let orders = inventory.waiting(3, &[(item, 4)]).await;
    inventory.update_stock(Id::new(item), "REMOVE smallest_backorder, backorder_sequence", &[]).await;
    let adjusted = inventory.add(item, 6).await;
    inventory.walk(item, &adjusted).await;
    assert_eq!(inventory.state(orders[0]).await, AllocationState::Allocated);
    let stock = inventory.stock_row(item).await;
    assert_eq!((stock.quantity().get(), stock.smallest_backorder()), (2, 4));
    inventory.deliver(&[order_event(SalesConfirmed, Uuid::now_v7(), &[(item, 3)])]).await;
    let stock = inventory.stock_row(item).await;
    assert_eq!((stock.backorder_sequence(), stock.smallest_backorder()), (1, 3));
}

#[tokio::test]
async fn a_walk_through_the_queue_of_a_deleted_item_ends() {
    let inventory = Inventory::start().await;
    let item_id = Id::new(Uuid::now_v7());
    let (since, order_id) = (SystemClock.now(), Id::new(Uuid::now_v7()));
    let walk = erp_contracts::data::BackordersRemaining {
        item_id,
        change_id: Uuid::now_v7(),
        step: 1,
        after: Some(BackorderPosition { since, order_id }),
        backorder_sequence: 1,
        smallest: None,
    };
    let cause = Cause::default();
    let event = Event::new(Uuid::now_v7(), BackordersRemaining, item_id, since, &cause, &walk).unwrap();
    let calls = inventory.calls_of(&event).await;
    assert_eq!(calls, Calls::from([("BatchGetItem".to_owned(), 1)]));
}

/// An event of the history of two items: the type, the order, and a quantity per item.
type Action = (u8, usize, i64, i64);

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 64, ..ProptestConfig::default() })]

    /// Orders begin to wait, are allocated and are cancelled, and stock arrives, four events at a time; walks take
    /// several messages.
    #[test]
    fn a_bound_never_exceeds_what_an_order_needs(
        actions in prop::collection::vec((0_u8..8, 0_usize..12, 0_i64..6, 0_i64..6), 8..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check_bounds(&actions));
    }
}

async fn check_bounds(actions: &[Action]) {
    let mut inventory = Inventory::start().await;
    inventory.worker.backorder_calls = FEW_CALLS;
    let items = [inventory.item(0).await, inventory.item(0).await];
    let orders: Vec<(Uuid, Vec<(Uuid, i64)>)> = (0..12)
        .map(|n: i64| {
            let quantities = [n % 4, (n / 4 + n) % 3];
            let lines = items.into_iter().zip(quantities).filter(|(_, quantity)| *quantity > 0);
            let lines: Vec<_> = lines.collect();
            (Uuid::now_v7(), if lines.is_empty() { vec![(items[0], 5)] } else { lines })
        })
        .collect();
    let event = |&(kind, order, first, second): &Action| {
        let (id, lines) = &orders[order];
        match kind {
            0..=3 => order_event(SalesConfirmed, *id, lines),
            4 => order_event(SalesCancelled, *id, lines),
            _ => {
                let received = items.into_iter().zip([first, second]);
                let received: Vec<_> = received.filter(|(_, quantity)| *quantity > 0).collect();
                order_event(PurchaseReceived, Uuid::now_v7(), &received)
            }
        }
    };
    let mut pending: Vec<Event> = actions.iter().map(event).collect();
    let consumed =
        |kind: EventKind| [OrderAllocated, EventKind::OrderReleased, BackordersRemaining].contains(&kind);
    let mut rounds = 0;
    while !pending.is_empty() {
        rounds += 1;
        assert!(rounds < 1000, "events do not end: {pending:?}");
        let now: Vec<Event> = pending.drain(..pending.len().min(4)).collect();
        futures_util::future::join_all(
            now.iter().map(|event| inventory.deliver(std::slice::from_ref(event))),
        )
        .await;
        inventory.assert_bounds(&items).await;
        let own = inventory.take_outbox().await.into_iter().filter(|event| consumed(event.kind));
        // Some of the events of inventory come before the next ones of orders, some after them.
        let own: Vec<Event> = own.collect();
        let (late, early): (Vec<_>, Vec<_>) =
            own.into_iter().partition(|event| event.id.as_bytes()[15] % 2 == 0);
        pending.splice(0..0, early);
        pending.extend(late);
    }
    inventory.assert_no_order_waits_in_vain().await;
}
