//! An SQS endpoint on a free loopback port that records the calls of a worker and fails on request.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use erp_aws::batch::WorkQueue;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::sdk::{listen, sdk_config};

/// Returns the deadline of an invocation that begins now.
pub fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// URL of the queue of [`FakeSqs::queue`].
pub const QUEUE_URL: &str = "https://sqs.us-east-1.amazonaws.com/000000000000/queue";
/// URL of its dead-letter queue.
pub const DEAD_LETTER_QUEUE_URL: &str = "https://sqs.us-east-1.amazonaws.com/000000000000/queue-dlq";

#[derive(Debug, Default)]
struct Record {
    calls: Vec<(String, Value)>,
    fails: bool,
}

/// The SQS of one test.
#[derive(Debug, Clone)]
pub struct FakeSqs {
    /// The endpoint URL.
    pub endpoint: String,
    record: Arc<Mutex<Record>>,
}

impl FakeSqs {
    /// Starts an endpoint that ends with the test's runtime.
    pub async fn start() -> Self {
        let (listener, endpoint) = listen().await;
        let record = Arc::new(Mutex::new(Record::default()));
        let router = axum::Router::new().fallback(post(call)).with_state(record.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { endpoint, record }
    }

    /// Returns a queue of this endpoint with its dead-letter queue.
    pub fn queue(&self) -> WorkQueue {
        let client = aws_sdk_sqs::Client::new(&sdk_config(&self.endpoint));
        WorkQueue::new(client, QUEUE_URL.to_owned(), DEAD_LETTER_QUEUE_URL.to_owned())
    }

    /// Lets every further call fail.
    pub fn fail(&self) {
        self.record.lock().unwrap().fails = true;
    }

    /// Returns the inputs of the calls of an operation, oldest first.
    pub fn calls(&self, operation: &str) -> Vec<Value> {
        let record = self.record.lock().unwrap();
        let calls = record.calls.iter().filter(|(name, _)| name == operation);
        calls.map(|(_, input)| input.clone()).collect()
    }

    /// Returns the bodies of the dead letters, oldest first.
    pub fn dead_letters(&self) -> Vec<String> {
        let sent = self.calls("SendMessage").into_iter();
        sent.map(|input| {
            assert_eq!(input["QueueUrl"], DEAD_LETTER_QUEUE_URL, "{input}");
            input["MessageBody"].as_str().unwrap().to_owned()
        })
        .collect()
    }
}

/// The AWS JSON protocol
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html>).
async fn call(
    State(record): State<Arc<Mutex<Record>>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, Json<Value>) {
    let target = headers["x-amz-target"].to_str().unwrap();
    let operation = target.strip_prefix("AmazonSQS.").unwrap();
    let input: Value = serde_json::from_str(&body).unwrap();
    let mut record = record.lock().unwrap();
    if record.fails {
        let error = json!({"__type": "com.amazonaws.sqs#InvalidAddress", "message": "injected"});
        return (StatusCode::BAD_REQUEST, Json(error));
    }
    record.calls.push((operation.to_owned(), input));
    let response = match operation {
        "SendMessage" => json!({"MessageId": "m", "MD5OfMessageBody": ""}),
        "ChangeMessageVisibilityBatch" => json!({"Successful": [], "Failed": []}),
        _ => json!({}),
    };
    (StatusCode::OK, Json(response))
}
