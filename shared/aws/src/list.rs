//! Pages of an index, newest first.
//!
//! The rows of a list are spread over a few partitions of the index (shards), so that concurrent inserts do not heat
//! one partition. The sort keys are ids of version 7, which sort by creation, so a page is a merge of the shards, and a
//! cursor is the id of the last row: it is valid in every shard.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::store::{Page, PageRequest, PageStart};
use crate::table::{Row, read, unavailable};
use crate::transaction::{names, text};
use crate::{StoreError, Table};

/// Shards of a list index.
pub const LIST_SHARDS: u8 = 4;

/// A row, and the id in its sort key.
type RowWithId = (Uuid, Row);

/// Rows evaluated per query when a filter removes some of them.
const FILTER_PAGE: usize = 500;

/// Returns the partition key of the list `name` for a row with this id.
pub fn shard(name: &str, id: Uuid) -> String {
    let [.., last] = *id.as_bytes();
    format!("{name}#{}", last % LIST_SHARDS)
}

/// Returns every partition key of the list `name`.
pub fn shards(name: &str) -> Vec<String> {
    (0..LIST_SHARDS).map(|shard| format!("{name}#{shard}")).collect()
}

/// A list to read from.
#[derive(Debug, Clone)]
pub struct List<'a> {
    /// The table.
    pub table: &'a Table,
    /// The index, whose keys are `{index}_pk` and `{index}_sk`; `None` reads the table itself.
    pub index: Option<&'a str>,
    /// Partition keys of the list.
    pub partitions: Vec<String>,
    /// Prefix of the sort key before the id; empty in an index.
    pub prefix: &'a str,
    /// Filter expression with its values, such as `#status = :status`.
    pub filter: Option<(&'static str, Vec<(&'static str, AttributeValue)>)>,
}

impl<'a> List<'a> {
    /// Creates a list over all shards of `name` in an index.
    pub fn sharded(table: &'a Table, index: &'a str, name: &str) -> Self {
        Self { table, index: Some(index), partitions: shards(name), prefix: "", filter: None }
    }

    /// Reads a page, newest first.
    pub async fn page<T: DeserializeOwned>(&self, page: PageRequest) -> Result<Page<T>, StoreError> {
        let after = match page.start {
            PageStart::After(last) => Some(last),
            PageStart::Offset(0) => None,
            // Only keys are read of the skipped rows.
            PageStart::Offset(skipped) => {
                let keys = self.merge(None, skipped, true).await?;
                match keys.get(skipped - 1) {
                    Some((last, _)) => Some(*last),
                    None => return Ok(Page { rows: Vec::new(), next: None }),
                }
            }
        };
        let mut found = self.merge(after, page.limit + 1, false).await?;
        let more = found.len() > page.limit;
        found.truncate(page.limit);
        let next = found.last().filter(|_| more).map(|(id, _)| *id);
        let rows = found.into_iter().map(|(_, row)| read(row)).collect::<Result<_, _>>()?;
        Ok(Page { rows, next })
    }

    /// Reads the newest `count` rows after `after` from all partitions.
    async fn merge(
        &self,
        after: Option<Uuid>,
        count: usize,
        keys: bool,
    ) -> Result<Vec<RowWithId>, StoreError> {
        let parts = self.partitions.iter().map(|partition| self.partition(partition, after, count, keys));
        let mut rows = try_join_all(parts).await?.concat();
        rows.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
        rows.truncate(count);
        Ok(rows)
    }

    /// Reads the newest rows after `after` from one partition: at least `count` if there are so many.
    async fn partition(
        &self,
        partition: &str,
        after: Option<Uuid>,
        count: usize,
        keys: bool,
    ) -> Result<Vec<RowWithId>, StoreError> {
        let (pk, sk) = match self.index {
            Some(index) => (format!("{index}_pk"), format!("{index}_sk")),
            None => ("pk".to_owned(), "sk".to_owned()),
        };
        // '0' sorts before every id and '~' after every character of one. In an index the bare prefix would be an empty
        // key value, which DynamoDB rejects.
        let condition = format!("#{pk} = :pk AND #{sk} BETWEEN :low AND :high");
        let low = format!("{}0", self.prefix);
        let high = after.map_or_else(|| format!("{}~", self.prefix), |last| format!("{}{last}", self.prefix));
        let filter = self.filter.as_ref().map(|(filter, _)| *filter);
        // One more than requested, because BETWEEN includes the cursor's own row. DynamoDB applies `Limit` before the
        // filter, so a filtered query evaluates more rows at once.
        let evaluated = if filter.is_some() { (count + 1).max(FILTER_PAGE) } else { count + 1 };
        let mut query = self
            .table
            .client
            .query()
            .table_name(&self.table.name)
            .set_index_name(self.index.map(str::to_owned))
            .key_condition_expression(&condition)
            .set_filter_expression(filter.map(str::to_owned))
            .set_expression_attribute_names(names(&[&condition, filter.unwrap_or_default()]))
            .set_projection_expression(keys.then(|| format!("#{sk}")))
            .expression_attribute_values(":pk", text(partition))
            .expression_attribute_values(":low", text(low))
            .expression_attribute_values(":high", text(high))
            .scan_index_forward(false)
            .limit(i32::try_from(evaluated).unwrap_or(i32::MAX));
        for (name, value) in self.filter.iter().flat_map(|(_, values)| values) {
            query = query.expression_attribute_values(*name, value.clone());
        }
        let mut pages = query.into_paginator().send();
        let mut rows = Vec::new();
        while rows.len() < count
            && let Some(page) = pages.try_next().await.map_err(unavailable)?
        {
            for row in page.items.unwrap_or_default() {
                let id = row.get(&sk).and_then(|value| value.as_s().ok());
                let id = id.and_then(|text| text.strip_prefix(self.prefix)?.parse::<Uuid>().ok());
                let id = id.ok_or_else(|| StoreError::new("the sort key of a list row is not an id"))?;
                if Some(id) != after {
                    rows.push((id, row));
                }
            }
        }
        Ok(rows)
    }
}
