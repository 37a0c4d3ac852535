//! Settings of resources that no function depends on: encryption, retention, logs, traces, limits, names,
//! gradual deployment, parameters and outputs.

use std::collections::BTreeSet;

use erp_local::deployment::TriggerSource;
use serde_json::{Value, json};

use crate::source_files::between;
use crate::template::{Resource, Template, committed_yaml};

pub(crate) mod checks {
    crate::template_checks::register!(
        functions_have_their_limits,
        functions_can_assume_their_roles,
        functions_have_their_global_settings,
        rollback_alarms_have_no_circular_dependency,
        scheduled_functions_have_a_schedule,
        triggers_have_their_settings,
        tables_are_retained,
        messages_are_retained_and_encrypted,
        policies_have_the_current_version,
        logs_are_retained_and_encrypted,
        parameters_are_described_and_constrained,
        outputs_are_described,
    );
}

/// The limits of a function where they differ from the global ones: memory in megabytes, time-out in seconds,
/// reserved concurrency.
#[derive(Debug)]
struct Limits {
    memory: Option<u64>,
    timeout: Option<u64>,
    reserved: Option<u64>,
}

/// The limits by binary.
const LIMITS: &[(&str, Limits)] = &[
    ("authorizer", Limits { memory: Some(128), timeout: Some(5), ..DEFAULT }),
    ("auth-api", Limits { memory: Some(1024), reserved: Some(20), ..DEFAULT }),
    ("contact-api", DEFAULT),
    ("contact-query", Limits { timeout: Some(5), ..DEFAULT }),
    ("inventory-api", DEFAULT),
    ("inventory-query", Limits { timeout: Some(5), ..DEFAULT }),
    ("inventory-worker", Limits { timeout: Some(30), reserved: Some(10), ..DEFAULT }),
    ("sales-api", DEFAULT),
    ("sales-worker", Limits { timeout: Some(30), reserved: Some(10), ..DEFAULT }),
    ("purchase-api", DEFAULT),
    ("relay", Limits { timeout: Some(30), ..DEFAULT }),
    ("relay-sweep", Limits { timeout: Some(60), reserved: Some(1), ..DEFAULT }),
    ("reconcile", Limits { timeout: Some(300), reserved: Some(1), ..DEFAULT }),
    ("reconcile-changes", Limits { timeout: Some(60), ..DEFAULT }),
    ("portal", DEFAULT),
];
const DEFAULT: Limits = Limits { memory: None, timeout: None, reserved: None };

/// The binaries of scheduled functions.
const SCHEDULED: [&str; 2] = ["relay-sweep", "reconcile"];

/// Returns a violation for each property that differs.
fn differences<'a>(
    resource: &'a Resource,
    expected: impl IntoIterator<Item = (&'static str, Value)> + 'a,
) -> impl Iterator<Item = String> + 'a {
    expected.into_iter().filter(|(pointer, expected)| resource.property(pointer) != expected).map(
        |(pointer, expected)| {
            format!("{}: {} must be {expected}", resource.id, pointer.trim_start_matches('/'))
        },
    )
}

fn functions_have_their_limits(template: &Template) -> Vec<String> {
    let mut violations = Vec::new();
    for function in template.of_type("AWS::Serverless::Function") {
        let id = &function.id;
        let binary = function.body.pointer("/Metadata/BuildProperties/Binary").and_then(Value::as_str);
        let Some((_, Limits { memory, timeout, reserved })) =
            LIMITS.iter().find(|(known, _)| Some(*known) == binary)
        else {
            violations.push(format!("add the limits of {id} to LIMITS"));
            continue;
        };
        if function.property("/Description").as_str().is_none_or(str::is_empty) {
            violations.push(format!("{id}: add a Description"));
        }
        let reserved =
            reserved.map(|limit| json!({"If": ["ReservesConcurrency", limit, {"Ref": "AWS::NoValue"}]}));
        let logs = format!("{}Logs", id.trim_end_matches("Function"));
        violations.extend(differences(
            function,
            [
                ("/Role", json!({"GetAtt": format!("{id}Role.Arn")})),
                ("/LoggingConfig", json!({"LogGroup": {"Ref": logs}})),
                ("/MemorySize", json!(memory)),
                ("/Timeout", json!(timeout)),
                ("/ReservedConcurrentExecutions", reserved.unwrap_or_default()),
                // Publishes a version also when only a variable changes.
                ("/AutoPublishAliasAllProperties", json!(true)),
            ],
        ));
    }
    violations
}

fn functions_can_assume_their_roles(template: &Template) -> Vec<String> {
    let expected = json!({
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    });
    let roles = template.of_type("AWS::IAM::Role").filter(|role| role.id.ends_with("FunctionRole"));
    roles.flat_map(|role| differences(role, [("/AssumeRolePolicyDocument", expected.clone())])).collect()
}

fn functions_have_their_global_settings(template: &Template) -> Vec<String> {
    let shared = &template.document["Globals"]["Function"];
    let alarms = [
        "ApiFailures",
        "ApiFailureRate",
        "AuthorizerRejectsAll",
        "AuthorizerCanaryRejectsAll",
        "StockWorkerErrors",
        "StockMessagesFailed",
        "OrderStatusWorkerErrors",
        "OrderStatusMessagesFailed",
        "RelayErrors",
        "RelayMessagesFailed",
        "SweepErrors",
    ];
    let expected = [
        ("Runtime", json!("provided.al2023")),
        ("Handler", json!("bootstrap")),
        ("Architectures", json!([{"Ref": "Architecture"}])),
        ("MemorySize", json!(256)),
        ("Timeout", json!(10)),
        ("Tracing", json!("Active")),
        (
            "LoggingConfig",
            json!({"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"}),
        ),
        ("AutoPublishAlias", json!("live")),
        (
            "DeploymentPreference",
            json!({
                "Enabled": {"Ref": "GradualDeployment"},
                "Type": "Canary10Percent5Minutes",
                "Alarms": alarms.map(|alarm| json!({"Ref": alarm})),
            }),
        ),
    ];
    let violations = expected.into_iter().filter(|(name, expected)| shared[name] != *expected);
    let violations =
        violations.map(|(name, expected)| format!("Globals.Function: {name} must be {expected}"));
    let alarms = shared["DeploymentPreference"]["Alarms"].as_array().into_iter().flatten();
    let unknown =
        alarms.filter_map(|alarm| alarm["Ref"].as_str()).filter(|id| template.resource(id).is_none());
    violations
        .chain(unknown.map(|id| format!("DeploymentPreference: the template has no alarm {id}")))
        .collect()
}

/// An alias depends on its deployment group, the group on the alarms, and an alarm on the resources that it
/// refers to. If one of these depended on an alias, CloudFormation would reject the circular dependency,
/// which linters do not find.
fn rollback_alarms_have_no_circular_dependency(template: &Template) -> Vec<String> {
    let alarms = template.document.pointer("/Globals/Function/DeploymentPreference/Alarms");
    let alarms = alarms.and_then(Value::as_array).into_iter().flatten();
    let mut violations = Vec::new();
    for alarm in alarms.filter_map(|alarm| alarm["Ref"].as_str()) {
        let (mut seen, mut pending) = (BTreeSet::new(), vec![alarm.to_owned()]);
        while let Some(name) = pending.pop() {
            let (id, part) = name.split_once('.').unwrap_or((&name, ""));
            if part == "Alias" {
                violations.push(format!(
                    "{alarm} depends on {name}, which depends on {alarm}: refer to the function by !Sub"
                ));
            } else if let Some(resource) = template.resource(id).filter(|_| seen.insert(id.to_owned())) {
                references(&resource.body["Properties"], &mut pending);
            }
        }
    }
    violations
}

/// Adds the names in `Ref`, `GetAtt` and `Sub`.
fn references(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("Ref" | "GetAtt", Value::String(name)) => names.push(name.clone()),
                    ("Sub", Value::String(text)) => {
                        names.extend(between(text, "${", "}").into_iter().map(str::to_owned));
                    }
                    _ => references(value, names),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn scheduled_functions_have_a_schedule(template: &Template) -> Vec<String> {
    let scheduled = SCHEDULED.iter().filter_map(|binary| template.function_of_binary(binary));
    let without = scheduled.filter(|function| {
        !template.deployment.triggers.iter().any(|trigger| {
            trigger.function == function.logical_id
                && matches!(trigger.source, TriggerSource::Schedule { .. })
        })
    });
    let mut violations: Vec<String> = without
        .map(|function| format!("{}: add an event of the Type Schedule", function.logical_id))
        .collect();
    for (id, name, event) in events(template).filter(|(.., event)| event["Type"] == "Schedule") {
        if event["Properties"]["Description"].as_str().is_none_or(str::is_empty) {
            violations.push(format!("{id}.{name}: add a Description"));
        }
    }
    violations
}

/// Returns the events of functions, with the logical id of the function and the name of the event.
fn events(template: &Template) -> impl Iterator<Item = (&str, &str, &Value)> {
    template.of_type("AWS::Serverless::Function").flat_map(|function| {
        let events = function.property("/Events").as_object().into_iter().flatten();
        events.map(|(name, event)| (function.id.as_str(), name.as_str(), event))
    })
}

fn triggers_have_their_settings(template: &Template) -> Vec<String> {
    let mut violations = Vec::new();
    for (id, name, event) in events(template) {
        let expected: &[(&str, Value)] = match event["Type"].as_str().unwrap_or_default() {
            // The maximum concurrency is the reserved concurrency of the function.
            "SQS" => &[("BatchSize", json!(10)), ("ScalingConfig", json!({"MaximumConcurrency": 10}))],
            // Changes need not be checked at once, and are read together with what they must agree with.
            "DynamoDB" if id == "ReconcileChangesFunction" => &[
                ("BatchSize", json!(1000)),
                ("MaximumBatchingWindowInSeconds", json!(60)),
                ("BisectBatchOnFunctionError", json!(true)),
                ("StartingPosition", json!("TRIM_HORIZON")),
            ],
            "DynamoDB" => &[
                ("BatchSize", json!(100)),
                ("ParallelizationFactor", json!(2)),
                ("BisectBatchOnFunctionError", json!(true)),
                ("StartingPosition", json!("TRIM_HORIZON")),
            ],
            _ => &[],
        };
        let properties = &event["Properties"];
        let wrong = expected.iter().filter(|(property, expected)| properties[property] != *expected);
        violations
            .extend(wrong.map(|(property, expected)| format!("{id}.{name}: {property} must be {expected}")));
    }
    violations
}

fn tables_are_retained(template: &Template) -> Vec<String> {
    let mut violations = Vec::new();
    for table in template.of_type("AWS::DynamoDB::Table") {
        let id = &table.id;
        // Except on create: a table of a failed first deployment would prevent the second one.
        for (policy, expected) in
            [("DeletionPolicy", "RetainExceptOnCreate"), ("UpdateReplacePolicy", "Retain")]
        {
            if table.body[policy] != expected {
                violations.push(format!("{id}: {policy} must be {expected}"));
            }
        }
        let protected = json!({"If": ["IsProtected", true, false]});
        violations.extend(differences(table, [("/DeletionProtectionEnabled", protected)]));
        let name = table.property("/TableName/Sub").as_str().unwrap_or_default();
        if !name.starts_with("${AWS::StackName}-") {
            violations.push(format!("{id}: TableName must start with the stack name"));
        }
        violations.extend(attributes(table));
    }
    violations
}

/// DynamoDB requires definitions of the attributes of all keys, and of no others.
fn attributes(table: &Resource) -> Option<String> {
    let names = |list: &Value| -> Vec<String> {
        let names = list.as_array().into_iter().flatten().filter_map(|entry| entry["AttributeName"].as_str());
        names.map(str::to_owned).collect()
    };
    let mut expected = names(table.property("/KeySchema"));
    for index in table.property("/GlobalSecondaryIndexes").as_array().into_iter().flatten() {
        expected.extend(names(&index["KeySchema"]));
    }
    let defined = names(table.property("/AttributeDefinitions"));
    (defined != expected).then(|| format!("{}: AttributeDefinitions must be {expected:?}", table.id))
}

/// Returns the value of a property that has the key of the stack, if there is one.
fn customer_key(key: Value, otherwise: Value) -> Value {
    json!({"If": ["HasKey", key, otherwise]})
}

fn messages_are_retained_and_encrypted(template: &Template) -> Vec<String> {
    let mut violations = Vec::new();
    for queue in template.of_type("AWS::SQS::Queue") {
        let expected = [
            ("/SqsManagedSseEnabled", json!({"If": ["HasKey", false, true]})),
            ("/KmsMasterKeyId", customer_key(json!({"Ref": "Key"}), json!({"Ref": "AWS::NoValue"}))),
            ("/MessageRetentionPeriod", json!(1_209_600)),
        ];
        violations.extend(differences(queue, expected));
        if !queue
            .property("/QueueName/Sub")
            .as_str()
            .is_some_and(|name| name.starts_with("${AWS::StackName}-"))
        {
            violations.push(format!("{}: QueueName must start with the stack name", queue.id));
        }
    }
    for topic in template.of_type("AWS::SNS::Topic") {
        // CloudWatch cannot use the AWS managed key of SNS.
        let otherwise =
            if topic.id == "Alarms" { json!({"Ref": "AWS::NoValue"}) } else { json!("alias/aws/sns") };
        let key = customer_key(json!({"Ref": "Key"}), otherwise);
        violations.extend(differences(topic, [("/KmsMasterKeyId", key)]));
    }
    violations
}

fn policies_have_the_current_version(template: &Template) -> Vec<String> {
    fn documents<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
        match value {
            Value::Object(object) => {
                // A statement of a firewall is no list.
                if object.get("Statement").is_some_and(Value::is_array) {
                    found.push(value);
                }
                object.values().for_each(|value| documents(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| documents(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let is_outdated = |resource: &Resource| {
        let mut found = Vec::new();
        documents(&resource.body, &mut found);
        found.iter().any(|document| document["Version"] != "2012-10-17")
    };
    let outdated = template.resources.iter().filter(|resource| is_outdated(resource));
    let violation =
        |id: &str| format!("{id}: add Version: '2012-10-17' to its policy; the default is that of 2008");
    outdated.map(|resource| violation(&resource.id)).collect()
}

fn logs_are_retained_and_encrypted(template: &Template) -> Vec<String> {
    let key = customer_key(json!({"GetAtt": "Key.Arn"}), json!({"Ref": "AWS::NoValue"}));
    let expected = [("/RetentionInDays", json!({"Ref": "LogRetentionDays"})), ("/KmsKeyId", key)];
    template.of_type("AWS::Logs::LogGroup").flat_map(|group| differences(group, expected.clone())).collect()
}

/// Parameters whose values cannot be constrained by a list or a pattern.
const UNCONSTRAINED: [&str; 2] = ["AllowOrigin", "LogRetentionDays"];

fn parameters_are_described_and_constrained(template: &Template) -> Vec<String> {
    let mut violations = Vec::new();
    for (name, parameter) in template.document["Parameters"].as_object().into_iter().flatten() {
        if parameter["Description"].as_str().is_none_or(str::is_empty) {
            violations.push(format!("{name}: add a Description"));
        }
        let values = parameter["AllowedValues"].as_array().map_or(0, Vec::len);
        let constrained = values > 1 || !parameter["AllowedPattern"].is_null();
        if constrained == UNCONSTRAINED.contains(&name.as_str()) {
            violations
                .push(format!("{name}: add AllowedValues or AllowedPattern, or add it to UNCONSTRAINED"));
        }
    }
    violations
}

fn outputs_are_described(template: &Template) -> Vec<String> {
    let outputs = &template.document["Outputs"];
    let mut violations = Vec::new();
    for (name, resource) in
        [("BaseUrl", "Api"), ("DashboardUrl", "Dashboard"), ("ServiceCredentialsArn", "ServiceCredentials")]
    {
        let output = &outputs[name];
        let value = &output["Value"];
        let refers = value["Sub"].as_str().is_some_and(|text| between(text, "${", "}").contains(&resource));
        if !(refers || value["Ref"] == resource) || output["Description"].as_str().is_none_or(str::is_empty) {
            violations
                .push(format!("Outputs: {name} must exist, refer to {resource}, and have a Description"));
        }
    }
    violations
}

#[test]
fn a_circular_dependency_of_an_alarm_is_found() {
    let mut document = committed_yaml();
    let alarm = &mut document["Resources"]["StockWorkerErrors"]["Properties"]["Dimensions"][0]["Value"];
    *alarm = yaml_serde::from_str("!Ref SalesApiFunction").unwrap();
    let violations = rollback_alarms_have_no_circular_dependency(&Template::new(document).unwrap());
    assert!(
        violations.iter().any(|violation| violation.contains("ContactQueryFunction.Alias")),
        "{violations:?}"
    );
}
