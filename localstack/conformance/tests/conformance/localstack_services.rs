//! The services that LocalStack starts (`localstack/compose.yaml`): those of the resources in the template,
//! and those that a deployment uses.

use std::collections::BTreeSet;

use yaml_serde::Value as Yaml;

use crate::assert_none;
use crate::template::{Template, workspace};

/// A prefix of resource types, and the services that they need, by their names in LocalStack.
const REQUIRED: [(&str, &[&str]); 11] = [
    ("AWS::ApiGateway::", &["apigateway"]),
    ("AWS::CloudWatch::", &["cloudwatch"]),
    ("AWS::DynamoDB::", &["dynamodb", "dynamodbstreams"]),
    ("AWS::IAM::", &["iam"]),
    ("AWS::Logs::", &["logs"]),
    ("AWS::SecretsManager::", &["secretsmanager"]),
    ("AWS::Serverless::Api", &["apigateway"]),
    // Schedules are events of functions.
    ("AWS::Serverless::Function", &["lambda", "events"]),
    // Topics are encrypted with a key.
    ("AWS::SNS::", &["sns", "kms"]),
    ("AWS::SQS::", &["sqs"]),
    // `sam deploy` gets the caller's identity, uploads the artifacts and creates a stack.
    ("", &["cloudformation", "s3", "sts"]),
];

/// Returns the services of a resource type: those of its own entry, and those of every deployment.
fn required_by(kind: &str) -> impl Iterator<Item = &'static [&'static str]> {
    REQUIRED.iter().filter(move |(prefix, _)| kind.starts_with(prefix)).map(|(_, services)| *services)
}

#[test]
fn localstack_starts_exactly_the_services_that_the_template_needs() {
    let text = std::fs::read_to_string(workspace().join("localstack/compose.yaml")).unwrap();
    let file: Yaml = yaml_serde::from_str(&text).unwrap();
    let listed = file["services"]["localstack"]["environment"]["SERVICES"].as_str().unwrap();
    let listed: BTreeSet<&str> = listed.split(',').collect();
    // The other conditions are false by default.
    let deployed = Template::committed().resources.iter().filter(|resource| {
        let condition = &resource.body["Condition"];
        condition.is_null() || condition == "MakesGatewayLogsRole"
    });
    let kinds: BTreeSet<&str> = deployed.map(|resource| resource.kind.as_str()).collect();
    let required: BTreeSet<&str> =
        kinds.iter().flat_map(|kind| required_by(kind)).flatten().copied().collect();
    let unknown = kinds.iter().filter(|kind| required_by(kind).count() < 2);
    let unknown = unknown.map(|kind| format!("add the services of {kind} to REQUIRED"));
    let missing = required.difference(&listed).map(|name| format!("localstack/compose.yaml: add {name}"));
    let unused = listed.difference(&required).map(|name| format!("localstack/compose.yaml: remove {name}"));
    assert_none(unknown.chain(missing).chain(unused));
}
