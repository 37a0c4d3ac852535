//! Messages of a dead-letter queue: receive, redrive, discard.

use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageAttributeValue,
    MessageSystemAttributeName as Name,
};
use erp_aws::batch::REASON_ATTRIBUTE;
use erp_domain::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{DeadLetterQueue, DlqError};

/// Visibility time-out, in seconds, of a received message.
const VISIBILITY_TIMEOUT: i32 = 60;
/// Maximum duration of receiving: the first message must still be invisible at the end.
const MAX_RECEIVE: Duration = Duration::from_secs(45);
/// Empty responses after which the queue is taken as empty: a receive may not query all servers of a queue.
const EMPTY_RESPONSES: usize = 2;
/// Maximum duration of waiting for a message move task.
const MAX_MOVE: Duration = Duration::from_secs(600);

/// A dead letter.
#[derive(Debug, Clone, Serialize)]
pub struct DeadLetter {
    /// The dead-letter queue.
    pub queue: String,
    /// The message id; a redriven message gets a new one.
    pub id: String,
    /// The id of its event, which a redrive keeps; `None` if the body contains none.
    pub event_id: Option<String>,
    /// The type of its event.
    pub kind: Option<String>,
    /// The subject of its event: the id of an order or item.
    pub subject: Option<String>,
    /// When it was first sent.
    pub sent_at: Option<Timestamp>,
    /// Number of receives, those of this program included.
    pub receives: u64,
    /// The body.
    pub body: String,
    /// The reason why the worker moved it; `None` if SQS or SNS did.
    pub reason: Option<String>,
    /// The ARN of its source queue.
    pub came_from: Option<String>,
    #[serde(skip)]
    attributes: HashMap<String, MessageAttributeValue>,
    #[serde(skip)]
    receipt: String,
}

/// A selection of messages; all by default.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Selection {
    /// Ids of messages, or of the events in them
    pub ids: Vec<String>,
    /// Type of the event, such as sales.order.confirmed
    #[arg(long)]
    pub kind: Option<String>,
}

impl Selection {
    /// Returns whether it selects every message.
    pub fn is_all(&self) -> bool {
        self.ids.is_empty() && self.kind.is_none()
    }

    fn contains(&self, letter: &DeadLetter) -> bool {
        let is = |id: &String| *id == letter.id || Some(id) == letter.event_id.as_ref();
        (self.ids.is_empty() || self.ids.iter().any(is)) && (self.kind.is_none() || self.kind == letter.kind)
    }
}

impl DeadLetter {
    /// Reads a message of a dead-letter queue.
    pub fn from_message(queue: &str, message: Message) -> Self {
        let body = message.body.unwrap_or_default();
        // A body that is not a valid event may still have some of its fields.
        let fields: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
        let text = |name: &str| fields[name].as_str().map(str::to_owned);
        let system = message.attributes.unwrap_or_default();
        let mut attributes = message.message_attributes.unwrap_or_default();
        let number = |name: Name| system.get(&name).and_then(|text| text.parse::<i64>().ok());
        Self {
            queue: queue.to_owned(),
            id: message.message_id.unwrap_or_default(),
            event_id: text("id"),
            kind: text("type"),
            subject: text("subject"),
            sent_at: number(Name::SentTimestamp).map(Timestamp::from_millis),
            receives: number(Name::ApproximateReceiveCount).and_then(|n| n.try_into().ok()).unwrap_or(0),
            body,
            // A redriven message does not have it.
            reason: attributes.remove(REASON_ATTRIBUTE).and_then(|reason| reason.string_value),
            came_from: system.get(&Name::DeadLetterQueueSourceArn).cloned(),
            attributes,
            receipt: message.receipt_handle.unwrap_or_default(),
        }
    }
}

/// Receives the selected messages, oldest first, which are then invisible to others; all others are released.
pub async fn receive(
    sqs: &Client,
    queue: &DeadLetterQueue,
    selection: &Selection,
) -> Result<Vec<DeadLetter>, DlqError> {
    let (mut selected, mut others) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    let started = Instant::now();
    let mut empty = 0;
    while empty < EMPTY_RESPONSES && started.elapsed() < MAX_RECEIVE {
        let response = sqs
            .receive_message()
            .queue_url(&queue.url)
            .max_number_of_messages(10)
            .visibility_timeout(VISIBILITY_TIMEOUT)
            // Long polling queries all servers.
            .wait_time_seconds(1)
            .message_system_attribute_names(Name::All)
            .message_attribute_names("All")
            .send()
            .await?;
        let messages = response.messages.unwrap_or_default();
        empty = if messages.is_empty() { empty + 1 } else { 0 };
        for message in messages {
            let letter = DeadLetter::from_message(&queue.name, message);
            if seen.insert(letter.id.clone()) {
                if selection.contains(&letter) { selected.push(letter) } else { others.push(letter) }
            }
        }
        if selection.kind.is_none() && !selection.ids.is_empty() && selected.len() == selection.ids.len() {
            break;
        }
    }
    release(sqs, queue, &others).await?;
    selected.sort_by(|a: &DeadLetter, b| (a.sent_at, &a.id).cmp(&(b.sent_at, &b.id)));
    Ok(selected)
}

/// Makes received messages visible again. After an error they become visible within a minute.
pub async fn release(sqs: &Client, queue: &DeadLetterQueue, letters: &[DeadLetter]) -> Result<(), DlqError> {
    for ten in letters.chunks(10) {
        let mut request = sqs.change_message_visibility_batch().queue_url(&queue.url);
        for (index, letter) in ten.iter().enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&letter.receipt)
                .visibility_timeout(0)
                .build();
            request = request.entries(entry.map_err(|error| DlqError::Sqs(error.to_string()))?);
        }
        for failed in request.send().await?.failed {
            tracing::warn!(code = failed.code, "message not released: it becomes visible after a minute");
        }
    }
    Ok(())
}

/// Sends a message to its source queue, and then deletes it here. If the program ends between the two, the
/// message is in both queues, and the worker de-duplicates.
pub async fn redrive(sqs: &Client, queue: &DeadLetterQueue, letter: &DeadLetter) -> Result<(), DlqError> {
    let source = queue.source(letter.came_from.as_deref())?;
    let attributes = (!letter.attributes.is_empty()).then(|| letter.attributes.clone());
    sqs.send_message()
        .queue_url(&source.url)
        .message_body(&letter.body)
        .set_message_attributes(attributes)
        .send()
        .await?;
    delete(sqs, queue, letter).await
}

/// Redrives the whole queue with a message move task of at most ten minutes, and returns the number of
/// messages moved. SQS knows no source of the messages that a worker or SNS has sent to the queue, so the task
/// gets a destination.
pub async fn redrive_all(sqs: &Client, queue: &DeadLetterQueue) -> Result<u64, DlqError> {
    let task = sqs.start_message_move_task().source_arn(&queue.arn).destination_arn(queue.destination_arn()?);
    let task = task.send().await?;
    let started = Instant::now();
    loop {
        let response = sqs.list_message_move_tasks().source_arn(&queue.arn).max_results(1).send().await?;
        let latest = response.results.unwrap_or_default().into_iter().next();
        let moved = latest.as_ref().map_or(0, |latest| latest.approximate_number_of_messages_moved);
        let stopped = match latest.as_ref().and_then(|latest| latest.status.as_deref()) {
            Some("COMPLETED") => return Ok(u64::try_from(moved).unwrap_or(0)),
            Some("FAILED" | "CANCELLED") => {
                let reason = latest.and_then(|latest| latest.failure_reason).unwrap_or_default();
                format!("{}: the move task stopped after {moved} messages: {reason}", queue.name)
            }
            _ if started.elapsed() > MAX_MOVE => {
                let handle = task.task_handle.unwrap_or_default();
                format!("{moved} messages moved so far; the move task is still running: {handle}")
            }
            _ => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        return Err(DlqError::Rejected(stopped));
    }
}

/// Deletes a message permanently.
pub async fn delete(sqs: &Client, queue: &DeadLetterQueue, letter: &DeadLetter) -> Result<(), DlqError> {
    sqs.delete_message().queue_url(&queue.url).receipt_handle(&letter.receipt).send().await?;
    Ok(())
}

/// Appends messages to a file, one line of JSON each, and flushes it to the disk.
pub fn save(path: &Path, letters: &[DeadLetter]) -> Result<(), DlqError> {
    let mut file = std::fs::File::options().create(true).append(true).open(path)?;
    for letter in letters {
        let line = serde_json::to_string(letter).map_err(std::io::Error::other)?;
        writeln!(file, "{line}")?;
    }
    Ok(file.sync_all()?)
}
