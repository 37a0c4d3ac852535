//! Copies the rows of a restored table back into the table of a service.
//!
//! Point-in-time recovery creates a table with another name, without the stream and the alarms of the service's
//! table. The copy can be interrupted and repeated: each write has a condition, and rows that are already there
//! are not written again. Rows that exist only in the service's table remain.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, KeySchemaElement, KeyType, ReturnValuesOnConditionCheckFailure,
};
use erp_aws::table::{ABSENT, Key, Row, unavailable};
use erp_aws::{StoreError, Table};
use erp_domain::Timestamp;
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use serde::Serialize;

/// Rows that are compared and written at the same time.
const CONCURRENCY: usize = 16;
/// Keys of rows with other contents that a report lists.
const LISTED: usize = 100;

/// The restoration of a table.
#[derive(Debug, Clone)]
pub struct Restore {
    /// The table that point-in-time recovery created.
    pub from: Table,
    /// The table of the service.
    pub to: Table,
    /// Whether to write. Otherwise the rows are only compared.
    pub write: bool,
    /// Whether to replace rows that have other contents in the service's table.
    pub overwrite: bool,
    /// The current time. Rows whose time to live is over are left out.
    pub now: Timestamp,
}

/// The counts of a restoration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rows of the restored table.
    pub read: u64,
    /// Rows that the service's table contains with the same contents.
    pub unchanged: u64,
    /// Rows that the service's table did not contain.
    pub missing: u64,
    /// Rows that the service's table contains with other contents.
    pub different: u64,
    /// Rows whose time to live is over.
    pub expired: u64,
    /// Rows that were written: missing ones, and different ones if they are to be replaced.
    pub written: u64,
    /// Keys of the first different rows.
    pub different_keys: Vec<String>,
}

/// A failure of a restoration.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Both names denote the same table.
    #[error("both tables are the same")]
    SameTable,
    /// The table is not one of a service.
    #[error("the primary key of {0} is not pk and sk")]
    OtherKeys(String),
    /// A table is unavailable or does not exist.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The comparison of a row with the service's table.
enum Comparison {
    Unchanged,
    Missing,
    Different(Key),
    Expired,
}

impl Report {
    /// Returns whether the service's table now contains every row that has not expired.
    pub fn is_complete(&self) -> bool {
        self.missing + self.different == self.written
    }

    fn add(&mut self, comparison: Comparison, written: bool) {
        self.read += 1;
        self.written += u64::from(written);
        match comparison {
            Comparison::Unchanged => self.unchanged += 1,
            Comparison::Missing => self.missing += 1,
            Comparison::Expired => self.expired += 1,
            Comparison::Different(key) => {
                self.different += 1;
                if self.different_keys.len() < LISTED {
                    self.different_keys.push(format!("{} / {}", key.pk, key.sk));
                }
            }
        }
    }
}

impl Restore {
    /// Restores the rows. `progress` receives the counts after each page of the restored table.
    pub async fn run(&self, progress: impl Fn(&Report)) -> Result<Report, RestoreError> {
        if self.from.name == self.to.name {
            return Err(RestoreError::SameTable);
        }
        for table in [&self.from, &self.to] {
            if !has_keys_of_a_service(table).await? {
                return Err(RestoreError::OtherKeys(table.name.clone()));
            }
        }
        let mut report = Report::default();
        let scan = self.from.client.scan().table_name(&self.from.name).consistent_read(true);
        let mut pages = scan.into_paginator().send();
        while let Some(page) = pages.try_next().await.map_err(unavailable)? {
            let rows = iter(page.items.unwrap_or_default()).map(|row| self.restore(row));
            let mut compared = rows.buffer_unordered(CONCURRENCY);
            while let Some((comparison, written)) = compared.try_next().await? {
                report.add(comparison, written);
            }
            progress(&report);
        }
        Ok(report)
    }

    /// Compares a row and writes it if necessary. Returns whether it was written.
    async fn restore(&self, row: Row) -> Result<(Comparison, bool), StoreError> {
        if self.is_expired(&row) {
            return Ok((Comparison::Expired, false));
        }
        let key = Key::of(&row)?;
        let current = if self.write { self.insert(&row).await? } else { self.read(&key).await? };
        Ok(match current {
            None => (Comparison::Missing, self.write),
            Some(current) if current == row => (Comparison::Unchanged, false),
            Some(current) => {
                let written = self.write && self.overwrite && self.replace(&current, &row).await?;
                (Comparison::Different(key), written)
            }
        })
    }

    fn is_expired(&self, row: &Row) -> bool {
        let expires_at = row.get("expires_at").and_then(|value| value.as_n().ok());
        expires_at.and_then(|seconds| seconds.parse().ok()).is_some_and(|at: i64| at <= self.now.as_seconds())
    }

    async fn read(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        let request = self.to.client.get_item().table_name(&self.to.name).set_key(Some(key.attributes()));
        Ok(request.consistent_read(true).send().await.map_err(unavailable)?.item)
    }

    /// Writes the row if there is none with its key; otherwise returns that row.
    async fn insert(&self, row: &Row) -> Result<Option<Row>, StoreError> {
        let put = self.to.client.put_item().table_name(&self.to.name).set_item(Some(row.clone()));
        let put = put
            .condition_expression(ABSENT)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = put.send().await else { return Ok(None) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => match failed.item() {
                Some(current) => Ok(Some(current.clone())),
                None => Err(StoreError::new("the failed condition came without the row")),
            },
            _ => Err(unavailable(error)),
        }
    }

    /// Replaces a row if it still has these contents. Returns whether it had.
    async fn replace(&self, current: &Row, row: &Row) -> Result<bool, StoreError> {
        let (condition, names, values) = equals(current, row);
        let put = self.to.client.put_item().table_name(&self.to.name).set_item(Some(row.clone()));
        let put = put
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values));
        let Err(error) = put.send().await else { return Ok(true) };
        let failed =
            error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception());
        if failed { Ok(false) } else { Err(unavailable(error)) }
    }
}

/// Returns the condition that a row has exactly the contents `current`, as far as `current` and `new` name attributes.
fn equals(current: &Row, new: &Row) -> (String, HashMap<String, String>, HashMap<String, AttributeValue>) {
    let (mut terms, mut names, mut values) = (Vec::new(), HashMap::new(), HashMap::new());
    for (index, (name, value)) in current.iter().enumerate() {
        terms.push(format!("#c{index} = :c{index}"));
        names.insert(format!("#c{index}"), name.clone());
        values.insert(format!(":c{index}"), value.clone());
    }
    for (index, name) in new.keys().filter(|name| !current.contains_key(*name)).enumerate() {
        terms.push(format!("attribute_not_exists(#n{index})"));
        names.insert(format!("#n{index}"), name.clone());
    }
    (terms.join(" AND "), names, values)
}

async fn has_keys_of_a_service(table: &Table) -> Result<bool, StoreError> {
    let described =
        table.client.describe_table().table_name(&table.name).send().await.map_err(unavailable)?;
    let schema = described.table.and_then(|table| table.key_schema).unwrap_or_default();
    let has = |name, kind| {
        schema.iter().any(|key: &KeySchemaElement| key.attribute_name == name && key.key_type == kind)
    };
    Ok(has("pk", KeyType::Hash) && has("sk", KeyType::Range))
}
