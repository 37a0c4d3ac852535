//! The relay and the sweep, over an embedded DynamoDB.
#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use aws_lambda_events::event::dynamodb::Event as StreamEvent;
use erp_aws::outbox::EventRow;
use erp_aws::table::NOT_THERE;
use erp_aws::{Table, Transaction};
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::Clock;
use erp_domain::ports::SystemClock;
use erp_testkit::{Dynamo, TestClock};
use relay::Relay;
use relay::outbox::{DynamoOutbox, Outbox};
use relay::publish::{Outcome, Publisher};
use relay::record::Outgoing;
use relay::sweep::{DynamoUnpublished, Sweep};
use serde_json::json;

/// Notes what it publishes, and fails what it is told to.
#[derive(Default)]
struct Topics {
    published: Mutex<Vec<(String, String)>>,
    failing: Mutex<Vec<String>>,
}

#[async_trait]
impl Publisher for Topics {
    async fn publish(&self, service: &str, events: &[&Event]) -> Vec<Outcome> {
        let failing = self.failing.lock().unwrap();
        let one = |event: &&Event| {
            if failing.contains(&event.subject) {
                return Outcome::Failed("told to".into());
            }
            self.published.lock().unwrap().push((service.to_owned(), event.subject.clone()));
            Outcome::Published
        };
        events.iter().map(one).collect()
    }
}

struct Platform {
    table: Table,
    topics: Arc<Topics>,
    relay: Relay,
}

impl Platform {
    async fn start() -> Self {
        let table = Dynamo::start().await.table("sales", &["outbox"]).await;
        let topics = Arc::new(Topics::default());
        let outbox = Arc::new(DynamoOutbox { client: table.client.clone() });
        Self { relay: Relay { publisher: topics.clone(), outbox }, table, topics }
    }

    async fn write(&self, subject: &str) {
        let now = SystemClock.now();
        let kind = EventKind::SalesConfirmed;
        let event =
            Event::new(uuid::Uuid::now_v7(), kind, subject, now, &Cause::default(), &json!({})).unwrap();
        let row = EventRow::to_publish::<()>(&format!("ORDER#{subject}"), &event).unwrap();
        let mut transaction = Transaction::new();
        transaction.put::<()>((), &self.table, &row, NOT_THERE).unwrap();
        transaction.commit(&self.table).await.unwrap();
    }

    /// The rows that are not out, as the stream brings them.
    async fn records(&self) -> StreamEvent {
        let rows = self.table.client.scan().table_name("sales").index_name("outbox").send().await.unwrap();
        let mut rows = rows.items.unwrap_or_default();
        rows.sort_by_key(|row| row["outbox_sk"].as_s().unwrap().clone());
        let record = |(n, row): (usize, erp_aws::table::Row)| {
            let image: serde_json::Map<String, serde_json::Value> =
                row.iter().map(|(name, value)| (name.clone(), json!({"S": value.as_s().unwrap()}))).collect();
            json!({
                "eventID": n.to_string(), "eventName": "INSERT", "awsRegion": "us-east-1",
                "eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/sales/stream/now",
                "dynamodb": {"Keys": {}, "NewImage": image, "SequenceNumber": format!("10{n}"), "SizeBytes": 1,
                             "ApproximateCreationDateTime": 0, "StreamViewType": "NEW_IMAGE"},
            })
        };
        serde_json::from_value(
            json!({"Records": rows.into_iter().enumerate().map(record).collect::<Vec<_>>()}),
        )
        .unwrap()
    }

    fn published(&self) -> Vec<String> {
        std::mem::take(&mut *self.topics.published.lock().unwrap())
            .into_iter()
            .map(|(_, subject)| subject)
            .collect()
    }

    fn sweep(&self, clock: Arc<dyn Clock>) -> Sweep {
        let tables = vec!["sales".to_owned()];
        let unpublished = Arc::new(DynamoUnpublished { client: self.table.client.clone(), tables });
        Sweep { relay: self.relay.clone(), unpublished, clock }
    }
}

#[tokio::test]
async fn a_published_row_leaves_the_outbox_and_a_failed_one_comes_again() {
    let platform = Platform::start().await;
    for subject in ["a", "b", "c"] {
        platform.write(subject).await;
    }
    platform.topics.failing.lock().unwrap().push("b".into());
    let response = platform.relay.relay(platform.records().await).await;
    let failed = response.batch_item_failures.iter().map(|failure| failure.item_identifier.clone().unwrap());
    assert_eq!(failed.collect::<Vec<_>>(), ["101"], "the stream comes back from the first that failed");
    assert_eq!(platform.published(), ["a", "c"]);

    platform.topics.failing.lock().unwrap().clear();
    let response = platform.relay.relay(platform.records().await).await;
    assert!(response.batch_item_failures.is_empty());
    assert_eq!(platform.published(), ["b"]);
    assert!(platform.records().await.records.is_empty());
}

#[tokio::test]
async fn a_row_that_is_no_event_does_not_hold_up_the_stream() {
    let platform = Platform::start().await;
    platform.write("a").await;
    platform.write("b").await;
    let mut records = platform.records().await;
    let broken = serde_json::to_value(&records).unwrap().to_string().replacen("specversion", "version", 1);
    records = serde_json::from_str(&broken).unwrap();
    let response = platform.relay.relay(records).await;
    assert!(response.batch_item_failures.is_empty());
    assert_eq!(platform.published(), ["b"]);
    assert_eq!(platform.records().await.records.len(), 1, "it stays where a person finds it");
}

#[tokio::test]
async fn the_sweep_publishes_what_the_relay_never_saw_however_old() {
    let platform = Platform::start().await;
    for n in 0..250 {
        platform.write(&format!("{n:03}")).await;
    }
    let now = Arc::new(TestClock::at(SystemClock.now().as_millis()));
    let young = platform.sweep(now.clone()).run().await.unwrap();
    assert_eq!((young.found, platform.published()), (0, vec![]), "the relay gets its time");

    now.advance_seconds(48 * 3600);
    platform.topics.failing.lock().unwrap().push("007".into());
    let swept = platform.sweep(now.clone()).run().await.unwrap();
    assert_eq!((swept.found, swept.unreadable, swept.complete), (250, 0, false));
    platform.topics.failing.lock().unwrap().clear();
    let swept = platform.sweep(now).run().await.unwrap();
    assert_eq!((swept.found, swept.complete), (1, true));
    let mut published = platform.published();
    published.sort_unstable();
    assert_eq!(published, (0..250).map(|n| format!("{n:03}")).collect::<Vec<_>>());
    assert!(platform.records().await.records.is_empty());
}

#[tokio::test]
async fn a_row_that_got_another_event_meanwhile_stays_in_the_outbox() {
    let platform = Platform::start().await;
    platform.write("a").await;
    let mut records = platform.records().await;
    let mut row = Outgoing::read(records.records.remove(0)).unwrap();
    row.outbox_sk = uuid::Uuid::nil().to_string();
    let outbox = DynamoOutbox { client: platform.table.client.clone() };
    outbox.published(&row).await.unwrap();
    assert_eq!(platform.records().await.records.len(), 1, "what came later is not out yet");
}
