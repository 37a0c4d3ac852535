//! SNS: publishing. One transaction writes a request's messages to all subscribed queues, so that a
//! publication is never delivered to only some of them.

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{invalid, parse};
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
    /// Validates everything except the size, whose limit is an attribute of the topic.
    fn validate(self) -> Result<Publication, BrokerError> {
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
            Some("json") => sqs_text(&self.message)?,
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

/// The text for SQS of a message with one text per protocol.
fn sqs_text(message: &str) -> Result<String, BrokerError> {
    let texts: Value = serde_json::from_str(message)
        .map_err(|_| invalid("Message Structure - JSON message body failed to parse"))?;
    match (texts["default"].as_str(), texts["sqs"].as_str()) {
        (None, _) => Err(invalid("Message Structure - No default entry in JSON message body")),
        (Some(_), Some(text)) | (Some(text), None) => Ok(text.to_owned()),
    }
}

fn max_message_bytes(topic: &Topic) -> Result<usize, BrokerError> {
    let Some(bytes) = topic.attributes.get(MAX_SIZE) else { return Ok(DEFAULT_MAX_BYTES) };
    bytes.parse().map_err(|_| BrokerError::Corrupt(format!("attribute {MAX_SIZE} of topic {}", topic.arn)))
}

fn check_size(publication: &Publication, max: usize) -> Result<(), BrokerError> {
    if publication.size() > max { Err(invalid("Message too long")) } else { Ok(()) }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PublishInput {
    #[serde(alias = "TargetArn")]
    topic_arn: String,
    #[serde(flatten)]
    message: Message,
}

pub(super) async fn publish(
    broker: &Broker,
    caller: &Caller,
    input: PublishInput,
) -> Result<Value, BrokerError> {
    caller.authorize("sns:Publish", &input.topic_arn)?;
    let publication = input.message.validate()?;
    let message_id = publication.message_id.clone();
    let base_url = broker.base_url();
    let target_queues = broker
        .run(move |store| {
            store.write(|tx, now| {
                let topic = topics::get(tx, &input.topic_arn)?;
                check_size(&publication, max_message_bytes(&topic)?)?;
                topics::publish(tx, now, &topic.arn, &[publication], &base_url)
            })
        })
        .await?;
    notify_receivers(broker, target_queues);
    Ok(json!({ "MessageId": message_id }))
}

fn notify_receivers(broker: &Broker, queues: Vec<String>) {
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

pub(super) async fn publish_batch(
    broker: &Broker,
    caller: &Caller,
    input: PublishBatch,
) -> Result<Value, BrokerError> {
    caller.authorize("sns:Publish", &input.topic_arn)?;
    let mut entries = Vec::new();
    for entry in input.publish_batch_request_entries {
        let Entry { id } = parse(entry.clone())?;
        // A malformed entry fails alone, as an invalid one does.
        entries.push((id, parse::<Message>(entry).and_then(Message::validate)));
    }
    wire::check_batch(entries.iter().map(|(id, _)| id.as_str()))?;
    let base_url = broker.base_url();
    let (target_queues, output) = broker
        .run(move |store| {
            store.write(|tx, now| {
                let topic = topics::get(tx, &input.topic_arn)?;
                let max = max_message_bytes(&topic)?;
                let total: usize =
                    entries.iter().filter_map(|(_, e)| e.as_ref().ok()).map(Publication::size).sum();
                if total > max {
                    return Err(BrokerError::rejected(
                        ErrorCode::BatchRequestTooLong,
                        format!("The batch request is too long: {total} bytes, at most {max}."),
                    ));
                }
                let (mut successful, mut failed, mut valid) = (Vec::new(), Vec::new(), Vec::new());
                for (id, entry) in entries {
                    match entry {
                        Ok(publication) => {
                            successful.push(json!({ "Id": id, "MessageId": publication.message_id }));
                            valid.push(publication);
                        }
                        Err(error) => failed.push(failure(&id, &error)),
                    }
                }
                let target_queues = topics::publish(tx, now, &topic.arn, &valid, &base_url)?;
                Ok((target_queues, json!({ "Successful": successful, "Failed": failed })))
            })
        })
        .await?;
    notify_receivers(broker, target_queues);
    Ok(output)
}

/// A failed entry of a batch response, with the codes of SNS, which have no prefix.
fn failure(id: &str, error: &BrokerError) -> Value {
    let mut failure = wire::failed_entry(id, error);
    failure["Code"] = json!(error.public_error().0.name());
    failure
}
