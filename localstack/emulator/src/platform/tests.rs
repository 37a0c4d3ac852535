//! A platform without functions: ports, data folders, access keys, and delivery from a topic to a queue.

use aws_sdk_sqs::config::{BehaviorVersion, Region};
use serde_json::json;

use super::*;
use crate::iam;

const TEMPLATE: &str = r#"
Transform: AWS::Serverless-2016-10-31
Parameters:
  AllowOrigin: { Type: String, Default: '*' }
Resources:
  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: local
      Cors: { AllowOrigin: !Sub "'${AllowOrigin}'", AllowMethods: "'GET'", AllowHeaders: "'Authorization'" }
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

fn sdk_credentials(key: &iam::Credentials) -> aws_sdk_sqs::config::Credentials {
    aws_sdk_sqs::config::Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "test")
}

#[tokio::test]
async fn a_published_message_waits_in_the_queue_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(options(folder.path())).await.unwrap();
    let keys = sdk_credentials(platform.access_key());
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

    // It was received and not deleted, and its consumer has ended, so it is visible at once. The key is the same.
    let platform = Platform::start(options(folder.path())).await.unwrap();
    assert_eq!(receive(platform.aws_endpoint()).await, ["hello"]);
    assert_eq!(platform.wait_until_idle(Duration::ZERO).await, Ok(()), "the queue has no mapping");
    platform.stop().await;
}

#[tokio::test]
async fn the_gateway_serves_and_a_stopped_platform_frees_its_port() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(options(folder.path())).await.unwrap();
    let url = platform.base_url().to_owned();
    assert_eq!(
        client().get(format!("{url}/nowhere")).send().await.unwrap().status(),
        403,
        "API Gateway's own response"
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
async fn items_survive_a_restart() {
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
async fn an_ephemeral_platform_deletes_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(Options { data: None, ..options(folder.path()) }).await.unwrap();
    let data = platform.data().to_owned();
    assert!(data.join("dynamodb.sqlite").is_file());
    platform.stop().await;
    assert!(!data.exists());
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap()
}

/// Calls SNS, SQS, DynamoDB and Lambda with an access key id; returns the status and the body of each.
async fn call_each_service(platform: &Platform, key: &str) -> Vec<(u16, String)> {
    let (endpoint, client) = (platform.aws_endpoint(), client());
    let signature = format!(
        "AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/any/aws4_request, SignedHeaders=host, Signature=0"
    );
    let json = "application/x-amz-json-1.0";
    let requests = [
        client.post(endpoint).body("Action=ListTopics&Version=2010-03-31"),
        client
            .post(endpoint)
            .header("x-amz-target", "AmazonSQS.ListQueues")
            .header("content-type", json)
            .body("{}"),
        client
            .post(endpoint)
            .header("x-amz-target", "DynamoDB_20120810.ListTables")
            .header("x-amz-date", "20260101T000000Z")
            .header("content-type", json)
            .body("{}"),
    ];
    let mut responses = Vec::new();
    for request in requests {
        let response = request.header("authorization", &signature).send().await.unwrap();
        responses.push((response.status().as_u16(), response.text().await.unwrap()));
    }
    responses
}

#[tokio::test]
async fn every_service_refuses_another_access_key() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(options(folder.path())).await.unwrap();
    let own = platform.access_key().access_key_id.clone();
    for (status, body) in call_each_service(&platform, &own).await {
        assert_eq!(status, 200, "{body}");
    }
    let refused = call_each_service(&platform, "test").await;
    for ((status, body), shape) in refused.iter().zip(["<Code>", "__type", "UnrecognizedClientException"]) {
        assert!((400..500).contains(status) && body.contains(shape), "{status} {body}");
        assert!(!body.contains(&own), "{body}");
    }
    platform.stop().await;
}

#[tokio::test]
async fn a_request_for_another_host_is_refused_by_the_gateway_and_the_aws_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(options(folder.path())).await.unwrap();
    for url in [platform.base_url(), platform.aws_endpoint()] {
        let port = url.rsplit(':').next().unwrap();
        let request = client().get(url).header("host", format!("rebound.example:{port}"));
        assert_eq!(request.send().await.unwrap().status(), 421, "{url}");
    }
    platform.stop().await;
}

#[tokio::test]
async fn browsers_may_call_from_the_apis_own_origin_unless_a_parameter_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let allowed = async |options: Options| {
        let platform = Platform::start(options).await.unwrap();
        let base_url = platform.base_url().to_owned();
        let cors = platform.deployment().api.cors.clone().unwrap();
        platform.stop().await;
        (cors.allow_origin, base_url)
    };
    let (origin, base_url) = allowed(options(folder.path())).await;
    assert_eq!(origin, base_url);
    let parameters = BTreeMap::from([("AllowOrigin".to_owned(), "*".to_owned())]);
    let (origin, _) = allowed(Options { parameters, ..options(folder.path()) }).await;
    assert_eq!(origin, "*");
}

#[tokio::test]
async fn an_unknown_parameter_is_an_error_that_names_the_known_ones() {
    let folder = tempfile::tempdir().unwrap();
    let parameters = BTreeMap::from([("Alloworigin".to_owned(), "*".to_owned())]);
    let started = Platform::start(Options { parameters, ..options(folder.path()) }).await;
    let error = started.err().unwrap();
    let message = error.to_string();
    assert!(message.starts_with("--parameter Alloworigin:") && message.ends_with("AllowOrigin"), "{message}");
    assert!(error.is_usage() && !message.contains('\n'), "{message}");
}

#[cfg(unix)]
#[tokio::test]
async fn no_file_of_a_platform_is_readable_by_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(options(folder.path())).await.unwrap();
    let mut pending = vec![platform.data().to_owned()];
    while let Some(path) = pending.pop() {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} {mode:o}", path.display());
        if path.is_dir() {
            pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    platform.stop().await;
}
