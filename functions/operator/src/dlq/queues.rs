//! The dead-letter queues of a stack.

use std::collections::HashMap;

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
        let name = arn.and_then(|arn| arn.rsplit(':').next());
        let source = match (name, self.sources.as_slice()) {
            (Some(name), sources) => sources.iter().find(|source| source.name == name),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        source
            .ok_or_else(|| DlqError::Rejected(format!("{}: the source of the message is unknown", self.name)))
    }
}

/// Finds the dead-letter queues of a stack, or the one with the name `only`, with or without the stack's
/// prefix.
///
/// # Errors
/// If there is none, or SQS fails.
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
        let attributes = attributes(sqs, &url).await?;
        let number = |name: Name| attributes.get(&name).and_then(|text| text.parse().ok()).unwrap_or(0);
        found.push(DeadLetterQueue {
            name,
            consumer,
            visible: number(Name::ApproximateNumberOfMessages),
            in_flight: number(Name::ApproximateNumberOfMessagesNotVisible),
            sources: sources(sqs, &url).await?,
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

async fn attributes(sqs: &Client, url: &str) -> Result<HashMap<Name, String>, DlqError> {
    let names =
        [Name::QueueArn, Name::ApproximateNumberOfMessages, Name::ApproximateNumberOfMessagesNotVisible];
    let request = sqs.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
    Ok(request.send().await?.attributes.unwrap_or_default())
}

async fn sources(sqs: &Client, url: &str) -> Result<Vec<Source>, DlqError> {
    let mut sources = Vec::new();
    let mut next = None;
    loop {
        let request =
            sqs.list_dead_letter_source_queues().queue_url(url).max_results(100).set_next_token(next);
        let page = request.send().await?;
        sources.extend(page.queue_urls.into_iter().map(|url| {
            let name = url.rsplit('/').next().unwrap_or_default().to_owned();
            Source { name, url }
        }));
        next = page.next_token;
        if next.is_none() {
            return Ok(sources);
        }
    }
}
