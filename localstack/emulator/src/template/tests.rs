//! The deployed template is read completely, and invalid templates are reported with the right position.

use std::time::Duration;

use serde_json::json;

use super::*;

mod optional_parts;

const ENDPOINT: &str = "http://127.0.0.1:4566";

fn read(text: &str, parameters: &[(&str, &str)]) -> Result<Deployment, Vec<Problem>> {
    let parameters = parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let inputs = Inputs {
        stack_name: "erp",
        parameters: &parameters,
        aws_endpoint: ENDPOINT,
        secrets: &Secrets::in_memory(),
    };
    parse(text, inputs).map_err(|error| match error {
        TemplateError::Unsupported(problems) => problems,
        TemplateError::Read { .. } | TemplateError::Yaml(_) => panic!("{error}"),
    })
}

fn deployed_template(parameters: &[(&str, &str)]) -> Deployment {
    let text = include_str!("../../../../template.yaml");
    read(text, parameters).unwrap_or_else(|problems| panic!("{}", TemplateError::Unsupported(problems)))
}

fn function<'d>(deployment: &'d Deployment, id: &str) -> &'d crate::deployment::Function {
    deployment.functions.iter().find(|function| function.logical_id == id).unwrap()
}

#[test]
fn the_deployed_template_is_read() {
    let deployment = deployed_template(&[("Stage", "local")]);
    assert_eq!(deployment.api.stage, "local");
    let binaries: Vec<_> = deployment.functions.iter().map(|f| f.binary.as_str()).collect();
    assert_eq!(
        binaries,
        [
            "authorizer",
            "auth-api",
            "contact-api",
            "contact-query",
            "inventory-api",
            "inventory-query",
            "inventory-worker",
            "sales-api",
            "sales-worker",
            "purchase-api",
            "relay",
            "relay-sweep",
            "reconcile",
            "reconcile-changes",
            "portal"
        ]
    );
    let names = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        names(deployment.tables.iter().map(|t| &t.name).collect()),
        "erp-auth erp-contact erp-inventory erp-sales erp-purchase erp-reconciliation"
    );
    assert_eq!(deployment.topics.len(), 6, "one of each service, and one for alarms");
    assert_eq!(
        names(deployment.queues.iter().map(|q| &q.name).collect()),
        "erp-stock-queue-dlq erp-stock-queue erp-order-status-queue-dlq erp-order-status-queue"
    );
}

#[test]
fn its_routes_have_the_authorizer_unless_they_disable_it() {
    let deployment = deployed_template(&[]);
    let text = include_str!("../../../../template.yaml");
    assert_eq!(deployment.api.routes.len(), text.matches("Type: Api,").count());
    let find = |method: &str, path: &str| {
        deployment.api.routes.iter().find(|r| r.method == method && r.path == path).unwrap()
    };
    assert!(find("POST", "/api/sales/orders/{id}/confirm").authorized);
    assert!(!find("POST", "/api/auth/login").authorized);
    assert!(!find("ANY", "/api/sales/orders").authorized);
    assert_eq!(find("GET", "/swagger/{proxy+}").function, "PortalFunction");
    let authorizer = deployment.api.authorizer.unwrap();
    assert_eq!(
        (authorizer.function.as_str(), authorizer.header.as_str(), authorizer.cache.as_secs()),
        ("AuthorizerFunction", "Authorization", 300)
    );
    assert_eq!(deployment.api.cors.unwrap().allow_origin, "*");
    let unauthorized = &deployment.api.gateway_responses["UNAUTHORIZED"];
    assert_eq!(unauthorized.status, Some(401));
    assert_eq!(unauthorized.headers["WWW-Authenticate"], "'Bearer'");
}

#[test]
fn its_functions_have_their_environment_limits_and_statements() {
    let deployment = deployed_template(&[("Registration", "open")]);
    let auth = function(&deployment, "AuthApiFunction");
    assert_eq!((auth.name.as_str(), auth.memory_size, auth.timeout.as_secs()), ("erp-auth-api", 1024, 10));
    assert_eq!(auth.environment["TABLE_NAME"], "erp-auth");
    assert_eq!(auth.environment["REGISTRATION"], "open");
    assert_eq!(auth.environment["AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH"], "true", "from the globals");
    let keys: Value = serde_json::from_str(&auth.environment["JWT_KEYS"]).unwrap();
    assert_eq!((&keys["kid"], keys["key"].as_str().unwrap().len()), (&json!("k1"), 64));
    let authorizer = function(&deployment, "AuthorizerFunction");
    assert_eq!(authorizer.environment["JWT_KEYS"], auth.environment["JWT_KEYS"]);

    let portal = function(&deployment, "PortalFunction");
    assert_eq!(
        portal.environment["HEALTH_QUEUES"],
        format!("{ENDPOINT}/000000000000/erp-stock-queue,{ENDPOINT}/000000000000/erp-order-status-queue")
    );
    let sales = function(&deployment, "SalesApiFunction");
    let query_alias = format!("{}:live", arn::function("erp-contact-query"));
    assert_eq!(sales.environment["CONTACT_QUERY_FUNCTION"], query_alias);
    assert_eq!(sales.statements[3].resources[2], arn::index("erp-sales", "party"));
    assert_eq!(sales.statements[4].resources[0], query_alias, "the alias, not the unpublished version");
}

#[test]
fn its_tables_are_requests_of_create_table() {
    let deployment = deployed_template(&[("DeletionProtection", "true")]);
    let contact = &deployment.tables[1];
    assert_eq!(contact.ttl_attribute.as_deref(), Some("expires_at"));
    assert_eq!(
        contact.create["StreamSpecification"],
        json!({ "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" })
    );
    assert_eq!(contact.create["DeletionProtectionEnabled"], json!(true));
    assert_eq!(
        contact.create["GlobalSecondaryIndexes"][0],
        json!({
            "IndexName": "list",
            "KeySchema": [
                { "AttributeName": "list_pk", "KeyType": "HASH" },
                { "AttributeName": "list_sk", "KeyType": "RANGE" },
            ],
            "Projection": { "ProjectionType": "ALL" },
        })
    );
}

#[test]
fn its_subscriptions_queues_and_triggers_are_read() {
    let deployment = deployed_template(&[]);
    assert_eq!(deployment.subscriptions.len(), 4);
    let first = &deployment.subscriptions[0];
    assert_eq!(first.topic_arn, arn::topic("erp-sales-events"));
    assert_eq!(first.attributes["RawMessageDelivery"], "true");
    assert_eq!(
        first.attributes["FilterPolicy"],
        r#"{"type":["sales.order.confirmed","sales.order.cancelled"]}"#
    );
    let stock = deployment.queues.iter().find(|queue| queue.name == "erp-stock-queue").unwrap();
    assert_eq!(stock.attributes["VisibilityTimeout"], "180");
    assert_eq!(
        serde_json::from_str::<Value>(&stock.attributes["RedrivePolicy"]).unwrap(),
        json!({ "deadLetterTargetArn": arn::queue("erp-stock-queue-dlq"), "maxReceiveCount": 100 })
    );

    let mut kinds: Vec<String> = deployment.triggers.iter().map(|t| format!("{:?}", t.source)).collect();
    kinds.sort();
    let of = |kind: &str| kinds.iter().filter(|text| text.starts_with(kind)).count();
    assert_eq!((of("Queue"), of("Stream"), of("Schedule"), kinds.len()), (2, 8, 2, 12));
    let relay = deployment.triggers.iter().find(|t| t.function == "RelayFunction").unwrap();
    let TriggerSource::Stream { table, batch_size, filters, report_item_failures, bisect, maximum_retries } =
        &relay.source
    else {
        panic!("{relay:?}");
    };
    assert_eq!((table.as_str(), *batch_size, *report_item_failures, *bisect), ("erp-auth", 100, true, true));
    assert_eq!((filters.len(), *maximum_retries), (1, None));
}

/// A small valid template; each invalid one differs from it in one place.
const SMALL: &str = r#"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: { Type: String, Default: dev, AllowedPattern: '[a-z]+' }
  Mode: { Type: String, Default: hot, AllowedValues: [hot, cold] }
Mappings:
  Sizes: { small: { memory: 128 }, large: { memory: 512 } }
Conditions:
  IsOff: !Not [!Condition IsOn]
  IsOn: !And [!Equals [!Ref Mode, hot], !Or [!Equals [a, b], !Equals [a, a]]]
Globals:
  Function: { Runtime: provided.al2023, Environment: { Variables: { SHARED: all, MINE: default } } }
Resources:
  Api:
    Type: AWS::Serverless::Api
    Properties: { StageName: !Ref Stage }
  Orders:
    Type: AWS::Serverless::Function
    Metadata: { BuildMethod: rust-cargolambda, BuildProperties: { Binary: orders } }
    Properties:
      MemorySize: !FindInMap [Sizes, large, memory]
      Timeout: 20
      Environment:
        Variables:
          MINE: !If [IsOn, !Sub ['${who}-${Table.Arn}-${!kept}', { who: !Select [1, !Split ['/', 'a/me']] }], no]
          ABSENT: !If [IsOff, never, !Ref AWS::NoValue]
          SECRET: '{{resolve:secretsmanager:erp-Password:SecretString:pass}}'
      Policies: { Statement: { Effect: Allow, Action: 'dynamodb:*', Resource: !GetAtt Table.Arn } }
      Events:
        Get: { Type: Api, Properties: { RestApiId: !Ref Api, Path: /orders, Method: get } }
        Work: { Type: SQS, Properties: { Queue: { Fn::GetAtt: Queue.Arn } } }
        Tick: { Type: Schedule, Properties: { Schedule: rate(5 minutes) } }
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{ AttributeName: pk, AttributeType: S }]
      KeySchema: [{ AttributeName: pk, KeyType: HASH }]
  Queue: { Type: AWS::SQS::Queue, Properties: { VisibilityTimeout: 60 } }
  Topic: { Type: AWS::SNS::Topic }
  Policy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Queue]
      PolicyDocument:
        Statement:
          - { Effect: Allow, Principal: { Service: sns.amazonaws.com }, Action: 'sqs:SendMessage', Resource: !GetAtt Queue.Arn, Condition: { ArnEquals: { aws:SourceArn: !Ref Topic } } }
  Subscription:
    Type: AWS::SNS::Subscription
    Properties: { TopicArn: !Ref Topic, Protocol: sqs, Endpoint: !GetAtt Queue.Arn }
  Password:
    Type: AWS::SecretsManager::Secret
    Properties: { SecretString: '{"pass":"word"}' }
  Gone: { Type: AWS::SNS::Topic, Condition: IsOff }
  Alarm: { Type: AWS::CloudWatch::Alarm, Properties: { AlarmName: !Ref AWS::StackName } }
"#;

#[test]
fn intrinsic_functions_are_evaluated() {
    let deployment = read(SMALL, &[]).unwrap();
    let orders = function(&deployment, "Orders");
    assert_eq!(orders.name, "erp-Orders");
    assert_eq!((orders.memory_size, orders.timeout), (512, Duration::from_secs(20)));
    assert_eq!(orders.environment["SHARED"], "all");
    assert_eq!(orders.environment["MINE"], format!("me-{}-${{kept}}", arn::table("erp-Table")));
    assert_eq!(orders.environment["SECRET"], "word");
    assert!(!orders.environment.contains_key("ABSENT"));
    assert_eq!(orders.statements[0].actions, ["dynamodb:*"]);
    assert_eq!(deployment.api.routes[0].method, "GET");
    assert!(!deployment.api.routes[0].authorized, "there is no authorizer");
    assert_eq!(deployment.topics.len(), 1, "the condition of the other is false");
}

#[test]
fn an_invalid_template_is_reported_with_name_and_position() {
    for (from, to, at, message) in [
        ("Transform: AWS::Serverless-2016-10-31", "Transform: Other", "Transform", "AWS::Serverless"),
        ("Mappings:", "Maps:", "Maps", "not a section"),
        ("Default: dev,", "Default: 'NO',", "Parameters.Stage", "does not match [a-z]+"),
        ("Default: hot,", "Default: maybe,", "Parameters.Mode", "is not one of hot, cold"),
        ("Type: String, Default: hot", "Type: Strin, Default: hot", "Parameters.Mode.Type", "Strin"),
        ("!Condition IsOn", "!Condition IsOnn", "Conditions.IsOff.Fn::Not.Condition", "IsOnn"),
        ("!Condition IsOn", "!Condition IsOff", "Conditions.IsOff.Fn::Not.Condition", "IsOff"),
        (
            "!Ref Mode",
            "!Ref Mod",
            "Conditions.IsOn.Fn::And.Fn::Equals[0].Ref",
            "no parameter or resource Mod",
        ),
        (
            "large, memory",
            "huge, memory",
            "Resources.Orders.Properties.MemorySize.Fn::FindInMap",
            "Sizes.huge",
        ),
        ("${Table.Arn}", "${Tabel.Arn}", "Resources.Orders.Properties.Environment.Variables.MINE", "Tabel"),
        ("${Table.Arn}", "${Table.Nam}", "Resources.Orders.Properties.Environment.Variables.MINE", "Nam"),
        ("${Table.Arn}", "${Table.StreamArn}", "Resources.Orders.Properties.Environment", "StreamArn"),
        ("!Ref AWS::NoValue", "!Ref Gone", "Variables.ABSENT", "its condition is false"),
        ("!If [IsOff", "!If [IsNot", "Variables.ABSENT.Fn::If[0]", "IsNot"),
        ("!Select [1", "!Select [7", "Variables.MINE", "no element 7"),
        ("!Split ['/'", "!Base64 ['/'", "Variables.MINE", "Fn::Base64"),
        ("erp-Password:SecretString", "erp-Other:SecretString", "Variables.SECRET", "no secret erp-Other"),
        ("resolve:secretsmanager", "resolve:ssm", "Variables.SECRET", "not of the form"),
        ("Timeout: 20", "Timeot: 20", "Resources.Orders.Properties.Timeot", "not a property"),
        ("Timeout: 20", "Timeout: soon", "Resources.Orders.Properties.Timeout", "whole number"),
        ("Timeout: 20", "Timeout: 61", "Resources.Orders.Properties.Events.Work", "VisibilityTimeout"),
        ("Timeout: 20", "Timeout:", "Resources.Orders.Properties.Timeout", "is empty"),
        ("Timeout: 20", "Layers: [x]", "Resources.Orders.Properties.Layers", "not a property"),
        ("provided.al2023", "nodejs22.x", "Resources.Orders.Properties.Runtime", "nodejs22.x"),
        ("Globals:\n  Function:", "Globals:\n  Api:", "Globals.Api", "not understood"),
        ("Binary: orders", "Binry: orders", "Resources.Orders.Metadata.BuildProperties", "Binry"),
        (
            "Effect: Allow, Action: 'dynamodb:*'",
            "Effect: Deny, Action: x",
            "Policies[0].Statement.Effect",
            "Deny",
        ),
        ("Statement: { Effect", "DynamoDBCrudPolicy: { Effect", "Policies[0]", "DynamoDBCrudPolicy"),
        ("Type: Api,", "Type: HttpApi,", "Resources.Orders.Properties.Events.Get.Type", "HttpApi"),
        ("Path: /orders", "Pathh: /orders", "Resources.Orders.Properties.Events.Get.Properties", "Pathh"),
        ("Method: get", "Method: fetch", "Events.Get.Properties.Method", "FETCH"),
        ("rate(5 minutes)", "cron(0 0 * * ? *)", "Events.Tick.Properties.Schedule", "cron"),
        (
            "Fn::GetAtt: Queue.Arn",
            "Fn::GetAtt: Table.Arn",
            "Resources.Orders.Properties.Events.Work",
            "not a queue",
        ),
        ("Type: AWS::SQS::Queue,", "Type: AWS::SQS::Que,", "Resources.Queue.Type", "AWS::SQS::Que"),
        ("VisibilityTimeout: 60", "FifoQueue: true", "Resources.Queue.Properties.FifoQueue", "first-in"),
        (
            "KeySchema: [{ AttributeName: pk, KeyType: HASH }]",
            "KeySchema: [{ Name: pk, KeyType: HASH }]",
            "Resources.Table.Properties.KeySchema[0].Name",
            "not a property",
        ),
        (
            "aws:SourceArn: !Ref Topic",
            "aws:SourceArn: other",
            "Resources.Subscription.Properties",
            "AWS would drop",
        ),
        (
            "Action: 'sqs:SendMessage'",
            "Action: 'sqs:Receive*'",
            "Resources.Subscription.Properties",
            "AWS would drop",
        ),
        ("Protocol: sqs", "Protocol: email", "Resources.Subscription.Properties.Protocol", "email"),
        (
            "Protocol: sqs",
            "Protocol: sqs, RedrivePolicy: { deadLetterTargetArn: other }",
            "Resources.Subscription.Properties.RedrivePolicy",
            "not a queue",
        ),
        ("Condition: IsOff", "Condition: IsUnknown", "Resources.Gone.Condition", "IsUnknown"),
        (
            "Tick: {",
            "Rows: { Type: DynamoDB, Properties: { Stream: !GetAtt Rows.StreamArn, StartingPosition: TRIM_HORIZON, FilterCriteria: { Filters: [{ Pattern: '{\"a\":\"x\"}' }] } } }\n        Tick: {",
            "Events.Rows.Properties.FilterCriteria.Filters[0].Pattern",
            "must be an object or an array",
        ),
        (
            "{ aws:SourceArn: !Ref Topic }",
            "{ aws:SourceArn: [!Ref Topic, {}] }",
            "Statement[0].Condition",
            "not supported",
        ),
        (
            "Resources:\n  Api:",
            "Outputs: { Url: { Condition: IsUnknown, Value: x } }\nResources:\n  Api:",
            "Outputs.Url.Condition",
            "IsUnknown",
        ),
        ("Mappings:", "1: {}\nMappings:", "template", "not a string"),
        ("AWS::CloudWatch::Alarm", "AWS::EC2::Instance", "Resources.Alarm.Type", "AWS::EC2::Instance"),
        ("!Ref AWS::StackName", "!Ref Orders.Alias", "Alarm.Properties.AlarmName.Ref", "has no Alias here"),
        ("!Ref AWS::StackName", "!Ref AWS::Stack", "Resources.Alarm.Properties.AlarmName.Ref", "AWS::Stack"),
        (
            "Topic: { Type: AWS::SNS::Topic }",
            "Topic: { Type: AWS::SNS::Topic, DependsOn: Missing }",
            "Resources.Topic.DependsOn",
            "Missing",
        ),
        (
            "Topic: { Type: AWS::SNS::Topic }",
            "Topic: { Type: AWS::SNS::Topic, UpdatePolicy: {} }",
            "Resources.Topic.UpdatePolicy",
            "not a property",
        ),
    ] {
        assert!(SMALL.contains(from), "{from}");
        let problems = match read(&SMALL.replace(from, to), &[]) {
            Ok(_) => panic!("{from} -> {to}: accepted"),
            Err(problems) => problems,
        };
        let found = problems
            .iter()
            .any(|p| p.at.contains(at) && (p.message.contains(message) || p.at.contains(message)));
        assert!(
            found,
            "{from} -> {to}: expected {at}: {message}, found {}",
            TemplateError::Unsupported(problems)
        );
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let broken = SMALL.replace("Timeout: 20", "Timeot: 20").replace("Protocol: sqs", "Protocol: sms");
    assert_eq!(read(&broken, &[]).unwrap_err().len(), 2);
}

#[test]
fn a_value_for_an_unknown_parameter_is_reported() {
    let problems = read(SMALL, &[("Stag", "x")]).unwrap_err();
    assert_eq!(problems[0].at, "Parameters.Stag");
}

#[test]
fn a_parameter_without_default_needs_a_value() {
    let text = SMALL.replace("Default: dev, ", "");
    assert!(read(&text, &[]).unwrap_err()[0].message.contains("no value is given"));
    assert_eq!(read(&text, &[("Stage", "live")]).unwrap().api.stage, "live");
}

#[test]
fn a_dead_letter_queue_comes_before_its_source_queue() {
    let both = "Queue: { Type: AWS::SQS::Queue, Properties: { RedrivePolicy: { deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 3 } } }\n  Dead: { Type: AWS::SQS::Queue }";
    let text = SMALL.replace("Queue: { Type: AWS::SQS::Queue, Properties: { VisibilityTimeout: 60 } }", both);
    let names: Vec<_> = read(&text, &[]).unwrap().queues.into_iter().map(|queue| queue.logical_id).collect();
    assert_eq!(names, ["Dead", "Queue"]);
    let circle = text.replace("Dead: { Type: AWS::SQS::Queue }", "Dead: { Type: AWS::SQS::Queue, Properties: { RedrivePolicy: { deadLetterTargetArn: !GetAtt Queue.Arn, maxReceiveCount: 3 } } }");
    assert!(read(&circle, &[]).unwrap_err()[0].message.contains("circle"));
}
