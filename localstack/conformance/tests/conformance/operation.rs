//! What an operator counts on, and what no function would notice the lack of: encryption, logs, traces, limits,
//! names, gradual deployment.

use std::collections::BTreeSet;

use erp_local::deployment::TriggerSource;
use serde_json::{Value, json};

use crate::source::between;
use crate::world::{Resource, World, template};

pub(crate) mod holds {
    crate::checks::checks!(
        functions_are_what_they_are_said_to_be,
        what_all_functions_share_is_said_once,
        a_deployment_does_not_wait_for_itself,
        what_runs_on_a_schedule_has_one,
        triggers_are_tuned_as_decided,
        tables_are_kept_whatever_happens_to_the_stack,
        messages_are_kept_and_encrypted,
        policies_are_of_the_current_language,
        logs_end_when_the_parameter_says,
        parameters_explain_themselves,
        what_comes_out_is_explained,
    );
}

/// What a function may use, where it is not what all others may: megabytes of memory, seconds of time, and its share
/// of the account's concurrency.
#[derive(Debug)]
struct Limits {
    memory: Option<u64>,
    timeout: Option<u64>,
    reserved: Option<u64>,
}

/// By binary.
const LIMITS: &[(&str, Limits)] = &[
    ("authorizer", Limits { memory: Some(128), timeout: Some(5), ..USUAL }),
    ("auth-api", Limits { memory: Some(1024), reserved: Some(20), ..USUAL }),
    ("contact-api", USUAL),
    ("contact-query", Limits { timeout: Some(5), ..USUAL }),
    ("inventory-api", USUAL),
    ("inventory-query", Limits { timeout: Some(5), ..USUAL }),
    ("inventory-worker", Limits { timeout: Some(30), reserved: Some(10), ..USUAL }),
    ("sales-api", USUAL),
    ("sales-worker", Limits { timeout: Some(30), reserved: Some(10), ..USUAL }),
    ("purchase-api", USUAL),
    ("relay", Limits { timeout: Some(30), ..USUAL }),
    ("relay-sweep", Limits { timeout: Some(60), reserved: Some(1), ..USUAL }),
    ("reconcile", Limits { timeout: Some(300), reserved: Some(1), ..USUAL }),
    ("portal", USUAL),
];
const USUAL: Limits = Limits { memory: None, timeout: None, reserved: None };

/// What runs on a schedule.
const SCHEDULED: [&str; 2] = ["relay-sweep", "reconcile"];

/// One fault for each property that is not what it must be.
fn differ<'a>(
    resource: &'a Resource,
    wanted: impl IntoIterator<Item = (&'static str, Value)> + 'a,
) -> impl Iterator<Item = String> + 'a {
    wanted.into_iter().filter(|(pointer, wanted)| resource.property(pointer) != wanted).map(
        |(pointer, wanted)| format!("{}: {} must be {wanted}", resource.id, pointer.trim_start_matches('/')),
    )
}

fn functions_are_what_they_are_said_to_be(world: &World) -> Vec<String> {
    let mut faults = Vec::new();
    for function in world.of_type("AWS::Serverless::Function") {
        let id = &function.id;
        let binary = function.body.pointer("/Metadata/BuildProperties/Binary").and_then(Value::as_str);
        let Some((_, Limits { memory, timeout, reserved })) =
            LIMITS.iter().find(|(known, _)| Some(*known) == binary)
        else {
            faults.push(format!("say in LIMITS what {id} may use"));
            continue;
        };
        if function.property("/Description").as_str().is_none_or(str::is_empty) {
            faults.push(format!("{id}: say in Description what it is for"));
        }
        let reserved =
            reserved.map(|most| json!({"If": ["ReservesConcurrency", most, {"Ref": "AWS::NoValue"}]}));
        faults.extend(differ(
            function,
            [
                ("/MemorySize", json!(memory)),
                ("/Timeout", json!(timeout)),
                ("/ReservedConcurrentExecutions", reserved.unwrap_or_default()),
                // A variable that changes makes a new version, and not only new code.
                ("/AutoPublishAliasAllProperties", json!(true)),
            ],
        ));
    }
    faults
}

fn what_all_functions_share_is_said_once(world: &World) -> Vec<String> {
    let shared = &world.document["Globals"]["Function"];
    let alarms = ["ApiFailures", "ApiFailureRate", "StockWorkerErrors", "OrderStatusWorkerErrors"];
    let alarms = alarms.into_iter().chain(["RelayErrors", "SweepErrors"]);
    let wanted = [
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
                "Alarms": alarms.map(|alarm| json!({"Ref": alarm})).collect::<Vec<_>>(),
            }),
        ),
    ];
    let faults = wanted.into_iter().filter(|(name, wanted)| shared[name] != *wanted);
    let faults = faults.map(|(name, wanted)| format!("Globals.Function: {name} must be {wanted}"));
    let alarms = shared["DeploymentPreference"]["Alarms"].as_array().into_iter().flatten();
    let unknown = alarms.filter_map(|alarm| alarm["Ref"].as_str()).filter(|id| world.resource(id).is_none());
    faults.chain(unknown.map(|id| format!("DeploymentPreference: there is no alarm {id}"))).collect()
}

/// An alias waits for its deployment group, that for the alarms, and an alarm for what it names. So nothing that such an
/// alarm names may wait for an alias, or CloudFormation finds a circle, which no linter does.
fn a_deployment_does_not_wait_for_itself(world: &World) -> Vec<String> {
    let alarms = world.document.pointer("/Globals/Function/DeploymentPreference/Alarms");
    let alarms = alarms.and_then(Value::as_array).into_iter().flatten();
    let mut faults = Vec::new();
    for alarm in alarms.filter_map(|alarm| alarm["Ref"].as_str()) {
        let (mut seen, mut left) = (BTreeSet::new(), vec![alarm.to_owned()]);
        while let Some(name) = left.pop() {
            let (id, part) = name.split_once('.').unwrap_or((&name, ""));
            if part == "Alias" {
                faults.push(format!(
                    "{alarm} waits for {name}, which waits for {alarm}: name what it watches by !Sub"
                ));
            } else if let Some(resource) = world.resource(id).filter(|_| seen.insert(id.to_owned())) {
                named_in(&resource.body["Properties"], &mut left);
            }
        }
    }
    faults
}

/// What `Ref`, `GetAtt` and `Sub` name in a value.
fn named_in(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("Ref" | "GetAtt", Value::String(name)) => names.push(name.clone()),
                    ("Sub", Value::String(text)) => {
                        names.extend(between(text, "${", "}").into_iter().map(str::to_owned));
                    }
                    _ => named_in(value, names),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| named_in(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn what_runs_on_a_schedule_has_one(world: &World) -> Vec<String> {
    let scheduled = SCHEDULED.iter().filter_map(|binary| world.binary(binary));
    let without = scheduled.filter(|function| {
        !world.deployment.triggers.iter().any(|trigger| {
            trigger.function == function.logical_id
                && matches!(trigger.source, TriggerSource::Schedule { .. })
        })
    });
    let mut faults: Vec<String> = without
        .map(|function| format!("{}: add an event of the Type Schedule", function.logical_id))
        .collect();
    for (id, name, event) in events(world).filter(|(.., event)| event["Type"] == "Schedule") {
        if event["Properties"]["Description"].as_str().is_none_or(str::is_empty) {
            faults.push(format!("{id}.{name}: say in Description what it is for"));
        }
    }
    faults
}

/// Functions' events, with the function's id and their own name.
fn events(world: &World) -> impl Iterator<Item = (&str, &str, &Value)> {
    world.of_type("AWS::Serverless::Function").flat_map(|function| {
        let events = function.property("/Events").as_object().into_iter().flatten();
        events.map(|(name, event)| (function.id.as_str(), name.as_str(), event))
    })
}

fn triggers_are_tuned_as_decided(world: &World) -> Vec<String> {
    let mut faults = Vec::new();
    for (id, name, event) in events(world) {
        let wanted: &[(&str, Value)] = match event["Type"].as_str().unwrap_or_default() {
            // No more at once than the reserved share of the function behind.
            "SQS" => &[("BatchSize", json!(10)), ("ScalingConfig", json!({"MaximumConcurrency": 10}))],
            "DynamoDB" => &[
                ("BatchSize", json!(100)),
                ("ParallelizationFactor", json!(2)),
                ("BisectBatchOnFunctionError", json!(true)),
                ("StartingPosition", json!("TRIM_HORIZON")),
            ],
            _ => &[],
        };
        let properties = &event["Properties"];
        let wrong = wanted.iter().filter(|(property, wanted)| properties[property] != *wanted);
        faults.extend(wrong.map(|(property, wanted)| format!("{id}.{name}: {property} must be {wanted}")));
    }
    faults
}

fn tables_are_kept_whatever_happens_to_the_stack(world: &World) -> Vec<String> {
    let mut faults = Vec::new();
    for table in world.of_type("AWS::DynamoDB::Table") {
        let id = &table.id;
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
            if table.body[policy] != "Retain" {
                faults.push(format!("{id}: {policy} must be Retain"));
            }
        }
        let protected = json!({"If": ["IsProtected", true, false]});
        faults.extend(differ(table, [("/DeletionProtectionEnabled", protected)]));
        let name = table.property("/TableName/Sub").as_str().unwrap_or_default();
        if !name.starts_with("${AWS::StackName}-") {
            faults.push(format!("{id}: its TableName must begin with the stack's"));
        }
        faults.extend(attributes(table));
    }
    faults
}

/// DynamoDB wants the attributes of all keys defined, and no others.
fn attributes(table: &Resource) -> Option<String> {
    let names = |list: &Value| -> Vec<String> {
        let names = list.as_array().into_iter().flatten().filter_map(|entry| entry["AttributeName"].as_str());
        names.map(str::to_owned).collect()
    };
    let mut wanted = names(table.property("/KeySchema"));
    for index in table.property("/GlobalSecondaryIndexes").as_array().into_iter().flatten() {
        wanted.extend(names(&index["KeySchema"]));
    }
    let defined = names(table.property("/AttributeDefinitions"));
    (defined != wanted).then(|| format!("{}: its AttributeDefinitions must be {wanted:?}", table.id))
}

fn messages_are_kept_and_encrypted(world: &World) -> Vec<String> {
    let mut faults = Vec::new();
    for queue in world.of_type("AWS::SQS::Queue") {
        let wanted = [("/SqsManagedSseEnabled", json!(true)), ("/MessageRetentionPeriod", json!(1_209_600))];
        faults.extend(differ(queue, wanted));
        if !queue
            .property("/QueueName/Sub")
            .as_str()
            .is_some_and(|name| name.starts_with("${AWS::StackName}-"))
        {
            faults.push(format!("{}: its QueueName must begin with the stack's", queue.id));
        }
    }
    // CloudWatch may not use the key that AWS manages for SNS, so what alarms say is not encrypted; it is no secret.
    for topic in world.of_type("AWS::SNS::Topic").filter(|topic| topic.id != "Alarms") {
        faults.extend(differ(topic, [("/KmsMasterKeyId", json!("alias/aws/sns"))]));
    }
    for subscription in world.of_type("AWS::SNS::Subscription") {
        faults.extend(differ(subscription, [("/Protocol", json!("sqs"))]));
    }
    faults
}

fn policies_are_of_the_current_language(world: &World) -> Vec<String> {
    fn documents<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
        match value {
            Value::Object(object) => {
                if object.contains_key("Statement") {
                    found.push(value);
                }
                object.values().for_each(|value| documents(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| documents(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let of = |resource: &Resource| {
        let mut found = Vec::new();
        documents(&resource.body, &mut found);
        found.iter().any(|document| document["Version"] != "2012-10-17")
    };
    let old = world.resources.iter().filter(|resource| of(resource));
    let fault =
        |id: &str| format!("{id}: say Version: '2012-10-17' in its policy, or the one of 2008 is meant");
    old.map(|resource| fault(&resource.id)).collect()
}

fn logs_end_when_the_parameter_says(world: &World) -> Vec<String> {
    let groups = world.of_type("AWS::Logs::LogGroup");
    groups
        .flat_map(|group| differ(group, [("/RetentionInDays", json!({"Ref": "LogRetentionDays"}))]))
        .collect()
}

/// Parameters that take what cannot be said in a list or a pattern.
const FREE_TEXT: [&str; 2] = ["AllowOrigin", "LogRetentionDays"];

fn parameters_explain_themselves(world: &World) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, parameter) in world.document["Parameters"].as_object().into_iter().flatten() {
        if parameter["Description"].as_str().is_none_or(str::is_empty) {
            faults.push(format!("{name}: say in Description what it is for"));
        }
        let values = parameter["AllowedValues"].as_array().map_or(0, Vec::len);
        let bounded = values > 1 || !parameter["AllowedPattern"].is_null();
        if bounded == FREE_TEXT.contains(&name.as_str()) {
            faults.push(format!("{name}: say AllowedValues or AllowedPattern, or name it in FREE_TEXT"));
        }
    }
    faults
}

fn what_comes_out_is_explained(world: &World) -> Vec<String> {
    let outputs = &world.document["Outputs"];
    let mut faults = Vec::new();
    for (name, mentioned) in
        [("BaseUrl", "Api"), ("DashboardUrl", "Dashboard"), ("ServiceCredentialsArn", "ServiceCredentials")]
    {
        let output = &outputs[name];
        let value = &output["Value"];
        let named = value["Sub"].as_str().is_some_and(|text| between(text, "${", "}").contains(&mentioned));
        if !(named || value["Ref"] == mentioned) || output["Description"].as_str().is_none_or(str::is_empty) {
            faults.push(format!("Outputs: {name} must be there, name {mentioned}, and have a Description"));
        }
    }
    faults
}

#[test]
fn a_circle_is_found() {
    let mut document = template();
    let alarm = &mut document["Resources"]["StockWorkerErrors"]["Properties"]["Dimensions"][0]["Value"];
    *alarm = yaml_serde::from_str("!Ref SalesApiFunction").unwrap();
    let faults = a_deployment_does_not_wait_for_itself(&World::new(document).unwrap());
    assert!(faults.iter().any(|fault| fault.contains("ContactQueryFunction.Alias")), "{faults:?}");
}
