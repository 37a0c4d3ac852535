//! Unpublished events. The relay takes seconds and the sweep minutes, so an older event needs an operator.

use std::collections::BTreeMap;

use erp_aws::outbox::{outbox_partitions, unpublished};
use erp_aws::{Key, StoreError, Table};

use super::Ledger;
use super::finding::{Finding, FindingKind};

/// Number of rows of a table after which no further ones are read.
const MAX_ROWS: usize = 1000;

impl Ledger {
    /// Returns the events that have been in an outbox for longer than the grace period.
    pub(super) async fn unpublished(&self) -> Result<Vec<Finding>, StoreError> {
        let mut findings = Vec::new();
        for table in &self.outboxes {
            let first = self.unpublished_rows(table).await?;
            if first.is_empty() {
                continue;
            }
            // The index is eventually consistent: a row that was just published may still be in it.
            tokio::time::sleep(self.grace_period.recheck_delay).await;
            for (key, event) in self.unpublished_rows(table).await? {
                if first.get(&key) == Some(&event) {
                    let (subject, detail) =
                        (format!("{} {key}", table.name), format!("its latest event is {event}"));
                    findings.push(Finding::new(FindingKind::Unpublished, subject, detail));
                }
            }
        }
        Ok(findings)
    }

    /// Reads the unpublished rows of a table: the id of the latest event by key.
    async fn unpublished_rows(&self, table: &Table) -> Result<BTreeMap<String, String>, StoreError> {
        let mut found = BTreeMap::new();
        for partition in outbox_partitions() {
            let mut after = None;
            loop {
                let (rows, next) = unpublished(table, &partition, self.before(), after).await?;
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
