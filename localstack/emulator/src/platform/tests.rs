//! A platform without functions: ports, folders, services and the way from a topic to a queue.

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use serde_json::json;

use super::*;
use crate::iam::OWNER;

const TEMPLATE: &str = r#"
Transform: AWS::Serverless-2016-10-31
Resources:
  Things:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{ AttributeName: pk, AttributeType: S }]
      KeySchema: [{ AttributeName: pk, KeyType: HASH }]
  Queue: { Type: AWS::SQS::Queue }
  Topic: { Type: AWS::SNS::Topic }
  Policy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Queue]
      PolicyDocument:
        Statement: { Effect: Allow, Principal: '*', Action: 'sqs:*', Resource: !GetAtt Queue.Arn }
  Subscription:
    Type: AWS::SNS::Subscription
    Properties: { TopicArn: !Ref Topic, Protocol: sqs, Endpoint: !GetAtt Queue.Arn, RawMessageDelivery: true }
"#;

fn options(folder: &Path) -> Options {
    let template = folder.join("template.yaml");
    std::fs::write(&template, TEMPLATE).unwrap();
    Options { data: Some(folder.join("data")), ..Options::new(template) }
}

#[tokio::test]
async fn what_is_published_waits_in_the_queue_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(options(folder.path())).await.unwrap();
    let keys = Credentials::new(OWNER, OWNER, None, None, "test");
    let sns = aws_sdk_sns::Client::from_conf(
        aws_sdk_sns::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(platform.aws_endpoint())
            .credentials_provider(keys.clone())
            .build(),
    );
    sns.publish().topic_arn(crate::arn::topic("erp-Topic")).message("hello").send().await.unwrap();
    let sqs = |endpoint: &str| {
        aws_sdk_sqs::Client::from_conf(
            aws_sdk_sqs::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new(REGION))
                .endpoint_url(endpoint)
                .credentials_provider(keys.clone())
                .build(),
        )
    };
    let receive = async |endpoint: &str| {
        let url = format!("{endpoint}/000000000000/erp-Queue");
        let received = sqs(endpoint).receive_message().queue_url(url).send().await.unwrap();
        received.messages.unwrap_or_default().into_iter().filter_map(|m| m.body).collect::<Vec<_>>()
    };
    assert_eq!(receive(platform.aws_endpoint()).await, ["hello"]);
    platform.stop().await;

    // It was received and not deleted: who received it is gone, so it is there again at once.
    let platform = Platform::start(options(folder.path())).await.unwrap();
    assert_eq!(receive(platform.aws_endpoint()).await, ["hello"]);
    assert_eq!(platform.quiet(Duration::ZERO).await, Ok(()), "nobody reads that queue here");
    platform.stop().await;
}

#[tokio::test]
async fn the_gateway_answers_and_a_stopped_platform_frees_its_port() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(options(folder.path())).await.unwrap();
    let url = platform.base_url().to_owned();
    assert_eq!(
        reqwest::get(format!("{url}/nowhere")).await.unwrap().status(),
        403,
        "API Gateway's own answer"
    );
    let port: u16 = url.rsplit(':').next().unwrap().parse().unwrap();

    let second = Options { data: None, port, ..options(folder.path()) };
    let error = Platform::start(second.clone()).await.err().unwrap().to_string();
    assert!(error.contains(&format!("port {port} is in use")) && error.contains("--port"), "{error}");
    let error = Platform::start(options(folder.path())).await.err().unwrap().to_string();
    assert!(error.contains("another platform uses the data folder"), "{error}");

    platform.stop().await;
    Platform::start(second).await.unwrap().stop().await;
}

#[tokio::test]
async fn items_are_where_they_were_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let item = json!({ "TableName": "erp-Things", "Item": { "pk": { "S": "a" } } });
    let platform = Platform::start(options(folder.path())).await.unwrap();
    platform.dynamodb().database().put_item(serde_json::from_value(item).unwrap()).unwrap();
    platform.stop().await;
    let platform = Platform::start(options(folder.path())).await.unwrap();
    let scan = serde_json::from_value(json!({ "TableName": "erp-Things" })).unwrap();
    assert_eq!(platform.dynamodb().database().scan(scan).unwrap().count, 1);
    platform.stop().await;
}

#[tokio::test]
async fn an_ephemeral_platform_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(Options { data: None, ..options(folder.path()) }).await.unwrap();
    let data = platform.data().to_owned();
    assert!(data.join("dynamodb.sqlite").is_file());
    platform.stop().await;
    assert!(!data.exists());
}
