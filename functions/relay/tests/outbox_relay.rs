//! The relay and the sweep over an embedded DynamoDB and an SNS endpoint.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the failure report")]

use std::sync::Arc;

use aws_lambda_events::event::dynamodb::Event as StreamEvent;
use erp_aws::outbox::EventRow;
use erp_aws::table::ABSENT;
use erp_aws::{Table, Transaction};
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::Clock;
use erp_domain::time::SystemClock;
use erp_testkit::sns::Fault;
use erp_testkit::{Dynamo, FakeSns, TestClock};
use relay::Relay;
use relay::outbox::remove_published;
use relay::row::OutboxRow;
use relay::sweep::Sweep;
use relay::topics::Topics;
use serde_json::json;

const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:erp-sales";

struct Fixture {
    table: Table,
    sns: FakeSns,
    relay: Relay,
}

impl Fixture {
    async fn start() -> Self {
        let table = Dynamo::start().await.table("sales", &["outbox"]).await;
        let sns = FakeSns::start().await;
        let client = aws_sdk_sns::Client::new(&sns.sdk_config());
        let topics = Topics { client, arns: [("sales", TOPIC.to_owned())].into() };
        Self { relay: Relay { topics, dynamodb: table.client.clone() }, table, sns }
    }

    async fn write(&self, subject: &str) {
        self.write_event(EventKind::SalesConfirmed, subject, &json!({})).await;
    }

    async fn write_event(&self, kind: EventKind, subject: &str, data: &serde_json::Value) {
        let now = SystemClock.now();
        let event = Event::new(uuid::Uuid::now_v7(), kind, subject, now, &Cause::default(), data).unwrap();
        let row = EventRow::to_publish(&format!("ORDER#{subject}"), &event).unwrap();
        let mut transaction = Transaction::new();
        transaction.put((), &self.table, &row, ABSENT).unwrap();
        transaction.commit(&self.table).await.unwrap();
    }

    /// Returns the unpublished rows as the stream delivers them.
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

    /// Relays all unpublished rows; returns the sequence numbers of the failed records.
    async fn relay(&self) -> Vec<String> {
        let response = self.relay.relay(self.records().await).await;
        let failures = response.batch_item_failures.into_iter();
        failures.map(|failure| failure.item_identifier.unwrap()).collect()
    }

    /// Returns the subjects of the messages published since the last call.
    fn published(&self) -> Vec<String> {
        let subject = |message: &str| Event::parse(message).unwrap().subject;
        self.sns.take().iter().map(|published| subject(&published.message)).collect()
    }

    fn sweep(&self, clock: Arc<dyn Clock>) -> Sweep {
        Sweep { relay: self.relay.clone(), tables: vec![self.table.clone()], clock }
    }
}

fn subject(name: &str) -> String {
    format!(r#""subject":"{name}""#)
}

#[tokio::test]
async fn a_published_row_leaves_the_outbox_and_a_failed_one_is_retried() {
    let fixture = Fixture::start().await;
    for subject in ["a", "b", "c"] {
        fixture.write(subject).await;
    }
    fixture.sns.fail(&subject("b"), Fault::Service);
    assert_eq!(fixture.relay().await, ["101"], "the stream is read again from the first failed record");
    assert_eq!(fixture.published(), ["a", "c"]);

    fixture.sns.recover();
    assert!(fixture.relay().await.is_empty());
    assert_eq!(fixture.published(), ["b"]);
    assert!(fixture.records().await.records.is_empty());
}

#[tokio::test]
async fn a_message_is_the_stored_event_with_its_type_as_attribute() {
    let fixture = Fixture::start().await;
    fixture.write("a").await;
    let stored = fixture.records().await.records.remove(0).change.new_image.into_inner();
    assert!(fixture.relay().await.is_empty());
    let published = fixture.sns.take().remove(0);
    assert_eq!((published.topic.as_str(), published.kind.as_str()), (TOPIC, "sales.order.confirmed"));
    let stored: std::collections::HashMap<String, String> = stored
        .into_iter()
        .filter_map(|(name, value)| match value {
            serde_dynamo::AttributeValue::S(text) => Some((name, text)),
            _ => None,
        })
        .collect();
    assert_eq!(published.message, stored["event"]);
}

#[tokio::test]
async fn an_event_that_the_response_does_not_mention_is_retried() {
    let fixture = Fixture::start().await;
    fixture.write("a").await;
    fixture.sns.fail(&subject("a"), Fault::Unmentioned);
    assert_eq!(fixture.relay().await, ["100"]);
    assert_eq!(fixture.records().await.records.len(), 1);
}

#[tokio::test]
async fn an_event_that_sns_rejects_stays_in_the_outbox_and_does_not_block_the_stream() {
    let fixture = Fixture::start().await;
    for subject in ["a", "b"] {
        fixture.write(subject).await;
    }
    fixture.write_event(EventKind::UserRegistered, "c", &json!({})).await;
    fixture.sns.fail(&subject("a"), Fault::Sender);
    assert!(fixture.relay().await.is_empty());
    assert_eq!(fixture.published(), ["b"], "c has no topic here");
    assert_eq!(fixture.records().await.records.len(), 2, "rejected events stay for an operator");
}

#[tokio::test]
async fn batches_stay_below_the_limits_of_sns() {
    let fixture = Fixture::start().await;
    let large = json!({"text": "x".repeat(100 * 1024)});
    for subject in ["a", "b", "c"] {
        fixture.write_event(EventKind::SalesConfirmed, subject, &large).await;
    }
    assert!(fixture.relay().await.is_empty());
    assert_eq!(fixture.sns.batches(), [2, 1], "at most 256 KiB");
    for n in 0..11 {
        fixture.write(&n.to_string()).await;
    }
    assert!(fixture.relay().await.is_empty());
    assert_eq!(fixture.sns.batches()[2..], [10, 1], "at most 10 entries");
}

#[tokio::test]
async fn a_row_that_is_no_event_does_not_block_the_stream() {
    let fixture = Fixture::start().await;
    fixture.write("a").await;
    fixture.write("b").await;
    let mut records = fixture.records().await;
    let broken = serde_json::to_value(&records).unwrap().to_string().replacen("specversion", "version", 1);
    records = serde_json::from_str(&broken).unwrap();
    let response = fixture.relay.relay(records).await;
    assert!(response.batch_item_failures.is_empty());
    assert_eq!(fixture.published(), ["b"]);
    assert_eq!(fixture.records().await.records.len(), 1, "it stays in the index for an operator");
}

#[tokio::test]
async fn the_sweep_publishes_what_the_relay_has_missed_however_old() {
    let fixture = Fixture::start().await;
    for n in 0..250 {
        fixture.write(&format!("{n:03}")).await;
    }
    let now = Arc::new(TestClock::at(SystemClock.now().as_millis()));
    let young = fixture.sweep(now.clone()).run().await.unwrap();
    assert_eq!((young.found, fixture.published()), (0, vec![]), "the relay comes first");

    now.advance_seconds(48 * 3600);
    fixture.sns.fail(&subject("007"), Fault::Service);
    let report = fixture.sweep(now.clone()).run().await.unwrap();
    assert_eq!((report.found, report.unreadable, report.complete), (250, 0, false));
    fixture.sns.recover();
    let report = fixture.sweep(now).run().await.unwrap();
    assert_eq!((report.found, report.complete), (1, true));
    let mut published = fixture.published();
    published.sort_unstable();
    assert_eq!(published, (0..250).map(|n| format!("{n:03}")).collect::<Vec<_>>());
    assert!(fixture.records().await.records.is_empty());
}

#[tokio::test]
async fn a_row_that_got_another_event_meanwhile_stays_in_the_outbox() {
    let fixture = Fixture::start().await;
    fixture.write("a").await;
    let mut records = fixture.records().await;
    let mut row = OutboxRow::from_record(records.records.remove(0)).unwrap().unwrap();
    row.outbox_sk = uuid::Uuid::nil().to_string();
    remove_published(&fixture.table.client, &row).await.unwrap();
    assert_eq!(fixture.records().await.records.len(), 1, "the later event is not published yet");
}
