//! The monthly cost of a stack without traffic, as the table in docs/runbook.md.

use std::fmt::Write as _;

use erp_testkit::snapshot::assert_file;

use crate::template::{Template, workspace};

const BEGIN: &str =
    "<!-- idle: written by `INSTA_UPDATE=always cargo test -p erp-conformance --test conformance idle` -->\n";
const END: &str = "<!-- end of idle -->\n";

// US dollars a month, us-east-1, without free tiers.
const ALARM: f64 = 0.10;
const DASHBOARD: f64 = 3.00;
const SECRET: f64 = 0.40;
const METRIC: f64 = 0.30;
/// Lambda polls a queue with five connections, each with requests of 20 seconds, at $0.40 per million requests.
const POLLED_QUEUE: f64 = 5.0 * 3.0 * MINUTES * 0.40 / 1e6;
/// A run with nothing to do. The cost of `relay-sweep` is measured, see the table of operations.
const SCHEDULED_RUN: f64 = 2.35 / 1e6;

const MINUTES: f64 = 30.0 * 24.0 * 60.0;
/// The scheduled functions, which write their metrics in every run, also when they are 0.
const SCHEDULED: [&str; 2] = ["functions/relay/src/sweep.rs", "functions/operator/src/scheduled.rs"];

/// Returns the runs per month of a schedule, such as `rate(5 minutes)`.
fn runs(schedule: &str) -> f64 {
    let rate = schedule.strip_prefix("rate(").and_then(|rate| rate.strip_suffix(')'));
    let (count, unit) = rate.and_then(|rate| rate.split_once(' ')).unwrap_or_else(|| panic!("{schedule}"));
    let minutes = match unit {
        "minute" | "minutes" => 1.0,
        "hour" | "hours" => 60.0,
        _ => panic!("add the unit of {schedule} here"),
    };
    MINUTES / (count.parse::<f64>().unwrap() * minutes)
}

/// Returns the resources of a type that every stack has.
fn count(template: &Template, kind: &str) -> f64 {
    template.of_type(kind).filter(|resource| resource.body.get("Condition").is_none()).map(|_| 1.0).sum()
}

/// Returns the events of all functions that have a type, as `Properties`.
fn events<'a>(template: &'a Template, kind: &str) -> impl Iterator<Item = &'a serde_json::Value> {
    let functions = template.of_type("AWS::Serverless::Function");
    let events =
        functions.flat_map(|function| function.property("/Events").as_object().into_iter().flatten());
    events
        .map(|(_, event)| event)
        .filter(move |event| event["Type"] == kind)
        .map(|event| &event["Properties"])
}

fn render(template: &Template) -> String {
    let schedules = events(template, "Schedule");
    let scheduled: f64 = schedules.map(|event| runs(event["Schedule"].as_str().unwrap())).sum();
    let queues: f64 = events(template, "SQS").map(|_| 1.0).sum();
    let sources = SCHEDULED.map(|path| std::fs::read_to_string(workspace().join(path)).unwrap());
    let metrics: f64 = sources.concat().matches("(Metric::").map(|_| 1.0).sum();
    let rows = [
        ("alarms", count(template, "AWS::CloudWatch::Alarm"), ALARM),
        ("dashboard", count(template, "AWS::CloudWatch::Dashboard"), DASHBOARD),
        ("secrets", count(template, "AWS::SecretsManager::Secret"), SECRET),
        ("custom metrics of the scheduled functions", metrics, METRIC),
        ("queues that Lambda polls", queues, POLLED_QUEUE),
        ("runs of scheduled functions", scheduled, SCHEDULED_RUN),
    ];
    let mut table = "\n| resource | number | $ each | $ a month |\n| --- | ---: | ---: | ---: |\n".to_owned();
    for (name, number, price) in rows {
        let each = if price < 0.01 { "0.00".to_owned() } else { format!("{price:.2}") };
        writeln!(table, "| {name} | {number} | {each} | {:.2} |", number * price).unwrap();
    }
    let all: f64 = rows.iter().map(|(_, number, price)| number * price).sum();
    writeln!(table, "| all | | | {all:.2} |\n").unwrap();
    table
}

#[test]
fn the_runbook_has_the_cost_of_an_idle_stack() {
    let path = workspace().join("docs/runbook.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the runbook has the marker of the table's begin");
    let (_, after) = rest.split_once(END).expect("the runbook has the marker of the table's end");
    assert_file(&path, &format!("{before}{BEGIN}{}{END}{after}", render(Template::committed())));
}
