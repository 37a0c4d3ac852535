//! SNS: publishing. One transaction writes a request's messages into all queues that want them, so that a publication is
//! never half delivered, whatever happens to the process.

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{invalid, read};
use crate::broker::Broker;
use crate::broker::error::{BrokerError, ErrorCode};
use crate::broker::http::Caller;
use crate::broker::message::{MessageAttributes, check_attributes};
use crate::broker::store::topics::{self, Topic};
use crate::broker::topic::{DEFAULT_MAX_BYTES, MAX_SIZE, Publication};
use crate::broker::wire;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    #[serde(default)]
    message: String,
    subject: Option<String>,
    message_structure: Option<String>,
    #[serde(default)]
    message_attributes: MessageAttributes,
}

impl Message {
    /// Refuses what SNS refuses, but for the size, which is a matter of the topic.
    fn accept(self) -> Result<Publication, BrokerError> {
        if self.message.is_empty() {
            return Err(invalid("Empty message"));
        }
        if self.subject.as_ref().is_some_and(|s| !(1..=100).contains(&s.chars().count()) || s.contains('\n'))
        {
            return Err(invalid("Subject"));
        }
        check_attributes(&self.message_attributes, ErrorCode::InvalidParameter)?;
        let message = match self.message_structure.as_deref() {
            None | Some("") => self.message,
            Some("json") => for_queues(&self.message)?,
            Some(other) => return Err(invalid(format!("MessageStructure: {other}"))),
        };
        Ok(Publication {
            message_id: Uuid::new_v4().to_string(),
            message,
            subject: self.subject,
            attributes: self.message_attributes,
        })
    }
}

/// Of a message with a text for each protocol, the one for queues.
fn for_queues(message: &str) -> Result<String, BrokerError> {
    let texts: Value = serde_json::from_str(message)
        .map_err(|_| invalid("Message Structure - JSON message body failed to parse"))?;
    match (texts["default"].as_str(), texts["sqs"].as_str()) {
        (None, _) => Err(invalid("Message Structure - No default entry in JSON message body")),
        (Some(_), Some(text)) | (Some(text), None) => Ok(text.to_owned()),
    }
}

fn most_bytes(topic: &Topic) -> usize {
    topic.attributes.get(MAX_SIZE).and_then(|bytes| bytes.parse().ok()).unwrap_or(DEFAULT_MAX_BYTES)
}

fn check_size(publication: &Publication, most: usize) -> Result<(), BrokerError> {
    if publication.size() > most { Err(invalid("Message too long")) } else { Ok(()) }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PublishOne {
    #[serde(alias = "TargetArn")]
    topic_arn: String,
    #[serde(flatten)]
    message: Message,
}

pub(super) async fn one(broker: &Broker, caller: &Caller, input: PublishOne) -> Result<Value, BrokerError> {
    caller.allow("sns:Publish", &input.topic_arn)?;
    let publication = input.message.accept()?;
    let message_id = publication.message_id.clone();
    let base_url = broker.base_url();
    let reached = broker
        .run(move |store| {
            store.write(|tx, now| {
                let topic = topics::get(tx, &input.topic_arn)?;
                check_size(&publication, most_bytes(&topic))?;
                topics::publish(tx, now, &topic.arn, &[publication], &base_url)
            })
        })
        .await?;
    wake(broker, reached);
    Ok(json!({ "MessageId": message_id }))
}

fn wake(broker: &Broker, queues: Vec<String>) {
    for name in queues {
        broker.signal(&name).notify_waiters();
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PublishBatch {
    topic_arn: String,
    #[serde(default)]
    publish_batch_request_entries: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: String,
}

pub(super) async fn batch(
    broker: &Broker,
    caller: &Caller,
    input: PublishBatch,
) -> Result<Value, BrokerError> {
    caller.allow("sns:Publish", &input.topic_arn)?;
    let mut entries = Vec::new();
    for entry in input.publish_batch_request_entries {
        let Entry { id } = read(entry.clone())?;
        // An entry that does not even read fails alone, as one that reads and is refused does.
        entries.push((id, read::<Message>(entry).and_then(Message::accept)));
    }
    wire::check_batch(entries.iter().map(|(id, _)| id.as_str()))?;
    let base_url = broker.base_url();
    let (reached, answer) = broker
        .run(move |store| {
            store.write(|tx, now| {
                let topic = topics::get(tx, &input.topic_arn)?;
                let most = most_bytes(&topic);
                let total: usize =
                    entries.iter().filter_map(|(_, e)| e.as_ref().ok()).map(Publication::size).sum();
                if total > most {
                    return Err(BrokerError::refused(
                        ErrorCode::BatchRequestTooLong,
                        format!("The batch request is too long: {total} bytes, at most {most}."),
                    ));
                }
                let (mut successful, mut failed, mut accepted) = (Vec::new(), Vec::new(), Vec::new());
                for (id, entry) in entries {
                    match entry {
                        Ok(publication) => {
                            successful.push(json!({ "Id": id, "MessageId": publication.message_id }));
                            accepted.push(publication);
                        }
                        Err(error) => failed.push(failure(&id, &error)),
                    }
                }
                let reached = topics::publish(tx, now, &topic.arn, &accepted, &base_url)?;
                Ok((reached, json!({ "Successful": successful, "Failed": failed })))
            })
        })
        .await?;
    wake(broker, reached);
    Ok(answer)
}

/// SNS's codes have no prefix.
fn failure(id: &str, error: &BrokerError) -> Value {
    let mut failure = wire::failed_entry(id, error);
    failure["Code"] = json!(error.public().0.name());
    failure
}
