//! The dead-letter queues of a stack.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Name;
use serde::Serialize;

use super::DlqError;

/// The worker that did not process the messages of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Consumer {
    /// `inventory-worker`, which changes stock.
    Inventory,
    /// `sales-worker`, which writes inventory's decisions into orders.
    Sales,
}

/// The dead-letter queues of the template, by name without the stack's prefix. They are looked up by their
/// exact names: a stack `erp` must not touch the queues of `erp-dev`.
pub const QUEUES: [(&str, Consumer); 2] =
    [("stock-queue-dlq", Consumer::Inventory), ("order-status-queue-dlq", Consumer::Sales)];

/// A dead-letter queue.
#[derive(Debug, Clone, Serialize)]
pub struct DeadLetterQueue {
    /// The name.
    pub name: String,
    /// The worker of its sources.
    pub consumer: Consumer,
    /// The approximate number of visible messages.
    pub visible: u64,
    /// The approximate number of messages that others have received.
    pub in_flight: u64,
    /// The queues whose dead letters it holds.
    pub sources: Vec<Source>,
    #[serde(skip)]
    pub(super) url: String,
    #[serde(skip)]
    pub(super) arn: String,
}

/// A queue whose dead letters are in a dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The name.
    pub name: String,
    #[serde(skip)]
    pub(super) url: String,
}

impl DeadLetterQueue {
    /// Returns the source of a message: the queue with the ARN that SQS reports, otherwise the only one.
    pub(super) fn source(&self, arn: Option<&str>) -> Result<&Source, DlqError> {
        let source = match (arn, self.sources.as_slice()) {
            (Some(arn), sources) => {
                sources.iter().find(|source| arn.rsplit(':').next() == Some(&source.name))
            }
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        source
            .ok_or_else(|| DlqError::Rejected(format!("{}: the source of the message is unknown", self.name)))
    }

    /// Returns the ARN of the only source.
    pub(super) fn destination_arn(&self) -> Result<String, DlqError> {
        let prefix = self.arn.trim_end_matches(&self.name);
        Ok(format!("{prefix}{}", self.source(None)?.name))
    }
}

/// Finds the dead-letter queues of a stack, or the one with the name `only`, with or without the stack's
/// prefix.
///
/// # Errors
/// [`DlqError::Rejected`] if there is none.
pub async fn find(sqs: &Client, stack: &str, only: Option<&str>) -> Result<Vec<DeadLetterQueue>, DlqError> {
    let mut found = Vec::new();
    for (suffix, consumer) in QUEUES {
        let name = format!("{stack}-{suffix}");
        if only.is_some_and(|only| only != suffix && only != name) {
            continue;
        }
        let url = match sqs.get_queue_url().queue_name(&name).send().await {
            Ok(response) => response.queue_url.unwrap_or_default(),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_queue_does_not_exist()) => continue,
            Err(error) => return Err(error.into()),
        };
        let request = sqs.get_queue_attributes().queue_url(&url).attribute_names(Name::All);
        let attributes = request.send().await?.attributes.unwrap_or_default();
        let number = |name: Name| attributes.get(&name).and_then(|text| text.parse().ok()).unwrap_or(0);
        let sources = sqs.list_dead_letter_source_queues().queue_url(&url);
        let source =
            |url: String| Source { name: url.rsplit('/').next().unwrap_or_default().to_owned(), url };
        let sources = sources.into_paginator().page_size(100).items().send().try_collect().await?;
        found.push(DeadLetterQueue {
            name,
            consumer,
            visible: number(Name::ApproximateNumberOfMessages),
            in_flight: number(Name::ApproximateNumberOfMessagesNotVisible),
            sources: sources.into_iter().map(source).collect(),
            arn: attributes.get(&Name::QueueArn).cloned().unwrap_or_default(),
            url,
        });
    }
    if found.is_empty() {
        let names = QUEUES.map(|(suffix, _)| format!("{stack}-{suffix}")).join(", ");
        let reason = only.map_or_else(
            || format!("the stack {stack} has no dead-letter queues"),
            |only| format!("{only} is not a dead-letter queue of the stack {stack}"),
        );
        return Err(DlqError::Rejected(format!("{reason}; expected names: {names}")));
    }
    Ok(found)
}
