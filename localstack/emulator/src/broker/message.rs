//! Message values: attributes, validation, digests and receipt handles. No storage, no protocol.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::{BrokerError, ErrorCode};

/// Maximum size in bytes of a message with its attributes, and of a batch: 1 MiB.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
pub const MAX_MESSAGE_BYTES: usize = 1_048_576;

/// Maximum number of attributes of an SQS message.
pub(crate) const MAX_ATTRIBUTES: usize = 10;

/// Attributes by name, in the order that the digest needs.
pub type MessageAttributes = BTreeMap<String, MessageAttribute>;

/// A typed value beside a message's body, with the field names of the SQS API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MessageAttribute {
    /// `String`, `Number` or `Binary`, optionally with a custom label after a dot; from SNS also
    /// `String.Array`.
    pub data_type: String,
    /// The value of every type except `Binary`.
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

    #[expect(clippy::ref_option, reason = "the signature that serde requires")]
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
    /// The bytes of the value for size and digest.
    fn bytes(&self) -> &[u8] {
        match (&self.string_value, &self.binary_value) {
            (Some(text), _) => text.as_bytes(),
            (None, Some(bytes)) => bytes,
            (None, None) => &[],
        }
    }

    /// The type without the custom label.
    fn base_type(&self) -> &str {
        self.data_type.split_once('.').map_or(self.data_type.as_str(), |(base, _)| base)
    }

    /// The value in the JSON envelope of SNS: text, or base64.
    pub(crate) fn text(&self) -> String {
        self.string_value.clone().unwrap_or_else(|| STANDARD.encode(self.bytes()))
    }

    /// The message for an invalid name, type or value; `None` for a valid attribute.
    fn validation_error(&self, name: &str) -> Option<String> {
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

/// A message to be stored in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewMessage {
    /// The message body.
    pub(crate) body: String,
    /// Message attributes.
    pub(crate) attributes: MessageAttributes,
    /// The system attribute `AWSTraceHeader`.
    pub(crate) trace_header: Option<String>,
    /// The system attribute `SenderId`.
    pub(crate) sender: &'static str,
    /// Seconds until it becomes visible; `None` for the queue's delay.
    pub(crate) delay: Option<i64>,
}

impl NewMessage {
    /// Size in bytes for the limits: body, and name, type and value of each attribute.
    pub(crate) fn size(&self) -> usize {
        self.body.len() + attributes_size(&self.attributes)
    }

    /// Validates everything except the size, whose limit is an attribute of the queue.
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
    pub(crate) fn check(&self) -> Result<(), BrokerError> {
        if self.body.is_empty() {
            return Err(BrokerError::rejected(
                ErrorCode::MissingParameter,
                "The request must contain the parameter MessageBody.",
            ));
        }
        if !self.body.chars().all(is_allowed) {
            return Err(BrokerError::rejected(
                ErrorCode::InvalidMessageContents,
                "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF.",
            ));
        }
        if self.delay.is_some_and(|seconds| !(0..=900).contains(&seconds)) {
            return Err(BrokerError::rejected(
                ErrorCode::InvalidParameterValue,
                "Value for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.",
            ));
        }
        if self.attributes.len() > MAX_ATTRIBUTES {
            return Err(BrokerError::rejected(
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

/// Size in bytes of all attributes: name, type and value of each.
pub(crate) fn attributes_size(attributes: &MessageAttributes) -> usize {
    attributes.iter().map(|(name, a)| name.len() + a.data_type.len() + a.bytes().len()).sum()
}

/// Validates attributes; `code` is the error code of the calling service.
pub(crate) fn check_attributes(attributes: &MessageAttributes, code: ErrorCode) -> Result<(), BrokerError> {
    match attributes.iter().find_map(|(name, attribute)| attribute.validation_error(name)) {
        Some(message) => Err(BrokerError::rejected(code, message)),
        None => Ok(()),
    }
}

/// The characters of XML 1.0, the only ones that SQS accepts.
fn is_allowed(c: char) -> bool {
    matches!(c, '\u{9}' | '\u{A}' | '\u{D}' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// A message returned by a receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// The same for all receives of the message.
    pub message_id: String,
    /// A new one for each receive.
    pub receipt_handle: String,
    /// The time until which this receive hides the message, in milliseconds since the Unix epoch.
    pub visible_at: i64,
    /// The message body.
    pub body: String,
    /// MD5 of the body, in hexadecimal.
    pub md5_of_body: String,
    /// System attributes: `ApproximateReceiveCount`, `SentTimestamp`, `SenderId`,
    /// `ApproximateFirstReceiveTimestamp` (times in milliseconds since the Unix epoch), and optionally
    /// `AWSTraceHeader` and `DeadLetterQueueSourceArn`.
    pub attributes: BTreeMap<String, String>,
    /// Message attributes.
    pub message_attributes: MessageAttributes,
}

/// MD5 in hexadecimal, as SQS returns it for a body.
pub(crate) fn md5_hex(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

/// MD5 of message attributes, or `None` without attributes: sorted by name, each with length-prefixed name,
/// type and value, and one byte before the value for text (1) or binary (2).
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
        // A request has at most 16 MiB, so the length fits.
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
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The decoded receipt handle: a message and the ordinal of its receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// Row of the queue; a queue that was deleted and created again has another row.
    pub(crate) queue: i64,
    /// Row of the message.
    pub(crate) row: i64,
    /// Id of the message, because row numbers are reused.
    pub(crate) message_id: Uuid,
    /// The receive count at the time of this receive.
    pub(crate) receive: i64,
}

impl Receipt {
    /// The receipt handle.
    pub(crate) fn encode(&self) -> String {
        let Self { queue, row, message_id, receive } = self;
        URL_SAFE_NO_PAD.encode(format!("{queue}:{row}:{}:{receive}", message_id.simple()))
    }

    /// Decodes a handle.
    ///
    /// # Errors
    /// The handle is malformed.
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
            BrokerError::rejected(
                ErrorCode::ReceiptHandleIsInvalid,
                "The input receipt handle is not a valid receipt handle.",
            )
        })
    }
}
