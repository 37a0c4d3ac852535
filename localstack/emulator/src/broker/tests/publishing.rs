//! Publications: delivery to subscribed queues, filters and batches.

use super::*;

#[tokio::test]
async fn raw_delivery_keeps_attributes_and_the_filter_drops_other_publications() {
    let server = Server::start().await;
    let policy = r#"{"type":["order.confirmed",{"prefix":"stock."}],"weight":[{"numeric":[">=",5]}]}"#;
    let topic =
        server.topic("t", &[("q", &[("RawMessageDelivery", "true"), ("FilterPolicy", policy)])]).await;
    for (kind, weight) in
        [("order.confirmed", "7"), ("stock.moved", "5.5"), ("order.paid", "7"), ("order.confirmed", "1")]
    {
        let weight = SnsAttribute::builder().data_type("Number").string_value(weight).build().unwrap();
        server
            .sns
            .publish()
            .topic_arn(&topic)
            .message(kind)
            .message_attributes("type", text(kind))
            .message_attributes("weight", weight)
            .send()
            .await
            .unwrap();
    }
    let got = server.drain("q").await;
    assert_eq!(got.iter().map(|m| m.body.as_str()).collect::<Vec<_>>(), ["order.confirmed", "stock.moved"]);
    assert_eq!(got[0].message_attributes["type"].string_value.as_deref(), Some("order.confirmed"));
    assert_eq!(got[0].message_attributes["weight"].data_type, "Number");
}

#[tokio::test]
async fn a_filter_on_bodies_delivers_matching_publications_in_an_envelope() {
    let server = Server::start().await;
    let policy = r#"{"kind":[{"anything-but":["x"]}],"nested":{"a":[{"exists":true}]}}"#;
    let topic =
        server.topic("t", &[("q", &[("FilterPolicyScope", "MessageBody"), ("FilterPolicy", policy)])]).await;
    for body in
        [r#"{"kind":"k","nested":{"a":1}}"#, r#"{"kind":"x","nested":{"a":1}}"#, r#"{"kind":"k"}"#, "text"]
    {
        server
            .sns
            .publish()
            .topic_arn(&topic)
            .message(body)
            .subject("s")
            .message_attributes("type", text("a & b"))
            .send()
            .await
            .unwrap();
    }
    let got = server.drain("q").await;
    assert_eq!(got.len(), 1);
    let envelope: Value = serde_json::from_str(&got[0].body).unwrap();
    assert_eq!(envelope["Type"], "Notification");
    assert_eq!(envelope["TopicArn"], topic.as_str());
    assert_eq!(envelope["Subject"], "s");
    assert_eq!(envelope["Message"], r#"{"kind":"k","nested":{"a":1}}"#);
    assert_eq!(envelope["MessageAttributes"]["type"], json!({ "Type": "String", "Value": "a & b" }));
    assert!(got[0].message_attributes.is_empty());
}

#[tokio::test]
async fn a_batch_of_publications_reports_each_entry() {
    let server = Server::start().await;
    let topic = server.topic("t", &[("q", &[("RawMessageDelivery", "true")])]).await;
    let entry = |id: &str, message: &str| {
        aws_sdk_sns::types::PublishBatchRequestEntry::builder().id(id).message(message).build().unwrap()
    };
    let output = server
        .sns
        .publish_batch()
        .topic_arn(&topic)
        .publish_batch_request_entries(entry("good", "one"))
        .publish_batch_request_entries(entry("empty", ""))
        .publish_batch_request_entries(entry("also-good", "two"))
        .send()
        .await
        .unwrap();
    assert_eq!(output.successful().len(), 2);
    assert_eq!(output.failed()[0].id(), "empty");
    assert!(output.failed()[0].sender_fault());
    assert_eq!(output.failed()[0].code(), "InvalidParameter");
    assert_eq!(server.drain("q").await.len(), 2);
}

#[tokio::test]
async fn two_thousand_publications_reach_every_queue_exactly_once() {
    let server = Server::start().await;
    let raw: &[(&str, &str)] = &[("RawMessageDelivery", "true")];
    let topic = server.topic("t", &[("a", raw), ("b", raw), ("c", raw)]).await;
    let batches = (0..200).map(|batch| {
        let (sns, topic) = (server.sns.clone(), topic.clone());
        async move {
            let entries = (0..10).map(|entry| {
                aws_sdk_sns::types::PublishBatchRequestEntry::builder()
                    .id(entry.to_string())
                    .message((batch * 10 + entry).to_string())
                    .build()
                    .unwrap()
            });
            let output = sns
                .publish_batch()
                .topic_arn(topic)
                .set_publish_batch_request_entries(Some(entries.collect()))
                .send()
                .await
                .unwrap();
            output.successful().len()
        }
    });
    let sent: usize = futures_util::future::join_all(batches).await.into_iter().sum();
    assert_eq!(sent, 2_000);
    for queue in ["a", "b", "c"] {
        let bodies: Vec<String> = server.drain(queue).await.into_iter().map(|m| m.body).collect();
        assert_eq!(bodies.len(), 2_000);
        assert_eq!(bodies.into_iter().collect::<HashSet<_>>().len(), 2_000);
    }
}
