//! Kept answers: one row for each `Idempotency-Key` in its scope, in the table of the service it belongs to.

use async_trait::async_trait;
use erp_contracts::{Answer, AnswerStore, IdempotencyKey, IdempotencyRecord, StoreError};
use erp_domain::{Clock, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::transaction::number;
use crate::{Key, Table, Transaction, TransactionError};

/// The key is free, or what stood there has expired: TTL deletes late, so the time is compared too.
pub const FREE_OR_EXPIRED: &str = "attribute_not_exists(pk) OR #expires_at <= :now";

#[derive(Debug, Serialize, Deserialize)]
struct AnswerRow {
    pk: String,
    sk: String,
    fingerprint: String,
    answer: Answer,
    created_at: Timestamp,
    /// Seconds since the epoch: the table's TTL attribute.
    expires_at: i64,
}

fn key(scope: &str) -> Key {
    Key::new(format!("IDEMPOTENCY#{scope}"), "ANSWER")
}

impl AnswerRow {
    fn of(record: &IdempotencyRecord) -> Self {
        let Key { pk, sk } = key(&record.key.scope);
        Self {
            pk,
            sk,
            fingerprint: record.key.fingerprint.clone(),
            answer: record.answer.clone(),
            created_at: record.created_at,
            expires_at: record.expires_at.as_seconds(),
        }
    }
}

/// Adds the record to the transaction of its effect.
///
/// # Errors
/// Never in practice.
pub fn add<L: Clone, C>(
    transaction: &mut Transaction<L>,
    label: L,
    table: &Table,
    record: &IdempotencyRecord,
) -> Result<(), StoreError<C>> {
    let now = vec![(":now", number(record.created_at.as_seconds()))];
    transaction.put_with(label, table, &AnswerRow::of(record), FREE_OR_EXPIRED, now)
}

/// The answers kept in a table.
#[derive(Clone)]
pub struct Answers {
    /// The table.
    pub table: Table,
    /// Tells what has expired.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl AnswerStore for Answers {
    async fn find_answer(&self, wanted: &IdempotencyKey) -> Result<Option<IdempotencyRecord>, StoreError> {
        let row: Option<AnswerRow> = self.table.get(&key(&wanted.scope)).await?;
        let now = self.clock.now().as_seconds();
        Ok(row.filter(|row| row.expires_at > now).map(|row| IdempotencyRecord {
            key: IdempotencyKey { scope: wanted.scope.clone(), fingerprint: row.fingerprint },
            answer: row.answer,
            created_at: row.created_at,
            expires_at: Timestamp::from_millis(row.expires_at.saturating_mul(1000)),
        }))
    }

    async fn keep_answer(&self, record: &IdempotencyRecord) -> Result<(), StoreError> {
        let mut transaction = Transaction::new();
        add(&mut transaction, (), &self.table, record)?;
        transaction.commit(&self.table).await.map_err(|error| match error {
            TransactionError::Conditions(_) => StoreError::Answered,
            TransactionError::Unavailable(cause) => StoreError::Unavailable(cause),
        })
    }
}
