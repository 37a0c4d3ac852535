//! One DynamoDB table: keys, reads and batches.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest};
use backon::BackoffBuilder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::retry::{backoff, in_time};
use crate::sdk_error::sdk_error_message;
use crate::store::error_chain;
use crate::transaction::{names, text};

/// The attributes of a row.
pub type Row = HashMap<String, AttributeValue>;

/// Condition: the row does not exist.
pub const ABSENT: &str = "attribute_not_exists(pk)";
/// Condition: the row exists.
pub const EXISTS: &str = "attribute_exists(pk)";

/// A row that cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Partition key and sort key.
    pub key: String,
    /// The decoding error.
    pub reason: String,
}

/// The rows of a page of a scan, and the cursor of the next page if there may be one.
pub type Scanned<T> = (Vec<Result<T, Unreadable>>, Option<ScanCursor>);

/// A primary key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

/// The position of a scan of a table: the key of the last row that was read.
pub type ScanCursor = Key;

/// One of the equal parts into which a parallel scan divides a table. A partition is in one part as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanSegment {
    /// The number of the part, from 0.
    pub number: i32,
    /// The number of parts.
    pub total: i32,
}

impl ScanSegment {
    /// The whole table as one part.
    pub const WHOLE: Self = Self { number: 0, total: 1 };
}

impl Key {
    /// Creates a key.
    pub fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    /// Extracts the key of a row.
    pub fn of(row: &Row) -> Result<Self, StoreError> {
        let part = |name| row.get(name).and_then(|value| value.as_s().ok());
        match (part("pk"), part("sk")) {
            (Some(pk), Some(sk)) => Ok(Self::new(pk, sk)),
            _ => Err(StoreError::new("a row has no pk and sk")),
        }
    }

    /// Returns the key as attributes.
    pub fn attributes(&self) -> Row {
        HashMap::from([("pk".to_owned(), text(&self.pk)), ("sk".to_owned(), text(&self.sk))])
    }
}

/// A table and its client.
#[derive(Debug, Clone)]
pub struct Table {
    /// The SDK client.
    pub client: Client,
    /// The physical name of the table.
    pub name: String,
}

/// Converts an SDK error.
pub fn unavailable<E>(error: SdkError<E, HttpResponse>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    StoreError::new(sdk_error_message(&error))
}

/// Returns the table of the ARN of a stream, `arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL`.
pub fn of_stream(arn: &str) -> Option<&str> {
    arn.split('/').nth(1).filter(|name| !name.is_empty())
}

/// Deserialises a row.
pub fn read<T: DeserializeOwned>(row: Row) -> Result<T, StoreError> {
    serde_dynamo::from_item(row).map_err(StoreError::new)
}

/// Serialises a row.
pub fn write<T: Serialize>(value: &T) -> Result<Row, StoreError> {
    serde_dynamo::to_item(value).map_err(StoreError::new)
}

/// Maximum keys of one `BatchGetItem`.
const BATCH_GET: usize = 100;
/// Maximum rows of one `BatchWriteItem`.
const BATCH_WRITE: usize = 25;
/// Attempts to process all entries of a batch.
const BATCH_ATTEMPTS: usize = 8;

impl Table {
    /// Creates a table by its physical name.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }

    /// Reads one row, strongly consistent.
    pub async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        let request = self.client.get_item().table_name(&self.name).set_key(Some(key.attributes()));
        let response = request.consistent_read(true).send().await.map_err(unavailable)?;
        response.item.map(read).transpose()
    }

    /// Reads the rows that exist, strongly consistent, in no order. The keys must be distinct.
    pub async fn get_all<T: DeserializeOwned>(&self, keys: &[Key]) -> Result<Vec<T>, StoreError> {
        let mut rows = Vec::new();
        for chunk in keys.chunks(BATCH_GET) {
            let mut left: Vec<Row> = chunk.iter().map(Key::attributes).collect();
            let mut delays = backoff(BATCH_ATTEMPTS).build();
            while !left.is_empty() {
                let request = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(left));
                let request = request.build().map_err(StoreError::new)?;
                let response = self.client.batch_get_item().request_items(&self.name, request).send().await;
                let response = response.map_err(unavailable)?;
                for row in response.responses.unwrap_or_default().remove(&self.name).unwrap_or_default() {
                    rows.push(read(row)?);
                }
                let mut unprocessed = response.unprocessed_keys.unwrap_or_default();
                left = unprocessed.remove(&self.name).map(|keys| keys.keys).unwrap_or_default();
                if !left.is_empty() {
                    wait(delays.next()).await?;
                }
            }
        }
        Ok(rows)
    }

    /// Scans a page of a part of the table after a cursor, and decodes its rows; `filter` is an expression with its
    /// values, such as `#sk = :sk`. Rows of one partition are contiguous, sorted by sort key. The reads are eventually
    /// consistent, which halves their cost: a suspicious row must be read again.
    pub async fn scan<T>(
        &self,
        segment: ScanSegment,
        filter: &str,
        values: &[(&str, AttributeValue)],
        after: Option<&ScanCursor>,
        decode: impl Fn(Row) -> Result<T, StoreError>,
    ) -> Result<Scanned<T>, StoreError> {
        let mut scan = self
            .client
            .scan()
            .table_name(&self.name)
            .segment(segment.number)
            .total_segments(segment.total)
            .filter_expression(filter)
            .set_expression_attribute_names(names(&[filter]))
            .set_exclusive_start_key(after.map(Key::attributes));
        for (name, value) in values {
            scan = scan.expression_attribute_values(*name, value.clone());
        }
        let page = scan.send().await.map_err(unavailable)?;
        let next = page.last_evaluated_key.as_ref().map(Key::of).transpose()?;
        let decoded = |row: Row| {
            let Key { pk, sk } = Key::of(&row)?;
            Ok(decode(row).map_err(|error| Unreadable {
                key: format!("{pk} / {sk}"),
                reason: error_chain(error.into_cause().as_ref()),
            }))
        };
        let rows = page.items.unwrap_or_default().into_iter().map(decoded);
        Ok((rows.collect::<Result<_, StoreError>>()?, next))
    }

    /// Writes rows without a condition, not atomically and in no order: only for rows that are idempotent, with keys and
    /// contents that do not depend on when or how often they are written.
    pub async fn put_all<T: Serialize>(
        &self,
        rows: impl Iterator<Item = T> + Send,
    ) -> Result<(), StoreError> {
        let put = |row: T| {
            let put = PutRequest::builder().set_item(Some(write(&row)?)).build().map_err(StoreError::new)?;
            Ok(WriteRequest::builder().put_request(put).build())
        };
        self.write_all(rows.map(put)).await
    }

    /// Deletes rows without a condition, not atomically and in no order; they need not exist.
    pub async fn delete_all(&self, keys: impl Iterator<Item = Key> + Send) -> Result<(), StoreError> {
        let delete = |key: Key| {
            let delete = DeleteRequest::builder().set_key(Some(key.attributes())).build();
            Ok(WriteRequest::builder().delete_request(delete.map_err(StoreError::new)?).build())
        };
        self.write_all(keys.map(delete)).await
    }

    async fn write_all(
        &self,
        requests: impl Iterator<Item = Result<WriteRequest, StoreError>>,
    ) -> Result<(), StoreError> {
        let requests: Vec<WriteRequest> = requests.collect::<Result<_, _>>()?;
        for chunk in requests.chunks(BATCH_WRITE) {
            let mut left = chunk.to_vec();
            let mut delays = backoff(BATCH_ATTEMPTS).build();
            while !left.is_empty() {
                let response = self.client.batch_write_item().request_items(&self.name, left).send().await;
                let mut unprocessed = response.map_err(unavailable)?.unprocessed_items.unwrap_or_default();
                left = unprocessed.remove(&self.name).unwrap_or_default();
                if !left.is_empty() {
                    wait(delays.next()).await?;
                }
            }
        }
        Ok(())
    }

    /// Reads up to `limit` rows of a partition whose sort key starts with `prefix`, in ascending order after the sort key
    /// `after`, strongly consistent.
    pub async fn query_prefix<T: DeserializeOwned>(
        &self,
        pk: &str,
        prefix: &str,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<T>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":prefix", text(prefix))
            .set_exclusive_start_key(after.map(|sk| Key::new(pk, sk).attributes()))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let mut pages = query.into_paginator().send();
        let mut rows = Vec::new();
        while rows.len() < limit
            && let Some(page) = pages.try_next().await.map_err(unavailable)?
        {
            let page = page.items.unwrap_or_default().into_iter().take(limit - rows.len());
            rows.extend(page.map(read).collect::<Result<Vec<T>, _>>()?);
        }
        Ok(rows)
    }
}

/// Waits before the entries of a batch that DynamoDB did not process are sent again.
async fn wait(delay: Option<Duration>) -> Result<(), StoreError> {
    let delay = in_time(&(), delay)
        .ok_or_else(|| StoreError::new("DynamoDB did not process all entries of a batch"))?;
    tokio::time::sleep(delay).await;
    Ok(())
}
