//! Allocations, the stock they move, and the line of those that wait.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::metric::{self, Metric};
use erp_aws::outbox::outbox_pk;
use erp_aws::table::{NOT_THERE, THERE};
use erp_aws::transaction::{number, text};
use erp_aws::{Change, Transaction, TransactionError};
use erp_contracts::{Event, StoreError};
use erp_domain::item::Item;
use erp_domain::order::Order;
use erp_domain::stock::{Allocation, AllocationState, Move, Movement};
use erp_domain::{Id, StockLevel};

use super::row::{AllocationRow, MovementRow, StockRow, WaitingRow};
use super::{DynamoStore, keys};
use crate::ports::{AllocationConflict, AllocationStore, Waiting};

/// The allocation is still what was read. Its sequence only grows, so it says all.
const SAME_SEQUENCE: &str = "#sequence = :sequence";
/// There is enough in stock: the condition that nothing is sold that is not there.
const ENOUGH: &str = "#quantity >= :n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Allocation,
    Stock,
}

fn conflict(error: TransactionError<Action>) -> StoreError<AllocationConflict> {
    if error.failed(&Action::Allocation) {
        return StoreError::Conflict(AllocationConflict::Stale);
    }
    match error {
        TransactionError::Conditions(_) => StoreError::Conflict(AllocationConflict::Short),
        TransactionError::Unavailable(cause) => StoreError::Unavailable(cause),
    }
}

/// What is counted when an order's allocation got this state; a receipt is counted where the order is.
fn decided(state: AllocationState) -> Option<Metric> {
    match state {
        AllocationState::Allocated => Some(Metric::OrdersAllocated),
        AllocationState::Backordered => Some(Metric::OrdersBackordered),
        AllocationState::Released => Some(Metric::OrdersReleased),
        AllocationState::Received => None,
    }
}

impl DynamoStore {
    /// Saves the row itself, with its event added to those that are not published yet.
    fn save_row(
        &self,
        transaction: &mut Transaction<Action>,
        old: Option<&Allocation>,
        new: &Allocation,
        event: Option<&Event>,
    ) -> Result<(), StoreError<AllocationConflict>> {
        let json = event.map(Event::to_json).transpose()?;
        let outbox = event.map(|event| (outbox_pk(event.id), event.id.to_string()));
        let mut row = AllocationRow::from(new);
        let Some(old) = old else {
            row.events = json.into_iter().collect();
            (row.outbox_pk, row.outbox_sk) = outbox.unzip();
            return transaction.put(Action::Allocation, &self.table, &row, NOT_THERE);
        };
        let mut update = "SET #state = :state, #sequence = :next, #moves = :moves".to_owned();
        let moves: AttributeValue =
            serde_dynamo::to_attribute_value(&new.moves).map_err(StoreError::unavailable)?;
        let mut values = vec![
            (":state", text(new.state.as_str())),
            (":next", number(new.sequence)),
            (":moves", moves),
            (":sequence", number(old.sequence)),
        ];
        if let (Some(json), Some((pk, sk))) = (json, outbox) {
            update.push_str(
                ", #events = list_append(if_not_exists(#events, :none), :event), #outbox_pk = :pk, #outbox_sk = :sk",
            );
            values.extend([
                (":none", AttributeValue::L(Vec::new())),
                (":event", AttributeValue::L(vec![AttributeValue::S(json)])),
                (":pk", text(pk)),
                (":sk", text(sk)),
            ]);
        }
        let key = keys::allocation(new.order_id);
        transaction.update(
            Action::Allocation,
            &self.table,
            Change { key, update, condition: SAME_SEQUENCE, values },
        )
    }

    fn move_stock(
        &self,
        transaction: &mut Transaction<Action>,
        allocation: &Allocation,
        step: &Move,
    ) -> Result<(), StoreError<AllocationConflict>> {
        for (item_id, quantity) in &allocation.demand {
            let takes = step.kind.sign() < 0;
            let sign = if takes { '-' } else { '+' };
            let change = Change {
                key: keys::stock(*item_id),
                update: format!(
                    "SET #quantity = #quantity {sign} :n, #sequence = #sequence + :one, #updated_at = :at"
                ),
                condition: if takes { ENOUGH } else { THERE },
                values: vec![(":n", number(*quantity)), (":one", number(1)), (":at", text(step.at))],
            };
            transaction.update(Action::Stock, &self.table, change)?;
        }
        Ok(())
    }
}

#[async_trait]
impl AllocationStore for DynamoStore {
    async fn find(&self, order_id: Id<Order>) -> Result<Option<Allocation>, StoreError> {
        let row: Option<AllocationRow> = self.table.get(&keys::allocation(order_id)).await?;
        Ok(row.map(Allocation::from))
    }

    async fn stock(&self, item_id: Id<Item>) -> Result<StockLevel, StoreError> {
        let row: Option<StockRow> = self.table.get(&keys::stock(item_id)).await?;
        Ok(row.map(StockRow::into_stock).transpose()?.map_or(StockLevel::ZERO, |stock| stock.quantity))
    }

    async fn save(
        &self,
        old: Option<&Allocation>,
        new: &Allocation,
        event: Option<&Event>,
    ) -> Result<(), StoreError<AllocationConflict>> {
        let mut transaction = Transaction::new();
        self.save_row(&mut transaction, old, new, event)?;
        let mut moved = 0;
        for step in new.moves.iter().skip(old.map_or(0, |old| old.moves.len())) {
            self.move_stock(&mut transaction, new, step)?;
            moved += new.demand.len() as u64;
        }
        transaction.commit(&self.table).await.map_err(conflict)?;
        let decided = decided(new.state).map(|metric| (metric, 1));
        let moved = (moved > 0).then_some((Metric::StockMovements, moved));
        metric::emit(&decided.into_iter().chain(moved).collect::<Vec<_>>());
        Ok(())
    }

    async fn write_movements(&self, allocation: &Allocation) -> Result<(), StoreError> {
        let movements: Vec<Movement> = allocation.movements();
        self.table.put_all(movements.iter().map(MovementRow::from)).await
    }

    async fn join_lines(&self, allocation: &Allocation) -> Result<(), StoreError> {
        self.table.put_all(WaitingRow::of(allocation)).await
    }

    async fn leave_lines(&self, allocation: &Allocation) -> Result<(), StoreError> {
        self.table.delete_all(WaitingRow::of(allocation).map(|row| row.key())).await
    }

    async fn line(
        &self,
        item_id: Id<Item>,
        after: Option<Waiting>,
        limit: usize,
    ) -> Result<Vec<Waiting>, StoreError> {
        let after = after.map(|waiting| keys::waiting(item_id, waiting.since, waiting.order_id).sk);
        let partition = keys::partition(item_id);
        let rows =
            self.table.query_prefix::<WaitingRow>(&partition, keys::WAITING_PREFIX, after, limit).await?;
        Ok(rows.into_iter().map(Waiting::from).collect())
    }
}
