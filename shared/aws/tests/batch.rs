//! Batches of messages, over the real SDK and a recording SQS endpoint.
#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use aws_lambda_events::event::sqs::SqsEvent;
use erp_aws::batch::{MessageError, REASON_ATTRIBUTE, RESERVE};
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::Clock;
use erp_domain::time::SystemClock;
use erp_testkit::FakeSqs;
use erp_testkit::sqs::{DEAD_LETTER_QUEUE_URL, QUEUE_URL};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

/// The time of an invocation that does not matter for a test.
const LONG: Duration = Duration::from_secs(30);

/// Returns a message with the event of this subject; `not an event` is the body itself.
fn message(subject: &str, receives: u32) -> Value {
    let now = SystemClock.now();
    let event =
        Event::new(Uuid::now_v7(), EventKind::StockAdjusted, subject, now, &Cause::default(), &json!({}));
    let body = match subject {
        "not an event" => subject.to_owned(),
        _ => event.unwrap().to_json().unwrap(),
    };
    json!({
        "messageId": subject,
        "receiptHandle": format!("receipt of {subject}"),
        "body": body,
        "attributes": {"ApproximateReceiveCount": receives.to_string()},
        "messageAttributes": {
            "type": {"dataType": "String", "stringValue": "inventory.stock.adjusted"},
            "raw": {"dataType": "Binary", "binaryValue": "AAEC"},
        },
    })
}

fn batch(messages: &[Value]) -> SqsEvent {
    serde_json::from_value(json!({ "Records": messages })).unwrap()
}

/// A worker that records the subjects of its events.
struct Worker {
    sqs: FakeSqs,
    handled: Mutex<Vec<String>>,
}

impl Worker {
    async fn start() -> Self {
        Self { sqs: FakeSqs::start().await, handled: Mutex::default() }
    }

    /// Processes a batch: the subject of an event is the outcome. Returns the ids of the failed messages.
    async fn process(&self, time: Duration, messages: &[Value]) -> Vec<String> {
        let handle = async |event: Event| {
            self.handled.lock().unwrap().push(event.subject.clone());
            match event.subject.split(' ').next().unwrap() {
                "poison" => Err(MessageError::Poison("another shape".to_owned())),
                "retry" => Err(MessageError::Retry("no table".to_owned())),
                "panic" => panic!("a defect"),
                "hang" => std::future::pending().await,
                _ => Ok(()),
            }
        };
        let response = self.sqs.queue().process(batch(messages), Instant::now() + time, handle).await;
        response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
    }

    fn handled(&self) -> Vec<String> {
        self.handled.lock().unwrap().clone()
    }

    /// The visibility time-out that each message got.
    fn visibility(&self) -> BTreeMap<String, u64> {
        let calls = self.sqs.calls("ChangeMessageVisibilityBatch");
        let entries = calls.iter().flat_map(|call| {
            assert_eq!(call["QueueUrl"], QUEUE_URL);
            call["Entries"].as_array().unwrap()
        });
        let entry = |entry: &Value| {
            let receipt = entry["ReceiptHandle"].as_str().unwrap().trim_start_matches("receipt of ");
            (receipt.to_owned(), entry["VisibilityTimeout"].as_u64().unwrap())
        };
        entries.map(entry).collect()
    }

    fn deleted(&self) -> Vec<String> {
        let calls = self.sqs.calls("DeleteMessage").into_iter();
        calls
            .map(|call| {
                assert_eq!(call["QueueUrl"], QUEUE_URL);
                call["ReceiptHandle"].as_str().unwrap().trim_start_matches("receipt of ").to_owned()
            })
            .collect()
    }
}

#[tokio::test]
async fn a_batch_without_failures_needs_no_call() {
    let worker = Worker::start().await;
    assert!(worker.process(LONG, &[message("a", 1), message("b", 1)]).await.is_empty());
    assert_eq!(worker.handled(), ["a", "b"]);
    for operation in ["DeleteMessage", "ChangeMessageVisibilityBatch", "SendMessage"] {
        assert_eq!(worker.sqs.calls(operation), [Value::Null; 0], "{operation}");
    }
}

#[tokio::test]
async fn a_poison_message_is_moved_at_once_with_its_attributes_and_the_reason() {
    let worker = Worker::start().await;
    let messages = [message("not an event", 1), message("poison", 1), message("good", 1)];
    assert!(worker.process(LONG, &messages).await.is_empty(), "both count as processed");
    let sent = worker.sqs.calls("SendMessage");
    assert_eq!(sent.len(), 2);
    for (sent, (message, reason)) in sent
        .iter()
        .zip(messages.iter().zip(["not an event: expected ident at line 1 column 2", "another shape"]))
    {
        assert_eq!(
            (&sent["QueueUrl"], &sent["MessageBody"]),
            (&json!(DEAD_LETTER_QUEUE_URL), &message["body"])
        );
        let expected = json!({
            "type": {"DataType": "String", "StringValue": "inventory.stock.adjusted"},
            "raw": {"DataType": "Binary", "BinaryValue": "AAEC"},
            REASON_ATTRIBUTE: {"DataType": "String", "StringValue": reason},
        });
        assert_eq!(sent["MessageAttributes"], expected);
    }
    assert_eq!(worker.deleted(), ["not an event", "poison"], "not moved again if the function is killed now");
    assert_eq!(worker.visibility(), BTreeMap::new());
}

#[tokio::test]
async fn a_poison_message_stays_in_the_queue_if_it_cannot_be_moved() {
    let worker = Worker::start().await;
    worker.sqs.fail();
    assert_eq!(worker.process(LONG, &[message("good", 1), message("poison", 1)]).await, ["poison"]);
    assert_eq!(worker.deleted(), [""; 0]);
}

#[tokio::test]
async fn a_failed_message_is_received_again_after_a_backoff() {
    let worker = Worker::start().await;
    let messages = [message("retry a", 1), message("good", 1), message("panic", 1), message("retry b", 9)];
    assert_eq!(worker.process(LONG, &messages).await, ["retry a", "panic", "retry b"]);
    let visibility = worker.visibility();
    assert_eq!((visibility["retry a"], visibility["panic"], visibility.len()), (1, 1, 3), "{visibility:?}");
    assert!((128..=256).contains(&visibility["retry b"]), "{visibility:?}");
}

#[tokio::test]
async fn if_a_message_was_received_before_each_is_deleted_once_it_is_processed() {
    let worker = Worker::start().await;
    let messages = [message("late", 4), message("retry", 2), message("fresh", 1)];
    assert_eq!(worker.process(LONG, &messages).await, ["retry"]);
    assert_eq!(worker.handled(), ["fresh", "retry", "late"], "fewest receives first");
    assert_eq!(worker.deleted(), ["fresh", "late"]);

    // A message that cannot be deleted is processed all the same: Lambda deletes it.
    let worker = Worker::start().await;
    worker.sqs.fail();
    assert!(worker.process(LONG, &[message("late", 4)]).await.is_empty());
}

#[tokio::test]
async fn messages_without_time_left_are_received_again_at_once() {
    let worker = Worker::start().await;
    let messages = [message("good", 1), message("hang", 1), message("never begun", 1)];
    let short = RESERVE + Duration::from_millis(300);
    assert_eq!(worker.process(short, &messages).await, ["hang", "never begun"]);
    assert_eq!(worker.handled(), ["good", "hang"]);
    let expected = [("hang", 0), ("never begun", 0)].map(|(id, seconds)| (id.to_owned(), seconds));
    assert_eq!(worker.visibility(), BTreeMap::from(expected));
}

#[tokio::test]
async fn a_message_that_takes_a_whole_invocation_has_failed() {
    let worker = Worker::start().await;
    let messages = [message("hang", 3), message("late", 5)];
    let short = RESERVE + Duration::from_millis(50);
    assert_eq!(worker.process(short, &messages).await, ["hang", "late"]);
    assert_eq!(worker.handled(), ["hang"]);
    let visibility = worker.visibility();
    assert!((2..=4).contains(&visibility["hang"]) && visibility["late"] == 0, "{visibility:?}");
}

#[tokio::test]
async fn nothing_is_begun_after_the_deadline() {
    let worker = Worker::start().await;
    assert_eq!(worker.process(Duration::from_secs(2), &[message("good", 1)]).await, ["good"]);
    assert_eq!(worker.handled(), [""; 0]);
    assert_eq!(worker.visibility(), BTreeMap::from([("good".to_owned(), 0)]));
}
