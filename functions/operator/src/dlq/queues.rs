//! The dead-letter queues of a stack.

use std::collections::HashMap;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Name;
use serde::Serialize;

use super::DlqError;

/// Who could not handle what is in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Consumer {
    /// `inventory-worker`, which changes stock.
    Inventory,
    /// `sales-worker`, which notes in orders what inventory decided.
    Sales,
}

/// The dead-letter queues that the template has, by their names without the stack's, and whose letters they hold. They
/// are asked for by name and not by how names begin: a stack `erp` must not touch what belongs to `erp-dev`.
pub const QUEUES: [(&str, Consumer); 2] =
    [("stock-queue-dlq", Consumer::Inventory), ("order-status-queue-dlq", Consumer::Sales)];

/// A dead-letter queue.
#[derive(Debug, Clone, Serialize)]
pub struct DeadLetters {
    /// Its name.
    pub name: String,
    /// Whose letters it holds.
    pub consumer: Consumer,
    /// How many can be received; SQS says about how many.
    pub visible: u64,
    /// How many somebody is looking at.
    pub in_flight: u64,
    /// The queues that feed it.
    pub sources: Vec<Source>,
    #[serde(skip)]
    pub(super) url: String,
    #[serde(skip)]
    pub(super) arn: String,
}

/// A queue that feeds a dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    #[serde(skip)]
    pub(super) url: String,
}

impl DeadLetters {
    /// The queue that a letter came from: the one that SQS names, else the only one there is.
    pub(super) fn source(&self, arn: Option<&str>) -> Result<&Source, DlqError> {
        let named = arn.and_then(|arn| arn.rsplit(':').next());
        let found = match (named, self.sources.as_slice()) {
            (Some(name), sources) => sources.iter().find(|source| source.name == name),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let reason = || format!("{}: nobody knows from which queue this message came", self.name);
        found.ok_or_else(|| DlqError::Refused(reason()))
    }
}

/// The dead-letter queues of a stack, or the one of this name, with the stack's or without.
///
/// # Errors
/// When there are none, or SQS does not answer.
pub async fn find(sqs: &Client, stack: &str, only: Option<&str>) -> Result<Vec<DeadLetters>, DlqError> {
    let mut found = Vec::new();
    for (suffix, consumer) in QUEUES {
        let name = format!("{stack}-{suffix}");
        if only.is_some_and(|only| only != suffix && only != name) {
            continue;
        }
        let url = match sqs.get_queue_url().queue_name(&name).send().await {
            Ok(answer) => answer.queue_url.unwrap_or_default(),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_queue_does_not_exist()) => continue,
            Err(error) => return Err(error.into()),
        };
        let attributes = attributes(sqs, &url).await?;
        let number = |name: Name| attributes.get(&name).and_then(|text| text.parse().ok()).unwrap_or(0);
        found.push(DeadLetters {
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
        let what =
            only.map_or_else(|| format!("the stack {stack} is not there"), |only| format!("{only} is none"));
        return Err(DlqError::Refused(format!("{what}: the dead-letter queues would be {names}")));
    }
    Ok(found)
}

async fn attributes(sqs: &Client, url: &str) -> Result<HashMap<Name, String>, DlqError> {
    let wanted =
        [Name::QueueArn, Name::ApproximateNumberOfMessages, Name::ApproximateNumberOfMessagesNotVisible];
    let asked = sqs.get_queue_attributes().queue_url(url).set_attribute_names(Some(wanted.to_vec()));
    Ok(asked.send().await?.attributes.unwrap_or_default())
}

async fn sources(sqs: &Client, url: &str) -> Result<Vec<Source>, DlqError> {
    let mut sources = Vec::new();
    let mut next = None;
    loop {
        let asked = sqs.list_dead_letter_source_queues().queue_url(url).max_results(100).set_next_token(next);
        let page = asked.send().await?;
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
