//! SQS: operations on messages.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{invalid, name_in};
use crate::broker::Broker;
use crate::broker::error::{BrokerError, ErrorCode};
use crate::broker::http::Caller;
use crate::broker::message::{
    MAX_MESSAGE_BYTES, MessageAttributes, NewMessage, Receipt, ReceivedMessage, md5_hex, md5_of_attributes,
};
use crate::broker::queue::{self, Queue};
use crate::broker::store::{Store, messages as stored, queues};
use crate::broker::wire;
use crate::deployment::ACCOUNT;

/// A message as `SendMessage` and the entries of a batch have it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    message_body: String,
    #[serde(default, deserialize_with = "wire::integer")]
    delay_seconds: Option<i64>,
    #[serde(default)]
    message_attributes: MessageAttributes,
    #[serde(default)]
    message_system_attributes: MessageAttributes,
}

/// A message that was accepted, and the digests that its sender compares.
struct Accepted {
    message: NewMessage,
    md5_of_body: String,
    md5_of_attributes: Option<String>,
    md5_of_system_attributes: Option<String>,
}

impl Message {
    fn accept(self) -> Result<Accepted, BrokerError> {
        let trace_header = self
            .message_system_attributes
            .get("AWSTraceHeader")
            .and_then(|attribute| attribute.string_value.clone());
        let message = NewMessage {
            body: self.message_body,
            attributes: self.message_attributes,
            trace_header,
            sender: ACCOUNT,
            delay: self.delay_seconds,
        };
        message.check()?;
        Ok(Accepted {
            md5_of_body: md5_hex(message.body.as_bytes()),
            md5_of_attributes: md5_of_attributes(&message.attributes),
            md5_of_system_attributes: md5_of_attributes(&self.message_system_attributes),
            message,
        })
    }
}

impl Accepted {
    fn store(&self, tx: &rusqlite::Connection, now: i64, queue: &Queue) -> Result<Value, BrokerError> {
        let most = usize::try_from(queue.number(queue::MAX_SIZE)).unwrap_or(MAX_MESSAGE_BYTES);
        if self.message.size() > most {
            return Err(invalid(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {most} bytes."
            )));
        }
        let message_id = stored::insert(tx, now, queue, &self.message)?;
        let mut answer = json!({ "MessageId": message_id, "MD5OfMessageBody": self.md5_of_body });
        let optional = [
            ("MD5OfMessageAttributes", &self.md5_of_attributes),
            ("MD5OfMessageSystemAttributes", &self.md5_of_system_attributes),
        ];
        for (name, digest) in optional {
            if let Some(digest) = digest {
                answer[name] = json!(digest);
            }
        }
        Ok(answer)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendOne {
    queue_url: String,
    #[serde(flatten)]
    message: Message,
}

pub(super) async fn send(broker: &Broker, caller: &Caller, input: SendOne) -> Result<Value, BrokerError> {
    let name = name_in(&input.queue_url)?;
    caller.allow("sqs:SendMessage", &queue::arn(&name))?;
    let accepted = input.message.accept()?;
    let signal = broker.signal(&name);
    let answer = broker
        .run(move |store| store.write(|tx, now| accepted.store(tx, now, &queues::get(tx, &name)?)))
        .await?;
    signal.notify_waiters();
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Batch<T> {
    queue_url: String,
    #[serde(default = "Vec::new")]
    entries: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendEntry {
    id: String,
    #[serde(flatten)]
    message: Message,
}

pub(super) async fn send_batch(
    broker: &Broker,
    caller: &Caller,
    input: Batch<SendEntry>,
) -> Result<Value, BrokerError> {
    let name = name_in(&input.queue_url)?;
    caller.allow("sqs:SendMessage", &queue::arn(&name))?;
    wire::check_batch(input.entries.iter().map(|entry| entry.id.as_str()))?;
    let entries: Vec<(String, Result<Accepted, BrokerError>)> =
        input.entries.into_iter().map(|entry| (entry.id, entry.message.accept())).collect();
    let total: usize = entries.iter().filter_map(|(_, e)| e.as_ref().ok()).map(|e| e.message.size()).sum();
    if total > MAX_MESSAGE_BYTES {
        return Err(BrokerError::refused(
            ErrorCode::BatchRequestTooLong,
            format!(
                "Batch requests cannot be longer than {MAX_MESSAGE_BYTES} bytes. You have sent {total} bytes."
            ),
        ));
    }
    let signal = broker.signal(&name);
    let answer = broker
        .run(move |store| {
            store.write(|tx, now| {
                let queue = queues::get(tx, &name)?;
                batch_answer(entries.into_iter().map(|(id, entry)| {
                    let stored = entry.and_then(|entry| entry.store(tx, now, &queue));
                    (id, stored)
                }))
            })
        })
        .await?;
    signal.notify_waiters();
    Ok(answer)
}

/// Entries that were refused are part of the answer; anything else fails the batch as a whole.
fn batch_answer(
    entries: impl Iterator<Item = (String, Result<Value, BrokerError>)>,
) -> Result<Value, BrokerError> {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, entry) in entries {
        match entry {
            Ok(mut answer) => {
                answer["Id"] = json!(id);
                successful.push(answer);
            }
            Err(error @ BrokerError::Refused { .. }) => failed.push(wire::failed_entry(&id, &error)),
            Err(error @ (BrokerError::Storage(_) | BrokerError::Corrupt(_) | BrokerError::Task(_))) => {
                return Err(error);
            }
        }
    }
    // The SDKs want both lists, empty or not.
    Ok(json!({ "Successful": successful, "Failed": failed }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Receive {
    queue_url: String,
    #[serde(default, deserialize_with = "wire::integer")]
    max_number_of_messages: Option<i64>,
    #[serde(default, deserialize_with = "wire::integer")]
    wait_time_seconds: Option<i64>,
    #[serde(default, deserialize_with = "wire::integer")]
    visibility_timeout: Option<i64>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
}

pub(super) async fn receive(broker: &Broker, caller: &Caller, input: Receive) -> Result<Value, BrokerError> {
    let name = name_in(&input.queue_url)?;
    caller.allow("sqs:ReceiveMessage", &queue::arn(&name))?;
    let max = within("MaxNumberOfMessages", input.max_number_of_messages.unwrap_or(1), 1, 10)?;
    let hide_for = match input.visibility_timeout {
        Some(seconds) => Some(within("VisibilityTimeout", seconds, 0, 43_200)?.saturating_mul(1000)),
        None => None,
    };
    let wait = match input.wait_time_seconds {
        Some(seconds) => seconds,
        None => {
            let name = name.clone();
            broker.run(move |store| Ok(queues::get(store.connection(), &name)?.number(queue::WAIT))).await?
        }
    };
    let wait = Duration::from_secs(u64::try_from(within("WaitTimeSeconds", wait, 0, 20)?).unwrap_or(0));
    let messages = broker.receive_hiding(&name, usize::try_from(max).unwrap_or(1), wait, hide_for).await?;
    if messages.is_empty() {
        return Ok(json!({}));
    }
    let system = [input.attribute_names, input.message_system_attribute_names].concat();
    let messages: Vec<Value> = messages
        .into_iter()
        .map(|message| received(message, &system, &input.message_attribute_names))
        .collect();
    Ok(json!({ "Messages": messages }))
}

fn within(parameter: &str, value: i64, least: i64, most: i64) -> Result<i64, BrokerError> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(invalid(format!(
        "Value {value} for parameter {parameter} is invalid. Reason: Must be >= {least} and <= {most}, if provided."
    )))
}

/// A message with the attributes that were asked for.
fn received(mut message: ReceivedMessage, system: &[String], wanted: &[String]) -> Value {
    if !system.iter().any(|name| name == "All") {
        message.attributes.retain(|name, _| system.contains(name));
    }
    message.message_attributes.retain(|name, _| {
        wanted.iter().any(|wanted| {
            wanted == "All"
                || wanted == name
                || wanted.strip_suffix('*').is_some_and(|prefix| name.starts_with(prefix))
        })
    });
    let mut answer = Map::new();
    answer.insert("MessageId".to_owned(), json!(message.message_id));
    answer.insert("ReceiptHandle".to_owned(), json!(message.receipt_handle));
    answer.insert("MD5OfBody".to_owned(), json!(message.md5_of_body));
    answer.insert("Body".to_owned(), json!(message.body));
    if !message.attributes.is_empty() {
        answer.insert("Attributes".to_owned(), json!(message.attributes));
    }
    if let Some(digest) = md5_of_attributes(&message.message_attributes) {
        answer.insert("MD5OfMessageAttributes".to_owned(), json!(digest));
        answer.insert("MessageAttributes".to_owned(), json!(message.message_attributes));
    }
    Value::Object(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Delete {
    queue_url: String,
    receipt_handle: String,
}

pub(super) async fn delete(broker: &Broker, caller: &Caller, input: Delete) -> Result<Value, BrokerError> {
    let name = name_in(&input.queue_url)?;
    caller.allow("sqs:DeleteMessage", &queue::arn(&name))?;
    let receipt = Receipt::decode(&input.receipt_handle)?;
    broker
        .run(move |store| store.write(|tx, _| stored::delete(tx, &queues::get(tx, &name)?, &receipt)))
        .await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteEntry {
    id: String,
    receipt_handle: String,
}

pub(super) async fn delete_batch(
    broker: &Broker,
    caller: &Caller,
    input: Batch<DeleteEntry>,
) -> Result<Value, BrokerError> {
    let name = name_in(&input.queue_url)?;
    caller.allow("sqs:DeleteMessage", &queue::arn(&name))?;
    wire::check_batch(input.entries.iter().map(|entry| entry.id.as_str()))?;
    broker
        .run(move |store| {
            store.write(|tx, _| {
                let queue = queues::get(tx, &name)?;
                batch_answer(input.entries.into_iter().map(|entry| {
                    let deleted = Receipt::decode(&entry.receipt_handle)
                        .and_then(|receipt| stored::delete(tx, &queue, &receipt))
                        .map(|()| json!({}));
                    (entry.id, deleted)
                }))
            })
        })
        .await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ChangeVisibility {
    queue_url: String,
    #[serde(flatten)]
    change: Change,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    receipt_handle: String,
    #[serde(default, deserialize_with = "wire::integer")]
    visibility_timeout: Option<i64>,
}

impl Change {
    fn apply(&self, tx: &rusqlite::Connection, now: i64, queue: &Queue) -> Result<Value, BrokerError> {
        let receipt = Receipt::decode(&self.receipt_handle)?;
        let seconds = self.visibility_timeout.ok_or_else(|| {
            BrokerError::refused(
                ErrorCode::MissingParameter,
                "The request must contain the parameter VisibilityTimeout.",
            )
        })?;
        let hide_for = within("VisibilityTimeout", seconds, 0, 43_200)?.saturating_mul(1000);
        stored::change_visibility(tx, now, queue, &receipt, hide_for)?;
        Ok(json!({}))
    }
}

pub(super) async fn change_visibility(
    broker: &Broker,
    caller: &Caller,
    input: ChangeVisibility,
) -> Result<Value, BrokerError> {
    change(broker, caller, &input.queue_url, move |store, name| {
        store.write(|tx, now| input.change.apply(tx, now, &queues::get(tx, name)?))
    })
    .await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ChangeEntry {
    id: String,
    #[serde(flatten)]
    change: Change,
}

pub(super) async fn change_visibility_batch(
    broker: &Broker,
    caller: &Caller,
    input: Batch<ChangeEntry>,
) -> Result<Value, BrokerError> {
    wire::check_batch(input.entries.iter().map(|entry| entry.id.as_str()))?;
    change(broker, caller, &input.queue_url, move |store, name| {
        store.write(|tx, now| {
            let queue = queues::get(tx, name)?;
            batch_answer(input.entries.into_iter().map(|entry| {
                let changed = entry.change.apply(tx, now, &queue);
                (entry.id, changed)
            }))
        })
    })
    .await
}

/// Who waits for a message may have to wait less from now on.
async fn change(
    broker: &Broker,
    caller: &Caller,
    queue_url: &str,
    work: impl FnOnce(&mut Store, &str) -> Result<Value, BrokerError> + Send + 'static,
) -> Result<Value, BrokerError> {
    let name = name_in(queue_url)?;
    caller.allow("sqs:ChangeMessageVisibility", &queue::arn(&name))?;
    let signal = broker.signal(&name);
    let answer = broker.run(move |store| work(store, &name)).await?;
    signal.notify_waiters();
    Ok(answer)
}
