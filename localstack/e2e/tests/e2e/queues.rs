//! The queues of a platform as a client of SQS.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Region};
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use erp_aws::batch::REASON_ATTRIBUTE;
use erp_local::arn;
use erp_local::deployment::{ACCOUNT, REGION};
use erp_local::platform::Platform;
use serde_json::json;

use crate::target::credentials;

/// A client of the queues.
pub(crate) struct Queues {
    pub(crate) sqs: Client,
    endpoint: String,
}

impl Queues {
    /// Creates a client with the access key of the platform's owner.
    pub(crate) fn of(platform: &Platform) -> Self {
        let endpoint = platform.aws_endpoint().to_owned();
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(&endpoint)
            .credentials_provider(credentials(platform))
            .build();
        Self { sqs: Client::from_conf(config), endpoint }
    }

    fn url(&self, queue: &str) -> String {
        format!("{}/{ACCOUNT}/{queue}", self.endpoint)
    }

    /// Sends a message.
    pub(crate) async fn send(&self, queue: &str, body: impl Into<String>) {
        self.sqs.send_message().queue_url(self.url(queue)).message_body(body).send().await.unwrap();
    }

    /// Sends up to ten messages at once, so that a function receives them in one batch.
    pub(crate) async fn send_batch(&self, queue: &str, bodies: &[String]) {
        let mut request = self.sqs.send_message_batch().queue_url(self.url(queue));
        for (id, body) in bodies.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body(body);
            request = request.entries(entry.build().unwrap());
        }
        let response = request.send().await.unwrap();
        assert_eq!((response.successful.len(), response.failed.len()), (bodies.len(), 0));
    }

    /// Sets the maximum number of receives, so that a message that fails becomes a dead letter soon.
    pub(crate) async fn limit_receives(&self, queue: &str, count: u32) {
        let target = arn::queue(&format!("{queue}-dlq"));
        let policy = json!({"deadLetterTargetArn": target, "maxReceiveCount": count}).to_string();
        let request = self.sqs.set_queue_attributes().queue_url(self.url(queue));
        request.attributes(QueueAttributeName::RedrivePolicy, policy).send().await.unwrap();
    }

    /// Deletes the visible dead letters and returns the body of each, with the reason that the worker gave.
    pub(crate) async fn take_dead_letters(&self, queue: &str) -> Vec<(String, String)> {
        let mut taken = Vec::new();
        loop {
            let request = self.sqs.receive_message().queue_url(self.url(queue)).max_number_of_messages(10);
            let response = request.message_attribute_names("All").send().await.unwrap();
            let messages = response.messages.unwrap_or_default();
            if messages.is_empty() {
                return taken;
            }
            for message in messages {
                let receipt = message.receipt_handle.as_ref().unwrap();
                let delete = self.sqs.delete_message().queue_url(self.url(queue)).receipt_handle(receipt);
                delete.send().await.unwrap();
                let attributes = message.message_attributes.unwrap_or_default();
                let reason = attributes.get(REASON_ATTRIBUTE).and_then(|reason| reason.string_value.clone());
                taken.push((message.body.unwrap_or_default(), reason.unwrap_or_default()));
            }
        }
    }
}
