//! Pages of an index, newest first.
//!
//! The rows of a list are spread over a few partitions of the index, so that none is hot when many are created at
//! once. Their sort keys are ids of version 7, which sort by time, so a page is a merge of the partitions, and a
//! cursor is the id of the last row: it means the same in every partition.

use aws_sdk_dynamodb::types::AttributeValue;
use erp_contracts::store::From;
use erp_contracts::{Page, Rows, StoreError};
use futures_util::future::try_join_all;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::Table;
use crate::table::{Row, read, unavailable};
use crate::transaction::names;

/// Partitions of a list index.
pub const LIST_SHARDS: u8 = 4;

/// Rows that are looked at in one go where a filter leaves some out.
const FILTERED: usize = 500;

/// The partition of `name` that a row with this id stands in.
pub fn shard(name: &str, id: Uuid) -> String {
    let [.., last] = *id.as_bytes();
    format!("{name}#{}", last % LIST_SHARDS)
}

/// Every partition of `name`.
pub fn shards(name: &str) -> Vec<String> {
    (0..LIST_SHARDS).map(|shard| format!("{name}#{shard}")).collect()
}

/// A list to read from.
#[derive(Debug, Clone)]
pub struct List<'a> {
    /// The table.
    pub table: &'a Table,
    /// The index, whose keys are `{index}_pk` and `{index}_sk`; none reads the table itself.
    pub index: Option<&'a str>,
    /// Its partitions.
    pub partitions: Vec<String>,
    /// What stands before the id in the sort key; empty in an index.
    pub prefix: &'a str,
    /// Rows to leave out: an expression and its values, such as `#status = :status`.
    pub filter: Option<(&'static str, Vec<(&'static str, AttributeValue)>)>,
}

impl List<'_> {
    /// A page, newest first.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn page<T: DeserializeOwned>(&self, page: Page) -> Result<Rows<T>, StoreError> {
        let after = match page.from {
            From::After(last) => Some(last),
            From::Offset(0) => None,
            // What is skipped is found by its keys alone, so that a deep page does not carry whole orders along.
            From::Offset(skipped) => {
                let keys = self.merge(None, skipped, true).await?;
                match keys.get(skipped - 1) {
                    Some((last, _)) => Some(*last),
                    None => {
                        return Ok(Rows { rows: Vec::new(), next: None });
                    }
                }
            }
        };
        let mut found = self.merge(after, page.limit + 1, false).await?;
        let more = found.len() > page.limit;
        found.truncate(page.limit);
        let next = found.last().filter(|_| more).map(|(id, _)| *id);
        let rows = found.into_iter().map(|(_, row)| read(row)).collect::<Result<_, _>>()?;
        Ok(Rows { rows, next })
    }

    /// The newest `count` rows after `after`, of all partitions.
    async fn merge(
        &self,
        after: Option<Uuid>,
        count: usize,
        keys: bool,
    ) -> Result<Vec<(Uuid, Row)>, StoreError> {
        let parts = self.partitions.iter().map(|partition| self.partition(partition, after, count, keys));
        let mut rows = try_join_all(parts).await?.concat();
        rows.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
        rows.truncate(count);
        Ok(rows)
    }

    async fn partition(
        &self,
        partition: &str,
        after: Option<Uuid>,
        count: usize,
        keys: bool,
    ) -> Result<Vec<(Uuid, Row)>, StoreError> {
        let (pk, sk) = match self.index {
            Some(index) => (format!("{index}_pk"), format!("{index}_sk")),
            None => ("pk".to_owned(), "sk".to_owned()),
        };
        // '0' sorts before every id and '~' after every character of one. In an index the prefix alone would be empty,
        // and DynamoDB refuses an empty value for a key.
        let condition = format!("#{pk} = :pk AND #{sk} BETWEEN :low AND :high");
        let low = format!("{}0", self.prefix);
        let high = after.map_or_else(|| format!("{}~", self.prefix), |last| format!("{}{last}", self.prefix));
        let filter = self.filter.as_ref().map(|(filter, _)| *filter);
        // One more than is wanted, since BETWEEN gives the last row of the page before again. A filter leaves rows out
        // after they were counted, so with one more are looked at in one go.
        let evaluated = if filter.is_some() { (count + 1).max(FILTERED) } else { count + 1 };
        let mut rows = Vec::new();
        let mut start = None;
        loop {
            let mut query = self
                .table
                .client
                .query()
                .table_name(&self.table.name)
                .set_index_name(self.index.map(str::to_owned))
                .key_condition_expression(&condition)
                .set_filter_expression(filter.map(str::to_owned))
                .set_expression_attribute_names(names(&[&condition, filter.unwrap_or_default()]))
                .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
                .expression_attribute_values(":low", AttributeValue::S(low.clone()))
                .expression_attribute_values(":high", AttributeValue::S(high.clone()))
                .scan_index_forward(false)
                .set_exclusive_start_key(start)
                .limit(i32::try_from(evaluated).unwrap_or(i32::MAX));
            for (name, value) in self.filter.iter().flat_map(|(_, values)| values) {
                query = query.expression_attribute_values(*name, value.clone());
            }
            if keys {
                query = query.projection_expression(format!("#{sk}"));
            }
            let answer = query.send().await.map_err(unavailable)?;
            for row in answer.items.unwrap_or_default() {
                let id = row.get(&sk).and_then(|value| value.as_s().ok());
                let id = id.and_then(|text| text.strip_prefix(self.prefix)?.parse::<Uuid>().ok());
                let id =
                    id.ok_or_else(|| StoreError::unavailable("a row of a list has no id as its sort key"))?;
                if Some(id) != after {
                    rows.push((id, row));
                }
            }
            start = answer.last_evaluated_key;
            if start.is_none() || rows.len() >= count {
                rows.truncate(count);
                return Ok(rows);
            }
        }
    }
}
