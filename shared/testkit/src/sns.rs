//! An SNS endpoint on a free loopback port that records published messages and fails on request.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use axum::extract::State;
use axum::routing::post;

use crate::sdk::{listen, sdk_config};

/// The response to an entry of a `PublishBatch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A failure of the service: the sender may retry.
    Service,
    /// A failure of the sender: a retry fails again.
    Sender,
    /// The entry is missing from the response.
    Unmentioned,
}

/// A published message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// ARN of the topic.
    pub topic: String,
    /// The message attribute `type`.
    pub kind: String,
    /// The message.
    pub message: String,
}

#[derive(Debug, Default)]
struct Record {
    published: Vec<Published>,
    faults: BTreeMap<String, Fault>,
    batches: Vec<usize>,
}

/// The SNS of one test.
#[derive(Debug, Clone)]
pub struct FakeSns {
    /// The endpoint URL.
    pub endpoint: String,
    record: Arc<Mutex<Record>>,
}

impl FakeSns {
    /// Starts an endpoint that ends with the test's runtime.
    pub async fn start() -> Self {
        let (listener, endpoint) = listen().await;
        let record = Arc::new(Mutex::new(Record::default()));
        let router = axum::Router::new().route("/", post(publish_batch)).with_state(record.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { endpoint, record }
    }

    /// Returns the configuration of an SDK client of this endpoint.
    pub fn sdk_config(&self) -> SdkConfig {
        sdk_config(&self.endpoint)
    }

    /// Lets every message that contains `text` fail.
    pub fn fail(&self, text: &str, fault: Fault) {
        self.record.lock().unwrap().faults.insert(text.to_owned(), fault);
    }

    /// Lets no message fail any more.
    pub fn recover(&self) {
        self.record.lock().unwrap().faults.clear();
    }

    /// Removes and returns the published messages, in the order of their publication.
    pub fn take(&self) -> Vec<Published> {
        std::mem::take(&mut self.record.lock().unwrap().published)
    }

    /// Returns the published messages.
    pub fn published(&self) -> Vec<Published> {
        self.record.lock().unwrap().published.clone()
    }

    /// Returns the numbers of entries of all batches.
    pub fn batches(&self) -> Vec<usize> {
        self.record.lock().unwrap().batches.clone()
    }
}

/// `PublishBatch` in the AWS query protocol
/// (<https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>).
async fn publish_batch(State(record): State<Arc<Mutex<Record>>>, body: String) -> String {
    let form: BTreeMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    assert_eq!(form["Action"], "PublishBatch");
    let mut record = record.lock().unwrap();
    let (mut successful, mut failed, mut count) = (String::new(), String::new(), 0);
    for index in 1.. {
        let entry = format!("PublishBatchRequestEntries.member.{index}");
        let Some(id) = form.get(&format!("{entry}.Id")) else { break };
        count += 1;
        let message = form[&format!("{entry}.Message")].clone();
        match record.faults.iter().find(|(text, _)| message.contains(*text)).map(|(_, fault)| *fault) {
            None => {
                assert_eq!(form[&format!("{entry}.MessageAttributes.entry.1.Name")], "type");
                let kind = form[&format!("{entry}.MessageAttributes.entry.1.Value.StringValue")].clone();
                record.published.push(Published { topic: form["TopicArn"].clone(), kind, message });
                write!(successful, "<member><Id>{id}</Id><MessageId>{id}</MessageId></member>").unwrap();
            }
            Some(Fault::Unmentioned) => {}
            Some(fault) => {
                let sender = fault == Fault::Sender;
                let code = if sender { "InvalidParameter" } else { "InternalError" };
                let member = format!("<Id>{id}</Id><Code>{code}</Code><SenderFault>{sender}</SenderFault>");
                write!(failed, "<member>{member}</member>").unwrap();
            }
        }
    }
    record.batches.push(count);
    format!(
        "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>\
         <Successful>{successful}</Successful><Failed>{failed}</Failed>\
         </PublishBatchResult></PublishBatchResponse>"
    )
}
