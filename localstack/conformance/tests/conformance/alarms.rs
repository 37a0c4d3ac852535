//! Alarms and the dashboard: every failure mode has an alarm, and every metric that is shown or watched
//! exists.

use std::collections::BTreeSet;

use erp_aws::metric::{DIMENSION, Metric, NAMESPACE};
use erp_local::deployment::TriggerSource;
use serde_json::{Value, json};
use strum::VariantArray;

use crate::source_files::between;
use crate::template::{Resource, Template};

pub(crate) mod checks {
    crate::template_checks::register!(
        every_failure_mode_has_an_alarm,
        an_authorizer_that_rejects_every_token_has_an_alarm,
        every_alarm_is_complete_and_notifies_the_alarm_topic,
        no_alarm_watches_a_metric_that_does_not_exist,
        the_dashboard_shows_every_metric_and_every_alarm,
        the_dashboard_refers_only_to_existing_resources_and_metrics,
    );
}

const ALARM: &str = "AWS::CloudWatch::Alarm";

/// Properties that every alarm must set, also where CloudWatch has a default.
const REQUIRED: [&str; 11] = [
    "AlarmActions",
    "AlarmDescription",
    "ComparisonOperator",
    "Dimensions",
    "EvaluationPeriods",
    "MetricName",
    "Namespace",
    "OKActions",
    "Period",
    "Threshold",
    "TreatMissingData",
];

/// Alarms on metrics of the whole account, which have no dimension.
const ACCOUNT_WIDE: [&str; 1] = ["Throttled"];

/// Heartbeats: alarms on missing data, that is on a scheduled function that does not run.
const HEARTBEATS: [&str; 2] = ["SweepMissing", "ReconciliationMissing"];

/// Properties that an alarm on an expression has per metric.
const PER_METRIC: [&str; 4] = ["Dimensions", "MetricName", "Namespace", "Period"];

/// Returns whether an alarm watches a statistic of a metric; `dimension` is the value of its first dimension.
fn watches(alarm: &Resource, namespace: &str, metric: &str, statistic: &str, dimension: &Value) -> bool {
    let found = alarm.property("/Statistic").as_str().or(alarm.property("/ExtendedStatistic").as_str());
    alarm.property("/Namespace") == namespace
        && alarm.property("/MetricName") == metric
        && found == Some(statistic)
        && alarm.property("/Dimensions/0/Value") == dimension
}

fn every_failure_mode_has_an_alarm(template: &Template) -> Vec<String> {
    let mut expected = Vec::new();
    for queue in &template.deployment.queues {
        let dimension = json!({"GetAtt": format!("{}.QueueName", queue.logical_id)});
        let has_dead_letter_queue = queue.attributes.contains_key("RedrivePolicy");
        let metric = if has_dead_letter_queue {
            "ApproximateAgeOfOldestMessage"
        } else {
            "ApproximateNumberOfMessagesVisible"
        };
        expected.push(("AWS/SQS", metric, "Maximum", dimension));
    }
    let subscriptions = template.of_type("AWS::SNS::Subscription");
    for subscription in subscriptions.filter(|subscription| subscription.property("/Protocol") == "sqs") {
        let topic = subscription.property("/TopicArn/Ref").as_str().unwrap_or_default();
        let dimension = json!({"GetAtt": format!("{topic}.TopicName")});
        expected.push(("AWS/SNS", "NumberOfNotificationsFailed", "Sum", dimension));
    }
    for function in &template.deployment.functions {
        let dimension = json!({"Ref": function.logical_id});
        let triggers =
            || template.deployment.triggers.iter().filter(|trigger| trigger.function == function.logical_id);
        // The failure of a function behind the API is a 5xx of the API.
        if triggers().next().is_some() || function.binary == "authorizer" {
            expected.push(("AWS/Lambda", "Errors", "Sum", dimension.clone()));
        }
        if triggers().any(|trigger| matches!(trigger.source, TriggerSource::Stream { .. })) {
            expected.push(("AWS/Lambda", "IteratorAge", "Maximum", dimension.clone()));
        }
        // A batch with failures is a successful invocation.
        if triggers().any(|trigger| !matches!(trigger.source, TriggerSource::Schedule { .. })) {
            expected.push((NAMESPACE, Metric::MessagesFailed.as_str(), "Sum", dimension.clone()));
        }
        if triggers().any(|trigger| matches!(trigger.source, TriggerSource::Queue { .. })) {
            expected.push((NAMESPACE, Metric::MessagesOverdue.as_str(), "Maximum", dimension));
        }
    }
    let api = json!({"Sub": "${AWS::StackName}-api"});
    expected.push(("AWS/ApiGateway", "5XXError", "Sum", api.clone()));
    expected.push(("AWS/ApiGateway", "5XXError", "Average", api.clone()));
    expected.push(("AWS/ApiGateway", "Latency", "p99", api));
    expected.push(("AWS/Lambda", "Throttles", "Sum", Value::Null));
    if let Some(function) = template.function_of_binary("relay-sweep") {
        let dimension = json!({"Ref": function.logical_id});
        expected.push((NAMESPACE, Metric::OutboxRepublished.as_str(), "Sum", dimension.clone()));
        expected.push((NAMESPACE, Metric::OutboxRepublished.as_str(), "SampleCount", dimension));
    }
    if let Some(function) = template.function_of_binary("reconcile") {
        let dimension = json!({"Ref": function.logical_id});
        let metric = Metric::ReconciliationMismatches.as_str();
        expected.push((NAMESPACE, metric, "Maximum", dimension.clone()));
        expected.push((NAMESPACE, metric, "SampleCount", dimension.clone()));
        expected.push((NAMESPACE, Metric::ReconciliationPassAge.as_str(), "Maximum", dimension));
    }
    let missing = expected.into_iter().filter(|(namespace, metric, statistic, dimension)| {
        !template.of_type(ALARM).any(|alarm| watches(alarm, namespace, metric, statistic, dimension))
    });
    let violations = missing.map(|(namespace, metric, statistic, dimension)| {
        format!("add an alarm on the {statistic} of {namespace} {metric} of {dimension}")
    });
    violations.collect()
}

/// Lambda counts a rejected token as an error, and some tokens are always invalid. So the alarms compare errors
/// with invocations: of the function, and of the new version of a canary deployment.
fn an_authorizer_that_rejects_every_token_has_an_alarm(template: &Template) -> Vec<String> {
    let function = json!({"Name": "FunctionName", "Value": {"Ref": "AuthorizerFunction"}});
    let alias = json!({"Name": "Resource", "Value": {"Sub": "${AuthorizerFunction}:live"}});
    let version =
        json!({"Name": "ExecutedVersion", "Value": {"GetAtt": "AuthorizerFunction.Version.Version"}});
    let whole = json!([function]);
    let canary = json!([function, alias, version]);
    let expected = [
        ("AuthorizerRejectsAll", 20, 300, 1, Value::Null, whole),
        ("AuthorizerCanaryRejectsAll", 3, 60, 5, json!(2), canary),
    ];
    let mut violations = Vec::new();
    for (id, errors, period, periods, datapoints, dimensions) in expected {
        let metric = |id: &str, name: &str| {
            let metric = json!({"Namespace": "AWS/Lambda", "MetricName": name, "Dimensions": dimensions});
            let statistic = json!({"Stat": "Sum", "Period": period, "Metric": metric});
            json!({"Id": id, "ReturnData": false, "MetricStat": statistic})
        };
        let expression = format!("IF(errors >= {errors} AND errors >= invocations, 1, 0)");
        let metrics = json!([
            {"Id": "rejects_all", "Expression": expression, "ReturnData": true},
            metric("invocations", "Invocations"),
            metric("errors", "Errors"),
        ]);
        let properties = [
            ("Metrics", metrics),
            ("EvaluationPeriods", json!(periods)),
            ("DatapointsToAlarm", datapoints),
            ("Threshold", json!(1)),
        ];
        for (name, expected) in properties {
            if template.resource(id).is_none_or(|alarm| *alarm.property(&format!("/{name}")) != expected) {
                violations.push(format!("{id}: {name} must be {expected}"));
            }
        }
    }
    violations
}

fn every_alarm_is_complete_and_notifies_the_alarm_topic(template: &Template) -> Vec<String> {
    let mut violations = Vec::new();
    for alarm in template.of_type(ALARM) {
        let id = &alarm.id;
        for name in REQUIRED {
            let optional = name == "Dimensions" && ACCOUNT_WIDE.contains(&id.as_str())
                || PER_METRIC.contains(&name) && !alarm.property("/Metrics").is_null();
            if alarm.property(&format!("/{name}")).is_null() && !optional {
                violations.push(format!("{id}: set {name}"));
            }
        }
        for name in ["AlarmActions", "OKActions"] {
            if alarm.property(&format!("/{name}")) != &json!([{"Ref": "Alarms"}]) {
                violations.push(format!("{id}: {name} must be [!Ref Alarms]"));
            }
        }
        let names = dimension_names(alarm);
        let expected: &[&str] = match alarm.property("/Namespace").as_str().unwrap_or_default() {
            "AWS/SQS" => &["QueueName"],
            "AWS/SNS" => &["TopicName"],
            "AWS/ApiGateway" => &["ApiName", "Stage"],
            _ if ACCOUNT_WIDE.contains(&id.as_str()) || !alarm.property("/Metrics").is_null() => &[],
            _ => &[DIMENSION],
        };
        if names != expected {
            violations.push(format!("{id}: Dimensions must be {expected:?}, not {names:?}"));
        }
        if expected.contains(&"Stage") && *alarm.property("/Dimensions/1/Value") != json!({"Ref": "Stage"}) {
            violations.push(format!("{id}: the dimension Stage must be !Ref Stage"));
        }
        let heartbeat = HEARTBEATS.contains(&id.as_str());
        let missing = if heartbeat { "breaching" } else { "notBreaching" };
        if alarm.property("/TreatMissingData") != missing {
            violations.push(format!("{id}: set TreatMissingData: {missing}"));
        }
        let (comparison, threshold) = if heartbeat {
            ("LessThanThreshold", json!(1))
        } else {
            ("GreaterThanOrEqualToThreshold", alarm.property("/Threshold").clone())
        };
        if alarm.property("/ComparisonOperator") != comparison || *alarm.property("/Threshold") != threshold {
            violations.push(format!("{id}: ComparisonOperator must be {comparison}, Threshold {threshold}"));
        }
    }
    let name = template.resource("Alarms").map(|topic| topic.property("/TopicName").clone());
    if name != Some(json!({"Sub": "${AWS::StackName}-alarms"})) {
        violations.push("Alarms: TopicName must be !Sub '${AWS::StackName}-alarms'".to_owned());
    }
    violations
}

fn dimension_names(alarm: &Resource) -> Vec<&str> {
    let dimensions = alarm.property("/Dimensions").as_array().into_iter().flatten();
    dimensions.filter_map(|dimension| dimension["Name"].as_str()).collect()
}

fn no_alarm_watches_a_metric_that_does_not_exist(template: &Template) -> Vec<String> {
    let on_own_metrics = template.of_type(ALARM).filter(|alarm| alarm.property("/Namespace") == NAMESPACE);
    let wrong = on_own_metrics.filter(|alarm| {
        let metric = alarm.property("/MetricName").as_str().unwrap_or_default();
        !Metric::VARIANTS.iter().any(|known| known.as_str() == metric)
    });
    wrong.map(|alarm| format!("{}: MetricName is not an erp_aws::metric::Metric", alarm.id)).collect()
}

/// Returns the text of the dashboard, and the JSON in it.
fn dashboard(template: &Template) -> Result<(&str, Value), String> {
    let dashboard = template.of_type("AWS::CloudWatch::Dashboard").next();
    let dashboard = dashboard.ok_or("add an AWS::CloudWatch::Dashboard")?;
    if *dashboard.property("/DashboardName") != json!({"Ref": "AWS::StackName"}) {
        return Err(format!("{}: DashboardName must be !Ref AWS::StackName", dashboard.id));
    }
    let text = dashboard.property("/DashboardBody/Sub").as_str();
    let text = text.ok_or_else(|| format!("{}: DashboardBody must be !Sub of a text", dashboard.id))?;
    let body = serde_json::from_str(text);
    Ok((text, body.map_err(|error| format!("{}: DashboardBody is not JSON: {error}", dashboard.id))?))
}

/// Returns the metrics that the dashboard shows: namespace, metric, then names and values of dimensions.
fn shown_metrics(body: &Value) -> Vec<Vec<&str>> {
    let widgets = body["widgets"].as_array().into_iter().flatten();
    let rows = widgets.flat_map(|widget| widget["properties"]["metrics"].as_array().into_iter().flatten());
    rows.map(|row| row.as_array().into_iter().flatten().filter_map(Value::as_str).collect()).collect()
}

fn the_dashboard_shows_every_metric_and_every_alarm(template: &Template) -> Vec<String> {
    let body = match dashboard(template) {
        Ok((_, body)) => body,
        Err(violation) => return vec![violation],
    };
    let shown: BTreeSet<(&str, &str)> =
        shown_metrics(&body).iter().filter_map(|row| Some((*row.first()?, *row.get(1)?))).collect();
    let has_reconciliation = template.function_of_binary("reconcile").is_some();
    let own = Metric::VARIANTS.iter().map(|metric| (NAMESPACE, metric.as_str()));
    let expected = own.filter(|(_, name)| has_reconciliation || !name.starts_with("Reconciliation")).chain([
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage"),
        ("AWS/Lambda", "IteratorAge"),
        ("AWS/Lambda", "Errors"),
        ("AWS/Lambda", "Throttles"),
        ("AWS/ApiGateway", "Count"),
        ("AWS/ApiGateway", "5XXError"),
        ("AWS/ApiGateway", "Latency"),
    ]);
    let missing = expected.filter(|metric| !shown.contains(metric));
    let missing = missing.map(|(namespace, metric)| format!("show {namespace} {metric} on the dashboard"));
    let listed = body["widgets"][0]["properties"]["alarms"].as_array().cloned().unwrap_or_default();
    let arn = |alarm: &Resource| Value::from(format!("${{{}.Arn}}", alarm.id));
    let unlisted = template.of_type(ALARM).filter(|alarm| !listed.contains(&arn(alarm)));
    let unlisted = unlisted.map(|alarm| format!("list {} in the first widget of the dashboard", alarm.id));
    missing.chain(unlisted).collect()
}

fn the_dashboard_refers_only_to_existing_resources_and_metrics(template: &Template) -> Vec<String> {
    // `the_dashboard_shows_every_metric_and_every_alarm` reports an invalid dashboard.
    let Ok((text, body)) = dashboard(template) else { return Vec::new() };
    let mut violations = Vec::new();
    for name in between(text, "${", "}") {
        let id = name.split('.').next().unwrap_or_default();
        let is_parameter = template.document["Parameters"].get(id).is_some();
        if !(id.starts_with("AWS::") || is_parameter || template.resource(id).is_some()) {
            violations.push(format!("dashboard: the template has no resource or parameter {id}"));
        }
    }
    for row in shown_metrics(&body).into_iter().filter(|row| row.first() == Some(&NAMESPACE)) {
        let is_metric = Metric::VARIANTS.iter().any(|metric| row.get(1) == Some(&metric.as_str()));
        if !is_metric || row.get(2) != Some(&DIMENSION) || row.len() != 4 {
            violations.push(format!("dashboard: no function writes the metric {row:?}"));
        }
    }
    violations
}
