//! Unpublished events. The relay takes seconds and the sweep minutes, so an older event needs an operator.

use std::collections::BTreeMap;

use erp_aws::outbox::{outbox_partitions, unpublished};
use erp_aws::{Key, StoreError, Table};

use super::Reconciliation;
use super::finding::FindingKind;

/// Number of rows of a table after which no further ones are read.
const MAX_ROWS: usize = 1000;

impl Reconciliation<'_> {
    pub(super) async fn outboxes(&mut self) -> Result<(), StoreError> {
        for table in &self.ledger.outboxes {
            let first = self.unpublished_rows(table).await?;
            if first.is_empty() {
                continue;
            }
            // The index is eventually consistent: a row that was just published may still be in it.
            tokio::time::sleep(self.ledger.grace_period.recheck_delay).await;
            for (key, event) in self.unpublished_rows(table).await? {
                if first.get(&key) == Some(&event) {
                    let detail = format!("its latest event is {event}");
                    self.report.add(FindingKind::Unpublished, format!("{} {key}", table.name), detail);
                }
            }
        }
        Ok(())
    }

    /// Reads the unpublished rows of a table: the id of the latest event by key.
    async fn unpublished_rows(&self, table: &Table) -> Result<BTreeMap<String, String>, StoreError> {
        let mut found = BTreeMap::new();
        for partition in outbox_partitions() {
            let mut after = None;
            loop {
                let (rows, next) = unpublished(table, &partition, self.before, after).await?;
                for row in rows {
                    let Key { pk, sk } = Key::of(&row)?;
                    let event = row.get("outbox_sk").and_then(|id| id.as_s().ok()).cloned();
                    found.insert(format!("{pk} / {sk}"), event.unwrap_or_default());
                }
                after = next;
                if after.is_none() || found.len() >= MAX_ROWS {
                    break;
                }
            }
        }
        Ok(found)
    }
}
