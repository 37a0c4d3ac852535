//! Topics and subscriptions as values: what they may be, and what a subscriber gets of a publication.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::error::{BrokerError, ErrorCode};
use super::filter::{self, Scope};
use super::message::{MessageAttributes, NewMessage, attributes_size};
use super::queue;
use crate::deployment::{ACCOUNT, REGION};

/// Attribute of a topic: most bytes of a message with its attributes.
/// <https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html>
pub(crate) const MAX_SIZE: &str = "MaximumMessageSize";
/// Most bytes of a publication, and of a batch, where the topic says nothing: 256 KiB.
pub(crate) const DEFAULT_MAX_BYTES: usize = 262_144;
const RAW: &str = "RawMessageDelivery";
const FILTER_POLICY: &str = "FilterPolicy";
const FILTER_SCOPE: &str = "FilterPolicyScope";
const REDRIVE_POLICY: &str = "RedrivePolicy";

/// Attributes of a topic that are kept and answered; nothing is encrypted or signed on one machine.
const KEPT: [&str; 6] =
    ["DisplayName", "Policy", "KmsMasterKeyId", "SignatureVersion", "TracingConfig", "DeliveryPolicy"];

/// What `SenderId` says of a message that came through a topic.
const SENDER: &str = "AIDAIT2UOQQY3AUEKVGXU";

/// The ARN of the topic of that name.
#[must_use]
pub fn arn(name: &str) -> String {
    format!("arn:aws:sns:{REGION}:{ACCOUNT}:{name}")
}

fn invalid(what: impl std::fmt::Display) -> BrokerError {
    BrokerError::refused(ErrorCode::InvalidParameter, format!("Invalid parameter: {what}"))
}

/// Refuses a name that SNS refuses, and FIFO topics, which this broker does not have.
pub(crate) fn check_name(name: &str) -> Result<(), BrokerError> {
    let fits = (1..=256).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    match name {
        _ if name.ends_with(".fifo") => {
            Err(invalid(format!("'{name}' is a FIFO topic; here are standard topics only")))
        }
        _ if fits => Ok(()),
        _ => Err(invalid("Topic Name")),
    }
}

/// Refuses attributes that no topic has, and values that they cannot have.
pub(crate) fn check_attributes(attributes: &BTreeMap<String, String>) -> Result<(), BrokerError> {
    for (name, value) in attributes {
        let fits = match name.as_str() {
            MAX_SIZE => value.parse::<usize>().is_ok_and(|bytes| (1_024..=1_048_576).contains(&bytes)),
            "FifoTopic" => value == "false",
            other if KEPT.contains(&other) => true,
            other => return Err(invalid(format!("AttributeName: {other}"))),
        };
        if !fits {
            return Err(invalid(format!("Attributes Reason: {name} cannot be '{value}'")));
        }
    }
    Ok(())
}

/// A queue's subscription to a topic, as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    /// Its own ARN.
    pub(crate) arn: String,
    /// ARN of the topic.
    pub(crate) topic: String,
    /// ARN of the queue.
    pub(crate) endpoint: String,
    /// The attributes that were set.
    pub(crate) attributes: BTreeMap<String, String>,
}

/// Refuses attributes that no subscription has, and values that they cannot have.
pub(crate) fn check_subscription(attributes: &BTreeMap<String, String>) -> Result<(), BrokerError> {
    for (name, value) in attributes {
        match name.as_str() {
            RAW if value == "true" || value == "false" => {}
            FILTER_SCOPE if value == "MessageAttributes" || value == "MessageBody" => {}
            RAW | FILTER_SCOPE => return Err(invalid(format!("{name}: '{value}'"))),
            FILTER_POLICY if value.is_empty() => {}
            FILTER_POLICY => {
                let policy: Value = serde_json::from_str(value)
                    .map_err(|error| invalid(format!("FilterPolicy: failed to parse JSON. {error}")))?;
                filter::validate_policy(&policy, scope(attributes))
                    .map_err(|why| invalid(format!("FilterPolicy: {why}")))?;
            }
            REDRIVE_POLICY if value.is_empty() || dead_letter_queue(value).is_some() => {}
            REDRIVE_POLICY => {
                return Err(invalid("RedrivePolicy: deadLetterTargetArn must be the ARN of a queue"));
            }
            other => return Err(invalid(format!("AttributeName: {other}"))),
        }
    }
    Ok(())
}

fn scope(attributes: &BTreeMap<String, String>) -> Scope {
    match attributes.get(FILTER_SCOPE).map(String::as_str) {
        Some("MessageBody") => Scope::MessageBody,
        Some(_) | None => Scope::MessageAttributes,
    }
}

fn dead_letter_queue(policy: &str) -> Option<String> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    queue::name_of_arn(policy["deadLetterTargetArn"].as_str()?).map(str::to_owned)
}

impl Subscription {
    /// Name of the queue, where the endpoint is one.
    pub(crate) fn queue(&self) -> Option<&str> {
        queue::name_of_arn(&self.endpoint)
    }

    /// Name of the queue for what cannot be delivered.
    pub(crate) fn dead_letter_queue(&self) -> Option<String> {
        dead_letter_queue(self.attributes.get(REDRIVE_POLICY)?)
    }

    /// Ready to be asked many times.
    pub(crate) fn reader(&self) -> Reader {
        let policy = self
            .attributes
            .get(FILTER_POLICY)
            .and_then(|policy| serde_json::from_str::<Value>(policy).ok())
            .filter(|policy| policy.as_object().is_some_and(|keys| !keys.is_empty()));
        Reader {
            policy: policy.map(|policy| (scope(&self.attributes), policy)),
            raw: self.attributes.get(RAW).is_some_and(|raw| raw == "true"),
        }
    }
}

/// What a subscription wants, parsed.
pub(crate) struct Reader {
    policy: Option<(Scope, Value)>,
    raw: bool,
}

/// A message to a topic.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    /// The id that the publisher is told; each queue's message has one of its own.
    pub(crate) message_id: String,
    /// The text for queues.
    pub(crate) message: String,
    /// For e-mail, and in the envelope.
    pub(crate) subject: Option<String>,
    /// What filter policies look at.
    pub(crate) attributes: MessageAttributes,
}

impl Publication {
    /// Bytes that count against the topic's limit.
    pub(crate) fn size(&self) -> usize {
        self.message.len() + attributes_size(&self.attributes)
    }
}

impl Reader {
    /// Whether the filter policy lets it through. A body that is no JSON object passes no policy about bodies.
    pub(crate) fn wants(&self, publication: &Publication) -> bool {
        match &self.policy {
            None => true,
            Some((Scope::MessageAttributes, policy)) => {
                filter::matches(policy, &filter::attributes_document(&publication.attributes))
            }
            Some((Scope::MessageBody, policy)) => serde_json::from_str::<Value>(&publication.message)
                .is_ok_and(|body| body.is_object() && filter::matches(policy, &body)),
        }
    }

    /// The queue's message: the text and attributes as they are, or in SNS's JSON envelope.
    /// <https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html>
    pub(crate) fn message(
        &self,
        publication: &Publication,
        subscription: &Subscription,
        now: i64,
        base_url: &str,
    ) -> NewMessage {
        let (body, attributes) = if self.raw {
            (publication.message.clone(), publication.attributes.clone())
        } else {
            (envelope(publication, subscription, now, base_url), MessageAttributes::new())
        };
        NewMessage { body, attributes, trace_header: None, sender: SENDER, delay: None }
    }
}

fn envelope(publication: &Publication, subscription: &Subscription, now: i64, base_url: &str) -> String {
    let time = Timestamp::from_millisecond(now).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut envelope = json!({
        "Type": "Notification",
        "MessageId": publication.message_id,
        "TopicArn": subscription.topic,
        "Message": publication.message,
        "Timestamp": format!("{time:.3}"),
        "SignatureVersion": "1",
        // Nobody here has the key that AWS signs with; the fields are there because readers require them.
        "Signature": "",
        "SigningCertURL": "",
        "UnsubscribeURL": format!("{base_url}/?Action=Unsubscribe&SubscriptionArn={}", subscription.arn),
    });
    if let Some(subject) = &publication.subject {
        envelope["Subject"] = json!(subject);
    }
    if !publication.attributes.is_empty() {
        let attributes = publication
            .attributes
            .iter()
            .map(|(name, a)| (name.clone(), json!({ "Type": a.data_type, "Value": a.text() })));
        envelope["MessageAttributes"] = Value::Object(attributes.collect());
    }
    envelope.to_string()
}
