//! Delivers records of a table's stream to a function, in order, from a durable checkpoint.
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use dynoxide::actions::get_records::GetRecordsRequest;
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::{Database, DynoxideError};
use serde_json::Value;
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::activity::{InFlight, Progress};
use super::backoff::Backoff;
use super::batch_response;
use super::checkpoint::Checkpoint;
use super::stream_batch::{Batch, NextStep, RetryPolicy};
use super::stream_event::{self, Record};
use crate::arn;
use crate::lambda::Invoke;

/// Maximum number of records per read.
const MAX_RECORDS: usize = 1000;

/// A failed read of a stream.
#[derive(Debug, Error)]
enum ReadError {
    #[error("the database: {0}")]
    Database(#[from] DynoxideError),
    #[error("a record: {0}")]
    Record(#[from] serde_json::Error),
    #[error("the database returned no shard iterator")]
    NoIterator,
    #[error("the read ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// The mapping of a stream to a function. A stream has one shard, read from its beginning (`TRIM_HORIZON`).
pub(super) struct StreamReader {
    pub(super) function: String,
    pub(super) table: String,
    pub(super) batch_size: usize,
    pub(super) filters: Vec<Value>,
    pub(super) report_item_failures: bool,
    pub(super) retry_policy: RetryPolicy,
    pub(super) retry: Backoff,
    /// Interval between reads without a notification of a write.
    pub(super) poll: Duration,
    pub(super) checkpoint: Checkpoint,
    /// The sequence number at the checkpoint; `None` for the beginning.
    pub(super) position: Option<String>,
    pub(super) database: Database,
    pub(super) functions: Arc<dyn Invoke>,
    pub(super) in_flight: InFlight,
    pub(super) progress: Arc<Progress>,
}

impl StreamReader {
    /// Reads and delivers records until `stop`, after the invocation in flight.
    pub(super) async fn run(self, mut writes: watch::Receiver<u64>, stop: CancellationToken) {
        let mut position = self.position.clone();
        let mut failures = 0;
        while !stop.is_cancelled() {
            let seen = *writes.borrow_and_update();
            match self.read(position.clone()).await {
                Ok(records) if records.is_empty() => {
                    failures = 0;
                    self.progress.caught_up(seen);
                    tokio::select! {
                        () = stop.cancelled() => {}
                        _ = writes.changed() => {}
                        () = tokio::time::sleep(self.poll) => {}
                    }
                }
                Ok(records) => {
                    failures = 0;
                    let last = records.last().map(|record| record.sequence_number.clone());
                    if self.deliver_all(records, &stop).await.is_break() {
                        return;
                    }
                    position = last;
                }
                Err(error) => {
                    failures += 1;
                    tracing::error!(table = self.table, %error, "cannot read the stream");
                    stop.run_until_cancelled(tokio::time::sleep(self.retry.after(failures))).await;
                }
            }
        }
        // Records without a matching filter move the checkpoint only here, which saves a write to the disk
        // for each of them. Reading them again after a kill has no effect.
        if let Some(position) = position.filter(|position| self.position.as_ref() != Some(position)) {
            self.save(position).await;
        }
    }

    /// The records after a position, read on a thread that may block.
    async fn read(&self, after: Option<String>) -> Result<Vec<Record>, ReadError> {
        let (database, table) = (self.database.clone(), self.table.clone());
        tokio::task::spawn_blocking(move || {
            let iterator = database.get_shard_iterator(GetShardIteratorRequest {
                stream_arn: arn::stream(&table),
                shard_id: dynoxide::streams::shard_id(&table),
                shard_iterator_type: after
                    .as_ref()
                    .map_or("TRIM_HORIZON", |_| "AFTER_SEQUENCE_NUMBER")
                    .to_owned(),
                sequence_number: after,
            })?;
            let found = database.get_records(GetRecordsRequest {
                shard_iterator: iterator.shard_iterator.ok_or(ReadError::NoIterator)?,
                limit: Some(MAX_RECORDS),
            })?;
            let records = found.records.iter().map(|record| Record::new(&table, record));
            Ok(records.collect::<Result<_, _>>()?)
        })
        .await?
    }

    /// Delivers the records that match a filter, one batch at a time. Breaks when `stop` comes before the
    /// last batch.
    async fn deliver_all(&self, records: Vec<Record>, stop: &CancellationToken) -> ControlFlow<()> {
        let matching: Vec<Record> =
            records.into_iter().filter(|record| record.matches(&self.filters)).collect();
        let mut pending = matching.len();
        for batch in matching.chunks(self.batch_size.max(1)) {
            self.progress.pending(pending);
            if stop.is_cancelled() {
                return ControlFlow::Break(());
            }
            self.deliver(batch.to_vec(), stop).await?;
            pending -= batch.len();
        }
        ControlFlow::Continue(())
    }

    /// Delivers one batch, split if necessary, until it is processed or discarded.
    async fn deliver(&self, batch: Vec<Record>, stop: &CancellationToken) -> ControlFlow<()> {
        // A stack: the next batch is the last element.
        let mut batches = vec![Batch::new(batch)];
        let mut failures = 0;
        while let Some(batch) = batches.pop() {
            match self.attempt(batch).await {
                NextStep::Advance { checkpoint, rest } => {
                    self.save(checkpoint).await;
                    failures = u32::from(rest.is_some());
                    batches.extend(rest);
                }
                NextStep::Retry(retries) => {
                    failures += 1;
                    batches.extend(retries.into_iter().rev());
                }
                NextStep::Discard { records, reason } => {
                    self.discard(&records, &reason).await;
                    failures = 0;
                }
            }
            if failures > 0 {
                let delay = tokio::time::sleep(self.retry.after(failures));
                if stop.run_until_cancelled(delay).await.is_none() {
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    async fn attempt(&self, batch: Batch) -> NextStep {
        let _guard = self.in_flight.begin();
        let event = stream_event::event(&batch.records).to_string();
        let invoked = self.functions.invoke(&self.function, Bytes::from(event)).await;
        let numbers = batch.records.iter().map(|record| &record.sequence_number);
        let outcome = batch_response::outcome(invoked, self.report_item_failures, numbers);
        if outcome != batch_response::BatchOutcome::Succeeded {
            let records = batch.records.len();
            tracing::warn!(
                table = self.table,
                function = self.function,
                records,
                ?outcome,
                "the delivery of stream records failed"
            );
        }
        batch.after(outcome, self.retry_policy)
    }

    async fn discard(&self, records: &[Record], reason: &str) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
        tracing::error!(
            table = self.table,
            function = self.function,
            from = first.sequence_number,
            to = last.sequence_number,
            reason,
            "discarded stream records after the maximum number of attempts"
        );
        self.save(last.sequence_number.clone()).await;
    }

    /// Moves the checkpoint. After a failure, processed records are delivered again at the next start.
    async fn save(&self, sequence_number: String) {
        let checkpoint = self.checkpoint.clone();
        let saved = tokio::task::spawn_blocking(move || checkpoint.save(&sequence_number)).await;
        if let Err(error) = saved.map_err(io::Error::other).and_then(std::convert::identity) {
            tracing::error!(table = self.table, %error, "cannot move the checkpoint");
        }
    }
}
