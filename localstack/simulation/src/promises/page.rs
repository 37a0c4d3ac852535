//! The figures of `docs/promises.md`.

use std::fmt::Write;
use std::io::{Error, ErrorKind};

use erp_simulation::control::{self, Detections};
use erp_simulation::figures::rule_of_three;

use crate::evidence::Evidence;

const BEGIN: &str = "<!-- figures: written by `cargo run --profile simulation --bin promises` -->";
const END: &str = "<!-- end of figures -->";

/// Replaces the figures of the page.
///
/// # Errors
/// If the page has no place for figures.
pub(crate) fn replace(page: &str, figures: &str) -> Result<String, Error> {
    let place = page.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let Some((before, after)) = place else {
        return Err(Error::new(ErrorKind::InvalidData, format!("the page lacks {BEGIN} or {END}")));
    };
    Ok(format!("{before}{BEGIN}\n{figures}{END}{after}"))
}

/// Renders the figures as Markdown.
pub(crate) fn render(evidence: &Evidence) -> String {
    let mut page = String::new();
    // Writing to a string does not fail.
    let done = scenarios(&mut page, evidence)
        .and_then(|()| crashes(&mut page, evidence))
        .and_then(|()| controls(&mut page, evidence));
    match done {
        Ok(()) => page,
        Err(error) => format!("{page}\n\n{error}\n"),
    }
}

fn scenarios(page: &mut String, evidence: &Evidence) -> std::fmt::Result {
    let figures = &evidence.scenarios;
    let broken = figures.broken_seeds.len() as u64;
    let requests: u64 = figures.operations.values().sum();
    let last = figures.first_seed + figures.scenarios.saturating_sub(1);
    writeln!(page, "\n### Scenarios\n")?;
    writeln!(
        page,
        "{} scenarios of {} steps, seeds {} to {last}, {:.0} s on {} processors: {} requests, {} of them about orders; {} \
         calls to AWS, {} commits, {} deliveries to workers and {} stream records to the relay.\n",
        grouped(figures.scenarios),
        evidence.steps,
        figures.first_seed,
        figures.seconds,
        erp_simulation::run::processors(),
        grouped(requests),
        grouped(figures.order_operations),
        grouped(figures.counts.calls),
        grouped(figures.commits),
        grouped(figures.counts.deliveries),
        grouped(figures.counts.records),
    )?;
    writeln!(page, "| injected fault or recovery | times |\n| --- | ---: |")?;
    let others = [
        ("crashed invocations", figures.counts.crashes),
        ("timed-out invocations", figures.counts.time_outs),
        ("stream records that expired while the relay was stopped for 48 hours", figures.counts.expired),
        ("events published by the sweep", figures.counts.swept),
        ("redriven dead letters", figures.counts.redriven),
    ];
    let faults = figures.counts.faults.iter().map(|(name, times)| (describe(name), *times));
    for (name, times) in faults.chain(others) {
        writeln!(page, "| {name} | {} |", grouped(times))?;
    }
    writeln!(
        page,
        "\n| promise | checks | violations | upper bound of the failure rate, 95 % confidence |\n| --- | ---: | ---: | ---: |"
    )?;
    for (promise, times) in &figures.checks {
        let bound = if broken == 0 { share(*times) } else { "—".to_owned() };
        writeln!(page, "| {promise} | {} | {broken} | {bound} |", grouped(*times))?;
    }
    writeln!(
        page,
        "| **scenarios** | {} | {broken} | {} |",
        grouped(figures.scenarios),
        if broken == 0 { share(figures.scenarios) } else { "—".to_owned() }
    )?;
    writeln!(
        page,
        "\nThe upper bound for 0 of n is 3/n (rule of three) if the n are independent. Scenarios are; checks within one \
         scenario are not quite."
    )
}

fn crashes(page: &mut String, evidence: &Evidence) -> std::fmt::Result {
    let points: usize = evidence.crashes.iter().map(|report| report.points).sum();
    let broken: usize = evidence.crashes.iter().map(|report| report.failures.len()).sum();
    writeln!(page, "\n### Crash points\n")?;
    writeln!(
        page,
        "{} operations, {} of {points} crash points recovered with every promise kept and the final state of the run \
         without a crash ({:.0} s).\n",
        evidence.crashes.len(),
        points.saturating_sub(broken),
        evidence.seconds.get("crash points").copied().unwrap_or_default(),
    )?;
    writeln!(
        page,
        "| operation | calls to AWS, by function | crash points recovered |\n| --- | --- | ---: |"
    )?;
    for report in &evidence.crashes {
        let calls: Vec<_> = report.calls.iter().map(|(name, times)| format!("{name} {times}")).collect();
        let recovered = report.runs.saturating_sub(report.failures.len());
        writeln!(page, "| {} | {} | {recovered} of {} |", report.operation, calls.join(", "), report.points)?;
    }
    Ok(())
}

fn controls(page: &mut String, evidence: &Evidence) -> std::fmt::Result {
    let (bugs, controls): (Vec<_>, Vec<_>) =
        evidence.controls.iter().partition(|(name, _)| *name != control::NO_BUG);
    let detected = bugs.iter().filter(|(_, detections)| detections.first.is_some()).count();
    writeln!(page, "\n### Negative controls\n")?;
    writeln!(page, "{detected} of {} injected bugs are detected.", bugs.len())?;
    for (_, detections) in controls {
        writeln!(page, "Without an injected bug, the same {} scenarios report nothing.", detections.seeds)?;
    }
    writeln!(
        page,
        "\n| injected bug | seeds until detected | by | seeds until detected by the final state |\n| --- | ---: | --- | ---: |"
    )?;
    for (name, detections) in bugs {
        writeln!(page, "| {name} | {} |", detection(detections))?;
    }
    Ok(())
}

fn detection(detections: &Detections) -> String {
    let by_final_state =
        detections.final_state.as_ref().map_or("—".to_owned(), |detection| detection.seeds.to_string());
    match &detections.first {
        Some(detection) => {
            format!("{} | {} | {by_final_state}", detection.seeds, detection.by.replace('|', "/"))
        }
        None => format!("not in {} | | {by_final_state}", detections.seeds),
    }
}

/// Returns the description of a fault.
fn describe(fault: &str) -> &'static str {
    match fault {
        "refused" => "connections refused",
        "server_error" => "internal errors, not executed",
        "throttled" => "throttled calls",
        "conflict" => "transaction conflicts",
        "lost_response" => "executed calls whose response was lost",
        "late_response" => "executed calls whose response timed out",
        "error_after" => "executed calls with an internal error as response",
        "partial" => "partially executed batches",
        "crash_before" => "crashes before a call",
        "crash_after" => "crashes after a call, before its response",
        _ => "other faults",
    }
}

/// Returns the upper bound of a failure rate.
fn share(n: u64) -> String {
    rule_of_three(n).map_or("—".to_owned(), |share| format!("{share:.1e}"))
}

/// Formats a number with separators.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
