//! A table's stream to a function, in order, from a durable checkpoint.
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
use super::checkpoint::Checkpoint;
use super::failures;
use super::stream_batch::{Next, Part, Rules};
use super::stream_event::{self, Record};
use crate::arn;
use crate::lambda::Invoke;

/// Most records of one read.
const READ: usize = 1000;

/// Why a stream cannot be read.
#[derive(Debug, Error)]
enum ReadError {
    #[error("the database: {0}")]
    Database(#[from] DynoxideError),
    #[error("a record: {0}")]
    Record(#[from] serde_json::Error),
    #[error("the read broke off: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

/// A stream that drives a function. A stream here is one shard, read from its beginning (`TRIM_HORIZON`).
pub(super) struct StreamReader {
    pub(super) function: String,
    pub(super) table: String,
    pub(super) batch_size: usize,
    pub(super) filters: Vec<Value>,
    pub(super) report_item_failures: bool,
    pub(super) rules: Rules,
    pub(super) retry: Backoff,
    /// Between two looks at the stream when nobody says that something was written.
    pub(super) poll: Duration,
    pub(super) checkpoint: Checkpoint,
    pub(super) database: Database,
    pub(super) functions: Arc<dyn Invoke>,
    pub(super) in_flight: InFlight,
    pub(super) progress: Arc<Progress>,
}

impl StreamReader {
    /// Reads until it is told to stop, after the invocation in flight.
    pub(super) async fn run(self, mut writes: watch::Receiver<u64>, stop: CancellationToken) {
        let saved = match self.checkpoint.load() {
            Ok(saved) => saved,
            // Starting over would be right too, for everything is delivered at least once; but who lost a
            // checkpoint should hear of it.
            Err(error) => {
                tracing::error!(table = self.table, %error, "the checkpoint cannot be read");
                None
            }
        };
        let mut position = saved.clone();
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
                    tracing::error!(table = self.table, %error, "the stream cannot be read");
                    stop.run_until_cancelled(tokio::time::sleep(self.retry.after(failures))).await;
                }
            }
        }
        // What passed no filter moves the checkpoint only here: reading it again does no harm, and saves a write
        // to the disk for each record that nobody wants.
        if let Some(position) = position.filter(|position| saved.as_ref() != Some(position)) {
            self.save(position).await;
        }
    }

    /// The records after a position, on a thread that may wait for the disk.
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
                shard_iterator: iterator.shard_iterator.unwrap_or_default(),
                limit: Some(READ),
            })?;
            let records = found.records.iter().map(|record| Record::new(&table, record));
            Ok(records.collect::<Result<_, _>>()?)
        })
        .await?
    }

    /// Delivers what passes the filters, batch after batch. Break when it was told to stop before everything was done.
    async fn deliver_all(&self, records: Vec<Record>, stop: &CancellationToken) -> ControlFlow<()> {
        let wanted: Vec<Record> = records.into_iter().filter(|record| record.passes(&self.filters)).collect();
        let mut pending = wanted.len();
        for batch in wanted.chunks(self.batch_size.max(1)) {
            self.progress.pending(pending);
            if stop.is_cancelled() {
                return ControlFlow::Break(());
            }
            self.deliver(batch.to_vec(), stop).await?;
            pending -= batch.len();
        }
        ControlFlow::Continue(())
    }

    /// Delivers one batch, in parts where that helps, for as long as it takes.
    async fn deliver(&self, batch: Vec<Record>, stop: &CancellationToken) -> ControlFlow<()> {
        // The next one is last.
        let mut parts = vec![Part::new(batch)];
        let mut failures = 0;
        while let Some(part) = parts.pop() {
            match self.attempt(part).await {
                Next::Forward { done, rest } => {
                    self.save(done).await;
                    failures = u32::from(rest.is_some());
                    parts.extend(rest);
                }
                Next::Retry(again) => {
                    failures += 1;
                    parts.extend(again.into_iter().rev());
                }
                Next::GiveUp { records, reason } => {
                    self.give_up(&records, &reason).await;
                    failures = 0;
                }
            }
            if failures > 0 {
                let pause = tokio::time::sleep(self.retry.after(failures));
                if stop.run_until_cancelled(pause).await.is_none() {
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    async fn attempt(&self, part: Part) -> Next {
        let _busy = self.in_flight.begin();
        let event = stream_event::event(&part.records).to_string();
        let invoked = self.functions.invoke(&self.function, Bytes::from(event)).await;
        let numbers = part.records.iter().map(|record| &record.sequence_number);
        let ended = failures::read(invoked, self.report_item_failures, numbers);
        if ended != failures::Ended::Done {
            let records = part.records.len();
            tracing::warn!(
                table = self.table,
                function = self.function,
                records,
                ?ended,
                "stream records failed"
            );
        }
        part.after(ended, self.rules)
    }

    async fn give_up(&self, records: &[Record], reason: &str) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
        tracing::error!(
            table = self.table,
            function = self.function,
            from = first.sequence_number,
            to = last.sequence_number,
            reason,
            "records are given up after too many attempts"
        );
        self.save(last.sequence_number.clone()).await;
    }

    /// Moves the checkpoint. Where that fails, what is done will be delivered again after a restart.
    async fn save(&self, sequence_number: String) {
        let checkpoint = self.checkpoint.clone();
        let saved = tokio::task::spawn_blocking(move || checkpoint.save(&sequence_number)).await;
        if let Err(error) = saved.map_err(io::Error::other).and_then(std::convert::identity) {
            tracing::error!(table = self.table, %error, "the checkpoint cannot be moved");
        }
    }
}
