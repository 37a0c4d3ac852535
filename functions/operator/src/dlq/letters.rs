//! Messages in a dead-letter queue: looked at, sent back, discarded.

use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageAttributeValue,
    MessageSystemAttributeName as Name,
};
use erp_contracts::Event;
use erp_domain::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::{DeadLetters, DlqError};

/// Seconds that a message stays hidden from others while somebody looks at it.
const HIDDEN: i32 = 60;
/// The longest that a look takes, so that all of it is over before the first message can be seen again.
const LOOK: Duration = Duration::from_secs(45);
/// Empty answers after which there is nothing more: a queue is on many servers, and not all are asked each time.
const EMPTY: usize = 2;
/// The longest that a move of everything is watched.
const WATCHED: Duration = Duration::from_secs(600);

/// A message that nobody handled.
#[derive(Debug, Clone, Serialize)]
pub struct Letter {
    /// The queue that it lies in.
    pub queue: String,
    /// Its id; it gets another when it is sent back.
    pub id: String,
    /// The id of the event in it, which stays the same; none if it is no event.
    pub event_id: Option<String>,
    /// The kind of the event.
    pub kind: Option<String>,
    /// What the event is about: an order or an item.
    pub subject: Option<String>,
    /// When it was first sent.
    pub sent_at: Option<Timestamp>,
    /// How often it has been received, looks included.
    pub receives: u64,
    /// The whole of it.
    pub body: String,
    /// The queue that it came from, as SQS names it.
    pub came_from: Option<String>,
    #[serde(skip)]
    attributes: HashMap<String, MessageAttributeValue>,
    #[serde(skip)]
    receipt: String,
}

/// Which messages are meant.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Those with one of these ids, of the message or of the event in it.
    pub ids: Vec<String>,
    /// Those of this kind of event.
    pub kind: Option<String>,
}

impl Selection {
    /// Whether every message is meant.
    pub fn is_all(&self) -> bool {
        self.ids.is_empty() && self.kind.is_none()
    }

    fn has(&self, letter: &Letter) -> bool {
        let is = |id: &String| *id == letter.id || Some(id) == letter.event_id.as_ref();
        (self.ids.is_empty() || self.ids.iter().any(is)) && (self.kind.is_none() || self.kind == letter.kind)
    }
}

impl Letter {
    fn read(queue: &str, message: Message) -> Self {
        let body = message.body.unwrap_or_default();
        let event = Event::parse(&body).ok();
        // A body that is no event may still say what it was meant to be.
        let said: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
        let text = |name: &str| said[name].as_str().map(str::to_owned);
        let system = message.attributes.unwrap_or_default();
        let number = |name: Name| system.get(&name).and_then(|text| text.parse::<i64>().ok());
        Self {
            queue: queue.to_owned(),
            id: message.message_id.unwrap_or_default(),
            event_id: event.map(|event| event.id.to_string()).or_else(|| text("id")),
            kind: text("type"),
            subject: text("subject"),
            sent_at: number(Name::SentTimestamp).map(Timestamp::from_millis),
            receives: number(Name::ApproximateReceiveCount).and_then(|n| n.try_into().ok()).unwrap_or(0),
            body,
            came_from: system.get(&Name::DeadLetterQueueSourceArn).cloned(),
            attributes: message.message_attributes.unwrap_or_default(),
            receipt: message.receipt_handle.unwrap_or_default(),
        }
    }
}

/// Those of the messages in a queue that are meant, hidden from others; the rest can be seen again at once.
///
/// # Errors
/// When SQS does not answer.
pub async fn take(sqs: &Client, queue: &DeadLetters, selection: &Selection) -> Result<Vec<Letter>, DlqError> {
    let (mut wanted, mut others) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    let began = Instant::now();
    let mut empty = 0;
    while empty < EMPTY && began.elapsed() < LOOK {
        let received = sqs
            .receive_message()
            .queue_url(&queue.url)
            .max_number_of_messages(10)
            .visibility_timeout(HIDDEN)
            // Long polling asks every server.
            .wait_time_seconds(1)
            .message_system_attribute_names(Name::All)
            .message_attribute_names("All")
            .send()
            .await?;
        let messages = received.messages.unwrap_or_default();
        empty = if messages.is_empty() { empty + 1 } else { 0 };
        for letter in messages.into_iter().map(|message| Letter::read(&queue.name, message)) {
            if !seen.insert(letter.id.clone()) {
                continue;
            }
            if selection.has(&letter) { wanted.push(letter) } else { others.push(letter) }
        }
        let found_all =
            selection.kind.is_none() && !selection.ids.is_empty() && wanted.len() == selection.ids.len();
        if found_all {
            break;
        }
    }
    give_back(sqs, queue, &others).await?;
    wanted.sort_by(|a: &Letter, b| (a.sent_at, &a.id).cmp(&(b.sent_at, &b.id)));
    Ok(wanted)
}

/// Lets others see the messages again.
///
/// # Errors
/// When SQS does not answer: then they come back by themselves after a minute.
pub async fn give_back(sqs: &Client, queue: &DeadLetters, letters: &[Letter]) -> Result<(), DlqError> {
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
        // One that is not given back comes back by itself.
        let answer = request.send().await?;
        for failed in answer.failed {
            tracing::warn!(code = failed.code, "a message stays hidden for a minute");
        }
    }
    Ok(())
}

/// Sends a message back to the queue it came from, and then takes it out of this one: if it ends between the two, the
/// message is in both, and whoever handles it twice changes nothing.
///
/// # Errors
/// When nobody knows where it came from, or SQS does not answer.
pub async fn redrive(sqs: &Client, queue: &DeadLetters, letter: &Letter) -> Result<(), DlqError> {
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

/// Lets SQS send everything back, and waits until it is done; says how many that were.
///
/// # Errors
/// When SQS does not answer, or does not move them all.
pub async fn redrive_all(sqs: &Client, queue: &DeadLetters) -> Result<u64, DlqError> {
    let task = sqs.start_message_move_task().source_arn(&queue.arn).send().await?;
    let began = Instant::now();
    loop {
        let listed = sqs.list_message_move_tasks().source_arn(&queue.arn).max_results(1).send().await?;
        let latest = listed.results.unwrap_or_default().into_iter().next();
        let moved = latest.as_ref().map_or(0, |latest| latest.approximate_number_of_messages_moved);
        match latest.as_ref().and_then(|latest| latest.status.as_deref()) {
            Some("COMPLETED") => return Ok(u64::try_from(moved).unwrap_or(0)),
            Some("FAILED" | "CANCELLED") => {
                let reason = latest.and_then(|latest| latest.failure_reason).unwrap_or_default();
                return Err(DlqError::Refused(format!("{}: {moved} moved, then: {reason}", queue.name)));
            }
            _ if began.elapsed() > WATCHED => {
                let handle = task.task_handle.unwrap_or_default();
                return Err(DlqError::Refused(format!(
                    "{moved} moved so far, and it goes on: task {handle}"
                )));
            }
            _ => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

/// Takes a message away for good; what it said is saved by then.
///
/// # Errors
/// When SQS does not answer.
pub async fn delete(sqs: &Client, queue: &DeadLetters, letter: &Letter) -> Result<(), DlqError> {
    sqs.delete_message().queue_url(&queue.url).receipt_handle(&letter.receipt).send().await?;
    Ok(())
}

/// Appends the messages to a file, a line of JSON each, and returns when they are on the disk.
///
/// # Errors
/// When that is not possible.
pub fn save(path: &Path, letters: &[Letter]) -> Result<(), DlqError> {
    let mut file = std::fs::File::options().create(true).append(true).open(path)?;
    for letter in letters {
        let line = serde_json::to_string(letter).map_err(std::io::Error::other)?;
        writeln!(file, "{line}")?;
    }
    Ok(file.sync_all()?)
}
