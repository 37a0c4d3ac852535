//! SQS: tags of queues.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{QueueInput, queue_name};
use crate::broker::Broker;
use crate::broker::error::BrokerError;
use crate::broker::http::Caller;
use crate::broker::queue;
use crate::broker::store::queues;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    queue_url: String,
    tags: BTreeMap<String, String>,
}

pub(super) async fn tag(broker: &Broker, caller: &Caller, input: Tag) -> Result<Value, BrokerError> {
    let name = queue_name(&input.queue_url)?;
    caller.authorize("sqs:TagQueue", &queue::arn(&name))?;
    broker
        .run(move |store| {
            store.write(|tx, _| {
                let queue = queues::get(tx, &name)?;
                let mut tags = queue.tags.clone();
                tags.extend(input.tags);
                queues::set_tags(tx, &queue, &tags)
            })
        })
        .await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Untag {
    queue_url: String,
    tag_keys: Vec<String>,
}

pub(super) async fn untag(broker: &Broker, caller: &Caller, input: Untag) -> Result<Value, BrokerError> {
    let name = queue_name(&input.queue_url)?;
    caller.authorize("sqs:UntagQueue", &queue::arn(&name))?;
    broker
        .run(move |store| {
            store.write(|tx, _| {
                let queue = queues::get(tx, &name)?;
                let mut tags = queue.tags.clone();
                tags.retain(|key, _| !input.tag_keys.contains(key));
                queues::set_tags(tx, &queue, &tags)
            })
        })
        .await?;
    Ok(json!({}))
}

pub(super) async fn list(broker: &Broker, caller: &Caller, input: QueueInput) -> Result<Value, BrokerError> {
    let name = queue_name(&input.queue_url)?;
    caller.authorize("sqs:ListQueueTags", &queue::arn(&name))?;
    let queue = broker.run(move |store| queues::get(store.connection(), &name)).await?;
    Ok(json!({ "Tags": queue.tags }))
}
