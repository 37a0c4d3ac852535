//! Streams to the relay and queues to the workers: at-least-once delivery, in any order, with delays.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use erp_local::broker::filter;
use erp_local::deployment::TriggerSource;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::Simulation;
use crate::backend::dynamo::{Change, Commit};
use crate::invocation::{Ended, Function};

/// Concurrent batches of a queue.
const POLLERS: usize = 3;
/// `ParallelizationFactor` of the streams.
const SHARDS: u64 = 2;
/// Retention of stream records, in milliseconds.
const RETENTION: i64 = 24 * 60 * 60 * 1000;

/// Starts all delivery loops.
pub(crate) fn start(simulation: &Arc<Simulation>) {
    for queue in 0..simulation.broker().queues.len() {
        for _ in 0..POLLERS {
            tokio::spawn(poll(Arc::clone(simulation), queue));
        }
    }
    for (index, trigger) in simulation.deployment().triggers.iter().enumerate() {
        if let TriggerSource::Stream { table, batch_size, filters, .. } = &trigger.source {
            for number in 0..SHARDS {
                let shard = Shard { table, number, filters, batch: *batch_size, read: 0 };
                tokio::spawn(shard.run(Arc::clone(simulation), (index, number)));
            }
        }
    }
}

/// Delivers batches of a queue until the simulation is dropped.
async fn poll(simulation: Arc<Simulation>, queue: usize) {
    loop {
        let changed = simulation.changed();
        let function = simulation.broker().queues[queue].function;
        let limit = simulation.broker().queues[queue].batch;
        let limit = simulation.faults().batch(limit);
        let batch = simulation.receive(queue, limit);
        if batch.is_empty() {
            let next = simulation.broker().next_visible(queue);
            let wait = next.map_or(Duration::MAX, |at| millis(at - simulation.clock.elapsed()));
            // Waits for the next visible message, or for a change.
            drop(timeout(wait, changed).await);
            continue;
        }
        let records: Vec<Value> = batch
            .iter()
            .map(|message| {
                json!({
                    "messageId": message.id, "receiptHandle": message.receipt(), "body": message.body,
                    "attributes": {"ApproximateReceiveCount": message.receives.to_string()},
                    "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": "us-east-1",
                })
            })
            .collect();
        let event = json!({"Records": records});
        let event = match simulation.mutation() {
            Some(mutation) => mutation.batch(function, event),
            None => event,
        };
        let event = serde_json::from_value(event).unwrap();
        simulation.count(|figures| figures.deliveries += batch.len() as u64);
        let deadline = Instant::now() + simulation.environments.time_out(function);
        let ended = simulation.invoke(function, None, |handler| handler.work(event, deadline)).await;
        let response = ended.done().filter(|_| !simulation.faults().loses_response(function));
        let failed: Option<Vec<String>> = response.map(|response| {
            response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
        });
        // No response: the messages that the function did not delete are delivered again.
        let redeliver =
            |id: &str| failed.as_ref().is_none_or(|failed| failed.iter().any(|other| other == id));
        simulation.broker().acknowledge(queue, &batch, redeliver);
        simulation.wake();
    }
}

/// A shard of a table's stream: the records of a partition are delivered in order.
struct Shard {
    table: &'static str,
    number: u64,
    filters: &'static [Value],
    batch: usize,
    /// Number of commits that were read.
    read: usize,
}

/// A record of a stream.
struct Record {
    sequence: String,
    json: Value,
    at: i64,
}

impl Shard {
    async fn run(mut self, simulation: Arc<Simulation>, name: (usize, u64)) {
        // Read and not acknowledged.
        let mut pending: Vec<Record> = Vec::new();
        loop {
            let changed = simulation.changed();
            self.read_commits(&simulation, &mut pending);
            simulation.set_pending(name, pending.len());
            if pending.is_empty() || simulation.relay_is_off.load(Ordering::Relaxed) {
                changed.await;
                continue;
            }
            let delay = simulation.faults().stream_delay();
            if delay > 0 {
                sleep(Duration::from_millis(delay)).await;
            }
            let now = simulation.clock.elapsed();
            let expired = pending.iter().take_while(|record| now - record.at > RETENTION).count();
            simulation.count(|figures| figures.expired += expired as u64);
            pending.drain(..expired);
            if pending.is_empty() {
                continue;
            }
            let size = simulation.faults().batch(self.batch).min(pending.len());
            let done = deliver(&simulation, &pending[..size]).await;
            if done > 0 && simulation.faults().stream_repeats() {
                deliver(&simulation, &pending[..done]).await;
            }
            pending.drain(..done);
            if done < size {
                sleep(Duration::from_millis(500)).await;
            }
        }
    }

    fn read_commits(&mut self, simulation: &Simulation, pending: &mut Vec<Record>) {
        simulation.read(|dynamo| {
            for commit in &dynamo.commits()[self.read..] {
                let changes = commit.changes.iter().enumerate().filter(|(_, change)| self.contains(change));
                let records = changes.map(|(index, change)| record(commit, index, change));
                let passes = |record: &Record| {
                    let mut filters = self.filters.iter();
                    self.filters.is_empty() || filters.any(|filter| filter::matches(filter, &record.json))
                };
                pending.extend(records.filter(passes));
            }
            self.read = dynamo.moment();
        });
    }

    fn contains(&self, change: &Change) -> bool {
        let sum: u64 = change.place.pk.bytes().map(u64::from).sum();
        change.place.table == self.table && sum % SHARDS == self.number
    }
}

/// Delivers records to the relay; returns how many were processed, from the first.
async fn deliver(simulation: &Arc<Simulation>, records: &[Record]) -> usize {
    let event = json!({"Records": records.iter().map(|record| &record.json).collect::<Vec<_>>()});
    let event = serde_json::from_value(event).unwrap();
    simulation.count(|figures| figures.records += records.len() as u64);
    let deadline = Instant::now() + simulation.environments.time_out(Function::Relay);
    let ended = simulation.invoke(Function::Relay, None, |handler| handler.relay(event, deadline)).await;
    let (Ended::Done(response), false) = (ended, simulation.faults().loses_response(Function::Relay)) else {
        return 0;
    };
    let failed = response.batch_item_failures.into_iter().filter_map(|failure| failure.item_identifier);
    let first = failed.filter_map(|failed| records.iter().position(|record| record.sequence == failed)).min();
    first.unwrap_or(records.len())
}

fn record(commit: &Commit, index: usize, change: &Change) -> Record {
    let name = match (&change.old, &change.new) {
        (None, _) => "INSERT",
        (Some(_), Some(_)) => "MODIFY",
        (Some(_), None) => "REMOVE",
    };
    let place = &change.place;
    let sequence = format!("{:021}", commit.number * 1000 + index);
    let mut json = json!({
        "eventID": sequence, "eventName": name, "eventVersion": "1.1", "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "eventSourceARN": erp_local::arn::stream(&place.table),
        "dynamodb": {
            "Keys": {"pk": {"S": place.pk}, "sk": {"S": place.sk}},
            "SequenceNumber": sequence, "SizeBytes": 1, "StreamViewType": "NEW_IMAGE",
            "ApproximateCreationDateTime": commit.at / 1000,
        },
    });
    if let Some(new) = &change.new {
        json["dynamodb"]["NewImage"] = new.as_ref().clone();
    }
    Record { sequence, json, at: commit.at }
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0).max(1))
}
