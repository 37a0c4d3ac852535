//! One DynamoDB table: keys, reads, and what its errors mean.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest};
use erp_contracts::{Place, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cause::cause;

/// An item of a table, as the SDK has it.
pub type Row = HashMap<String, AttributeValue>;

/// Writes only what is not there yet.
pub const NOT_THERE: &str = "attribute_not_exists(pk)";
/// Writes only what is there.
pub const THERE: &str = "attribute_exists(pk)";

/// Rows of a page, and the key of the last one that was looked at, if more rows follow it.
pub type RowsAndMore = (Vec<Row>, Option<Key>);

/// A primary key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Key {
    /// The partition.
    pub pk: String,
    /// The place in it.
    pub sk: String,
}

impl From<Key> for Place {
    fn from(key: Key) -> Self {
        Self { partition: key.pk, row: key.sk }
    }
}

impl From<&Place> for Key {
    fn from(place: &Place) -> Self {
        Self::new(&place.partition, &place.row)
    }
}

impl Key {
    /// A key of two parts.
    pub fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    /// The key of a row.
    ///
    /// # Errors
    /// When it has none of ours.
    pub fn of<C>(row: &Row) -> Result<Self, StoreError<C>> {
        let part = |name| row.get(name).and_then(|value| value.as_s().ok());
        match (part("pk"), part("sk")) {
            (Some(pk), Some(sk)) => Ok(Self::new(pk, sk)),
            _ => Err(StoreError::unavailable("a row has no pk and sk")),
        }
    }

    /// The key as the SDK has it.
    pub fn attributes(&self) -> Row {
        HashMap::from([
            ("pk".to_owned(), AttributeValue::S(self.pk.clone())),
            ("sk".to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }
}

/// A table and the way to it.
#[derive(Debug, Clone)]
pub struct Table {
    /// The client.
    pub client: Client,
    /// The physical name.
    pub name: String,
}

/// An SDK error as a store's: whatever it is, nobody knows whether the thing is there.
pub fn unavailable<C, E>(error: SdkError<E, HttpResponse>) -> StoreError<C>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    StoreError::unavailable(cause(&error))
}

/// A row as a `T`.
///
/// # Errors
/// When the row has another shape, which no code of ours wrote.
pub fn read<T: DeserializeOwned, C>(row: Row) -> Result<T, StoreError<C>> {
    serde_dynamo::from_item(row).map_err(StoreError::unavailable)
}

/// A `T` as a row.
///
/// # Errors
/// When `T` has a shape that no row can have.
pub fn write<T: Serialize, C>(value: &T) -> Result<Row, StoreError<C>> {
    serde_dynamo::to_item(value).map_err(StoreError::unavailable)
}

/// The most keys that one `BatchGetItem` takes.
const BATCH_GET: usize = 100;
/// The most rows that one `BatchWriteItem` takes.
const BATCH_WRITE: usize = 25;
/// How often the rest of a batch is asked for.
const BATCH_ROUNDS: u32 = 8;

impl Table {
    /// A table by its name.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }

    /// One row by a consistent read.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        self.get_raw(key).await?.map(read).transpose()
    }

    pub(crate) async fn get_raw(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        let request = self.client.get_item().table_name(&self.name).set_key(Some(key.attributes()));
        Ok(request.consistent_read(true).send().await.map_err(unavailable)?.item)
    }

    /// Those of the rows that are there, by consistent reads, in no order. The keys must differ.
    ///
    /// # Errors
    /// When the table does not answer, or gives back only a part again and again.
    pub async fn get_all<T: DeserializeOwned>(&self, keys: &[Key]) -> Result<Vec<T>, StoreError> {
        let mut rows = Vec::new();
        for chunk in keys.chunks(BATCH_GET) {
            let mut left: Vec<Row> = chunk.iter().map(Key::attributes).collect();
            for round in 0..BATCH_ROUNDS {
                if left.is_empty() {
                    break;
                }
                if round > 0 {
                    crate::transaction::pause(round).await;
                }
                let wanted = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(left));
                let wanted = wanted.build().map_err(StoreError::unavailable)?;
                let answer = self.client.batch_get_item().request_items(&self.name, wanted).send().await;
                let answer = answer.map_err(unavailable)?;
                for row in answer.responses.unwrap_or_default().remove(&self.name).unwrap_or_default() {
                    rows.push(read(row)?);
                }
                let mut unprocessed = answer.unprocessed_keys.unwrap_or_default();
                left = unprocessed.remove(&self.name).map(|keys| keys.keys).unwrap_or_default();
            }
            if !left.is_empty() {
                return Err(StoreError::unavailable("DynamoDB left keys of a batch unread"));
            }
        }
        Ok(rows)
    }

    /// A page of the whole table, behind the row `after`: those rows that `filter` lets through, an expression with
    /// its values, such as `#sk = :sk`. Rows of one partition stand together, smallest sort key first. The reads are
    /// eventually consistent, which costs half: what looks wrong must be read again.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn scan(
        &self,
        filter: &str,
        values: &[(&str, AttributeValue)],
        after: Option<&Key>,
    ) -> Result<RowsAndMore, StoreError> {
        let mut scan = self
            .client
            .scan()
            .table_name(&self.name)
            .filter_expression(filter)
            .set_expression_attribute_names(crate::transaction::names(&[filter]))
            .set_exclusive_start_key(after.map(Key::attributes));
        for (name, value) in values {
            scan = scan.expression_attribute_values(*name, value.clone());
        }
        let page = scan.send().await.map_err(unavailable)?;
        let more = page.last_evaluated_key.as_ref().map(Key::of).transpose()?;
        Ok((page.items.unwrap_or_default(), more))
    }

    /// Writes rows without a condition, one by one and in no order: only for rows whose keys and contents are the
    /// same however often they are written.
    ///
    /// # Errors
    /// When the table does not answer, or some were left unwritten again and again.
    pub async fn put_all<T: Serialize>(
        &self,
        rows: impl Iterator<Item = T> + Send,
    ) -> Result<(), StoreError> {
        let put = |row: T| {
            let put = PutRequest::builder()
                .set_item(Some(write(&row)?))
                .build()
                .map_err(StoreError::unavailable)?;
            Ok(WriteRequest::builder().put_request(put).build())
        };
        let requests = rows.map(put).collect::<Result<_, StoreError>>()?;
        self.write_all(requests).await
    }

    /// Deletes rows without a condition, one by one and in no order; they may be gone already.
    ///
    /// # Errors
    /// As [`Table::put_all`].
    pub async fn delete_all(&self, keys: impl Iterator<Item = Key> + Send) -> Result<(), StoreError> {
        let delete = |key: Key| {
            let delete = DeleteRequest::builder().set_key(Some(key.attributes())).build();
            Ok(WriteRequest::builder().delete_request(delete.map_err(StoreError::unavailable)?).build())
        };
        let requests = keys.map(delete).collect::<Result<_, StoreError>>()?;
        self.write_all(requests).await
    }

    async fn write_all(&self, requests: Vec<WriteRequest>) -> Result<(), StoreError> {
        for chunk in requests.chunks(BATCH_WRITE) {
            let mut left = chunk.to_vec();
            for round in 0..BATCH_ROUNDS {
                if left.is_empty() {
                    break;
                }
                if round > 0 {
                    crate::transaction::pause(round).await;
                }
                let answer = self.client.batch_write_item().request_items(&self.name, left).send().await;
                let mut unprocessed = answer.map_err(unavailable)?.unprocessed_items.unwrap_or_default();
                left = unprocessed.remove(&self.name).unwrap_or_default();
            }
            if !left.is_empty() {
                return Err(StoreError::unavailable("DynamoDB left rows of a batch unwritten"));
            }
        }
        Ok(())
    }

    /// The rows of a partition whose sort key starts with `prefix`, smallest first, by consistent reads: up to
    /// `limit` that come behind the sort key `after`.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn query_prefix<T: DeserializeOwned>(
        &self,
        pk: &str,
        prefix: &str,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<T>, StoreError> {
        let mut rows = Vec::new();
        let mut start = after.map(|sk| Key::new(pk, sk).attributes());
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.name)
                .consistent_read(true)
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
                .set_exclusive_start_key(start)
                .limit(i32::try_from(limit - rows.len()).unwrap_or(i32::MAX))
                .send()
                .await
                .map_err(unavailable)?;
            for row in page.items.unwrap_or_default() {
                rows.push(read(row)?);
            }
            start = page.last_evaluated_key;
            if start.is_none() || rows.len() >= limit {
                return Ok(rows);
            }
        }
    }
}
