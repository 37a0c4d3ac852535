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
