//! Topic and subscription values: validation, filtering, and the message that a subscribed queue gets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::error::{BrokerError, ErrorCode};
use super::filter::{self, Scope};
use super::message::{MessageAttributes, NewMessage, attributes_size};
use super::queue;
use crate::deployment::{ACCOUNT, REGION};

/// Attribute of a topic: maximum size in bytes of a message with its attributes.
/// <https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html>
pub(crate) const MAX_SIZE: &str = "MaximumMessageSize";
/// Default maximum size in bytes of a publication and of a batch: 256 KiB.
pub(crate) const DEFAULT_MAX_BYTES: usize = 262_144;
const RAW: &str = "RawMessageDelivery";
const FILTER_POLICY: &str = "FilterPolicy";
const FILTER_SCOPE: &str = "FilterPolicyScope";
const REDRIVE_POLICY: &str = "RedrivePolicy";

/// Attributes of a topic that are stored and returned without effect: nothing is encrypted or signed.
const INERT_ATTRIBUTES: [&str; 6] =
    ["DisplayName", "Policy", "KmsMasterKeyId", "SignatureVersion", "TracingConfig", "DeliveryPolicy"];

/// The `SenderId` of a message that was published to a topic.
const SENDER: &str = "AIDAIT2UOQQY3AUEKVGXU";

/// The ARN of the topic with this name.
#[must_use]
pub fn arn(name: &str) -> String {
    format!("arn:aws:sns:{REGION}:{ACCOUNT}:{name}")
}

fn invalid(reason: impl std::fmt::Display) -> BrokerError {
    BrokerError::rejected(ErrorCode::InvalidParameter, format!("Invalid parameter: {reason}"))
}

/// Validates a topic name; FIFO topics are not supported.
pub(crate) fn check_name(name: &str) -> Result<(), BrokerError> {
    let fits = (1..=256).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    match name {
        _ if name.ends_with(".fifo") => {
            Err(invalid(format!("'{name}' is a FIFO topic; this broker has standard topics only")))
        }
        _ if fits => Ok(()),
        _ => Err(invalid("Topic Name")),
    }
}

/// Validates names and values of topic attributes.
pub(crate) fn check_attributes(attributes: &BTreeMap<String, String>) -> Result<(), BrokerError> {
    for (name, value) in attributes {
        let fits = match name.as_str() {
            MAX_SIZE => value.parse::<usize>().is_ok_and(|bytes| (1_024..=1_048_576).contains(&bytes)),
            "FifoTopic" => value == "false",
            other if INERT_ATTRIBUTES.contains(&other) => true,
            other => return Err(invalid(format!("AttributeName: {other}"))),
        };
        if !fits {
            return Err(invalid(format!("Attributes Reason: {name} cannot be '{value}'")));
        }
    }
    Ok(())
}

/// A stored subscription of a queue to a topic.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    /// ARN of the subscription.
    pub(crate) arn: String,
    /// ARN of the topic.
    pub(crate) topic: String,
    /// ARN of the queue.
    pub(crate) endpoint: String,
    /// The attributes that were set.
    pub(crate) attributes: BTreeMap<String, String>,
}

/// Validates names and values of subscription attributes.
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
                    .map_err(|reason| invalid(format!("FilterPolicy: {reason}")))?;
            }
            REDRIVE_POLICY if value.is_empty() || parse_dead_letter_queue(value).is_some() => {}
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

/// The name of the dead-letter queue in a redrive policy; `None` for a malformed policy.
fn parse_dead_letter_queue(policy: &str) -> Option<String> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    queue::name_of_arn(policy["deadLetterTargetArn"].as_str()?).map(str::to_owned)
}

impl Subscription {
    /// Name of the queue; `None` if the endpoint is not the ARN of a queue.
    pub(crate) fn queue(&self) -> Option<&str> {
        queue::name_of_arn(&self.endpoint)
    }

    /// Name of the dead-letter queue for undeliverable messages, if any.
    ///
    /// # Errors
    /// The stored policy is malformed.
    pub(crate) fn dead_letter_queue(&self) -> Result<Option<String>, BrokerError> {
        match self.attributes.get(REDRIVE_POLICY).filter(|policy| !policy.is_empty()) {
            Some(policy) => {
                parse_dead_letter_queue(policy).map(Some).ok_or_else(|| self.corrupt(REDRIVE_POLICY))
            }
            None => Ok(None),
        }
    }

    /// The parsed attributes, for many publications.
    ///
    /// # Errors
    /// The stored filter policy is malformed.
    pub(crate) fn delivery_rule(&self) -> Result<DeliveryRule, BrokerError> {
        let policy = match self.attributes.get(FILTER_POLICY).filter(|policy| !policy.is_empty()) {
            Some(policy) => {
                let policy: Map<String, Value> =
                    serde_json::from_str(policy).map_err(|_| self.corrupt(FILTER_POLICY))?;
                (!policy.is_empty()).then(|| (scope(&self.attributes), Value::Object(policy)))
            }
            None => None,
        };
        Ok(DeliveryRule { policy, raw: self.attributes.get(RAW).is_some_and(|raw| raw == "true") })
    }

    fn corrupt(&self, attribute: &str) -> BrokerError {
        BrokerError::Corrupt(format!("attribute {attribute} of subscription {}", self.arn))
    }
}

/// The parsed attributes of a subscription: filter policy and raw delivery.
pub(crate) struct DeliveryRule {
    policy: Option<(Scope, Value)>,
    raw: bool,
}

/// A message to a topic.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    /// The id returned to the publisher; the message in each queue has its own id.
    pub(crate) message_id: String,
    /// The message for queues.
    pub(crate) message: String,
    /// Part of the envelope.
    pub(crate) subject: Option<String>,
    /// Message attributes, which filter policies can refer to.
    pub(crate) attributes: MessageAttributes,
}

impl Publication {
    /// Size in bytes for the topic's limit.
    pub(crate) fn size(&self) -> usize {
        self.message.len() + attributes_size(&self.attributes)
    }
}

impl DeliveryRule {
    /// Returns `true` if the filter policy matches. A message that is not a JSON object matches no policy on
    /// the body.
    pub(crate) fn matches(&self, publication: &Publication) -> bool {
        match &self.policy {
            None => true,
            Some((Scope::MessageAttributes, policy)) => {
                filter::matches(policy, &filter::attributes_document(&publication.attributes))
            }
            Some((Scope::MessageBody, policy)) => serde_json::from_str::<Value>(&publication.message)
                .is_ok_and(|body| body.is_object() && filter::matches(policy, &body)),
        }
    }

    /// The queue's message: the publication itself with raw delivery, otherwise in the JSON envelope of SNS.
    ///
    /// # Errors
    /// `now`, in milliseconds since the Unix epoch, is out of range.
    /// <https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html>
    pub(crate) fn message(
        &self,
        publication: &Publication,
        subscription: &Subscription,
        now: i64,
        base_url: &str,
    ) -> Result<NewMessage, BrokerError> {
        let (body, attributes) = if self.raw {
            (publication.message.clone(), publication.attributes.clone())
        } else {
            (envelope(publication, subscription, now, base_url)?, MessageAttributes::new())
        };
        Ok(NewMessage { body, attributes, trace_header: None, sender: SENDER, delay: None })
    }
}

fn envelope(
    publication: &Publication,
    subscription: &Subscription,
    now: i64,
    base_url: &str,
) -> Result<String, BrokerError> {
    let time = Timestamp::from_millisecond(now)
        .map_err(|_| BrokerError::Corrupt(format!("time {now} of a publication")))?;
    let mut envelope = json!({
        "Type": "Notification",
        "MessageId": publication.message_id,
        "TopicArn": subscription.topic,
        "Message": publication.message,
        "Timestamp": format!("{time:.3}"),
        "SignatureVersion": "1",
        // There is no signing key; clients require the fields.
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
    Ok(envelope.to_string())
}
