//! SNS: tags of topics.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::broker::error::BrokerError;
use crate::broker::http::Caller;
use crate::broker::store::topics;

/// A tag in a request.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

/// Tags by key, for storage.
pub(super) fn to_map(tags: Vec<Tag>) -> BTreeMap<String, String> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagInput {
    resource_arn: String,
    tags: Vec<Tag>,
}

pub(super) async fn tag(broker: &Broker, caller: &Caller, input: TagInput) -> Result<Value, BrokerError> {
    caller.authorize("sns:TagResource", &input.resource_arn)?;
    broker
        .run(move |store| {
            store.write(|tx, _| {
                let mut topic = topics::get(tx, &input.resource_arn)?;
                topic.tags.extend(to_map(input.tags));
                topics::put(tx, &topic)
            })
        })
        .await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UntagInput {
    resource_arn: String,
    tag_keys: Vec<String>,
}

pub(super) async fn untag(broker: &Broker, caller: &Caller, input: UntagInput) -> Result<Value, BrokerError> {
    caller.authorize("sns:UntagResource", &input.resource_arn)?;
    broker
        .run(move |store| {
            store.write(|tx, _| {
                let mut topic = topics::get(tx, &input.resource_arn)?;
                topic.tags.retain(|key, _| !input.tag_keys.contains(key));
                topics::put(tx, &topic)
            })
        })
        .await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListTags {
    resource_arn: String,
}

pub(super) async fn list(broker: &Broker, caller: &Caller, input: ListTags) -> Result<Value, BrokerError> {
    caller.authorize("sns:ListTagsForResource", &input.resource_arn)?;
    let topic = broker.run(move |store| topics::get(store.connection(), &input.resource_arn)).await?;
    let tags: Vec<Value> =
        topic.tags.into_iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(json!({ "Tags": tags }))
}
