//! Events that nobody published. The relay takes seconds and the sweep minutes, so what is older needs a person.

use std::collections::BTreeMap;

use erp_aws::outbox::{outbox_partitions, unpublished};
use erp_aws::table::Row;
use erp_aws::{Key, Table};
use erp_contracts::StoreError;

use super::Check;
use super::finding::Kind;

/// The most of one table that is looked at twice.
const MANY: usize = 1000;

impl Check<'_> {
    pub(super) async fn outboxes(&mut self) -> Result<(), StoreError> {
        for table in &self.books.outboxes {
            let first = self.waiting_in(table).await?;
            if first.is_empty() {
                continue;
            }
            // The index is a moment behind: what was published just now may still stand in it.
            tokio::time::sleep(self.books.patience.second_look).await;
            for (key, event) in self.waiting_in(table).await? {
                if first.get(&key) == Some(&event) {
                    let detail = format!("its latest event is {event}");
                    self.report.add(Kind::Unpublished, format!("{} {key}", table.name), detail);
                }
            }
        }
        Ok(())
    }

    /// Rows of a table, by their keys, each with the id of the latest event that is not out.
    async fn waiting_in(&self, table: &Table) -> Result<BTreeMap<String, String>, StoreError> {
        let mut found = BTreeMap::new();
        for partition in outbox_partitions() {
            let mut after: Option<Row> = None;
            loop {
                let (rows, more) = unpublished(table, &partition, self.before, after).await?;
                for row in rows {
                    let Key { pk, sk } = Key::of(&row)?;
                    let event = row.get("outbox_sk").and_then(|id| id.as_s().ok()).cloned();
                    found.insert(format!("{pk} / {sk}"), event.unwrap_or_default());
                }
                after = more;
                if after.is_none() || found.len() >= MANY {
                    break;
                }
            }
        }
        Ok(found)
    }
}
