//! SQS batches: each message is read and handled by itself, so a poison message fails alone
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>).

use std::future::Future;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use erp_contracts::Event;

/// Why a message was not handled.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// It never will be: it says nothing that we understand. It ends in the dead-letter queue.
    #[error("poison: {0}")]
    Poison(String),
    /// Another time it may be.
    #[error("not handled: {0}")]
    Retry(String),
}

/// Handles the messages of a batch one after the other, each as an event, and names those that failed.
pub async fn handle_each<F, R>(batch: SqsEvent, mut handle: F) -> SqsBatchResponse
where
    F: FnMut(Event) -> R,
    R: Future<Output = Result<(), MessageError>>,
{
    let mut response = SqsBatchResponse::default();
    for message in batch.records {
        let id = message.message_id.unwrap_or_default();
        let body = message.body.unwrap_or_default();
        let done = match Event::parse(&body) {
            Ok(event) => {
                let (event_id, kind, subject) = (event.id, event.kind, event.subject.clone());
                let request_id = event.correlation_id.clone().unwrap_or_default();
                let done = handle(event).await;
                match &done {
                    Ok(()) => tracing::info!(%event_id, %kind, subject, request_id, "event handled"),
                    Err(error) => {
                        tracing::warn!(%event_id, %kind, subject, request_id, %error, "event not handled")
                    }
                }
                done
            }
            Err(error) => {
                tracing::error!(message_id = id, %error, "a message is not an event");
                Err(MessageError::Poison(error.to_string()))
            }
        };
        if done.is_err() {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            response.batch_item_failures.push(failure);
        }
    }
    response
}
