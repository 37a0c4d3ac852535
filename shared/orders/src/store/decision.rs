//! What inventory decided, written into the order and its history.

use async_trait::async_trait;
use erp_aws::outbox::EventRow;
use erp_aws::table::NOT_THERE;
use erp_aws::transaction::{number, text};
use erp_aws::{Change, Transaction, TransactionError};
use erp_contracts::data::StockDecided;
use erp_contracts::{Event, StoreError};

use super::{DynamoStore, keys};
use crate::ports::{DecisionStore, NoSuchOrder, Noted};

/// It is news; and there is such an order, for a row that is not there has no sequence to compare with.
const NEWER: &str = "#stock_sequence < :sequence";
/// What the order shows from now on. Nothing else of it: a client may change it in this moment.
const SHOW: &str = "SET #stock_status = :stock_status, #stock_sequence = :sequence";

/// The actions of a write, by what their conditions are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Order,
    History,
}

#[async_trait]
impl DecisionStore for DynamoStore {
    async fn note(&self, decided: &StockDecided, event: &Event) -> Result<Noted, StoreError<NoSuchOrder>> {
        let key = keys::order(decided.order_id);
        let history = EventRow::history::<NoSuchOrder>(&key.pk, event)?;
        let mut transaction = Transaction::new();
        let values = vec![
            (":stock_status", text(decided.stock_status.as_str())),
            (":sequence", number(decided.sequence)),
        ];
        let change = Change { key, update: SHOW.to_owned(), condition: NEWER, values };
        transaction.update(Action::Order, &self.table, change)?;
        transaction.put(Action::History, &self.table, &history, NOT_THERE)?;
        match transaction.commit(&self.table).await {
            Ok(()) => Ok(Noted::News),
            // What is in the history was noted before, whether or not it was news then.
            Err(error) if error.failed(&Action::History) => Ok(Noted::Duplicate),
            Err(TransactionError::Conditions(failed)) => match failed.into_iter().next() {
                Some((Action::Order, Some(_))) => self.remember(&history).await,
                Some((Action::Order, None)) => Err(StoreError::Conflict(NoSuchOrder)),
                Some((Action::History, _)) | None => {
                    Err(StoreError::unavailable("a transaction failed for no condition"))
                }
            },
            Err(error @ TransactionError::Unavailable(_)) => Err(error.into()),
        }
    }
}

impl DynamoStore {
    /// The history alone: orders are never deleted, so the order that was there still is.
    async fn remember(&self, history: &EventRow) -> Result<Noted, StoreError<NoSuchOrder>> {
        let mut transaction = Transaction::new();
        transaction.put(Action::History, &self.table, history, NOT_THERE)?;
        match transaction.commit(&self.table).await {
            Ok(()) => Ok(Noted::Older),
            Err(error) if error.failed(&Action::History) => Ok(Noted::Duplicate),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use erp_contracts::{Cause, EventKind};
    use erp_domain::order::{OrderKind, StockStatus};
    use erp_domain::ports::SystemClock;
    use erp_domain::{Clock, Id};
    use erp_testkit::Dynamo;
    use erp_testkit::dynamo::rows;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn of_two_deliveries_of_old_news_at_once_the_slower_finds_it_remembered() {
        let table = Dynamo::start().await.table("sales", &["list", "status", "party", "outbox"]).await;
        let store = DynamoStore::new(table.clone(), OrderKind::Sales);
        let order_id = Id::new(Uuid::now_v7());
        let decided =
            StockDecided { order_id, stock_status: StockStatus::Allocated, sequence: 1, items: Vec::new() };
        // Two events of one id: what the slower would write can be told from what is there.
        let history = |now| {
            let cause = Cause::default();
            let event =
                Event::new(Uuid::nil(), EventKind::OrderAllocated, order_id, now, &cause, &decided).unwrap();
            EventRow::history::<NoSuchOrder>(&keys::order(order_id).pk, &event).unwrap()
        };
        let now = SystemClock.now();
        assert_eq!(store.remember(&history(now)).await.unwrap(), Noted::Older);
        let before = rows(&table).await;
        assert_eq!(store.remember(&history(now.plus_seconds(1))).await.unwrap(), Noted::Duplicate);
        assert_eq!(rows(&table).await, before);
    }
}
