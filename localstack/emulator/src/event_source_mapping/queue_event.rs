//! The Lambda event of a batch of messages.
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::broker::{MessageAttribute, ReceivedMessage};
use crate::deployment::REGION;

/// The event of a batch from the queue with this ARN.
pub(super) fn event(queue_arn: &str, messages: &[ReceivedMessage]) -> Value {
    let records: Vec<Value> = messages.iter().map(|message| record(queue_arn, message)).collect();
    json!({ "Records": records })
}

fn record(queue_arn: &str, message: &ReceivedMessage) -> Value {
    let attributes: Map<String, Value> =
        message.message_attributes.iter().map(|(name, value)| (name.clone(), attribute(value))).collect();
    json!({
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": message.attributes,
        "messageAttributes": attributes,
        "md5OfBody": message.md5_of_body,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": REGION,
    })
}

/// The lists are required and always empty: SQS has no list values.
fn attribute(attribute: &MessageAttribute) -> Value {
    let mut value =
        json!({ "stringListValues": [], "binaryListValues": [], "dataType": attribute.data_type });
    if let Some(text) = &attribute.string_value {
        value["stringValue"] = json!(text);
    }
    if let Some(bytes) = &attribute.binary_value {
        value["binaryValue"] = json!(STANDARD.encode(bytes));
    }
    value
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_event_has_the_format_of_lambda() {
        let attribute = |data_type: &str, text: Option<&str>, bytes: Option<&[u8]>| MessageAttribute {
            data_type: data_type.into(),
            string_value: text.map(str::to_owned),
            binary_value: bytes.map(<[u8]>::to_vec),
        };
        let message = ReceivedMessage {
            message_id: "m".into(),
            receipt_handle: "h".into(),
            visible_at: 0,
            body: "{}".into(),
            md5_of_body: "99914b932bd37a50b983c5e7c90ae93b".into(),
            attributes: BTreeMap::from([("ApproximateReceiveCount".into(), "1".into())]),
            message_attributes: BTreeMap::from([
                ("type".into(), attribute("String", Some("a"), None)),
                ("raw".into(), attribute("Binary", None, Some(&[0xff]))),
            ]),
        };
        let expected = json!({ "Records": [{
            "messageId": "m",
            "receiptHandle": "h",
            "body": "{}",
            "attributes": {"ApproximateReceiveCount": "1"},
            "messageAttributes": {
                "type": {"stringValue": "a", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
                "raw": {"binaryValue": "/w==", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
            },
            "md5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:q",
            "awsRegion": "us-east-1",
        }]});
        assert_eq!(event("arn:aws:sqs:us-east-1:000000000000:q", &[message]), expected);
    }
}
