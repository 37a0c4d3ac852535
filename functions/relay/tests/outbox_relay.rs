//! The relay and the sweep over an embedded DynamoDB and an SNS endpoint.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the failure report")]

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::dynamodb::Event as StreamEvent;
use erp_aws::outbox::EventRow;
use erp_aws::table::ABSENT;
use erp_aws::{Table, Transaction};
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::Clock;
use erp_domain::time::SystemClock;
use erp_testkit::proxy::Loss;
use erp_testkit::sns::Fault;
use erp_testkit::sqs::deadline;
use erp_testkit::{Dynamo, FakeSns, Proxy, TestClock};
use relay::outbox::remove_published;
use relay::row::OutboxRow;
use relay::sweep::Sweep;
use relay::topics::Topics;
use relay::{REMOVALS, Relay};
use serde_json::json;
use tokio::time::Instant;

const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:erp-sales";

struct Fixture {
    endpoint: String,
    table: Table,
    sns: FakeSns,
    relay: Relay,
}

impl Fixture {
    async fn start() -> Self {
        let dynamo = Dynamo::start().await;
        let table = dynamo.table("sales", &["outbox"]).await;
        let sns = FakeSns::start().await;
        let client = aws_sdk_sns::Client::new(&sns.sdk_config());
        let topics = Topics { client, arns: [("sales", TOPIC.to_owned())].into() };
        let relay = Relay { topics, dynamodb: table.client.clone() };
        Self { endpoint: dynamo.endpoint, relay, table, sns }
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
        let response = self.relay.relay(self.records().await, deadline()).await;
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
    let response = fixture.relay.relay(records, deadline()).await;
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
    let young = fixture.sweep(now.clone()).run(deadline()).await.unwrap();
    assert_eq!((young.found, fixture.published()), (0, vec![]), "the relay comes first");

    now.advance_seconds(48 * 3600);
    fixture.sns.fail(&subject("007"), Fault::Service);
    let report = fixture.sweep(now.clone()).run(deadline()).await.unwrap();
    assert_eq!((report.found, report.unreadable, report.complete), (250, 0, false));
    fixture.sns.recover();
    let report = fixture.sweep(now).run(deadline()).await.unwrap();
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

/// A relay between two proxies.
struct Network {
    dynamodb: Proxy,
    sns: Proxy,
}

impl Network {
    /// Puts a proxy in front of each service of the relay.
    async fn insert(fixture: &mut Fixture) -> Self {
        let sns = Proxy::start(&fixture.sns.endpoint, Duration::from_millis(2)).await;
        let dynamodb = Proxy::start(&fixture.endpoint, Duration::from_millis(2)).await;
        let config = fixture.table.client.config().to_builder().endpoint_url(&dynamodb.endpoint);
        let client = aws_sdk_dynamodb::Client::from_conf(config.build());
        let config =
            aws_sdk_sns::config::Builder::from(&fixture.sns.sdk_config()).endpoint_url(&sns.endpoint);
        let arn = |context: &'static str| (context, TOPIC.replace("sales", context));
        let topics = Topics {
            client: aws_sdk_sns::Client::from_conf(config.build()),
            arns: ["sales", "purchase", "inventory"].map(arn).into(),
        };
        fixture.relay = Relay { topics, dynamodb: client };
        Self { dynamodb, sns }
    }
}

#[tokio::test]
async fn a_thousand_rows_are_relayed_with_few_requests_in_flight() {
    let mut fixture = Fixture::start().await;
    let kinds = [EventKind::SalesConfirmed, EventKind::PurchaseReceived, EventKind::StockAdjusted];
    let rows: Vec<EventRow> = (0..1000)
        .map(|n| {
            let (kind, id) = (kinds[n % kinds.len()], uuid::Uuid::now_v7());
            let event = Event::new(id, kind, n.to_string(), SystemClock.now(), &Cause::default(), &json!({}));
            EventRow::to_publish(&format!("ORDER#{n}"), &event.unwrap()).unwrap()
        })
        .collect();
    fixture.table.put_all(rows.into_iter()).await.unwrap();
    let network = Network::insert(&mut fixture).await;
    let batch = fixture.records().await;
    assert_eq!(batch.records.len(), 1000);
    let response = fixture.relay.relay(batch, Instant::now() + Duration::from_secs(60)).await;
    assert!(response.batch_item_failures.is_empty());
    assert_eq!(fixture.published().len(), 1000);
    assert!(fixture.records().await.records.is_empty());
    assert_eq!(network.dynamodb.most_in_flight(), REMOVALS, "removals");
    assert_eq!(network.sns.most_in_flight(), kinds.len(), "one request for each topic");
}

#[tokio::test]
async fn the_relay_stops_before_the_deadline_and_reports_the_rest() {
    let mut fixture = Fixture::start().await;
    for n in 0..25 {
        fixture.write(&format!("{n:02}")).await;
    }
    let network = Network::insert(&mut fixture).await;
    // The second batch of ten.
    network.sns.lose("%2214%22", Loss::Request);
    let (start, deadline) = (Instant::now(), Instant::now() + Duration::from_secs(6));
    let response = fixture.relay.relay(fixture.records().await, deadline).await;
    assert!(Instant::now() < deadline && start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    let failures: Vec<_> = response.batch_item_failures.into_iter().map(|f| f.item_identifier).collect();
    assert_eq!(failures, [Some("1010".to_owned())], "Lambda delivers this record and all later ones again");
    assert_eq!(fixture.published(), (0..10).map(|n| format!("{n:02}")).collect::<Vec<_>>());
    assert_eq!(fixture.records().await.records.len(), 15, "what was published is removed");

    network.sns.recover();
    network.dynamodb.lose("UpdateItem", Loss::Response);
    let deadline = Instant::now() + Duration::from_secs(6);
    let response = fixture.relay.relay(fixture.records().await, deadline).await;
    assert!(
        Instant::now() < deadline && response.batch_item_failures.is_empty(),
        "the sweep removes the rows"
    );
    assert_eq!(fixture.published().len(), 15);
}

#[tokio::test]
async fn the_sweep_stops_before_the_deadline_and_the_next_one_continues() {
    let fixture = Fixture::start().await;
    fixture.write("a").await;
    let clock = Arc::new(TestClock::at(SystemClock.now().as_millis() + 48 * 3_600_000));
    let sweep = fixture.sweep(clock);
    let report = sweep.run(Instant::now() + Duration::from_secs(5)).await.unwrap();
    assert_eq!((report.found, report.complete), (0, false));
    let report = sweep.run(deadline()).await.unwrap();
    assert_eq!((report.found, report.complete), (1, true));
}
