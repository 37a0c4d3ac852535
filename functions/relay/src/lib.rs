//! The outbox relay: publishes event rows to SNS (transactional outbox, at-least-once delivery).
//!
//! An event row is written in the transaction of its change. The table's stream delivers the row to the
//! relay, which publishes its events and then removes the row from the `outbox` index. If the relay ends
//! between the two, the events are published again: consumers de-duplicate. A row that stays in the index is
//! unpublished; the sweep finds it there.
//!
//! Topics are published to side by side, and rows are removed side by side up to a limit. Both stop before the deadline
//! of the invocation: what remains is delivered again.
//!
//! ```text
//! row     stream records and index rows, read as unpublished events
//! topics  SNS: batches, with one outcome per event
//! outbox  removes published rows from the index
//! sweep   on a schedule: publishes rows that the streams did not deliver
//! config  settings
//! ```

pub mod config;
pub mod outbox;
pub mod row;
pub mod sweep;
pub mod topics;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_lambda_events::event::dynamodb::Event as StreamEvent;
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use aws_sdk_dynamodb::Client;
use erp_aws::deadline::{self, earlier};
use erp_aws::metric::{self, Metric};
use erp_aws::table::Unreadable;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use lambda_runtime::{LambdaEvent, service_fn};
use tokio::time::{Instant, timeout_at};

use row::OutboxRow;
use topics::{Outcome, Topics};

/// Maximum rows that are removed from the index side by side.
pub const REMOVALS: usize = 16;
/// Time before the deadline of an invocation at which publishing ends. It is needed to remove what was published.
const RESERVE: Duration = Duration::from_secs(5);
/// The part of [`RESERVE`] that is left for the response.
const RESPONSE_TIME: Duration = Duration::from_secs(1);

/// Publishes unpublished rows.
#[derive(Debug, Clone)]
pub struct Relay {
    /// The SNS topics.
    pub topics: Topics,
    /// The client of the tables that the rows are in.
    pub dynamodb: Client,
}

/// Runs the relay in Lambda until the environment ends.
pub async fn run(relay: Relay) -> Result<(), lambda_runtime::Error> {
    let relay = &relay;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<StreamEvent>| {
        let deadline = deadline::of_invocation(event.context.deadline);
        Ok::<_, lambda_runtime::Error>(relay.relay(event.payload, deadline).await)
    }))
    .await
}

impl Relay {
    /// Publishes a batch of stream records before the deadline of the invocation. The response names the first
    /// record to retry: Lambda delivers it and all later ones again
    /// (<https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>).
    pub async fn relay(&self, batch: StreamEvent, deadline: Instant) -> DynamoDbEventResponse {
        let mut rows = Vec::new();
        for record in batch.records {
            match OutboxRow::from_record(record) {
                Ok(row) => rows.extend(row),
                // A retry would fail again and block the stream. The row stays in the index, and the sweep
                // logs it.
                Err(Unreadable { key, reason }) => tracing::error!(key, reason, "outbox row is unreadable"),
            }
        }
        let mut response = DynamoDbEventResponse::default();
        if let Some(row) = self.publish(&rows, deadline).await {
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier.clone_from(&row.sequence_number);
            response.batch_item_failures.push(failure);
        }
        response
    }

    /// Publishes the events of all rows, per topic in the order of the rows, and removes from the index every
    /// row whose events are all published. Returns the first row to retry: a failed one, or one for which there was
    /// no time.
    pub(crate) async fn publish<'a>(
        &self,
        rows: &'a [OutboxRow],
        deadline: Instant,
    ) -> Option<&'a OutboxRow> {
        let stop = earlier(deadline, RESERVE);
        let mut by_context: BTreeMap<&str, Vec<(usize, &row::Message)>> = BTreeMap::new();
        for (index, row) in rows.iter().enumerate() {
            for message in &row.messages {
                by_context.entry(message.event.kind.service()).or_default().push((index, message));
            }
        }
        let topics = by_context.into_iter().map(async |(context, entries)| {
            let messages: Vec<_> = entries.iter().map(|(_, message)| *message).collect();
            (self.topics.publish(context, &messages, stop).await, entries)
        });
        let mut unpublished = BTreeSet::new();
        let mut retry = BTreeSet::new();
        let (mut count, mut failed, mut postponed) = (0, 0, 0);
        for (outcomes, entries) in join_all(topics).await {
            postponed += entries.len() - outcomes.len();
            let rest = entries[outcomes.len()..].iter().map(|(index, _)| *index);
            unpublished.extend(rest.clone());
            retry.extend(rest);
            for ((index, message), outcome) in entries.into_iter().zip(outcomes) {
                let event = &message.event;
                let (event_id, kind, subject) = (event.id, event.kind, &event.subject);
                let request_id = event.correlation_id.as_deref().unwrap_or("-");
                match outcome {
                    Outcome::Published => {
                        count += 1;
                        tracing::info!(%event_id, %kind, subject, request_id, "event published");
                    }
                    Outcome::Rejected(error) => {
                        failed += 1;
                        tracing::error!(%event_id, %kind, subject, request_id, error, "event rejected");
                        unpublished.insert(index);
                    }
                    Outcome::Failed(error) => {
                        failed += 1;
                        tracing::warn!(%event_id, %kind, subject, request_id, error, "event not published");
                        unpublished.insert(index);
                        retry.insert(index);
                    }
                }
            }
        }
        if count > 0 {
            metric::emit(&[(Metric::EventsPublished, count)]);
        }
        if failed > 0 {
            metric::emit(&[(Metric::MessagesFailed, failed)]);
        }
        if postponed > 0 {
            tracing::warn!(events = postponed, "no time left in this invocation");
        }
        let published = rows.iter().enumerate().filter(|(index, _)| !unpublished.contains(index));
        let published: Vec<_> = published.map(|(_, row)| row).collect();
        let removals = self.remove(&published);
        // The sweep publishes rows again that are not removed.
        if timeout_at(earlier(deadline, RESPONSE_TIME), removals).await.is_err() {
            tracing::warn!("published rows not removed from the outbox index: no time left");
        }
        retry.first().map(|first| &rows[*first])
    }

    async fn remove(&self, rows: &[&OutboxRow]) {
        let removals: Vec<_> = rows.iter().map(|row| outbox::remove_published(&self.dynamodb, row)).collect();
        let mut results = stream::iter(removals).buffer_unordered(REMOVALS);
        while let Some(result) = results.next().await {
            if let Err(error) = result {
                let error = erp_aws::error_chain(&error);
                tracing::warn!(error, "published row not removed from the outbox index");
            }
        }
    }
}
