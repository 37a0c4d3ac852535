//! All-or-nothing writes (`TransactWriteItems`) that report which condition failed.
//!
//! Every action carries a label; a failed commit returns the labels of the failed conditions with the rows found.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update,
};
use backon::Retryable;
use serde::Serialize;

use crate::StoreError;
use crate::retry::{backoff, in_time};
use crate::table::{Key, Row, Table, unavailable, write};

/// Maximum actions of one transaction.
pub const MAX_ACTIONS: usize = 100;
/// Attempts of a commit that conflicts with concurrent transactions.
const ATTEMPTS: usize = 8;

/// An update or deletion of one row.
///
/// In the expressions `#name` stands for the attribute `name`, which avoids DynamoDB's reserved words, and `:value` for a
/// value.
#[derive(Debug, Clone)]
pub struct Change {
    /// Key of the row.
    pub key: Key,
    /// Update expression (`SET …`, `REMOVE …`); ignored by a deletion.
    pub update: String,
    /// Condition expression; a named constant of the store.
    pub condition: &'static str,
    /// Values of both expressions.
    pub values: Vec<(&'static str, AttributeValue)>,
}

/// Actions to commit together; `L` labels them.
#[derive(Debug)]
pub struct Transaction<L> {
    actions: Vec<(L, TransactWriteItem)>,
}

/// The reason why a transaction was not committed.
#[derive(Debug)]
pub enum TransactionError<L> {
    /// Conditions failed: their labels with the rows found. Nothing was written.
    Conditions(Vec<(L, Option<Row>)>),
    /// The outcome is unknown.
    Unavailable(StoreError),
}

impl<L: PartialEq> TransactionError<L> {
    /// Returns whether the condition with this label failed.
    pub fn failed(&self, label: &L) -> bool {
        matches!(self, Self::Conditions(failed) if failed.iter().any(|(other, _)| other == label))
    }
}

impl<L> From<TransactionError<L>> for StoreError {
    /// For transactions whose conditions can only fail because of a bug.
    fn from(error: TransactionError<L>) -> Self {
        match error {
            TransactionError::Conditions(_) => Self::new("a condition failed that is expected to hold"),
            TransactionError::Unavailable(error) => error,
        }
    }
}

impl<L> Default for Transaction<L> {
    fn default() -> Self {
        Self { actions: Vec::new() }
    }
}

impl<L> Transaction<L> {
    /// Creates a transaction without actions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether there is no action.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Puts a whole row.
    pub fn put(
        &mut self,
        label: L,
        table: &Table,
        row: &impl Serialize,
        condition: &'static str,
    ) -> Result<(), StoreError> {
        self.put_with(label, table, row, condition, Vec::new())
    }

    /// Puts a whole row on a condition with values.
    pub fn put_with(
        &mut self,
        label: L,
        table: &Table,
        row: &impl Serialize,
        condition: &'static str,
        values: Vec<(&'static str, AttributeValue)>,
    ) -> Result<(), StoreError> {
        let put = Put::builder()
            .table_name(&table.name)
            .set_item(Some(write(row)?))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .set_expression_attribute_values(value_map(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(StoreError::new)?;
        self.actions.push((label, TransactWriteItem::builder().put(put).build()));
        Ok(())
    }

    /// Updates a row.
    pub fn update(&mut self, label: L, table: &Table, change: Change) -> Result<(), StoreError> {
        let update = Update::builder()
            .table_name(&table.name)
            .set_key(Some(change.key.attributes()))
            .set_expression_attribute_names(names(&[&change.update, change.condition]))
            .update_expression(change.update)
            .condition_expression(change.condition)
            .set_expression_attribute_values(value_map(change.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(StoreError::new)?;
        self.actions.push((label, TransactWriteItem::builder().update(update).build()));
        Ok(())
    }

    /// Deletes a row.
    pub fn delete(&mut self, label: L, table: &Table, change: Change) -> Result<(), StoreError> {
        let delete = Delete::builder()
            .table_name(&table.name)
            .set_key(Some(change.key.attributes()))
            .condition_expression(change.condition)
            .set_expression_attribute_names(names(&[change.condition]))
            .set_expression_attribute_values(value_map(change.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(StoreError::new)?;
        self.actions.push((label, TransactWriteItem::builder().delete(delete).build()));
        Ok(())
    }

    /// Commits.
    ///
    /// A conflict with a concurrent transaction on the same item is retried with back-off. All attempts, the SDK's
    /// included, carry one client request token, so an attempt whose response was lost is not applied twice
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>).
    pub async fn commit(self, table: &Table) -> Result<(), TransactionError<L>> {
        let (labels, items): (Vec<L>, Vec<TransactWriteItem>) = self.actions.into_iter().unzip();
        let request = table
            .client
            .transact_write_items()
            .client_request_token(format!("{:032x}", fastrand::u128(..)))
            .set_transact_items(Some(items));
        let send = || request.clone().send();
        let sent = send
            .retry(backoff(ATTEMPTS))
            .when(|error| is_conflict(cancellation_reasons(error)))
            .adjust(in_time)
            .notify(|_, _| tracing::debug!("transaction conflict, retrying"))
            .await;
        sent.map(drop).map_err(|error| {
            let reasons = cancellation_reasons(&error).iter().zip(labels);
            let failed: Vec<_> = reasons
                .filter(|(reason, _)| reason.code() == Some("ConditionalCheckFailed"))
                .map(|(reason, label)| (label, reason.item.clone()))
                .collect();
            match failed.is_empty() {
                true => TransactionError::Unavailable(unavailable(error)),
                false => TransactionError::Conditions(failed),
            }
        })
    }
}

/// Returns the reason per action, in order, if DynamoDB cancelled the transaction.
fn cancellation_reasons(error: &SdkError<TransactWriteItemsError>) -> &[CancellationReason] {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            cancelled.cancellation_reasons()
        }
        _ => &[],
    }
}

/// Returns whether nothing but concurrent transactions or throttling prevented the commit.
fn is_conflict(reasons: &[CancellationReason]) -> bool {
    let codes = ["None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    !reasons.is_empty() && reasons.iter().all(|reason| codes.contains(&reason.code().unwrap_or("None")))
}

/// Maps every `#name` of the expressions to the attribute `name`.
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

/// Creates a string value.
pub fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

/// Creates a number value.
pub fn number(value: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}
