//! The states of tables and queues, read from AWS.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::TableStatus;
use aws_sdk_sqs::types::QueueAttributeName;
use erp_aws::sdk_error_message;

/// Visible messages and messages in flight: a dead letter that an operator looks at is in flight.
const MESSAGE_COUNTS: [QueueAttributeName; 2] = [
    QueueAttributeName::ApproximateNumberOfMessages,
    QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
];

/// Clients of DynamoDB and SQS. Errors are for the log.
#[derive(Debug, Clone)]
pub struct Probe {
    dynamodb: aws_sdk_dynamodb::Client,
    sqs: aws_sdk_sqs::Client,
}

impl Probe {
    /// Creates the clients.
    pub fn new(sdk: &SdkConfig) -> Self {
        Self { dynamodb: aws_sdk_dynamodb::Client::new(sdk), sqs: aws_sdk_sqs::Client::new(sdk) }
    }

    /// Returns whether a table serves reads and writes.
    pub async fn table_is_active(&self, name: &str) -> Result<bool, String> {
        let response = self.dynamodb.describe_table().table_name(name).send().await;
        let response = response.map_err(|error| sdk_error_message(&error))?;
        let status = response.table.and_then(|table| table.table_status);
        // A table that is being updated serves, too.
        Ok(matches!(status, Some(TableStatus::Active | TableStatus::Updating)))
    }

    /// Returns the approximate number of messages in a queue, visible or in flight.
    pub async fn message_count(&self, queue_url: &str) -> Result<u64, String> {
        let request = self.sqs.get_queue_attributes().queue_url(queue_url);
        let response = request.set_attribute_names(Some(MESSAGE_COUNTS.to_vec())).send().await;
        let attributes = response.map_err(|error| sdk_error_message(&error))?.attributes.unwrap_or_default();
        let count = |name| {
            let number = attributes.get(name).ok_or_else(|| format!("the response has no {name}"))?;
            number.parse::<u64>().map_err(|_| format!("{name} is {number}"))
        };
        MESSAGE_COUNTS.iter().map(count).sum()
    }
}
