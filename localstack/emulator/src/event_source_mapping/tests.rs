//! Event source mappings with the real broker and database, and closures as functions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use dynoxide::Database;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt as _;

use super::{Backoff, Mappings, Settings};
use crate::broker::Broker;
use crate::deployment::{Trigger, TriggerSource};
use crate::lambda::sync::lock;
use crate::lambda::testing::until;
use crate::lambda::{Invocation, Invoke, InvokeError};

mod queue_calls;

/// A fake function: returns a result or an error for an event.
type Handler = dyn Fn(&Value) -> Result<Value, String> + Send + Sync;

struct FakeFunction {
    handler: Box<Handler>,
    events: Mutex<Vec<Value>>,
    gate: Option<Notify>,
    sqs: Option<(axum::Router, Calls)>,
}

/// Returns the calls to SQS that a fake function makes for an event: operation, input.
type Calls = fn(&Value) -> Vec<(&'static str, Value)>;

impl FakeFunction {
    fn new(handler: impl Fn(&Value) -> Result<Value, String> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { handler: Box::new(handler), events: Mutex::default(), gate: None, sqs: None })
    }

    /// As [`new`](Self::new), with calls to the SQS of a test bed.
    fn with_sqs(
        bed: &TestBed,
        calls: Calls,
        handler: impl Fn(&Value) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let function = Arc::into_inner(Self::new(handler)).unwrap();
        Arc::new(Self { sqs: Some((bed.broker.router(), calls)), ..function })
    }

    /// The names of the records of each event.
    fn batches(&self) -> Vec<Vec<String>> {
        lock(&self.events).iter().map(names).collect()
    }
}

impl Invoke for FakeFunction {
    fn invoke<'a>(
        &'a self,
        function: &'a str,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<Invocation, InvokeError>> {
        Box::pin(async move {
            assert_eq!(function, "Worker");
            if payload.len() > 1_000_000 {
                return Err(InvokeError::TooLarge { limit: 1_000_000 });
            }
            let event: Value = serde_json::from_slice(&payload).unwrap();
            if let Some(gate) = &self.gate {
                gate.notified().await;
            }
            if let Some((router, calls)) = &self.sqs {
                for (operation, input) in calls(&event) {
                    call(router, operation, input).await;
                }
            }
            let result = (self.handler)(&event);
            lock(&self.events).push(event);
            Ok(Invocation {
                request_id: "r".into(),
                function_error: result.is_err().then(|| "Unhandled".into()),
                payload: Bytes::from(
                    result.unwrap_or_else(|error| json!({"errorMessage": error})).to_string(),
                ),
            })
        })
    }
}

/// The bodies of messages, or the keys of stream records.
fn names(event: &Value) -> Vec<String> {
    let name = |record: &Value| {
        let name = record["body"].as_str().or_else(|| record["dynamodb"]["Keys"]["pk"]["S"].as_str());
        name.unwrap_or("?").to_owned()
    };
    event["Records"].as_array().into_iter().flatten().map(name).collect()
}

/// A batch response that names the records with this name.
fn failures(event: &Value, bad: &str) -> Value {
    let records = event["Records"].as_array().into_iter().flatten().zip(names(event));
    let failed = records.filter(|(_, name)| name == bad).map(|(record, _)| {
        let id = record["messageId"].as_str().or_else(|| record["dynamodb"]["SequenceNumber"].as_str());
        json!({ "itemIdentifier": id })
    });
    json!({ "batchItemFailures": failed.collect::<Vec<_>>() })
}

/// The input of a call for each record with this name, with further members.
fn for_record(event: &Value, name: &str, members: &Value) -> Vec<Value> {
    let records = event["Records"].as_array().into_iter().flatten().zip(names(event));
    let input = |record: &Value| {
        let mut input = members.clone();
        input["QueueUrl"] = json!(QUEUE_URL);
        input["ReceiptHandle"] = record["receiptHandle"].clone();
        input
    };
    records.filter(|(_, found)| found == name).map(|(record, _)| input(record)).collect()
}

/// The calls that make the message `poison` visible at once, as a worker does.
fn release_poison(event: &Value) -> Vec<(&'static str, Value)> {
    let inputs = for_record(event, "poison", &json!({"VisibilityTimeout": 0}));
    inputs.into_iter().map(|input| ("ChangeMessageVisibility", input)).collect()
}

/// Calls an operation of SQS, which must succeed.
async fn call(router: &axum::Router, operation: &str, input: Value) {
    let request = Request::post("/")
        .header("x-amz-target", format!("AmazonSQS.{operation}"))
        .header("content-type", "application/x-amz-json-1.0")
        .body(Body::from(input.to_string()));
    let response = router.clone().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200, "{operation}");
}

const QUEUE_URL: &str = "http://127.0.0.1:4566/000000000000/work";

struct TestBed {
    broker: Arc<Broker>,
    database: Database,
    folder: tempfile::TempDir,
}

impl TestBed {
    fn new() -> Self {
        let broker = Broker::open(None, "http://127.0.0.1:4566".into()).unwrap();
        broker.ensure_queue("dead", &BTreeMap::new()).unwrap();
        let redrive = json!({"deadLetterTargetArn": crate::arn::queue("dead"), "maxReceiveCount": 3});
        let attributes = [("VisibilityTimeout", "300".to_owned()), ("RedrivePolicy", redrive.to_string())];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
        broker.ensure_queue("work", &BTreeMap::from(attributes)).unwrap();
        let database = Database::memory().unwrap();
        let table = json!({
            "TableName": "orders",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"},
        });
        database.create_table(serde_json::from_value(table).unwrap()).unwrap();
        Self { broker, database, folder: tempfile::tempdir().unwrap() }
    }

    fn start(&self, source: TriggerSource, functions: &Arc<FakeFunction>) -> Mappings {
        let fast = Backoff { first: Duration::from_millis(1), max: Duration::from_millis(10) };
        // Longer than the deadline of a test that does not notify the reader.
        let poll = Duration::from_secs(60);
        let settings = Settings { poll, redelivery: fast, retry: fast, ..Settings::new(self.folder.path()) };
        let trigger = Trigger { function: "Worker".into(), name: "Work".into(), source };
        let functions = Arc::clone(functions) as Arc<dyn Invoke>;
        Mappings::start(&settings, &[trigger], functions, Arc::clone(&self.broker), &self.database).unwrap()
    }

    async fn send(&self, body: &str) {
        let message = json!({"QueueUrl": QUEUE_URL, "MessageBody": body});
        call(&self.broker.router(), "SendMessage", message).await;
    }

    fn put(&self, pk: &str, kind: &str) {
        let item = json!({"TableName": "orders", "Item": {"pk": {"S": pk}, "kind": {"S": kind}}});
        self.database.put_item(serde_json::from_value(item).unwrap()).unwrap();
    }

    fn message_count(&self, queue: &str) -> u64 {
        let depths = self.broker.depths().unwrap();
        depths.iter().filter(|depth| depth.name == queue).map(|depth| depth.visible + depth.in_flight).sum()
    }
}

fn queue() -> TriggerSource {
    TriggerSource::Queue {
        queue_arn: crate::arn::queue("work"),
        batch_size: 10,
        batching_window: Duration::ZERO,
        maximum_concurrency: Some(2),
        report_item_failures: true,
    }
}

fn stream(filters: Vec<Value>, bisect: bool, maximum_retries: Option<u32>) -> TriggerSource {
    TriggerSource::Stream {
        table: "orders".into(),
        batch_size: 4,
        filters,
        report_item_failures: true,
        bisect,
        maximum_retries,
    }
}

async fn idle(mappings: &Mappings) {
    until("the mappings are idle", || mappings.is_idle().unwrap()).await;
}

#[tokio::test]
async fn processed_messages_are_deleted() {
    let (bed, worker) = (TestBed::new(), FakeFunction::new(|_| Ok(Value::Null)));
    for body in ["a", "b", "c"] {
        bed.send(body).await;
    }
    let mappings = bed.start(queue(), &worker);
    idle(&mappings).await;
    assert_eq!(worker.batches(), [["a", "b", "c"]]);
    assert_eq!(bed.message_count("work"), 0);
    mappings.stop().await;
}

#[tokio::test]
async fn a_poison_message_fails_alone_and_moves_to_the_dead_letter_queue() {
    let bed = TestBed::new();
    let worker = FakeFunction::with_sqs(&bed, release_poison, |event| Ok(failures(event, "poison")));
    for body in ["a", "poison", "c"] {
        bed.send(body).await;
    }
    let mappings = bed.start(queue(), &worker);
    idle(&mappings).await;
    assert_eq!(worker.batches(), [vec!["a", "poison", "c"], vec!["poison"], vec!["poison"]]);
    assert_eq!(bed.message_count("dead"), 1);
    mappings.stop().await;
}

#[tokio::test]
async fn after_a_function_error_or_a_malformed_response_the_whole_batch_is_retried() {
    let attempts = AtomicUsize::new(0);
    let worker = FakeFunction::new(move |_| match attempts.fetch_add(1, Ordering::SeqCst) {
        0 => Err("crashed".into()),
        1 => Ok(json!({"batchItemFailures": [{"itemIdentifier": "unknown"}]})),
        _ => Ok(json!({})),
    });
    let bed = TestBed::new();
    bed.send("a").await;
    let mappings = bed.start(queue(), &worker);
    idle(&mappings).await;
    assert_eq!(worker.batches().len(), 3);
    assert_eq!((bed.message_count("work"), bed.message_count("dead")), (0, 0));
    mappings.stop().await;
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_split() {
    let (bed, worker) = (TestBed::new(), FakeFunction::new(|_| Ok(Value::Null)));
    for letter in ["a", "b", "c"] {
        bed.send(&letter.repeat(400_000)).await;
    }
    let mappings = bed.start(queue(), &worker);
    idle(&mappings).await;
    assert_eq!(worker.batches().iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
    mappings.stop().await;
}

#[tokio::test]
async fn a_stop_waits_for_the_batch_in_flight() {
    let worker = FakeFunction {
        gate: Some(Notify::new()),
        ..Arc::into_inner(FakeFunction::new(|_| Ok(Value::Null))).unwrap()
    };
    let (bed, worker) = (TestBed::new(), Arc::new(worker));
    bed.send("a").await;
    let mappings = bed.start(queue(), &worker);
    until("the batch is in flight", || mappings.in_flight() == 1).await;
    assert!(!mappings.is_idle().unwrap());
    let mut stop = Box::pin(mappings.stop());
    assert!(futures_util::poll!(&mut stop).is_pending());
    worker.gate.as_ref().unwrap().notify_one();
    stop.await;
    assert_eq!((bed.message_count("work"), mappings.in_flight()), (0, 0));
}

#[tokio::test]
async fn matching_records_are_delivered_in_order_and_once_across_a_restart() {
    let (bed, worker) = (TestBed::new(), FakeFunction::new(|_| Ok(Value::Null)));
    let filter = json!({"eventName": ["INSERT"], "dynamodb": {"NewImage": {"kind": {"S": ["event"]}}}});
    for (pk, kind) in
        [("1", "event"), ("2", "row"), ("3", "event"), ("4", "event"), ("5", "event"), ("6", "event")]
    {
        bed.put(pk, kind);
    }
    let mappings = bed.start(stream(vec![filter.clone()], true, None), &worker);
    idle(&mappings).await;
    assert_eq!(worker.batches(), [vec!["1", "3", "4", "5"], vec!["6"]]);
    let record = lock(&worker.events)[0]["Records"][0].clone();
    assert_eq!(record["eventSourceARN"], crate::arn::stream("orders"));
    assert_eq!((&record["awsRegion"], &record["eventSource"]), (&json!("us-east-1"), &json!("aws:dynamodb")));
    assert_eq!(record["dynamodb"]["StreamViewType"], "NEW_IMAGE");
    assert_eq!(record["dynamodb"]["NewImage"], json!({"pk": {"S": "1"}, "kind": {"S": "event"}}));
    assert!(
        record["dynamodb"]["SizeBytes"].is_u64()
            && record["dynamodb"]["ApproximateCreationDateTime"].is_f64()
    );

    bed.put("7", "event");
    mappings.wake();
    assert!(!mappings.streams()[0].caught_up);
    idle(&mappings).await;
    mappings.stop().await;
    bed.put("8", "event");
    let mappings = bed.start(stream(vec![filter], true, None), &worker);
    idle(&mappings).await;
    assert_eq!(worker.batches()[2..], [["7"], ["8"]]);
    mappings.stop().await;
}

#[tokio::test]
async fn a_stream_continues_at_the_failed_record() {
    let attempts = AtomicUsize::new(0);
    let worker = FakeFunction::new(move |event| match attempts.fetch_add(1, Ordering::SeqCst) {
        0 => Ok(failures(event, "2")),
        1 => Err("crashed".into()),
        _ => Ok(json!({"batchItemFailures": []})),
    });
    let bed = TestBed::new();
    for pk in ["1", "2", "3", "4", "5"] {
        bed.put(pk, "event");
    }
    let mappings = bed.start(stream(vec![], false, None), &worker);
    idle(&mappings).await;
    let expected = [vec!["1", "2", "3", "4"], vec!["2", "3", "4"], vec!["2", "3", "4"], vec!["5"]];
    assert_eq!(worker.batches(), expected);
    mappings.stop().await;
}

#[tokio::test]
async fn a_poison_record_is_discarded_alone() {
    let worker =
        FakeFunction::new(
            |event| if names(event).contains(&"3".into()) { Err("3".into()) } else { Ok(Value::Null) },
        );
    let bed = TestBed::new();
    for pk in ["1", "2", "3", "4"] {
        bed.put(pk, "event");
    }
    let mappings = bed.start(stream(vec![], true, Some(1)), &worker);
    idle(&mappings).await;
    let expected =
        [vec!["1", "2", "3", "4"], vec!["1", "2"], vec!["3", "4"], vec!["3"], vec!["3"], vec!["4"]];
    assert_eq!(worker.batches(), expected);
    mappings.stop().await;
}

#[tokio::test]
async fn unprocessed_records_are_delivered_after_a_restart() {
    let (bed, broken) = (TestBed::new(), FakeFunction::new(|_| Err("still broken".into())));
    bed.put("1", "event");
    let mappings = bed.start(stream(vec![], true, None), &broken);
    until("it was attempted", || broken.batches().len() > 2).await;
    assert!(!mappings.streams()[0].caught_up && mappings.streams()[0].pending == 1);
    mappings.stop().await;
    let repaired = FakeFunction::new(|_| Ok(Value::Null));
    let mappings = bed.start(stream(vec![], true, None), &repaired);
    idle(&mappings).await;
    assert_eq!(repaired.batches(), [["1"]]);
    mappings.stop().await;
}

#[tokio::test]
async fn a_schedule_invokes_its_function_repeatedly() {
    let worker = FakeFunction::new(|event| {
        assert_eq!(event["detail-type"], "Scheduled Event");
        Ok(Value::Null)
    });
    let bed = TestBed::new();
    let mappings =
        bed.start(TriggerSource::Schedule { every: Duration::from_millis(5), input: None }, &worker);
    until("it was invoked", || worker.batches().len() >= 3).await;
    mappings.stop().await;
}

#[tokio::test]
async fn a_damaged_checkpoint_prevents_the_start() {
    let (bed, worker) = (TestBed::new(), FakeFunction::new(|_| Ok(Value::Null)));
    bed.put("1", "event");
    let file = bed.folder.path().join("Worker.Work.checkpoint");
    std::fs::write(&file, "garbage").unwrap();
    let settings = Settings::new(bed.folder.path());
    let source = stream(vec![], true, None);
    let trigger = Trigger { function: "Worker".into(), name: "Work".into(), source };
    let functions = Arc::clone(&worker) as Arc<dyn Invoke>;
    let started = Mappings::start(&settings, &[trigger], functions, Arc::clone(&bed.broker), &bed.database);
    let Err(error) = started else { panic!("it started") };
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "garbage");
}
