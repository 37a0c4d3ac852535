//! Queue attributes: names, valid values, defaults and meaning.

use std::collections::BTreeMap;

use serde_json::Value;

use super::error::{BrokerError, ErrorCode};
use super::message::MAX_MESSAGE_BYTES;
use crate::deployment::{ACCOUNT, REGION};

/// Attributes that are whole numbers: name, default, minimum, maximum.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>
const NUMERIC_ATTRIBUTES: [(&str, i64, i64, i64); 6] = [
    (VISIBILITY_TIMEOUT, 30, 0, 43_200),
    (DELAY, 0, 0, 900),
    (RETENTION, 345_600, 60, 1_209_600),
    (WAIT, 0, 0, 20),
    (MAX_SIZE, MAX_MESSAGE_BYTES as i64, 1_024, MAX_MESSAGE_BYTES as i64),
    ("KmsDataKeyReusePeriodSeconds", 300, 60, 86_400),
];

/// Attributes that are stored and returned without effect: nothing is encrypted, and the
/// template's policies decide about permissions.
const INERT_ATTRIBUTES: [&str; 3] = ["KmsMasterKeyId", "Policy", "SqsManagedSseEnabled"];

/// Seconds that a message stays hidden after a receive.
pub(crate) const VISIBILITY_TIMEOUT: &str = "VisibilityTimeout";
/// Seconds until a sent message becomes visible.
pub(crate) const DELAY: &str = "DelaySeconds";
/// Seconds until a message expires.
pub(crate) const RETENTION: &str = "MessageRetentionPeriod";
/// Seconds that a receive waits for a message.
pub(crate) const WAIT: &str = "ReceiveMessageWaitTimeSeconds";
/// Maximum size of a message in bytes.
pub(crate) const MAX_SIZE: &str = "MaximumMessageSize";
/// The dead-letter queue and the maximum number of receives.
pub(crate) const REDRIVE_POLICY: &str = "RedrivePolicy";
/// The queues that may use this one as their dead-letter queue.
pub(crate) const REDRIVE_ALLOW_POLICY: &str = "RedriveAllowPolicy";

/// A stored queue.
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
    /// Milliseconds since the Unix epoch.
    pub(crate) created_at: i64,
    /// Milliseconds since the Unix epoch.
    pub(crate) modified_at: i64,
}

/// A redrive policy: the dead-letter queue of messages that were received too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redrive {
    /// Name of the dead-letter queue.
    pub(crate) target: String,
    /// Maximum number of receives before a message moves.
    pub(crate) max_receives: i64,
}

impl Queue {
    /// `arn:aws:sqs:…`
    pub(crate) fn arn(&self) -> String {
        arn(&self.name)
    }

    /// The value of a numeric attribute, or its default.
    ///
    /// # Errors
    /// The stored value is not a number.
    pub(crate) fn number(&self, attribute: &str) -> Result<i64, BrokerError> {
        match self.attributes.get(attribute) {
            Some(value) => value.parse().map_err(|_| self.corrupt(attribute)),
            None => Ok(NUMERIC_ATTRIBUTES
                .iter()
                .find(|(name, ..)| *name == attribute)
                .map_or(0, |(_, default, ..)| *default)),
        }
    }

    /// Maximum size of a message in bytes.
    ///
    /// # Errors
    /// The stored value is not a number.
    pub(crate) fn max_message_bytes(&self) -> Result<usize, BrokerError> {
        usize::try_from(self.number(MAX_SIZE)?).map_err(|_| self.corrupt(MAX_SIZE))
    }

    /// The redrive policy, if any.
    ///
    /// # Errors
    /// The stored policy is malformed.
    pub(crate) fn redrive(&self) -> Result<Option<Redrive>, BrokerError> {
        let policy = self.attributes.get(REDRIVE_POLICY);
        policy.map(|policy| parse_redrive(policy).map_err(|_| self.corrupt(REDRIVE_POLICY))).transpose()
    }

    /// Returns `true` if this queue may be the dead-letter queue of the source.
    ///
    /// # Errors
    /// The stored `RedriveAllowPolicy` is malformed.
    pub(crate) fn allows_redrive_from(&self, source_arn: &str) -> Result<bool, BrokerError> {
        let Some(policy) = self.attributes.get(REDRIVE_ALLOW_POLICY) else { return Ok(true) };
        match parse_redrive_allow(policy).map_err(|_| self.corrupt(REDRIVE_ALLOW_POLICY))? {
            RedriveAllow::All => Ok(true),
            RedriveAllow::None => Ok(false),
            RedriveAllow::Queues(arns) => Ok(arns.iter().any(|arn| arn == source_arn)),
        }
    }

    fn corrupt(&self, attribute: &str) -> BrokerError {
        BrokerError::Corrupt(format!("attribute {attribute} of queue {}", self.name))
    }

    /// All configurable attributes with their values or defaults.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<_, _> = NUMERIC_ATTRIBUTES[..5]
            .iter()
            .map(|(name, default, ..)| ((*name).to_owned(), default.to_string()))
            .chain([("SqsManagedSseEnabled".to_owned(), "true".to_owned())])
            .collect();
        all.extend(self.attributes.clone());
        all
    }

    /// The first of these attributes whose value differs from the queue's.
    pub(crate) fn difference<'a>(&self, requested: &'a BTreeMap<String, String>) -> Option<&'a str> {
        let settings = self.settings();
        requested.iter().find_map(|(name, value)| {
            let same = settings.get(name).is_some_and(|has| has == value || same_json(has, value));
            (!same).then_some(name.as_str())
        })
    }
}

/// Compares two JSON documents by value; texts that are not JSON differ.
fn same_json(one: &str, other: &str) -> bool {
    let parse = |text| serde_json::from_str::<Value>(text).ok();
    parse(one).is_some_and(|value| parse(other) == Some(value))
}

/// The ARN of the queue with this name.
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

/// Validates a queue name; FIFO queues are not supported.
pub(crate) fn check_name(name: &str) -> Result<(), BrokerError> {
    if name.ends_with(".fifo") {
        return Err(BrokerError::rejected(
            ErrorCode::UnsupportedOperation,
            format!("'{name}' is a FIFO queue; this broker has standard queues only."),
        ));
    }
    let fits = (1..=80).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if fits {
        return Ok(());
    }
    Err(BrokerError::rejected(
        ErrorCode::InvalidParameterValue,
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
    ))
}

/// Validates names and values of attributes. The store checks that the dead-letter queue exists.
pub(crate) fn check_attributes(attributes: &BTreeMap<String, String>) -> Result<(), BrokerError> {
    let invalid = |name: &str, reason: &str| {
        let message = format!("Invalid value for the parameter {name}. Reason: {reason}");
        BrokerError::rejected(ErrorCode::InvalidAttributeValue, message)
    };
    for (name, value) in attributes {
        if let Some((_, _, min, max)) = NUMERIC_ATTRIBUTES.iter().find(|(number, ..)| number == name) {
            if !value.parse::<i64>().is_ok_and(|number| (*min..=*max).contains(&number)) {
                return Err(invalid(name, &format!("It must be a whole number from {min} to {max}.")));
            }
        } else if name == REDRIVE_POLICY {
            if !value.is_empty() {
                parse_redrive(value).map_err(|reason| invalid(name, reason))?;
            }
        } else if name == REDRIVE_ALLOW_POLICY {
            if !value.is_empty() {
                parse_redrive_allow(value).map_err(|reason| invalid(name, reason))?;
            }
        } else if name == "FifoQueue" && value == "true" {
            let message = "This broker has standard queues only, no FIFO queues.";
            return Err(BrokerError::rejected(ErrorCode::UnsupportedOperation, message));
        } else if !INERT_ATTRIBUTES.contains(&name.as_str()) && name != "FifoQueue" {
            return Err(BrokerError::rejected(
                ErrorCode::InvalidAttributeName,
                format!("Unknown Attribute {name}."),
            ));
        }
    }
    Ok(())
}

/// Parses a redrive policy; `maxReceiveCount` may be a number or a string, as in SQS.
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
            let arns: Option<Vec<String>> = arns.iter().map(|arn| arn.as_str().map(str::to_owned)).collect();
            Ok(RedriveAllow::Queues(arns.ok_or("sourceQueueArns must be a list of strings.")?))
        }
        _ => Err("redrivePermission must be allowAll, denyAll or byQueue."),
    }
}
