//! A queue's settings: which attributes there are, what they may be, and what they mean.

use std::collections::BTreeMap;

use serde_json::Value;

use super::error::{BrokerError, ErrorCode};
use super::message::MAX_MESSAGE_BYTES;
use crate::deployment::{ACCOUNT, REGION};

/// Attributes that are whole numbers: name, value when not set, least, most.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>
const NUMBERS: [(&str, i64, i64, i64); 6] = [
    (VISIBILITY_TIMEOUT, 30, 0, 43_200),
    (DELAY, 0, 0, 900),
    (RETENTION, 345_600, 60, 1_209_600),
    (WAIT, 0, 0, 20),
    (MAX_SIZE, MAX_MESSAGE_BYTES as i64, 1_024, MAX_MESSAGE_BYTES as i64),
    ("KmsDataKeyReusePeriodSeconds", 300, 60, 86_400),
];

/// Attributes that are kept and answered but have no effect on one machine: nothing is encrypted here, and who may do
/// what is asked of the authorizer.
const KEPT: [&str; 3] = ["KmsMasterKeyId", "Policy", "SqsManagedSseEnabled"];

/// Seconds a message stays hidden after a receive.
pub(crate) const VISIBILITY_TIMEOUT: &str = "VisibilityTimeout";
/// Seconds until a sent message can be received.
pub(crate) const DELAY: &str = "DelaySeconds";
/// Seconds a message is kept.
pub(crate) const RETENTION: &str = "MessageRetentionPeriod";
/// Seconds a receive waits for a message.
pub(crate) const WAIT: &str = "ReceiveMessageWaitTimeSeconds";
/// Most bytes of a message.
pub(crate) const MAX_SIZE: &str = "MaximumMessageSize";
/// Where messages go that nobody manages to process.
pub(crate) const REDRIVE_POLICY: &str = "RedrivePolicy";
/// Which queues may name this one in their redrive policy.
pub(crate) const REDRIVE_ALLOW_POLICY: &str = "RedriveAllowPolicy";

/// A queue as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    /// Row number.
    pub(crate) id: i64,
    /// Name, unique.
    pub(crate) name: String,
    /// The attributes that were set; the others have their defaults.
    pub(crate) attributes: BTreeMap<String, String>,
    /// Tags.
    pub(crate) tags: BTreeMap<String, String>,
    /// Milliseconds since the epoch.
    pub(crate) created_at: i64,
    /// Milliseconds since the epoch.
    pub(crate) modified_at: i64,
}

/// Where a message goes that was received too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redrive {
    /// Name of the dead-letter queue.
    pub(crate) target: String,
    /// A message is received at most so many times.
    pub(crate) max_receives: i64,
}

impl Queue {
    /// `arn:aws:sqs:…`
    pub(crate) fn arn(&self) -> String {
        arn(&self.name)
    }

    /// A numeric attribute, its default included.
    pub(crate) fn number(&self, attribute: &str) -> i64 {
        let default = NUMBERS.iter().find(|(name, ..)| *name == attribute).map_or(0, |(_, value, ..)| *value);
        self.attributes.get(attribute).and_then(|value| value.parse().ok()).unwrap_or(default)
    }

    /// The redrive policy, where there is one.
    pub(crate) fn redrive(&self) -> Option<Redrive> {
        let policy = self.attributes.get(REDRIVE_POLICY)?;
        // It was checked when it was set.
        parse_redrive(policy).ok()
    }

    /// Every attribute that is a setting, defaults included.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<_, _> = NUMBERS[..5]
            .iter()
            .map(|(name, default, ..)| ((*name).to_owned(), default.to_string()))
            .chain([("SqsManagedSseEnabled".to_owned(), "true".to_owned())])
            .collect();
        all.extend(self.attributes.clone());
        all
    }

    /// The first of these attributes that differs from what the queue has.
    pub(crate) fn difference<'a>(&self, wanted: &'a BTreeMap<String, String>) -> Option<&'a str> {
        let settings = self.settings();
        wanted.iter().find_map(|(name, value)| {
            let same = settings.get(name).is_some_and(|has| has == value || same_json(has, value));
            (!same).then_some(name.as_str())
        })
    }
}

fn same_json(one: &str, other: &str) -> bool {
    let parse = |text| serde_json::from_str::<Value>(text).ok();
    parse(one).is_some_and(|value| parse(other) == Some(value))
}

/// The ARN of the queue of that name.
#[must_use]
pub fn arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

/// The name in a queue ARN of any region and account.
pub(crate) fn name_of_arn(arn: &str) -> Option<&str> {
    let mut parts = arn.strip_prefix("arn:aws:sqs:")?.split(':');
    let (_region, _account, name) = (parts.next()?, parts.next()?, parts.next()?);
    (parts.next().is_none() && !name.is_empty()).then_some(name)
}

/// Refuses a name that SQS refuses, and FIFO queues, which this broker does not have.
pub(crate) fn check_name(name: &str) -> Result<(), BrokerError> {
    if name.ends_with(".fifo") {
        return Err(BrokerError::refused(
            ErrorCode::UnsupportedOperation,
            format!("'{name}' is a FIFO queue; this broker has standard queues only."),
        ));
    }
    let fits = (1..=80).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if fits {
        return Ok(());
    }
    Err(BrokerError::refused(
        ErrorCode::InvalidParameterValue,
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
    ))
}

/// Refuses attributes that no queue has, and values that they cannot have. Whether a dead-letter queue exists is for
/// the store to say.
pub(crate) fn check_attributes(attributes: &BTreeMap<String, String>) -> Result<(), BrokerError> {
    let invalid = |name: &str, why: &str| {
        let message = format!("Invalid value for the parameter {name}. Reason: {why}");
        BrokerError::refused(ErrorCode::InvalidAttributeValue, message)
    };
    for (name, value) in attributes {
        if let Some((_, _, least, most)) = NUMBERS.iter().find(|(number, ..)| number == name) {
            if !value.parse::<i64>().is_ok_and(|number| (*least..=*most).contains(&number)) {
                return Err(invalid(name, &format!("It must be a whole number from {least} to {most}.")));
            }
        } else if name == REDRIVE_POLICY {
            if !value.is_empty() {
                parse_redrive(value).map_err(|why| invalid(name, why))?;
            }
        } else if name == REDRIVE_ALLOW_POLICY {
            if !value.is_empty() {
                parse_redrive_allow(value).map_err(|why| invalid(name, why))?;
            }
        } else if name == "FifoQueue" && value == "true" {
            let message = "This broker has standard queues only, no FIFO queues.";
            return Err(BrokerError::refused(ErrorCode::UnsupportedOperation, message));
        } else if !KEPT.contains(&name.as_str()) && name != "FifoQueue" {
            return Err(BrokerError::refused(
                ErrorCode::InvalidAttributeName,
                format!("Unknown Attribute {name}."),
            ));
        }
    }
    Ok(())
}

/// Reads a redrive policy; the count may be a number or text, as in SQS.
pub(crate) fn parse_redrive(policy: &str) -> Result<Redrive, &'static str> {
    let policy: Value =
        serde_json::from_str(policy).map_err(|_| "Redrive policy is not a valid JSON map.")?;
    let target = policy["deadLetterTargetArn"]
        .as_str()
        .and_then(name_of_arn)
        .ok_or("deadLetterTargetArn must be the ARN of a queue.")?;
    let count = &policy["maxReceiveCount"];
    let max_receives = count
        .as_i64()
        .or_else(|| count.as_str()?.parse().ok())
        .filter(|count| (1..=1_000).contains(count))
        .ok_or("maxReceiveCount must be a whole number from 1 to 1000.")?;
    Ok(Redrive { target: target.to_owned(), max_receives })
}

/// Whether a dead-letter queue with this `RedriveAllowPolicy` lets the source use it.
pub(crate) fn allows_redrive_from(policy: &str, source_arn: &str) -> bool {
    match parse_redrive_allow(policy) {
        Ok(RedriveAllow::All) => true,
        Ok(RedriveAllow::None) | Err(_) => false,
        Ok(RedriveAllow::Queues(arns)) => arns.iter().any(|arn| arn == source_arn),
    }
}

enum RedriveAllow {
    All,
    None,
    Queues(Vec<String>),
}

fn parse_redrive_allow(policy: &str) -> Result<RedriveAllow, &'static str> {
    let policy: Value = serde_json::from_str(policy).map_err(|_| "It is not a valid JSON map.")?;
    match policy["redrivePermission"].as_str() {
        Some("allowAll") => Ok(RedriveAllow::All),
        Some("denyAll") => Ok(RedriveAllow::None),
        Some("byQueue") => {
            let arns = policy["sourceQueueArns"].as_array().ok_or("byQueue needs sourceQueueArns.")?;
            Ok(RedriveAllow::Queues(arns.iter().filter_map(Value::as_str).map(str::to_owned).collect()))
        }
        _ => Err("redrivePermission must be allowAll, denyAll or byQueue."),
    }
}
