//! Messages as values: attributes, what SQS accepts, digests and receipt handles. No storage, no protocol.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::{BrokerError, ErrorCode};

/// Most bytes of a message with its attributes, and of a batch: 1 MiB.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
pub const MAX_MESSAGE_BYTES: usize = 1_048_576;

/// Most attributes that one SQS message carries.
pub(crate) const MAX_ATTRIBUTES: usize = 10;

/// Attributes by name; sorted, as the digest wants them.
pub type MessageAttributes = BTreeMap<String, MessageAttribute>;

/// A typed value beside a message's body, in the words of the SQS API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MessageAttribute {
    /// `String`, `Number` or `Binary`, with a label of the sender's own after a point; from SNS also `String.Array`.
    pub data_type: String,
    /// The value of everything but `Binary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub string_value: Option<String>,
    /// The value of `Binary`; base64 on the wire and in the database.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "base64_bytes")]
    pub binary_value: Option<Vec<u8>>,
}

mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "serde hands the field over by reference")]
    pub(super) fn serialize<S: Serializer>(value: &Option<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
        value.as_deref().map(|bytes| STANDARD.encode(bytes)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
        Option::<String>::deserialize(from)?
            .map(|text| STANDARD.decode(text).map_err(|_| D::Error::custom("a BinaryValue is not base64")))
            .transpose()
    }
}

impl MessageAttribute {
    /// The value's bytes as they count for size and digest.
    fn bytes(&self) -> &[u8] {
        match (&self.string_value, &self.binary_value) {
            (Some(text), _) => text.as_bytes(),
            (None, Some(bytes)) => bytes,
            (None, None) => &[],
        }
    }

    /// The type without the sender's label.
    fn base_type(&self) -> &str {
        self.data_type.split_once('.').map_or(self.data_type.as_str(), |(base, _)| base)
    }

    /// The value as SNS's JSON envelope has it: text, or base64.
    pub(crate) fn text(&self) -> String {
        self.string_value.clone().unwrap_or_else(|| STANDARD.encode(self.bytes()))
    }

    /// What is wrong with this attribute, if anything.
    fn fault(&self, name: &str) -> Option<String> {
        let well_named = (1..=256).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
            && !name.starts_with('.')
            && !name.ends_with('.')
            && !name.contains("..");
        let reserved = ["aws.", "amazon."].iter().any(|prefix| name.to_ascii_lowercase().starts_with(prefix));
        if !well_named || reserved {
            return Some(format!("The message attribute name '{name}' is invalid."));
        }
        let only_text = self.binary_value.is_none();
        match (self.base_type(), &self.string_value, &self.binary_value) {
            ("String", Some(text), _) if only_text && !text.is_empty() && text.chars().all(is_allowed) => {
                None
            }
            ("Number", Some(text), _)
                if only_text && text.trim().parse::<f64>().is_ok_and(f64::is_finite) =>
            {
                None
            }
            ("Binary", None, Some(bytes)) if !bytes.is_empty() => None,
            ("String" | "Number" | "Binary", _, _) => Some(format!(
                "The message attribute '{name}' must have a value that fits its type '{}'.",
                self.data_type
            )),
            _ => Some(format!(
                "The message attribute '{name}' has an invalid type; it must begin with String, Number or Binary."
            )),
        }
    }
}

/// A message on its way into a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewMessage {
    /// The text.
    pub(crate) body: String,
    /// What goes beside the text.
    pub(crate) attributes: MessageAttributes,
    /// `AWSTraceHeader`, where the sender is traced.
    pub(crate) trace_header: Option<String>,
    /// Who sends, as `SenderId` reports it.
    pub(crate) sender: &'static str,
    /// Seconds until it can be received; none means the queue's own delay.
    pub(crate) delay: Option<i64>,
}

impl NewMessage {
    /// Bytes that count against the limits: body, and name, type and value of each attribute.
    pub(crate) fn size(&self) -> usize {
        self.body.len() + attributes_size(&self.attributes)
    }

    /// Refuses what SQS refuses, but for the size, which is a matter of the queue.
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
    pub(crate) fn check(&self) -> Result<(), BrokerError> {
        if self.body.is_empty() {
            return Err(BrokerError::refused(
                ErrorCode::MissingParameter,
                "The request must contain the parameter MessageBody.",
            ));
        }
        if !self.body.chars().all(is_allowed) {
            return Err(BrokerError::refused(
                ErrorCode::InvalidMessageContents,
                "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF.",
            ));
        }
        if self.delay.is_some_and(|seconds| !(0..=900).contains(&seconds)) {
            return Err(BrokerError::refused(
                ErrorCode::InvalidParameterValue,
                "Value for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.",
            ));
        }
        if self.attributes.len() > MAX_ATTRIBUTES {
            return Err(BrokerError::refused(
                ErrorCode::InvalidParameterValue,
                format!(
                    "Number of message attributes [{}] exceeds the allowed maximum [{MAX_ATTRIBUTES}].",
                    self.attributes.len()
                ),
            ));
        }
        check_attributes(&self.attributes, ErrorCode::InvalidParameterValue)
    }
}

/// Bytes of all attributes: name, type and value of each.
pub(crate) fn attributes_size(attributes: &MessageAttributes) -> usize {
    attributes.iter().map(|(name, a)| name.len() + a.data_type.len() + a.bytes().len()).sum()
}

/// Refuses malformed attributes, with the code that the asking service uses.
pub(crate) fn check_attributes(attributes: &MessageAttributes, code: ErrorCode) -> Result<(), BrokerError> {
    match attributes.iter().find_map(|(name, attribute)| attribute.fault(name)) {
        Some(fault) => Err(BrokerError::refused(code, fault)),
        None => Ok(()),
    }
}

/// The characters of XML 1.0, which are all that SQS takes.
fn is_allowed(c: char) -> bool {
    matches!(c, '\u{9}' | '\u{A}' | '\u{D}' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// A message in the hands of a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// Stays the same over all receives.
    pub message_id: String,
    /// Another one for each receive.
    pub receipt_handle: String,
    /// The text.
    pub body: String,
    /// MD5 of the body, in hexadecimal.
    pub md5_of_body: String,
    /// System attributes: `ApproximateReceiveCount`, `SentTimestamp`, `SenderId`, `ApproximateFirstReceiveTimestamp`
    /// (times in milliseconds since the epoch), and where they apply `AWSTraceHeader` and `DeadLetterQueueSourceArn`.
    pub attributes: BTreeMap<String, String>,
    /// What the sender put beside the text.
    pub message_attributes: MessageAttributes,
}

/// MD5 in hexadecimal, as SQS answers it for a body.
pub(crate) fn md5_hex(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

/// MD5 of message attributes, or none where there are none: by name, each as length-prefixed name, type and value, with
/// one byte before the value that says text (1) or binary (2).
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html#sqs-attributes-md5-message-digest-calculation>
pub(crate) fn md5_of_attributes(attributes: &MessageAttributes) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut digest = Md5::new();
    let mut prefixed = |bytes: &[u8], marker: Option<u8>| {
        if let Some(marker) = marker {
            digest.update([marker]);
        }
        // Lengths are far below 4 GiB: a request is at most some MiB.
        digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        digest.update(bytes);
    };
    for (name, attribute) in attributes {
        prefixed(name.as_bytes(), None);
        prefixed(attribute.data_type.as_bytes(), None);
        let marker = if attribute.string_value.is_some() { 1 } else { 2 };
        prefixed(attribute.bytes(), Some(marker));
    }
    Some(hex(&digest.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xF])
        .map(|nibble| char::from_digit(u32::from(nibble), 16).unwrap_or('0'))
        .collect()
}

/// What a receipt handle says: which message, and the how-manieth receive of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// Row of the queue; a queue made anew has another.
    pub(crate) queue: i64,
    /// Row of the message.
    pub(crate) row: i64,
    /// Id of the message, since a row number comes again once its message is gone.
    pub(crate) message_id: Uuid,
    /// The receive count when the handle was given out.
    pub(crate) receive: i64,
}

impl Receipt {
    /// The handle as a receiver holds it.
    pub(crate) fn encode(&self) -> String {
        let Self { queue, row, message_id, receive } = self;
        URL_SAFE_NO_PAD.encode(format!("{queue}:{row}:{}:{receive}", message_id.simple()))
    }

    /// Reads a handle back; none of ours is an error.
    pub(crate) fn decode(handle: &str) -> Result<Self, BrokerError> {
        let read = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(handle).ok()?).ok()?;
            let mut parts = text.split(':');
            let receipt = Self {
                queue: parts.next()?.parse().ok()?,
                row: parts.next()?.parse().ok()?,
                message_id: parts.next()?.parse().ok()?,
                receive: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(receipt)
        };
        read().ok_or_else(|| {
            BrokerError::refused(
                ErrorCode::ReceiptHandleIsInvalid,
                "The input receipt handle is not a valid receipt handle.",
            )
        })
    }
}
