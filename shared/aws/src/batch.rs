//! SQS batches with partial batch responses: a poison message fails alone
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>).

use std::future::Future;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use erp_contracts::Event;

use crate::metric::{self, Metric};

/// Why a message was not processed.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// It can never be processed. It ends in the dead-letter queue.
    #[error("poison message: {0}")]
    Poison(String),
    /// A later attempt may succeed.
    #[error("not processed: {0}")]
    Retry(String),
}

impl MessageError {
    /// Creates a retryable error with its chain of causes.
    pub fn retry(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Retry(crate::error_chain(error))
    }
}

/// Processes the messages of a batch one after the other and reports those that failed.
pub async fn handle_each<F, R>(batch: SqsEvent, mut handle: F) -> SqsBatchResponse
where
    F: FnMut(Event) -> R,
    R: Future<Output = Result<(), MessageError>>,
{
    let mut response = SqsBatchResponse::default();
    for message in batch.records {
        let id = message.message_id.unwrap_or_default();
        let result = match Event::parse(&message.body.unwrap_or_default()) {
            Ok(event) => {
                let (event_id, kind, subject) = (event.id, event.kind, event.subject.clone());
                let request_id = event.correlation_id.clone().unwrap_or_default();
                let result = handle(event).await;
                match &result {
                    Ok(()) => tracing::info!(%event_id, %kind, subject, request_id, "event processed"),
                    Err(error) => {
                        tracing::warn!(%event_id, %kind, subject, request_id, %error, "event not processed");
                    }
                }
                result
            }
            Err(error) => {
                tracing::error!(message_id = id, %error, "message is not an event");
                Err(MessageError::Poison(error.to_string()))
            }
        };
        if result.is_err() {
            response.add_failure(id);
        }
    }
    let failed = response.batch_item_failures.len() as u64;
    if failed > 0 {
        metric::emit(&[(Metric::MessagesFailed, failed)]);
    }
    response
}
