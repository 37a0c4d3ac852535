//! Who is told of what, and the dashboard: what can go wrong has an alarm, and every figure shown or watched is one
//! that somebody makes.

use std::collections::BTreeSet;

use erp_aws::metric::{DIMENSION, Metric, NAMESPACE};
use erp_local::deployment::TriggerSource;
use serde_json::{Value, json};

use crate::source::between;
use crate::world::{Resource, World};

pub(crate) mod holds {
    crate::checks::checks!(
        whatever_can_go_wrong_has_an_alarm,
        an_alarm_says_everything_and_tells_somebody,
        no_alarm_watches_a_figure_that_nobody_makes,
        the_dashboard_shows_whether_orders_flow,
        the_dashboard_names_what_there_is,
    );
}

const ALARM: &str = "AWS::CloudWatch::Alarm";

/// What an alarm has to say; what of it goes without saying on AWS is said all the same.
const SAID: [&str; 11] = [
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

/// Alarms of the whole account, which so have no dimension.
const OF_THE_ACCOUNT: [&str; 1] = ["Throttled"];

/// Whether an alarm watches a figure of a resource.
fn watches(alarm: &Resource, namespace: &str, metric: &str, statistic: &str, of: &Value) -> bool {
    let said = alarm.property("/Statistic").as_str().or(alarm.property("/ExtendedStatistic").as_str());
    alarm.property("/Namespace") == namespace
        && alarm.property("/MetricName") == metric
        && said == Some(statistic)
        && alarm.property("/Dimensions/0/Value") == of
}

fn whatever_can_go_wrong_has_an_alarm(world: &World) -> Vec<String> {
    let mut wanted = Vec::new();
    for queue in &world.deployment.queues {
        let of = json!({"GetAtt": format!("{}.QueueName", queue.logical_id)});
        let dead = queue.attributes.contains_key("RedrivePolicy");
        let metric =
            if dead { "ApproximateAgeOfOldestMessage" } else { "ApproximateNumberOfMessagesVisible" };
        wanted.push(("AWS/SQS", metric, "Maximum", of));
    }
    for subscription in world.of_type("AWS::SNS::Subscription") {
        let topic = subscription.property("/TopicArn/Ref").as_str().unwrap_or_default();
        let of = json!({"GetAtt": format!("{topic}.TopicName")});
        wanted.push(("AWS/SNS", "NumberOfNotificationsFailed", "Sum", of));
    }
    for function in &world.deployment.functions {
        let of = json!({"Ref": function.logical_id});
        let triggers =
            || world.deployment.triggers.iter().filter(|trigger| trigger.function == function.logical_id);
        let is_authorizer = function.binary == "authorizer";
        // A function behind the API that fails is a 5xx of the API.
        if triggers().next().is_some() || is_authorizer {
            wanted.push(("AWS/Lambda", "Errors", "Sum", of.clone()));
        }
        if triggers().any(|trigger| matches!(trigger.source, TriggerSource::Stream { .. })) {
            wanted.push(("AWS/Lambda", "IteratorAge", "Maximum", of));
        }
    }
    let api = json!({"Sub": "${AWS::StackName}-api"});
    wanted.push(("AWS/ApiGateway", "5XXError", "Sum", api.clone()));
    wanted.push(("AWS/ApiGateway", "5XXError", "Average", api.clone()));
    wanted.push(("AWS/ApiGateway", "Latency", "p99", api));
    wanted.push(("AWS/Lambda", "Throttles", "Sum", Value::Null));
    if let Some(function) = world.binary("relay-sweep") {
        let of = json!({"Ref": function.logical_id});
        wanted.push((NAMESPACE, Metric::EventsSwept.as_str(), "Sum", of));
    }
    if let Some(function) = world.binary("reconcile") {
        let of = json!({"Ref": function.logical_id});
        wanted.push((NAMESPACE, Metric::ReconcileMismatches.as_str(), "Maximum", of));
    }
    let missing = wanted.into_iter().filter(|(namespace, metric, statistic, of)| {
        !world.of_type(ALARM).any(|alarm| watches(alarm, namespace, metric, statistic, of))
    });
    missing
        .map(|(namespace, metric, statistic, of)| {
            format!("add an alarm for the {statistic} of {namespace} {metric} of {of}")
        })
        .collect()
}

fn an_alarm_says_everything_and_tells_somebody(world: &World) -> Vec<String> {
    let mut faults = Vec::new();
    for alarm in world.of_type(ALARM) {
        let id = &alarm.id;
        for name in SAID {
            let spared = name == "Dimensions" && OF_THE_ACCOUNT.contains(&id.as_str());
            if alarm.property(&format!("/{name}")).is_null() && !spared {
                faults.push(format!("{id}: say its {name}"));
            }
        }
        for name in ["AlarmActions", "OKActions"] {
            if alarm.property(&format!("/{name}")) != &json!([{"Ref": "Alarms"}]) {
                faults.push(format!("{id}: its {name} must be [!Ref Alarms]"));
            }
        }
        let names = dimension_names(alarm);
        let wanted: &[&str] = match alarm.property("/Namespace").as_str().unwrap_or_default() {
            "AWS/SQS" => &["QueueName"],
            "AWS/SNS" => &["TopicName"],
            "AWS/ApiGateway" => &["ApiName", "Stage"],
            _ if OF_THE_ACCOUNT.contains(&id.as_str()) => &[],
            _ => &[DIMENSION],
        };
        if names != wanted {
            faults.push(format!("{id}: its Dimensions must be {wanted:?}, not {names:?}"));
        }
        if wanted.contains(&"Stage") && *alarm.property("/Dimensions/1/Value") != json!({"Ref": "Stage"}) {
            faults.push(format!("{id}: its Stage must be !Ref Stage"));
        }
        if alarm.property("/TreatMissingData") != "notBreaching" {
            faults.push(format!("{id}: no news is good news: TreatMissingData: notBreaching"));
        }
    }
    let name = world.resource("Alarms").map(|topic| topic.property("/TopicName").clone());
    if name != Some(json!({"Sub": "${AWS::StackName}-alarms"})) {
        faults.push("Alarms: its TopicName must be !Sub '${AWS::StackName}-alarms'".to_owned());
    }
    faults
}

fn dimension_names(alarm: &Resource) -> Vec<&str> {
    let dimensions = alarm.property("/Dimensions").as_array().into_iter().flatten();
    dimensions.filter_map(|dimension| dimension["Name"].as_str()).collect()
}

fn no_alarm_watches_a_figure_that_nobody_makes(world: &World) -> Vec<String> {
    let ours = world.of_type(ALARM).filter(|alarm| alarm.property("/Namespace") == NAMESPACE);
    let wrong = ours.filter(|alarm| {
        let metric = alarm.property("/MetricName").as_str().unwrap_or_default();
        !Metric::ALL.iter().any(|known| known.as_str() == metric)
    });
    wrong.map(|alarm| format!("{}: its MetricName is no erp_aws::metric::Metric", alarm.id)).collect()
}

/// The dashboard's text, and what it says once everything in `${}` is filled in with its own name.
fn dashboard(world: &World) -> Result<(&str, Value), String> {
    let dashboard = world.of_type("AWS::CloudWatch::Dashboard").next();
    let dashboard = dashboard.ok_or("add an AWS::CloudWatch::Dashboard")?;
    if *dashboard.property("/DashboardName") != json!({"Ref": "AWS::StackName"}) {
        return Err(format!("{}: its DashboardName must be !Ref AWS::StackName", dashboard.id));
    }
    let text = dashboard.property("/DashboardBody/Sub").as_str();
    let text = text.ok_or_else(|| format!("{}: its DashboardBody must be !Sub of a text", dashboard.id))?;
    let body = serde_json::from_str(text);
    Ok((text, body.map_err(|error| format!("{}: its DashboardBody is no JSON: {error}", dashboard.id))?))
}

/// Every row of metrics in it: namespace, metric, then names and values of dimensions.
fn shown(body: &Value) -> Vec<Vec<&str>> {
    let widgets = body["widgets"].as_array().into_iter().flatten();
    let rows = widgets.flat_map(|widget| widget["properties"]["metrics"].as_array().into_iter().flatten());
    rows.map(|row| row.as_array().into_iter().flatten().filter_map(Value::as_str).collect()).collect()
}

fn the_dashboard_shows_whether_orders_flow(world: &World) -> Vec<String> {
    let body = match dashboard(world) {
        Ok((_, body)) => body,
        Err(fault) => return vec![fault],
    };
    let shown: BTreeSet<(&str, &str)> =
        shown(&body).iter().filter_map(|row| Some((*row.first()?, *row.get(1)?))).collect();
    let reconciled = world.binary("reconcile").is_some();
    let ours = Metric::ALL.iter().map(|metric| (NAMESPACE, metric.as_str()));
    let wanted = ours.filter(|(_, name)| reconciled || !name.starts_with("Reconcile")).chain([
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage"),
        ("AWS/Lambda", "IteratorAge"),
        ("AWS/Lambda", "Errors"),
        ("AWS/Lambda", "Throttles"),
        ("AWS/ApiGateway", "Count"),
        ("AWS/ApiGateway", "5XXError"),
        ("AWS/ApiGateway", "Latency"),
    ]);
    let missing = wanted.filter(|wanted| !shown.contains(wanted));
    let missing = missing.map(|(namespace, metric)| format!("show {namespace} {metric} on the dashboard"));
    let listed = body["widgets"][0]["properties"]["alarms"].as_array().cloned().unwrap_or_default();
    let arn = |alarm: &Resource| Value::from(format!("${{{}.Arn}}", alarm.id));
    let unlisted = world.of_type(ALARM).filter(|alarm| !listed.contains(&arn(alarm)));
    missing.chain(unlisted.map(|alarm| format!("list {} first on the dashboard", alarm.id))).collect()
}

fn the_dashboard_names_what_there_is(world: &World) -> Vec<String> {
    // The other check says what is wrong with it as a whole.
    let Ok((text, body)) = dashboard(world) else { return Vec::new() };
    let mut faults = Vec::new();
    for name in between(text, "${", "}") {
        let id = name.split('.').next().unwrap_or_default();
        let is_parameter = world.document["Parameters"].get(id).is_some();
        if !(id.starts_with("AWS::") || is_parameter || world.resource(id).is_some()) {
            faults.push(format!("the dashboard: there is no {id}"));
        }
    }
    for row in shown(&body).into_iter().filter(|row| row.first() == Some(&NAMESPACE)) {
        let is_metric = Metric::ALL.iter().any(|metric| row.get(1) == Some(&metric.as_str()));
        if !is_metric || row.get(2) != Some(&DIMENSION) || row.len() != 4 {
            faults.push(format!("the dashboard: nobody makes the figure {row:?}"));
        }
    }
    faults
}
