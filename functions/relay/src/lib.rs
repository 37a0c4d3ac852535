//! The outbox relay: table streams to SNS topics.
//!
//! An event row is written in the transaction of the change it tells of. The table's stream carries it here; the
//! relay publishes it and takes the row out of the `outbox` index. If it ends between the two, the event is
//! published again: every consumer knows an event by its id, or by what it leads to. A row that stays in the index
//! was never published; the sweep finds it there.
//!
//! ```text
//! record   from a stream record to what is to be published
//! publish  SNS: batches, with every entry of every answer looked at
//! outbox   takes published rows out of the index
//! sweep    on a schedule: what the streams did not bring
//! config   settings and wiring
//! ```

pub mod config;
pub mod outbox;
pub mod publish;
pub mod record;
pub mod sweep;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lambda_events::event::dynamodb::Event as StreamEvent;
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use erp_aws::metric::{self, Metric};
use futures_util::future::join_all;
use lambda_runtime::{LambdaEvent, service_fn};

use outbox::Outbox;
use publish::{Outcome, Publisher};
use record::{Outgoing, RecordError};

/// Publishes what the streams bring.
#[derive(Clone)]
pub struct Relay {
    /// The way out.
    pub publisher: Arc<dyn Publisher>,
    /// Where it is written that something is out.
    pub outbox: Arc<dyn Outbox>,
}

/// Relays in Lambda until the environment ends.
///
/// # Errors
/// When the runtime cannot go on.
pub async fn run(relay: Relay) -> Result<(), lambda_runtime::Error> {
    let relay = &relay;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<StreamEvent>| {
        Ok::<_, lambda_runtime::Error>(relay.relay(event.payload).await)
    }))
    .await
}

impl Relay {
    /// Publishes a batch of records and names the first that failed: the stream comes back from there
    /// (<https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>).
    pub async fn relay(&self, batch: StreamEvent) -> DynamoDbEventResponse {
        let mut outgoing = Vec::new();
        for record in batch.records {
            match Outgoing::read(record) {
                Ok(found) => outgoing.push(found),
                Err(RecordError::NothingToPublish) => {}
                // It would never get better, and everything behind it in the stream would wait. It stays in the
                // outbox index, where the sweep and a person will find it.
                Err(error) => tracing::error!(%error, "a row in the outbox cannot be published"),
            }
        }
        let failed = self.publish(&outgoing).await;
        let mut response = DynamoDbEventResponse::default();
        if let Some(first) = failed {
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = Some(first);
            response.batch_item_failures.push(failure);
        }
        response
    }

    /// Publishes everything; gives the sequence number of the first row of which something is not out.
    pub(crate) async fn publish(&self, outgoing: &[Outgoing]) -> Option<String> {
        // By topic, in the order of the stream.
        let mut by_topic: BTreeMap<&str, Vec<(usize, &erp_contracts::Event)>> = BTreeMap::new();
        for (index, row) in outgoing.iter().enumerate() {
            for event in &row.events {
                by_topic.entry(event.kind.service()).or_default().push((index, event));
            }
        }
        let mut out = vec![true; outgoing.len()];
        let mut retry = vec![false; outgoing.len()];
        let mut published = 0;
        for (service, entries) in by_topic {
            let events: Vec<_> = entries.iter().map(|(_, event)| *event).collect();
            let outcomes = self.publisher.publish(service, &events).await;
            for ((index, event), outcome) in entries.iter().zip(outcomes) {
                match outcome {
                    Outcome::Published => {
                        published += 1;
                        let request_id = event.correlation_id.as_deref().unwrap_or("-");
                        tracing::info!(event_id = %event.id, kind = %event.kind, subject = event.subject, request_id, "event published");
                    }
                    Outcome::Refused(reason) => {
                        tracing::error!(event_id = %event.id, kind = %event.kind, reason, "SNS will never take this event");
                        out[*index] = false;
                    }
                    Outcome::Failed(reason) => {
                        tracing::warn!(event_id = %event.id, kind = %event.kind, reason, "event not published");
                        out[*index] = false;
                        retry[*index] = true;
                    }
                }
            }
        }
        if published > 0 {
            metric::emit(&[(Metric::EventsPublished, published)]);
        }
        let done =
            outgoing.iter().zip(&out).filter(|(_, out)| **out).map(|(row, _)| self.outbox.published(row));
        for result in join_all(done).await {
            if let Err(error) = result {
                // It is out; that it may go out again is the worst of it.
                tracing::warn!(%error, "a published row could not be taken out of the outbox");
            }
        }
        retry.iter().position(|retry| *retry).map(|first| outgoing[first].sequence_number.clone())
    }
}
