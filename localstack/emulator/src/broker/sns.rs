//! SNS: operations on topics and subscriptions. Publishing is in [`publish`], tags in [`tags`].
//! <https://docs.aws.amazon.com/sns/latest/api/API_Operations.html>

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Broker;
use super::error::{BrokerError, ErrorCode};
use super::http::Caller;
use super::store::topics::{self, Topic};
use super::topic::{self, Subscription};
use super::wire;
use crate::deployment::ACCOUNT;

mod publish;
mod tags;

/// The actions of SNS, for requests without an API version or a signature.
pub(crate) const ACTIONS: [&str; 17] = [
    "CreateTopic",
    "DeleteTopic",
    "GetSubscriptionAttributes",
    "GetTopicAttributes",
    "ListSubscriptions",
    "ListSubscriptionsByTopic",
    "ListTagsForResource",
    "ListTopics",
    "Publish",
    "PublishBatch",
    "SetSubscriptionAttributes",
    "SetTopicAttributes",
    "Subscribe",
    "TagResource",
    "Unsubscribe",
    "UntagResource",
    "ConfirmSubscription",
];

/// Maximum number of items on a page of a list, as in SNS.
const PAGE: usize = 100;

/// Runs one operation; the output is an object, empty for an operation without output.
pub(crate) async fn dispatch(
    broker: &Broker,
    caller: &Caller,
    operation: &str,
    input: Value,
) -> Result<Value, BrokerError> {
    match operation {
        "Publish" => publish::publish(broker, caller, parse(input)?).await,
        "PublishBatch" => publish::publish_batch(broker, caller, parse(input)?).await,
        "CreateTopic" => create(broker, caller, parse(input)?).await,
        "DeleteTopic" => delete(broker, caller, parse(input)?).await,
        "ListTopics" => list(broker, caller, parse(input)?).await,
        "GetTopicAttributes" => get_attributes(broker, caller, parse(input)?).await,
        "SetTopicAttributes" => set_attributes(broker, caller, parse(input)?).await,
        "Subscribe" => subscribe(broker, caller, parse(input)?).await,
        "Unsubscribe" => unsubscribe(broker, caller, parse(input)?).await,
        "ListSubscriptions" => list_subscriptions(broker, caller, parse(input)?).await,
        "ListSubscriptionsByTopic" => list_subscriptions_of(broker, caller, parse(input)?).await,
        "GetSubscriptionAttributes" => get_subscription(broker, caller, parse(input)?).await,
        "SetSubscriptionAttributes" => set_subscription(broker, caller, parse(input)?).await,
        "TagResource" => tags::tag(broker, caller, parse(input)?).await,
        "UntagResource" => tags::untag(broker, caller, parse(input)?).await,
        "ListTagsForResource" => tags::list(broker, caller, parse(input)?).await,
        "ConfirmSubscription" | "AddPermission" | "RemovePermission" => Err(BrokerError::rejected(
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
    wire::input(input, ErrorCode::InvalidParameter)
}

fn invalid(reason: impl std::fmt::Display) -> BrokerError {
    BrokerError::rejected(ErrorCode::InvalidParameter, format!("Invalid parameter: {reason}"))
}

/// Input of the operations whose only parameter is a topic.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TopicInput {
    topic_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    name: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    tags: Vec<tags::Tag>,
}

async fn create(broker: &Broker, caller: &Caller, input: Create) -> Result<Value, BrokerError> {
    let arn = topic::arn(&input.name);
    caller.authorize("sns:CreateTopic", &arn)?;
    topic::check_name(&input.name)?;
    topic::check_attributes(&input.attributes)?;
    let requested = Topic { arn: arn.clone(), attributes: input.attributes, tags: tags::to_map(input.tags) };
    broker
        .run(move |store| {
            store.write(|tx, _| match topics::find(tx, &requested.arn)? {
                None => topics::put(tx, &requested),
                Some(existing)
                    if requested
                        .attributes
                        .iter()
                        .all(|(name, v)| existing.attributes.get(name) == Some(v)) =>
                {
                    Ok(())
                }
                Some(_) => Err(invalid("Attributes Reason: Topic already exists with different attributes")),
            })
        })
        .await?;
    Ok(json!({ "TopicArn": arn }))
}

async fn delete(broker: &Broker, caller: &Caller, input: TopicInput) -> Result<Value, BrokerError> {
    caller.authorize("sns:DeleteTopic", &input.topic_arn)?;
    broker.run(move |store| store.write(|tx, _| topics::delete(tx, &input.topic_arn))).await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    next_token: Option<String>,
}

async fn list(broker: &Broker, caller: &Caller, input: List) -> Result<Value, BrokerError> {
    caller.authorize("sns:ListTopics", "*")?;
    let topics = broker.run(|store| topics::list(store.connection())).await?;
    let (page, next) = wire::page(topics, |arn| arn, input.next_token.as_deref(), PAGE);
    let topics: Vec<Value> = page.into_iter().map(|arn| json!({ "TopicArn": arn })).collect();
    Ok(with_next_token(json!({ "Topics": topics }), next))
}

fn with_next_token(mut output: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        output["NextToken"] = json!(next);
    }
    output
}

async fn get_attributes(broker: &Broker, caller: &Caller, input: TopicInput) -> Result<Value, BrokerError> {
    caller.authorize("sns:GetTopicAttributes", &input.topic_arn)?;
    let (topic, subscriptions) = broker
        .run(move |store| {
            let topic = topics::get(store.connection(), &input.topic_arn)?;
            let subscriptions = topics::subscriptions(store.connection(), Some(&topic.arn))?.len();
            Ok((topic, subscriptions))
        })
        .await?;
    let mut attributes: BTreeMap<String, String> = [
        ("DisplayName", String::new()),
        (topic::MAX_SIZE, topic::DEFAULT_MAX_BYTES.to_string()),
        ("Owner", ACCOUNT.to_owned()),
        ("SubscriptionsConfirmed", subscriptions.to_string()),
        ("SubscriptionsDeleted", "0".to_owned()),
        ("SubscriptionsPending", "0".to_owned()),
        ("TopicArn", topic.arn),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    attributes.extend(topic.attributes);
    Ok(json!({ "Attributes": attributes }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SetAttribute {
    topic_arn: String,
    attribute_name: String,
    #[serde(default)]
    attribute_value: String,
}

async fn set_attributes(broker: &Broker, caller: &Caller, input: SetAttribute) -> Result<Value, BrokerError> {
    caller.authorize("sns:SetTopicAttributes", &input.topic_arn)?;
    broker
        .run(move |store| {
            store.write(|tx, _| {
                let mut topic = topics::get(tx, &input.topic_arn)?;
                topic.attributes.insert(input.attribute_name, input.attribute_value);
                topics::put(tx, &topic)
            })
        })
        .await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Subscribe {
    topic_arn: String,
    protocol: String,
    #[serde(default)]
    endpoint: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

async fn subscribe(broker: &Broker, caller: &Caller, input: Subscribe) -> Result<Value, BrokerError> {
    caller.authorize("sns:Subscribe", &input.topic_arn)?;
    if input.protocol != "sqs" {
        return Err(invalid(format!("Protocol '{}': this broker delivers to sqs only", input.protocol)));
    }
    let arn = broker
        .run(move |store| {
            store.write(|tx, _| {
                let Subscribe { topic_arn, endpoint, attributes, .. } = &input;
                match topics::subscription_between(tx, topic_arn, endpoint)? {
                    Some(existing) if attributes.is_empty() || existing.attributes == *attributes => {
                        Ok(existing.arn)
                    }
                    Some(_) => Err(invalid(
                        "Attributes Reason: Subscription already exists with different attributes",
                    )),
                    None => topics::subscribe(tx, topic_arn, endpoint, attributes),
                }
            })
        })
        .await?;
    Ok(json!({ "SubscriptionArn": arn }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SubscriptionInput {
    subscription_arn: String,
}

/// The topic's ARN: a subscription's ARN is the topic's ARN, a colon and an id.
fn topic_arn(subscription_arn: &str) -> &str {
    subscription_arn.rsplit_once(':').map_or(subscription_arn, |(topic, _)| topic)
}

async fn unsubscribe(
    broker: &Broker,
    caller: &Caller,
    input: SubscriptionInput,
) -> Result<Value, BrokerError> {
    caller.authorize("sns:Unsubscribe", topic_arn(&input.subscription_arn))?;
    broker.run(move |store| store.write(|tx, _| topics::unsubscribe(tx, &input.subscription_arn))).await?;
    Ok(json!({}))
}

async fn list_subscriptions(broker: &Broker, caller: &Caller, input: List) -> Result<Value, BrokerError> {
    caller.authorize("sns:ListSubscriptions", "*")?;
    let all = broker.run(|store| topics::subscriptions(store.connection(), None)).await?;
    Ok(subscriptions_page(all, input.next_token.as_deref()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListOfTopic {
    topic_arn: String,
    next_token: Option<String>,
}

async fn list_subscriptions_of(
    broker: &Broker,
    caller: &Caller,
    input: ListOfTopic,
) -> Result<Value, BrokerError> {
    caller.authorize("sns:ListSubscriptionsByTopic", &input.topic_arn)?;
    let mut all = broker
        .run(move |store| {
            let topic = topics::get(store.connection(), &input.topic_arn)?;
            topics::subscriptions(store.connection(), Some(&topic.arn))
        })
        .await?;
    all.sort_by(|one, other| one.arn.cmp(&other.arn));
    Ok(subscriptions_page(all, input.next_token.as_deref()))
}

fn subscriptions_page(all: Vec<Subscription>, after: Option<&str>) -> Value {
    let (page, next) = wire::page(all, |subscription| &subscription.arn, after, PAGE);
    let page: Vec<Value> = page
        .into_iter()
        .map(|subscription| {
            json!({
                "SubscriptionArn": subscription.arn,
                "Owner": ACCOUNT,
                "Protocol": "sqs",
                "Endpoint": subscription.endpoint,
                "TopicArn": subscription.topic,
            })
        })
        .collect();
    with_next_token(json!({ "Subscriptions": page }), next)
}

async fn get_subscription(
    broker: &Broker,
    caller: &Caller,
    input: SubscriptionInput,
) -> Result<Value, BrokerError> {
    caller.authorize("sns:GetSubscriptionAttributes", topic_arn(&input.subscription_arn))?;
    let subscription =
        broker.run(move |store| topics::subscription(store.connection(), &input.subscription_arn)).await?;
    let mut attributes: BTreeMap<String, String> = [
        ("ConfirmationWasAuthenticated", "true".to_owned()),
        ("Endpoint", subscription.endpoint),
        ("Owner", ACCOUNT.to_owned()),
        ("PendingConfirmation", "false".to_owned()),
        ("Protocol", "sqs".to_owned()),
        ("RawMessageDelivery", "false".to_owned()),
        ("SubscriptionArn", subscription.arn),
        ("TopicArn", subscription.topic),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if subscription.attributes.contains_key("FilterPolicy") {
        attributes.insert("FilterPolicyScope".to_owned(), "MessageAttributes".to_owned());
    }
    attributes.extend(subscription.attributes);
    Ok(json!({ "Attributes": attributes }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SetSubscription {
    subscription_arn: String,
    attribute_name: String,
    #[serde(default)]
    attribute_value: String,
}

async fn set_subscription(
    broker: &Broker,
    caller: &Caller,
    input: SetSubscription,
) -> Result<Value, BrokerError> {
    caller.authorize("sns:SetSubscriptionAttributes", topic_arn(&input.subscription_arn))?;
    broker
        .run(move |store| {
            store.write(|tx, _| {
                let subscription = topics::subscription(tx, &input.subscription_arn)?;
                let mut attributes = subscription.attributes;
                if input.attribute_value.is_empty() {
                    attributes.remove(&input.attribute_name);
                } else {
                    attributes.insert(input.attribute_name, input.attribute_value);
                }
                topics::subscribe(tx, &subscription.topic, &subscription.endpoint, &attributes)
            })
        })
        .await?;
    Ok(json!({}))
}
