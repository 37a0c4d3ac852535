//! The table of the reconciliation: pending checks, findings, and the checkpoints of passes.
//!
//! | pk | sk | row |
//! | --- | --- | --- |
//! | `PENDING#0` to `#3` | `DUE#<time>#<check>` | a check that did not agree; due at that time |
//! | `FINDING` | `KIND#<kind>#<subject>` | a mismatch |
//! | `PASS` | `PASS` | the latest pass |
//! | `PASS` | `PART#<table>#<segment>` | the checkpoint of a part of the pass |
//!
//! Pending checks and findings can be written twice with the same effect. A pass and its parts have a version: each
//! write requires the version that was read, so that two workers never continue from the same checkpoint.

use std::collections::{BTreeMap, BTreeSet};

use erp_aws::table::ABSENT;
use erp_aws::transaction::number;
use erp_aws::{Key, StoreError, Table, Transaction, TransactionError};
use erp_domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::finding::{Finding, FindingKind, Report};
use super::pass::parts;

/// Partitions of pending checks.
const SHARDS: u32 = 4;
/// Pending checks of one partition that are read at once.
const DUE_PAGE: usize = 500;
/// Maximum findings that are read.
const MAX_FINDINGS: usize = 1000;
/// Days after which a check that never agrees, and a finding that is not seen again, are deleted.
const RETENTION_DAYS: i64 = 30;

const PENDING: &str = "PENDING";
const DUE_PREFIX: &str = "DUE#";
const FINDINGS: &str = "FINDING";
const KIND_PREFIX: &str = "KIND#";
const PASS: &str = "PASS";
const PART_PREFIX: &str = "PART#";

/// The pass or the part has not changed since it was read.
const SAME_VERSION: &str = "#version = :version";

/// The table of the reconciliation.
#[derive(Debug, Clone)]
pub struct ReconciliationTable {
    table: Table,
}

/// A check that did not agree.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PendingRow {
    #[serde(flatten)]
    pub(super) key: Key,
    pub(super) check: Check,
    /// The time when it will be checked again.
    pub(super) due: Timestamp,
    expires_at: i64,
}

/// A mismatch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingRow {
    #[serde(flatten)]
    key: Key,
    /// The kind.
    pub kind: FindingKind,
    /// The id of the item or order, or the key of the row.
    pub subject: String,
    /// The figures.
    pub detail: String,
    /// The check that found it and that shows whether it still exists; `None` for a finding of another origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) check: Option<Check>,
    /// The time when it was found first.
    pub found_at: Timestamp,
    /// The time when it was found last.
    pub seen_at: Timestamp,
    expires_at: i64,
}

/// A pass through all tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassRow {
    #[serde(flatten)]
    key: Key,
    version: u64,
    /// The number of the pass.
    pub number: u64,
    /// The time when it began.
    pub started_at: Timestamp,
    /// The time when it was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// The time when the latest complete pass was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_finished_at: Option<Timestamp>,
    /// The figures of the latest complete pass.
    pub report: Report,
}

/// The checkpoint of a part of a pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartRow {
    #[serde(flatten)]
    key: Key,
    version: u64,
    /// The number of the pass.
    pub(super) pass: u64,
    /// The end of the lease of the worker that scans it.
    pub(super) leased_until: Timestamp,
    pub(super) done: bool,
    /// The state of the scan as JSON: a sum of movements can be larger than the numbers of serde_dynamo.
    pub(super) scan: String,
}

/// The progress of the latest pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassStatus {
    /// The pass; `None` before the first one.
    pub pass: Option<PassRow>,
    /// The number of its parts that are complete.
    pub parts_done: usize,
}

impl ReconciliationTable {
    /// Creates a client of the table.
    pub fn new(table: Table) -> Self {
        Self { table }
    }

    /// Saves checks that are to be run at `due`, rounded up to the minute: the same check of several batches is
    /// one row.
    pub(crate) async fn postpone(
        &self,
        checks: impl IntoIterator<Item = Check>,
        due: Timestamp,
    ) -> Result<(), StoreError> {
        let due = Timestamp::from_millis((due.as_millis() + 59_999) / 60_000 * 60_000);
        let expires_at = due.plus_seconds(RETENTION_DAYS * 86_400).as_seconds();
        let row = |check: Check| {
            let text = check.to_string();
            let shard =
                text.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
            let key = Key::new(format!("{PENDING}#{}", shard % SHARDS), format!("{DUE_PREFIX}{due}#{text}"));
            PendingRow { key, check, due, expires_at }
        };
        let rows: Vec<PendingRow> = checks.into_iter().map(row).collect();
        self.table.put_all(rows.into_iter()).await
    }

    /// Reads pending checks that are due, oldest first; none if there are no more.
    pub(super) async fn due(&self, now: Timestamp) -> Result<Vec<PendingRow>, StoreError> {
        let mut found = Vec::new();
        for shard in 0..SHARDS {
            let partition = format!("{PENDING}#{shard}");
            let rows: Vec<PendingRow> =
                self.table.query_prefix(&partition, DUE_PREFIX, None, DUE_PAGE).await?;
            found.extend(rows.into_iter().take_while(|row| row.due <= now));
        }
        Ok(found)
    }

    pub(super) async fn delete(&self, keys: impl Iterator<Item = Key> + Send) -> Result<(), StoreError> {
        self.table.delete_all(keys).await
    }

    /// Returns the findings, up to 1,000.
    pub async fn findings(&self) -> Result<Vec<FindingRow>, StoreError> {
        self.table.query_prefix(FINDINGS, KIND_PREFIX, None, MAX_FINDINGS).await
    }

    /// Saves findings, and writes those to the log that are new.
    pub(crate) async fn record(
        &self,
        found: impl IntoIterator<Item = (Finding, Option<Check>)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let expires_at = now.plus_seconds(RETENTION_DAYS * 86_400).as_seconds();
        let row = |(Finding { kind, subject, detail }, check): (Finding, Option<Check>)| {
            let key = Key::new(FINDINGS, format!("{KIND_PREFIX}{}#{subject}", kind.as_str()));
            let row =
                FindingRow { key, kind, subject, detail, check, found_at: now, seen_at: now, expires_at };
            (row.key.sk.clone(), row)
        };
        let mut rows: BTreeMap<String, FindingRow> = found.into_iter().map(row).collect();
        let keys: Vec<Key> = rows.values().map(|row| row.key.clone()).collect();
        for known in self.table.get_all::<FindingRow>(&keys).await? {
            if let Some(row) = rows.get_mut(&known.key.sk) {
                row.found_at = known.found_at;
            }
        }
        for FindingRow { kind, subject, detail, .. } in rows.values().filter(|row| row.found_at == now) {
            tracing::error!(kind = kind.as_str(), subject, detail, "reconciliation mismatch");
        }
        self.table.put_all(rows.into_values()).await
    }

    /// Deletes findings that do not exist any more.
    pub(super) async fn resolve(&self, findings: &[FindingRow]) -> Result<(), StoreError> {
        for FindingRow { kind, subject, .. } in findings {
            tracing::info!(kind = kind.as_str(), subject, "reconciliation mismatch resolved");
        }
        self.delete(findings.iter().map(|finding| finding.key.clone())).await
    }

    /// Returns the progress of the latest pass.
    pub async fn status(&self) -> Result<PassStatus, StoreError> {
        let pass = self.pass().await?;
        let done = match &pass {
            Some(pass) => self.parts(pass.number).await?.into_iter().filter(|part| part.done).count(),
            None => 0,
        };
        Ok(PassStatus { pass, parts_done: done })
    }

    pub(super) async fn pass(&self) -> Result<Option<PassRow>, StoreError> {
        self.table.get(&Key::new(PASS, PASS)).await
    }

    /// Reads the checkpoints of a pass.
    pub(super) async fn parts(&self, pass: u64) -> Result<Vec<PartRow>, StoreError> {
        let rows: Vec<PartRow> = self.table.query_prefix(PASS, PART_PREFIX, None, parts()).await?;
        Ok(rows.into_iter().filter(|part| part.pass == pass).collect())
    }

    /// Starts the pass after `old`; returns false if another worker did.
    pub(super) async fn start_pass(&self, old: Option<PassRow>, now: Timestamp) -> Result<bool, StoreError> {
        let mut pass = match old {
            Some(old) => PassRow { number: old.number + 1, started_at: now, finished_at: None, ..old },
            None => PassRow {
                key: Key::new(PASS, PASS),
                version: 0,
                number: 1,
                started_at: now,
                finished_at: None,
                last_finished_at: None,
                report: Report::default(),
            },
        };
        self.save_pass(&mut pass).await
    }

    /// Saves a pass; returns false if it has changed since it was read.
    pub(super) async fn save_pass(&self, pass: &mut PassRow) -> Result<bool, StoreError> {
        let read = pass.version;
        pass.version += 1;
        self.put(&*pass, read).await
    }

    /// Leases a part of a pass; `None` if it is done, or leased by another worker.
    pub(super) async fn lease(
        &self,
        pass: u64,
        part: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<PartRow>, StoreError> {
        let key = Key::new(PASS, format!("{PART_PREFIX}{part}"));
        let found: Option<PartRow> = self.table.get(&key).await?;
        let version = found.as_ref().map_or(0, |row| row.version);
        let mut row = match found {
            Some(row) if row.pass > pass => return Ok(None),
            Some(row) if row.pass == pass && (row.done || row.leased_until > now) => return Ok(None),
            Some(row) if row.pass == pass => row,
            _ => PartRow { key, version, pass, leased_until: until, done: false, scan: "{}".to_owned() },
        };
        row.leased_until = until;
        Ok(self.save_part(&mut row).await?.then_some(row))
    }

    /// Saves a checkpoint; returns false if another worker has leased the part since.
    pub(super) async fn save_part(&self, part: &mut PartRow) -> Result<bool, StoreError> {
        let read = part.version;
        part.version += 1;
        self.put(&*part, read).await
    }

    /// Puts a row that has the version `read`, 0 if it does not exist; returns false if it has another one.
    async fn put(&self, row: &impl Serialize, read: u64) -> Result<bool, StoreError> {
        let mut transaction = Transaction::new();
        match read {
            0 => transaction.put((), &self.table, row, ABSENT)?,
            _ => {
                let version = vec![(":version", number(read))];
                transaction.put_with((), &self.table, row, SAME_VERSION, version)?;
            }
        }
        match transaction.commit(&self.table).await {
            Ok(()) => Ok(true),
            Err(TransactionError::Conditions(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns the checks of findings.
pub(super) fn checks(findings: &[FindingRow]) -> BTreeSet<Check> {
    findings.iter().filter_map(|finding| finding.check).collect()
}
