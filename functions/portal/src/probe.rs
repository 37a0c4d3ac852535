//! The state of tables and queues, asked from AWS.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::TableStatus;
use aws_sdk_sqs::types::QueueAttributeName;
use erp_aws::cause;

use crate::health::Probe;

/// Messages that can be received, and those that somebody has received: a dead letter is one while it is looked at, too.
const UNHANDLED: [QueueAttributeName; 2] = [
    QueueAttributeName::ApproximateNumberOfMessages,
    QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
];

/// Asks DynamoDB and SQS.
#[derive(Debug, Clone)]
pub struct AwsProbe {
    /// Knows the tables.
    pub tables: aws_sdk_dynamodb::Client,
    /// Knows the queues.
    pub queues: aws_sdk_sqs::Client,
}

#[async_trait]
impl Probe for AwsProbe {
    async fn table(&self, name: &str) -> Result<bool, String> {
        let answer = self.tables.describe_table().table_name(name).send().await;
        let answer = answer.map_err(|error| cause(&error))?;
        let status = answer.table.and_then(|table| table.table_status);
        // A table that is being changed goes on serving.
        Ok(matches!(status, Some(TableStatus::Active | TableStatus::Updating)))
    }

    async fn waiting(&self, queue_url: &str) -> Result<u64, String> {
        let asked = self.queues.get_queue_attributes().queue_url(queue_url);
        let answer = asked.set_attribute_names(Some(UNHANDLED.to_vec())).send().await;
        let attributes = answer.map_err(|error| cause(&error))?.attributes.unwrap_or_default();
        let mut messages: u64 = 0;
        for name in &UNHANDLED {
            let number = attributes.get(name).ok_or_else(|| format!("the answer does not hold {name}"))?;
            let number: u64 = number.parse().map_err(|_| format!("{name} is {number}"))?;
            messages = messages.saturating_add(number);
        }
        Ok(messages)
    }
}
