//! All-or-nothing writes (`TransactWriteItems`) whose conditions have names.
//!
//! Every action carries a label, so that a failed commit says which condition did not hold and what was there
//! instead. Conflicts with another transaction on the same item are no answer: they are tried again here, with
//! jitter.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update,
};
use erp_contracts::StoreError;
use serde::Serialize;

use crate::cause::cause;
use crate::table::{Key, Row, Table, write};

/// The most actions of one transaction.
pub const MAX_ACTIONS: usize = 100;
/// How often a commit is tried when it meets others.
const ATTEMPTS: u32 = 8;

/// An update, a delete or a check: where, what, and on which condition.
///
/// Names in the expressions are written `#name` and stand for the attribute `name`, so that DynamoDB's reserved
/// words need no thought; values are written `:value`.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which row.
    pub key: Key,
    /// `SET …`, `REMOVE …`; ignored by deletes and checks.
    pub update: String,
    /// When; a named constant of the store.
    pub condition: &'static str,
    /// The values that both expressions name.
    pub values: Vec<(&'static str, AttributeValue)>,
}

/// Actions to commit together. `L` names them.
#[derive(Debug)]
pub struct Transaction<L> {
    actions: Vec<(L, TransactWriteItem)>,
}

/// Why a transaction was not committed.
#[derive(Debug)]
pub enum TransactionError<L> {
    /// These conditions did not hold; with what was there instead. Nothing was written.
    Conditions(Vec<(L, Option<Row>)>),
    /// Nobody knows whether it was written.
    Unavailable(Box<dyn Error + Send + Sync>),
}

impl<L: PartialEq> TransactionError<L> {
    /// Whether this condition is one that failed.
    pub fn failed(&self, label: &L) -> bool {
        matches!(self, Self::Conditions(failed) if failed.iter().any(|(other, _)| other == label))
    }
}

impl<L, C> From<TransactionError<L>> for StoreError<C> {
    /// For transactions whose conditions can only fail by a fault of ours.
    fn from(error: TransactionError<L>) -> Self {
        match error {
            TransactionError::Conditions(_) => Self::unavailable("a condition failed that always holds"),
            TransactionError::Unavailable(cause) => Self::Unavailable(cause),
        }
    }
}

impl<L> Default for Transaction<L> {
    fn default() -> Self {
        Self { actions: Vec::new() }
    }
}

impl<L: Clone> Transaction<L> {
    /// A transaction without actions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Writes a whole row.
    ///
    /// # Errors
    /// When the row has a shape that no row can have.
    pub fn put<C>(
        &mut self,
        label: L,
        table: &Table,
        row: &impl Serialize,
        condition: &'static str,
    ) -> Result<(), StoreError<C>> {
        self.put_with(label, table, row, condition, Vec::new())
    }

    /// Writes a whole row on a condition that has values.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn put_with<C>(
        &mut self,
        label: L,
        table: &Table,
        row: &impl Serialize,
        condition: &'static str,
        values: Vec<(&'static str, AttributeValue)>,
    ) -> Result<(), StoreError<C>> {
        let put = Put::builder()
            .table_name(&table.name)
            .set_item(Some(write(row)?))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .set_expression_attribute_values(value_map(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(StoreError::unavailable)?;
        self.actions.push((label, TransactWriteItem::builder().put(put).build()));
        Ok(())
    }

    /// Changes a row.
    ///
    /// # Errors
    /// Never in practice: everything the SDK asks for is given.
    pub fn update<C>(&mut self, label: L, table: &Table, change: Change) -> Result<(), StoreError<C>> {
        let update = Update::builder()
            .table_name(&table.name)
            .set_key(Some(change.key.attributes()))
            .set_expression_attribute_names(names(&[&change.update, change.condition]))
            .update_expression(change.update)
            .condition_expression(change.condition)
            .set_expression_attribute_values(value_map(change.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(StoreError::unavailable)?;
        self.actions.push((label, TransactWriteItem::builder().update(update).build()));
        Ok(())
    }

    /// Deletes a row.
    ///
    /// # Errors
    /// As [`Transaction::update`].
    pub fn delete<C>(&mut self, label: L, table: &Table, change: Change) -> Result<(), StoreError<C>> {
        let delete = Delete::builder()
            .table_name(&table.name)
            .set_key(Some(change.key.attributes()))
            .condition_expression(change.condition)
            .set_expression_attribute_names(names(&[change.condition]))
            .set_expression_attribute_values(value_map(change.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(StoreError::unavailable)?;
        self.actions.push((label, TransactWriteItem::builder().delete(delete).build()));
        Ok(())
    }

    /// Writes nothing, and lets the others be written only if the condition holds.
    ///
    /// # Errors
    /// As [`Transaction::update`].
    pub fn check<C>(&mut self, label: L, table: &Table, change: Change) -> Result<(), StoreError<C>> {
        let check = ConditionCheck::builder()
            .table_name(&table.name)
            .set_key(Some(change.key.attributes()))
            .condition_expression(change.condition)
            .set_expression_attribute_names(names(&[change.condition]))
            .set_expression_attribute_values(value_map(change.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(StoreError::unavailable)?;
        self.actions.push((label, TransactWriteItem::builder().condition_check(check).build()));
        Ok(())
    }

    /// Commits.
    ///
    /// All its attempts, the SDK's and ours, carry one request token: one that was carried out but not heard of is
    /// not carried out again, and says that it was
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>).
    ///
    /// # Errors
    /// When conditions did not hold, or the table does not answer.
    pub async fn commit(self, table: &Table) -> Result<(), TransactionError<L>> {
        let (labels, items): (Vec<L>, Vec<TransactWriteItem>) = self.actions.into_iter().unzip();
        let token = format!("{:032x}", fastrand::u128(..));
        let mut attempt = 0;
        loop {
            attempt += 1;
            let request = table.client.transact_write_items().client_request_token(&token);
            let sent = request.set_transact_items(Some(items.clone())).send().await;
            let Err(error) = sent else { return Ok(()) };
            let Some(reasons) = error
                .as_service_error()
                .and_then(|error| match error {
                    aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(cancelled) => {
                        cancelled.cancellation_reasons.clone()
                    }
                    _ => None,
                })
            else {
                return Err(TransactionError::Unavailable(cause(&error).into()));
            };
            let failed: Vec<(L, Option<Row>)> = reasons
                .iter()
                .zip(&labels)
                .filter(|(reason, _)| reason.code.as_deref() == Some("ConditionalCheckFailed"))
                .map(|(reason, label)| (label.clone(), reason.item.clone()))
                .collect();
            if !failed.is_empty() {
                return Err(TransactionError::Conditions(failed));
            }
            let passing = |code: &str| {
                matches!(
                    code,
                    "None" | "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded"
                )
            };
            let all_passing = reasons.iter().all(|reason| passing(reason.code.as_deref().unwrap_or("None")));
            if !all_passing || attempt >= ATTEMPTS {
                return Err(TransactionError::Unavailable(cause(&error).into()));
            }
            tracing::debug!(attempt, "a transaction met another one");
            pause(attempt).await;
        }
    }
}

/// Waits before an attempt: full jitter, twice as long each time, at most a second
/// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
pub(crate) async fn pause(attempt: u32) {
    let ceiling = 20_u64.saturating_mul(1 << attempt.min(6)).min(1_000);
    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..=ceiling))).await;
}

/// `#name` stands for the attribute `name`.
pub(crate) fn names(expressions: &[&str]) -> Option<HashMap<String, String>> {
    let mut names = HashMap::new();
    for expression in expressions {
        for after in expression.split('#').skip(1) {
            let name: String = after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            names.insert(format!("#{name}"), name);
        }
    }
    (!names.is_empty()).then_some(names)
}

fn value_map(values: Vec<(&'static str, AttributeValue)>) -> Option<HashMap<String, AttributeValue>> {
    (!values.is_empty()).then(|| values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A text value.
pub fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

/// A number value.
pub fn number(value: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}
