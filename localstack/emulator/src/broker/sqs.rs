//! SQS: operations on queues. Operations on messages are in [`messages`], on tags in [`tags`].
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html>

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Broker;
use super::error::{BrokerError, ErrorCode};
use super::http::Caller;
use super::queue::{self, Queue};
use super::store::{messages as stored, moves, queues};
use super::wire;
use crate::deployment::ACCOUNT;

mod messages;
mod tags;

/// Attributes computed from the queue's state.
const STATE_ATTRIBUTES: [&str; 6] = [
    "QueueArn",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
];

/// Runs one operation; the output is an object, empty for an operation without output.
pub(crate) async fn dispatch(
    broker: &Broker,
    caller: &Caller,
    operation: &str,
    input: Value,
) -> Result<Value, BrokerError> {
    match operation {
        "SendMessage" => messages::send(broker, caller, parse(input)?).await,
        "SendMessageBatch" => messages::send_batch(broker, caller, parse(input)?).await,
        "ReceiveMessage" => messages::receive(broker, caller, parse(input)?).await,
        "DeleteMessage" => messages::delete(broker, caller, parse(input)?).await,
        "DeleteMessageBatch" => messages::delete_batch(broker, caller, parse(input)?).await,
        "ChangeMessageVisibility" => messages::change_visibility(broker, caller, parse(input)?).await,
        "ChangeMessageVisibilityBatch" => {
            messages::change_visibility_batch(broker, caller, parse(input)?).await
        }
        "CreateQueue" => create(broker, caller, parse(input)?).await,
        "GetQueueUrl" => get_url(broker, caller, parse(input)?).await,
        "GetQueueAttributes" => get_attributes(broker, caller, parse(input)?).await,
        "SetQueueAttributes" => set_attributes(broker, caller, parse(input)?).await,
        "ListQueues" => list(broker, caller, parse(input)?).await,
        "DeleteQueue" => delete(broker, caller, parse(input)?).await,
        "PurgeQueue" => purge(broker, caller, parse(input)?).await,
        "ListDeadLetterSourceQueues" => list_sources(broker, caller, parse(input)?).await,
        "StartMessageMoveTask" => start_move(broker, caller, parse(input)?).await,
        "ListMessageMoveTasks" => list_moves(broker, caller, parse(input)?).await,
        "TagQueue" => tags::tag(broker, caller, parse(input)?).await,
        "UntagQueue" => tags::untag(broker, caller, parse(input)?).await,
        "ListQueueTags" => tags::list(broker, caller, parse(input)?).await,
        "AddPermission" | "RemovePermission" | "CancelMessageMoveTask" => Err(BrokerError::rejected(
            ErrorCode::UnsupportedOperation,
            format!("This broker does not support the operation {operation}."),
        )),
        _ => Err(BrokerError::rejected(
            ErrorCode::InvalidAction,
            format!("The action {operation} is not valid for this endpoint."),
        )),
    }
}

fn parse<T: serde::de::DeserializeOwned>(input: Value) -> Result<T, BrokerError> {
    wire::input(input, ErrorCode::InvalidParameterValue)
}

fn invalid(message: impl Into<String>) -> BrokerError {
    BrokerError::rejected(ErrorCode::InvalidParameterValue, message)
}

/// The queue's name in its URL, with any host.
fn queue_name(url: &str) -> Result<String, BrokerError> {
    match url.trim_end_matches('/').rsplit('/').next() {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        Some(_) | None => {
            Err(BrokerError::rejected(ErrorCode::QueueDoesNotExist, "The specified queue does not exist."))
        }
    }
}

impl Broker {
    fn queue_url(&self, name: &str) -> String {
        format!("{}/{ACCOUNT}/{name}", self.base_url())
    }
}

/// Input of the operations whose only parameter is a queue.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct QueueInput {
    queue_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    queue_name: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default, alias = "tags")]
    tags: BTreeMap<String, String>,
}

async fn create(broker: &Broker, caller: &Caller, input: Create) -> Result<Value, BrokerError> {
    caller.authorize("sqs:CreateQueue", &queue::arn(&input.queue_name))?;
    let url = broker.queue_url(&input.queue_name);
    broker
        .run(move |store| {
            store.write(|tx, now| {
                let Some(queue) = queues::find(tx, &input.queue_name)? else {
                    return queues::insert(tx, now, &input.queue_name, &input.attributes, &input.tags);
                };
                queue::check_attributes(&input.attributes)?;
                match queue.difference(&input.attributes) {
                    None => Ok(()),
                    Some(attribute) => Err(BrokerError::rejected(
                        ErrorCode::QueueNameExists,
                        format!("A queue already exists with the same name and a different value for attribute {attribute}"),
                    )),
                }
            })
        })
        .await?;
    Ok(json!({ "QueueUrl": url }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetUrl {
    queue_name: String,
}

async fn get_url(broker: &Broker, caller: &Caller, input: GetUrl) -> Result<Value, BrokerError> {
    caller.authorize("sqs:GetQueueUrl", &queue::arn(&input.queue_name))?;
    let queue = broker.run(move |store| queues::get(store.connection(), &input.queue_name)).await?;
    Ok(json!({ "QueueUrl": broker.queue_url(&queue.name) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetAttributes {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

async fn get_attributes(
    broker: &Broker,
    caller: &Caller,
    input: GetAttributes,
) -> Result<Value, BrokerError> {
    let name = queue_name(&input.queue_url)?;
    caller.authorize("sqs:GetQueueAttributes", &queue::arn(&name))?;
    let mut all = broker
        .run(move |store| {
            store.write(|tx, now| {
                let queue = queues::get(tx, &name)?;
                stored::expire(tx, now, &queue)?;
                let counts = queues::count(tx, now, &queue)?;
                Ok(describe(&queue, counts))
            })
        })
        .await?;
    if !input.attribute_names.iter().any(|name| name == "All") {
        for name in &input.attribute_names {
            let optional = [queue::REDRIVE_POLICY, queue::REDRIVE_ALLOW_POLICY, "Policy", "KmsMasterKeyId"];
            if !all.contains_key(name) && !optional.contains(&name.as_str()) {
                return Err(BrokerError::rejected(
                    ErrorCode::InvalidAttributeName,
                    format!("Unknown Attribute {name}."),
                ));
            }
        }
        all.retain(|name, _| input.attribute_names.contains(name));
    }
    Ok(json!({ "Attributes": all }))
}

fn describe(queue: &Queue, counts: queues::Counts) -> BTreeMap<String, String> {
    let state = [
        queue.arn(),
        (queue.created_at / 1000).to_string(),
        (queue.modified_at / 1000).to_string(),
        counts.visible.to_string(),
        counts.in_flight.to_string(),
        counts.delayed.to_string(),
    ];
    let mut all = queue.settings();
    all.extend(STATE_ATTRIBUTES.map(str::to_owned).into_iter().zip(state));
    all
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SetAttributes {
    queue_url: String,
    attributes: BTreeMap<String, String>,
}

async fn set_attributes(
    broker: &Broker,
    caller: &Caller,
    input: SetAttributes,
) -> Result<Value, BrokerError> {
    let name = queue_name(&input.queue_url)?;
    caller.authorize("sqs:SetQueueAttributes", &queue::arn(&name))?;
    let signal = broker.signal(&name);
    broker
        .run(move |store| {
            store.write(|tx, now| {
                let queue = queues::get(tx, &name)?;
                let mut attributes = queue.attributes.clone();
                attributes.extend(input.attributes);
                queues::set_attributes(tx, now, &queue, &attributes)
            })
        })
        .await?;
    signal.notify_waiters();
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    #[serde(default)]
    queue_name_prefix: String,
    #[serde(default, deserialize_with = "wire::integer")]
    max_results: Option<i64>,
    next_token: Option<String>,
}

async fn list(broker: &Broker, caller: &Caller, input: List) -> Result<Value, BrokerError> {
    caller.authorize("sqs:ListQueues", "*")?;
    let queues = broker.run(move |store| queues::list(store.connection(), &input.queue_name_prefix)).await?;
    urls(broker, "QueueUrls", queues, input.max_results, input.next_token.as_deref())
}

/// A page of queue URLs; `list` is the name of the list in the operation's output.
fn urls(
    broker: &Broker,
    list: &str,
    queues: Vec<Queue>,
    max: Option<i64>,
    after: Option<&str>,
) -> Result<Value, BrokerError> {
    let max = usize::try_from(max.unwrap_or(1_000)).ok().filter(|max| (1..=1_000).contains(max)).ok_or_else(
        || invalid("Value for parameter MaxResults is invalid. Reason: Must be between 1 and 1000."),
    )?;
    let (page, next) = wire::page(queues, |queue| &queue.name, after, max);
    let urls: Vec<String> = page.iter().map(|queue| broker.queue_url(&queue.name)).collect();
    Ok(match next {
        Some(next) => json!({ list: urls, "NextToken": next }),
        None => json!({ list: urls }),
    })
}

async fn delete(broker: &Broker, caller: &Caller, input: QueueInput) -> Result<Value, BrokerError> {
    let name = queue_name(&input.queue_url)?;
    caller.authorize("sqs:DeleteQueue", &queue::arn(&name))?;
    let signal = broker.signal(&name);
    broker.run(move |store| store.write(|tx, _| queues::delete(tx, &queues::get(tx, &name)?))).await?;
    // Waiting receives fail because the queue does not exist.
    signal.notify_waiters();
    Ok(json!({}))
}

async fn purge(broker: &Broker, caller: &Caller, input: QueueInput) -> Result<Value, BrokerError> {
    let name = queue_name(&input.queue_url)?;
    caller.authorize("sqs:PurgeQueue", &queue::arn(&name))?;
    broker.run(move |store| store.write(|tx, _| stored::purge(tx, &queues::get(tx, &name)?))).await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListSources {
    queue_url: String,
    #[serde(default, deserialize_with = "wire::integer")]
    max_results: Option<i64>,
    next_token: Option<String>,
}

async fn list_sources(broker: &Broker, caller: &Caller, input: ListSources) -> Result<Value, BrokerError> {
    let name = queue_name(&input.queue_url)?;
    caller.authorize("sqs:ListDeadLetterSourceQueues", &queue::arn(&name))?;
    let sources = broker
        .run(move |store| {
            let queue = queues::get(store.connection(), &name)?;
            queues::dead_letter_sources(store.connection(), &queue.name)
        })
        .await?;
    // Only this operation has a list in lower camel case.
    urls(broker, "queueUrls", sources, input.max_results, input.next_token.as_deref())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartMove {
    source_arn: String,
    destination_arn: Option<String>,
}

async fn start_move(broker: &Broker, caller: &Caller, input: StartMove) -> Result<Value, BrokerError> {
    for action in ["sqs:StartMessageMoveTask", "sqs:ReceiveMessage", "sqs:DeleteMessage"] {
        caller.authorize(action, &input.source_arn)?;
    }
    if let Some(destination) = &input.destination_arn {
        caller.authorize("sqs:SendMessage", destination)?;
    }
    let (task, target_queues) = broker
        .run(move |store| {
            store.write(|tx, now| moves::start(tx, now, &input.source_arn, input.destination_arn.as_deref()))
        })
        .await?;
    for name in target_queues {
        broker.signal(&name).notify_waiters();
    }
    Ok(json!({ "TaskHandle": task.handle }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListMoves {
    source_arn: String,
    #[serde(default, deserialize_with = "wire::integer")]
    max_results: Option<i64>,
}

async fn list_moves(broker: &Broker, caller: &Caller, input: ListMoves) -> Result<Value, BrokerError> {
    caller.authorize("sqs:ListMessageMoveTasks", &input.source_arn)?;
    let max = input.max_results.unwrap_or(1);
    if !(1..=10).contains(&max) {
        return Err(invalid("Value for parameter MaxResults is invalid. Reason: Must be between 1 and 10."));
    }
    let moves = broker.run(move |store| moves::list(store.connection(), &input.source_arn, max)).await?;
    let results: Vec<Value> = moves
        .into_iter()
        .map(|task| {
            let mut result = json!({
                "Status": if task.failure.is_some() { "FAILED" } else { "COMPLETED" },
                "SourceArn": task.source,
                "ApproximateNumberOfMessagesMoved": task.moved,
                "ApproximateNumberOfMessagesToMove": task.to_move,
                "StartedTimestamp": task.started_at,
            });
            for (name, value) in [("DestinationArn", task.destination), ("FailureReason", task.failure)] {
                if let Some(value) = value {
                    result[name] = json!(value);
                }
            }
            result
        })
        .collect();
    Ok(json!({ "Results": results }))
}
