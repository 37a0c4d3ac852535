//! SQS: operations on messages.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{invalid, queue_name};
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

/// The message fields of `SendMessage` and of a batch entry.
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

/// A validated message with the digests that the client compares.
struct ValidMessage {
    message: NewMessage,
    md5_of_body: String,
    md5_of_attributes: Option<String>,
    md5_of_system_attributes: Option<String>,
}

impl Message {
    fn validate(self) -> Result<ValidMessage, BrokerError> {
        let trace_header =
            match self.message_system_attributes.get("AWSTraceHeader") {
                Some(attribute) => Some(attribute.string_value.clone().ok_or_else(|| {
                    invalid("The message system attribute AWSTraceHeader must be a String.")
                })?),
                None => None,
            };
        let message = NewMessage {
            body: self.message_body,
            attributes: self.message_attributes,
            trace_header,
            sender: ACCOUNT,
            delay: self.delay_seconds,
        };
        message.check()?;
        Ok(ValidMessage {
            md5_of_body: md5_hex(message.body.as_bytes()),
            md5_of_attributes: md5_of_attributes(&message.attributes),
            md5_of_system_attributes: md5_of_attributes(&self.message_system_attributes),
            message,
        })
    }
}

impl ValidMessage {
    fn store(&self, tx: &rusqlite::Connection, now: i64, queue: &Queue) -> Result<Value, BrokerError> {
        let max_bytes = queue.max_message_bytes()?;
        if self.message.size() > max_bytes {
            return Err(invalid(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {max_bytes} bytes."
            )));
        }
        let message_id = stored::insert(tx, now, queue, &self.message)?;
        let mut output = json!({ "MessageId": message_id, "MD5OfMessageBody": self.md5_of_body });
        let optional = [
            ("MD5OfMessageAttributes", &self.md5_of_attributes),
            ("MD5OfMessageSystemAttributes", &self.md5_of_system_attributes),
        ];
        for (name, digest) in optional {
            if let Some(digest) = digest {
                output[name] = json!(digest);
            }
        }
        Ok(output)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendInput {
    queue_url: String,
    #[serde(flatten)]
    message: Message,
}

pub(super) async fn send(broker: &Broker, caller: &Caller, input: SendInput) -> Result<Value, BrokerError> {
    let name = queue_name(&input.queue_url)?;
    caller.authorize("sqs:SendMessage", &queue::arn(&name))?;
    let message = input.message.validate()?;
    let signal = broker.signal(&name);
    let output = broker
        .run(move |store| store.write(|tx, now| message.store(tx, now, &queues::get(tx, &name)?)))
        .await?;
    signal.notify_waiters();
    Ok(output)
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
    let name = queue_name(&input.queue_url)?;
    caller.authorize("sqs:SendMessage", &queue::arn(&name))?;
    wire::check_batch(input.entries.iter().map(|entry| entry.id.as_str()))?;
    let entries: Vec<(String, Result<ValidMessage, BrokerError>)> =
        input.entries.into_iter().map(|entry| (entry.id, entry.message.validate())).collect();
    let total: usize = entries.iter().filter_map(|(_, e)| e.as_ref().ok()).map(|e| e.message.size()).sum();
    if total > MAX_MESSAGE_BYTES {
        return Err(BrokerError::rejected(
            ErrorCode::BatchRequestTooLong,
            format!(
                "Batch requests cannot be longer than {MAX_MESSAGE_BYTES} bytes. You have sent {total} bytes."
            ),
        ));
    }
    let signal = broker.signal(&name);
    let output = broker
        .run(move |store| {
            store.write(|tx, now| {
                let queue = queues::get(tx, &name)?;
                batch_response(entries.into_iter().map(|(id, entry)| {
                    let stored = entry.and_then(|entry| entry.store(tx, now, &queue));
                    (id, stored)
                }))
            })
        })
        .await?;
    signal.notify_waiters();
    Ok(output)
}

/// Invalid entries are part of the response; an internal error fails the whole batch.
fn batch_response(
    entries: impl Iterator<Item = (String, Result<Value, BrokerError>)>,
) -> Result<Value, BrokerError> {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, entry) in entries {
        match entry {
            Ok(mut output) => {
                output["Id"] = json!(id);
                successful.push(output);
            }
            Err(error @ BrokerError::Rejected { .. }) => failed.push(wire::failed_entry(&id, &error)),
            Err(
                error @ (BrokerError::File(_)
                | BrokerError::Storage(_)
                | BrokerError::Corrupt(_)
                | BrokerError::Task(_)),
            ) => return Err(error),
        }
    }
    // The SDKs require both lists, even empty.
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
    let name = queue_name(&input.queue_url)?;
    caller.authorize("sqs:ReceiveMessage", &queue::arn(&name))?;
    let max = check_range("MaxNumberOfMessages", input.max_number_of_messages.unwrap_or(1), 1, 10)?;
    let visibility_ms = match input.visibility_timeout {
        Some(seconds) => Some(check_range("VisibilityTimeout", seconds, 0, 43_200)?.saturating_mul(1000)),
        None => None,
    };
    let wait = match input.wait_time_seconds {
        Some(seconds) => seconds,
        None => {
            let name = name.clone();
            broker.run(move |store| queues::get(store.connection(), &name)?.number(queue::WAIT)).await?
        }
    };
    // Both numbers are in their ranges, so the conversions cannot fail.
    let wait = Duration::from_secs(u64::try_from(check_range("WaitTimeSeconds", wait, 0, 20)?).unwrap_or(0));
    let messages =
        broker.receive_with_visibility(&name, usize::try_from(max).unwrap_or(1), wait, visibility_ms).await?;
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

fn check_range(parameter: &str, value: i64, min: i64, max: i64) -> Result<i64, BrokerError> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(invalid(format!(
        "Value {value} for parameter {parameter} is invalid. Reason: Must be >= {min} and <= {max}, if provided."
    )))
}

/// A message with the requested attributes.
fn received(mut message: ReceivedMessage, system: &[String], requested: &[String]) -> Value {
    if !system.iter().any(|name| name == "All") {
        message.attributes.retain(|name, _| system.contains(name));
    }
    message.message_attributes.retain(|name, _| {
        requested.iter().any(|requested| {
            requested == "All"
                || requested == name
                || requested.strip_suffix('*').is_some_and(|prefix| name.starts_with(prefix))
        })
    });
    let mut output = Map::new();
    output.insert("MessageId".to_owned(), json!(message.message_id));
    output.insert("ReceiptHandle".to_owned(), json!(message.receipt_handle));
    output.insert("MD5OfBody".to_owned(), json!(message.md5_of_body));
    output.insert("Body".to_owned(), json!(message.body));
    if !message.attributes.is_empty() {
        output.insert("Attributes".to_owned(), json!(message.attributes));
    }
    if let Some(digest) = md5_of_attributes(&message.message_attributes) {
        output.insert("MD5OfMessageAttributes".to_owned(), json!(digest));
        output.insert("MessageAttributes".to_owned(), json!(message.message_attributes));
    }
    Value::Object(output)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Delete {
    queue_url: String,
    receipt_handle: String,
}

pub(super) async fn delete(broker: &Broker, caller: &Caller, input: Delete) -> Result<Value, BrokerError> {
    let name = queue_name(&input.queue_url)?;
    caller.authorize("sqs:DeleteMessage", &queue::arn(&name))?;
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
    let name = queue_name(&input.queue_url)?;
    caller.authorize("sqs:DeleteMessage", &queue::arn(&name))?;
    wire::check_batch(input.entries.iter().map(|entry| entry.id.as_str()))?;
    broker
        .run(move |store| {
            store.write(|tx, _| {
                let queue = queues::get(tx, &name)?;
                batch_response(input.entries.into_iter().map(|entry| {
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
            BrokerError::rejected(
                ErrorCode::MissingParameter,
                "The request must contain the parameter VisibilityTimeout.",
            )
        })?;
        let visibility_ms = check_range("VisibilityTimeout", seconds, 0, 43_200)?.saturating_mul(1000);
        stored::change_visibility(tx, now, queue, &receipt, visibility_ms)?;
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
            batch_response(input.entries.into_iter().map(|entry| {
                let changed = entry.change.apply(tx, now, &queue);
                (entry.id, changed)
            }))
        })
    })
    .await
}

/// Runs a change of visibility and notifies waiting receives, for which a message may be visible earlier.
async fn change(
    broker: &Broker,
    caller: &Caller,
    queue_url: &str,
    work: impl FnOnce(&mut Store, &str) -> Result<Value, BrokerError> + Send + 'static,
) -> Result<Value, BrokerError> {
    let name = queue_name(queue_url)?;
    caller.authorize("sqs:ChangeMessageVisibility", &queue::arn(&name))?;
    let signal = broker.signal(&name);
    let output = broker.run(move |store| work(store, &name)).await?;
    signal.notify_waiters();
    Ok(output)
}
