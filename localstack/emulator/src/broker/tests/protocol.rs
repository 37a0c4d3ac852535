//! The protocols: digests, errors and responses, byte by byte.

use super::super::message::{md5_hex, md5_of_attributes};
use super::super::{MAX_MESSAGE_BYTES, MessageAttribute, MessageAttributes};
use super::*;

pub(super) async fn form(server: &Server, path: &str, pairs: &[(&str, &str)]) -> (u16, String) {
    let body: String =
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs.iter().copied()).finish();
    let response = http()
        .post(format!("{}{path}", server.url))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send()
        .await
        .unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn json_call(server: &Server, operation: &str, input: Value) -> (u16, HeaderMap, Value) {
    let response = http()
        .post(&server.url)
        .header("x-amz-target", format!("AmazonSQS.{operation}"))
        .header("content-type", "application/x-amz-json-1.0")
        .body(input.to_string())
        .send()
        .await
        .unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

/// The text of the first element with this name.
pub(super) fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {xml}"));
    rest.split_once(&format!("</{name}>")).unwrap().0
}

#[test]
fn digests_equal_those_of_the_sdks() {
    assert_eq!(md5_hex(b"This is a test message"), "fafb00f5732ab283681e124bf8747ed1");
    assert_eq!(md5_of_attributes(&MessageAttributes::new()), None);
    let attributes: MessageAttributes = [(
        "test_attribute_name_1".to_owned(),
        MessageAttribute {
            data_type: "String".to_owned(),
            string_value: Some("test_attribute_value_1".to_owned()),
            binary_value: None,
        },
    )]
    .into();
    // Composed from the specification: lengths, name, type, marker, length, value.
    let mut bytes = Vec::new();
    for part in ["test_attribute_name_1", "String"] {
        bytes.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    bytes.push(1);
    bytes.extend(22_u32.to_be_bytes());
    bytes.extend(b"test_attribute_value_1");
    assert_eq!(md5_of_attributes(&attributes), Some(md5_hex(&bytes)));
}

#[tokio::test]
async fn a_json_error_has_its_type_and_the_query_code() {
    let server = Server::start().await;
    let (status, headers, body) =
        json_call(&server, "SendMessage", json!({ "QueueUrl": "http://x/1/none", "MessageBody": "m" })).await;
    assert_eq!(status, 400);
    assert_eq!(body["__type"], "com.amazonaws.sqs#QueueDoesNotExist");
    assert_eq!(headers["x-amzn-query-error"], "AWS.SimpleQueueService.NonExistentQueue;Sender");
    assert_eq!(headers["content-type"], "application/x-amz-json-1.0");
    let (status, _, body) = json_call(&server, "InventQueue", json!({})).await;
    assert_eq!((status, &body["__type"]), (400, &json!("com.amazonaws.sqs#InvalidAction")));
    assert!(body["message"].as_str().unwrap().contains("InventQueue"));
    let (_, _, body) = json_call(&server, "AddPermission", json!({})).await;
    assert_eq!(body["__type"], "com.amazonaws.sqs#UnsupportedOperation");
    let (_, _, body) = json_call(&server, "SendMessage", json!({ "QueueUrl": "http://x/1/q" })).await;
    assert_eq!(body["__type"], "com.amazonaws.sqs#MissingParameter");
    let missing =
        server.sqs.get_queue_url().queue_name("none").send().await.unwrap_err().into_service_error();
    assert!(missing.is_queue_does_not_exist());
}

#[tokio::test]
async fn the_query_protocol_of_sqs_takes_forms_and_returns_xml() {
    let server = Server::start().await;
    let (status, xml) = form(
        &server,
        "/",
        &[
            ("Action", "CreateQueue"),
            ("Version", "2012-11-05"),
            ("QueueName", "q"),
            ("Attribute.1.Name", "VisibilityTimeout"),
            ("Attribute.1.Value", "7"),
            ("Tag.1.Key", "team"),
            ("Tag.1.Value", "erp"),
        ],
    )
    .await;
    assert_eq!(status, 200, "{xml}");
    assert_eq!(element(&xml, "QueueUrl"), format!("{}/000000000000/q", server.url));

    let (status, xml) = form(
        &server,
        "/000000000000/q",
        &[
            ("Action", "SendMessage"),
            ("MessageBody", "<a> & \"b\"\r\n"),
            ("MessageAttribute.1.Name", "kind"),
            ("MessageAttribute.1.Value.DataType", "String"),
            ("MessageAttribute.1.Value.StringValue", "x"),
        ],
    )
    .await;
    assert_eq!(status, 200, "{xml}");
    assert_eq!(element(&xml, "MD5OfMessageBody"), md5_hex(b"<a> & \"b\"\r\n"));

    let (_, xml) = form(
        &server,
        "/000000000000/q",
        &[
            ("Action", "ReceiveMessage"),
            ("MaxNumberOfMessages", "10"),
            ("AttributeName.1", "All"),
            ("MessageAttributeName.1", "ki*"),
        ],
    )
    .await;
    assert_eq!(element(&xml, "Body"), "&lt;a&gt; &amp; &quot;b&quot;&#xD;\n");
    assert_eq!(
        element(&xml, "MessageAttribute"),
        "<Name>kind</Name><Value><DataType>String</DataType><StringValue>x</StringValue></Value>"
    );
    assert!(xml.contains("<Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>"));
    let receipt = element(&xml, "ReceiptHandle").to_owned();

    let (_, xml) = form(
        &server,
        "/000000000000/q",
        &[
            ("Action", "DeleteMessageBatch"),
            ("DeleteMessageBatchRequestEntry.1.Id", "a"),
            ("DeleteMessageBatchRequestEntry.1.ReceiptHandle", &receipt),
            ("DeleteMessageBatchRequestEntry.2.Id", "b"),
            ("DeleteMessageBatchRequestEntry.2.ReceiptHandle", "nonsense"),
        ],
    )
    .await;
    assert_eq!(element(&xml, "DeleteMessageBatchResultEntry"), "<Id>a</Id>");
    assert!(element(&xml, "BatchResultErrorEntry").contains("<Code>ReceiptHandleIsInvalid</Code>"));

    let (_, xml) = form(
        &server,
        "/",
        &[
            ("Action", "GetQueueAttributes"),
            ("QueueUrl", "http://elsewhere/000000000000/q"),
            ("AttributeName.1", "VisibilityTimeout"),
            ("AttributeName.2", "QueueArn"),
        ],
    )
    .await;
    assert!(xml.contains("<Attribute><Name>VisibilityTimeout</Name><Value>7</Value></Attribute>"), "{xml}");
    let (_, xml) = form(&server, "/000000000000/q", &[("Action", "ListQueueTags")]).await;
    assert_eq!(element(&xml, "Tag"), "<Key>team</Key><Value>erp</Value>");

    let (status, xml) =
        form(&server, "/", &[("Action", "GetQueueUrl"), ("QueueName", "none"), ("Version", "2012-11-05")])
            .await;
    assert_eq!(status, 400);
    assert_eq!(element(&xml, "Code"), "AWS.SimpleQueueService.NonExistentQueue");
    assert_eq!(element(&xml, "Type"), "Sender");
    let (status, xml) = form(&server, "/", &[("Action", "Dance")]).await;
    assert_eq!((status, element(&xml, "Code")), (400, "InvalidAction"));
}

#[tokio::test]
async fn a_deeply_nested_form_is_rejected() {
    let server = Server::start().await;
    let key = vec!["a"; 100_000].join(".");
    let (status, _) = form(&server, "/", &[("Action", "ListQueues"), (&key, "x")]).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_topic_can_be_read_and_changed_with_the_sdk() {
    let server = Server::start().await;
    let topic = server.topic("t", &[("q", &[("RawMessageDelivery", "true")])]).await;
    assert_eq!(topic, topic_arn("t"));
    assert_eq!(server.sns.list_topics().send().await.unwrap().topics()[0].topic_arn(), Some(topic.as_str()));
    let subscriptions = server
        .sns
        .list_subscriptions_by_topic()
        .topic_arn(&topic)
        .send()
        .await
        .unwrap()
        .subscriptions
        .unwrap();
    let subscription = subscriptions[0].subscription_arn().unwrap();
    server
        .sns
        .set_subscription_attributes()
        .subscription_arn(subscription)
        .attribute_name("FilterPolicy")
        .attribute_value(r#"{"type":["a"]}"#)
        .send()
        .await
        .unwrap();
    let attributes = server
        .sns
        .get_subscription_attributes()
        .subscription_arn(subscription)
        .send()
        .await
        .unwrap()
        .attributes
        .unwrap();
    assert_eq!(attributes["FilterPolicy"], r#"{"type":["a"]}"#);
    assert_eq!(attributes["FilterPolicyScope"], "MessageAttributes");
    let bad = server
        .sns
        .set_subscription_attributes()
        .subscription_arn(subscription)
        .attribute_name("FilterPolicy")
        .attribute_value(r#"{"type":{"nested":["a"]}}"#)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(bad.is_invalid_parameter_exception(), "{bad:?}");
    let mail = server
        .sns
        .subscribe()
        .topic_arn(&topic)
        .protocol("email")
        .endpoint("a@example.com")
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(mail.is_invalid_parameter_exception());
    let long = server
        .sns
        .publish()
        .topic_arn(&topic)
        .message("m".repeat(262_145))
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(long.is_invalid_parameter_exception());
    let none = server.sns.publish().topic_arn(topic_arn("none")).message("m").send().await.unwrap_err();
    assert!(none.into_service_error().is_not_found_exception());
    server.sns.unsubscribe().subscription_arn(subscription).send().await.unwrap();
    server.sns.delete_topic().topic_arn(&topic).send().await.unwrap();
    assert!(server.sns.list_subscriptions().send().await.unwrap().subscriptions().is_empty());
}

#[tokio::test]
async fn a_queue_can_be_read_and_changed_with_the_sdk() {
    let server = Server::start().await;
    let url = server.queue("q", &[(QueueAttributeName::VisibilityTimeout, "5")]).await;
    assert_eq!(server.queue("q", &[(QueueAttributeName::VisibilityTimeout, "5")]).await, url);
    let other = server
        .sqs
        .create_queue()
        .queue_name("q")
        .attributes(QueueAttributeName::VisibilityTimeout, "6")
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(other.is_queue_name_exists());
    let unknown = server
        .sqs
        .set_queue_attributes()
        .queue_url(&url)
        .attributes(QueueAttributeName::VisibilityTimeout, "50000")
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(unknown.is_invalid_attribute_value());
    let orphan = server
        .sqs
        .set_queue_attributes()
        .queue_url(&url)
        .attributes(QueueAttributeName::RedrivePolicy, redrive("none", 3))
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(orphan.meta().message().unwrap().contains("Dead letter target does not exist"));
    for queue in ["q2", "other"] {
        server.queue(queue, &[]).await;
    }
    let listed = server.sqs.list_queues().queue_name_prefix("q").max_results(1).send().await.unwrap();
    assert_eq!(listed.queue_urls(), std::slice::from_ref(&url));
    let token = listed.next_token().unwrap();
    let listed = server.sqs.list_queues().queue_name_prefix("q").next_token(token).send().await.unwrap();
    assert_eq!(listed.queue_urls().len(), 1);
    server.sqs.send_message().queue_url(&url).message_body("m").send().await.unwrap();
    let attributes = server
        .sqs
        .get_queue_attributes()
        .queue_url(&url)
        .attribute_names(QueueAttributeName::All)
        .send()
        .await
        .unwrap()
        .attributes
        .unwrap();
    assert_eq!(attributes[&QueueAttributeName::QueueArn], queue_arn("q"));
    assert_eq!(attributes[&QueueAttributeName::ApproximateNumberOfMessages], "1");
    assert_eq!(attributes[&QueueAttributeName::MaximumMessageSize], "1048576");
    server.sqs.purge_queue().queue_url(&url).send().await.unwrap();
    assert_eq!(server.broker.depths().unwrap()[1].visible, 0);
    server.sqs.delete_queue().queue_url(&url).send().await.unwrap();
    assert_eq!(server.broker.depths().unwrap().len(), 2);
}

#[tokio::test]
async fn a_batch_reports_each_entry_and_rejects_too_many_or_too_large_ones() {
    let server = Server::start().await;
    let url = server.queue("q", &[]).await;
    let entry = |id: &str, body: &str| {
        aws_sdk_sqs::types::SendMessageBatchRequestEntry::builder().id(id).message_body(body).build().unwrap()
    };
    let send =
        |entries: Vec<_>| server.sqs.send_message_batch().queue_url(&url).set_entries(Some(entries)).send();
    let output = send(vec![entry("a", "one"), entry("b", "bad \u{1}"), entry("c", "three")]).await.unwrap();
    assert_eq!(output.successful().len(), 2);
    assert_eq!(output.failed()[0].code(), "InvalidMessageContents");
    assert_eq!(output.successful()[0].md5_of_message_body(), md5_hex(b"one"));

    let error = send(Vec::new()).await.unwrap_err().into_service_error();
    assert!(error.is_empty_batch_request(), "{error:?}");
    let error = send((0..11).map(|n| entry(&n.to_string(), "m")).collect()).await.unwrap_err();
    assert!(error.into_service_error().is_too_many_entries_in_batch_request());
    let error = send(vec![entry("a", "m"), entry("a", "m")]).await.unwrap_err();
    assert!(error.into_service_error().is_batch_entry_ids_not_distinct());
    let error = send(vec![entry("not an id", "m")]).await.unwrap_err();
    assert!(error.into_service_error().is_invalid_batch_entry_id());
    let half = "m".repeat(MAX_MESSAGE_BYTES / 2 + 1);
    let error = send(vec![entry("a", &half), entry("b", &half)]).await.unwrap_err();
    assert!(error.into_service_error().is_batch_request_too_long());

    let longest = "m".repeat(MAX_MESSAGE_BYTES);
    server.sqs.send_message().queue_url(&url).message_body(&longest).send().await.unwrap();
    let error =
        server.sqs.send_message().queue_url(&url).message_body(longest + "m").send().await.unwrap_err();
    assert_eq!(error.into_service_error().meta().code(), Some("InvalidParameterValue"));
}

#[tokio::test]
async fn binary_attributes_are_received_unchanged() {
    let server = Server::start().await;
    let url = server.queue("q", &[]).await;
    let bytes = aws_sdk_sqs::primitives::Blob::new([0, 255, 7]);
    let attribute = aws_sdk_sqs::types::MessageAttributeValue::builder()
        .data_type("Binary.raw")
        .binary_value(bytes.clone())
        .build()
        .unwrap();
    let sent = server
        .sqs
        .send_message()
        .queue_url(&url)
        .message_body("m")
        .message_attributes("blob", attribute)
        .send()
        .await
        .unwrap();
    let got =
        server.sqs.receive_message().queue_url(&url).message_attribute_names("All").send().await.unwrap();
    let message = &got.messages()[0];
    assert_eq!(message.message_attributes().unwrap()["blob"].binary_value(), Some(&bytes));
    assert_eq!(message.md5_of_message_attributes(), sent.md5_of_message_attributes());
    // Without requested attributes there are neither attributes nor a digest.
    let receipt = message.receipt_handle().unwrap();
    let release = server.sqs.change_message_visibility().queue_url(&url).visibility_timeout(0);
    release.receipt_handle(receipt).send().await.unwrap();
    let got = server.sqs.receive_message().queue_url(&url).send().await.unwrap();
    assert!(got.messages()[0].message_attributes().is_none());
    assert!(got.messages()[0].md5_of_message_attributes().is_none());
}
