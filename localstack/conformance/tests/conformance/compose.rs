//! The services that LocalStack starts, in `localstack/compose.yaml`: those that the template has resources of, and those
//! that a deployment takes.

use std::collections::BTreeSet;

use yaml_serde::Value as Yaml;

use crate::none;
use crate::world::{workspace, world};

/// A type of resource, as far as it says whose it is, and the services that it needs, as LocalStack calls them.
const NEEDED: [(&str, &[&str]); 11] = [
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
    // `sam deploy` asks who it is, puts the artifacts somewhere and makes a stack.
    ("", &["cloudformation", "s3", "sts"]),
];

/// What a type of resource needs: an entry of its own, and that for all.
fn needed_by(kind: &str) -> impl Iterator<Item = &'static [&'static str]> {
    NEEDED.iter().filter(move |(prefix, _)| kind.starts_with(prefix)).map(|(_, services)| *services)
}

#[test]
fn localstack_starts_what_the_template_needs_and_nothing_else() {
    let text = std::fs::read_to_string(workspace().join("localstack/compose.yaml")).unwrap();
    let file: Yaml = yaml_serde::from_str(&text).unwrap();
    let listed = file["services"]["localstack"]["environment"]["SERVICES"].as_str().unwrap();
    let listed: BTreeSet<&str> = listed.split(',').collect();
    let kinds: BTreeSet<&str> = world().resources.iter().map(|resource| resource.kind.as_str()).collect();
    let needed: BTreeSet<&str> = kinds.iter().flat_map(|kind| needed_by(kind)).flatten().copied().collect();
    let unknown = kinds.iter().filter(|kind| needed_by(kind).count() < 2);
    let unknown = unknown.map(|kind| format!("say in NEEDED which services {kind} needs"));
    let missing = needed.difference(&listed).map(|name| format!("localstack/compose.yaml: add {name}"));
    let unused = listed.difference(&needed).map(|name| format!("localstack/compose.yaml: take {name} out"));
    none(unknown.chain(missing).chain(unused));
}
