//! The state of tables and queues, asked from AWS.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::TableStatus;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::QueueAttributeName;

use crate::health::Probe;

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
        let answer = answer.map_err(|error| DisplayErrorContext(error).to_string())?;
        let status = answer.table.and_then(|table| table.table_status);
        // A table that is being changed goes on serving.
        Ok(matches!(status, Some(TableStatus::Active | TableStatus::Updating)))
    }

    async fn waiting(&self, queue_url: &str) -> Result<u64, String> {
        let wanted = QueueAttributeName::ApproximateNumberOfMessages;
        let answer =
            self.queues.get_queue_attributes().queue_url(queue_url).attribute_names(wanted.clone()).send();
        let answer = answer.await.map_err(|error| DisplayErrorContext(error).to_string())?;
        let number = answer.attributes.as_ref().and_then(|attributes| attributes.get(&wanted));
        let number = number.ok_or("the answer does not hold the number of messages")?;
        number.parse().map_err(|_| format!("{number} is no number of messages"))
    }
}
