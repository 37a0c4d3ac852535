//! Inventory's decisions, written into an order and its history.

use erp_aws::outbox::EventRow;
use erp_aws::table::ABSENT;
use erp_aws::transaction::{number, text};
use erp_aws::{Change as RowChange, StoreError, Transaction, TransactionError};
use erp_contracts::Event;
use erp_contracts::data::StockDecided;
use erp_domain::OrderId;
use erp_orders::keys;

use super::SalesStore;

/// The decision is newer than the last one. It also fails for an order that does not exist, which has no
/// sequence.
const NEWER: &str = "#stock_sequence < :sequence";
/// Writes nothing else of the order: a client may change it at the same time.
const SET_DECISION: &str = "SET #stock_status = :stock_status, #stock_sequence = :sequence";

/// The effect of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionOutcome {
    /// The order has this decision as its stock status, and the history contains it.
    Applied,
    /// The order has a newer decision; only the history was written.
    Superseded,
    /// The history contained the decision before; nothing was written.
    Duplicate,
}

/// The reason why a decision was not written.
#[derive(Debug, thiserror::Error)]
pub enum DecisionError {
    /// The order does not exist.
    #[error("the sales order {0} does not exist")]
    NoSuchOrder(OrderId),
    /// The table is unavailable.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// The label of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Order,
    History,
}

impl SalesStore {
    /// Writes a decision into the order if its sequence is higher than that of the last one, and its event
    /// into the history if it is absent, in one transaction. Status, version and `updated_at` belong to the
    /// clients and are not changed.
    ///
    /// Whatever the order and number of deliveries, the order ends with the decision of the highest sequence.
    pub async fn apply_decision(
        &self,
        decided: &StockDecided,
        event: &Event,
    ) -> Result<DecisionOutcome, DecisionError> {
        let key = keys::order(decided.order_id);
        let history = EventRow::history(&key.pk, event)?;
        let mut transaction = Transaction::new();
        let values =
            vec![(":stock_status", text(decided.stock_status)), (":sequence", number(decided.sequence))];
        let change = RowChange { key, update: SET_DECISION.to_owned(), condition: NEWER, values };
        transaction.update(Action::Order, &self.table, change)?;
        transaction.put(Action::History, &self.table, &history, ABSENT)?;
        match transaction.commit(&self.table).await {
            Ok(()) => Ok(DecisionOutcome::Applied),
            // An event in the history was processed before, whether it was applied or superseded.
            Err(error) if error.failed(&Action::History) => Ok(DecisionOutcome::Duplicate),
            Err(TransactionError::Conditions(failed)) => {
                if failed.iter().any(|(_, row)| row.is_some()) {
                    Ok(self.append_history(&history).await?)
                } else {
                    Err(DecisionError::NoSuchOrder(decided.order_id))
                }
            }
            Err(TransactionError::Unavailable(error)) => Err(error.into()),
        }
    }

    /// Writes the event row only. Orders are never deleted, so the order still exists.
    async fn append_history(&self, history: &EventRow) -> Result<DecisionOutcome, StoreError> {
        let mut transaction = Transaction::new();
        transaction.put(Action::History, &self.table, history, ABSENT)?;
        match transaction.commit(&self.table).await {
            Ok(()) => Ok(DecisionOutcome::Superseded),
            Err(error) if error.failed(&Action::History) => Ok(DecisionOutcome::Duplicate),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use erp_contracts::data::StockDecision;
    use erp_contracts::{Cause, EventKind};
    use erp_domain::time::SystemClock;
    use erp_domain::{Clock, Id};
    use erp_testkit::Dynamo;
    use erp_testkit::dynamo::rows;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_superseded_decision_that_is_delivered_twice_at_once_is_written_once() {
        let table = Dynamo::start().await.table("sales", &["list", "status", "party", "outbox"]).await;
        let store = SalesStore::new(table.clone());
        let order_id = Id::new(Uuid::now_v7());
        let decided =
            StockDecided { order_id, stock_status: StockDecision::Allocated, sequence: 1, items: Vec::new() };
        // Two events with one id but another time: a second write would be visible.
        let history = |now| {
            let cause = Cause::default();
            let event =
                Event::new(Uuid::nil(), EventKind::OrderAllocated, order_id, now, &cause, &decided).unwrap();
            EventRow::history(&keys::order(order_id).pk, &event).unwrap()
        };
        let now = SystemClock.now();
        assert_eq!(store.append_history(&history(now)).await.unwrap(), DecisionOutcome::Superseded);
        let before = rows(&table).await;
        let later = history(now.plus_seconds(1));
        assert_eq!(store.append_history(&later).await.unwrap(), DecisionOutcome::Duplicate);
        assert_eq!(rows(&table).await, before);
    }
}
