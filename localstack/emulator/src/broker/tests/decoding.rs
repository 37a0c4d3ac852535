//! Requests that cannot be decoded are rejected and have no effect.

use super::protocol::{element, form};
use super::*;

#[tokio::test]
async fn a_form_that_cannot_be_decoded_is_rejected() {
    let server = Server::start().await;
    server.queue("q", &[]).await;
    for parameters in [
        "MessageBody=%ff",
        "MessageBody=%f0%9f",
        "MessageBody=100%",
        "MessageBody=%zz",
        "MessageBody=m&MessageAttribute.1.Value.StringValue=a&MessageAttribute.1.Value.DataType=String",
        "MessageBody=m&MessageAttribute.1=a&MessageAttribute.1.Name=b",
        "MessageBody=m&MessageAttribute.1.Name=a&MessageAttribute.1.Value.DataType=Binary\
         &MessageAttribute.1.Value.BinaryValue=%3F",
    ] {
        let response = http()
            .post(format!("{}/000000000000/q", server.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("Action=SendMessage&Version=2012-11-05&{parameters}"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), 400, "{parameters}");
        assert_eq!(element(&response.text().await.unwrap(), "Type"), "Sender", "{parameters}");
    }
    assert!(server.drain("q").await.is_empty());
    let (status, xml) = form(&server, "/", &[("Action", "ListQueues")]).await;
    assert_eq!(status, 200, "{xml}");
}

#[tokio::test]
async fn a_json_body_that_cannot_be_decoded_is_rejected() {
    let server = Server::start().await;
    let url = server.queue("q", &[]).await;
    for body in [
        format!(r#"{{"QueueUrl":"{url}","MessageBody":"a\ud83d"}}"#),
        format!(r#"{{"QueueUrl":"{url}","MessageBody":1}}"#),
        format!(
            r#"{{"QueueUrl":"{url}","MessageBody":"m","MessageSystemAttributes":
            {{"AWSTraceHeader":{{"DataType":"Binary","BinaryValue":"AA=="}}}}}}"#
        ),
        "[".to_owned(),
    ] {
        let response = http()
            .post(&server.url)
            .header("x-amz-target", "AmazonSQS.SendMessage")
            .body(body.clone())
            .send()
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), 400, "{body}");
    }
    assert!(server.drain("q").await.is_empty());
}
