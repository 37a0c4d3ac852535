//! The figures of `docs/promises.md`.

use std::fmt::Write;
use std::io::{Error, ErrorKind};

use erp_simulation::control::{self, Catch};
use erp_simulation::figures::rule_of_three;

use crate::evidence::Evidence;

const BEGIN: &str = "<!-- figures: written by `cargo run --profile simulation --bin promises` -->";
const END: &str = "<!-- end of figures -->";

/// The page with other figures.
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

/// The figures, as Markdown.
pub(crate) fn render(evidence: &Evidence) -> String {
    let mut page = String::new();
    // Writing to a string does not fail.
    let done = histories(&mut page, evidence)
        .and_then(|()| crashes(&mut page, evidence))
        .and_then(|()| controls(&mut page, evidence));
    match done {
        Ok(()) => page,
        Err(error) => format!("{page}\n\n{error}\n"),
    }
}

fn histories(page: &mut String, evidence: &Evidence) -> std::fmt::Result {
    let figures = &evidence.histories;
    let broken = figures.broken_seeds.len() as u64;
    let asked: u64 = figures.operations.values().sum();
    let last = figures.first_seed + figures.worlds.saturating_sub(1);
    writeln!(page, "\n### Histories\n")?;
    writeln!(
        page,
        "{} histories of {} steps, seeds {} to {last}, {:.0} s on {} processors: {} requests, {} of them about orders; {} \
         calls to AWS, {} commits, {} deliveries to workers and {} stream records to the relay.\n",
        grouped(figures.worlds),
        evidence.steps,
        figures.first_seed,
        figures.seconds,
        erp_simulation::run::processors(),
        grouped(asked),
        grouped(figures.order_operations),
        grouped(figures.counts.calls),
        grouped(figures.commits),
        grouped(figures.counts.deliveries),
        grouped(figures.counts.records),
    )?;
    writeln!(page, "| what went wrong on purpose | times |\n| --- | ---: |")?;
    let others = [
        ("functions that died", figures.counts.crashes),
        ("functions that ran into their time-out", figures.counts.time_outs),
        ("records that a stream forgot, a relay being away for 48 hours", figures.counts.records_forgotten),
        ("events that the sweep found and published", figures.counts.swept),
        ("dead letters sent back", figures.counts.redriven),
    ];
    let faults = figures.counts.faults.iter().map(|(name, times)| (told(name), *times));
    for (name, times) in faults.chain(others) {
        writeln!(page, "| {name} | {} |", grouped(times))?;
    }
    writeln!(
        page,
        "\n| promise | compared | broken | at most, with 95 % confidence |\n| --- | ---: | ---: | ---: |"
    )?;
    for (promise, times) in &figures.checks {
        let bound = if broken == 0 { share(*times) } else { "—".to_owned() };
        writeln!(page, "| {promise} | {} | {broken} | {bound} |", grouped(*times))?;
    }
    writeln!(
        page,
        "| **whole histories** | {} | {broken} | {} |",
        grouped(figures.worlds),
        if broken == 0 { share(figures.worlds) } else { "—".to_owned() }
    )?;
    writeln!(
        page,
        "\n0 of n says: with 95 % confidence at most 3/n go wrong (rule of three), if the n are independent. Whole \
         histories are; comparisons within one history are not quite."
    )
}

fn crashes(page: &mut String, evidence: &Evidence) -> std::fmt::Result {
    let points: usize = evidence.crashes.iter().map(|report| report.points).sum();
    let broken: usize = evidence.crashes.iter().map(|report| report.broken.len()).sum();
    writeln!(page, "\n### Crash points\n")?;
    writeln!(
        page,
        "{} operations, {} of {points} crash points recovered with every promise kept and the same end as without the \
         crash ({:.0} s).\n",
        evidence.crashes.len(),
        points.saturating_sub(broken),
        evidence.seconds.get("crash points").copied().unwrap_or_default(),
    )?;
    writeln!(page, "| operation | calls to AWS, by function | crash points kept |\n| --- | --- | ---: |")?;
    for report in &evidence.crashes {
        let calls: Vec<_> = report.calls.iter().map(|(name, times)| format!("{name} {times}")).collect();
        let kept = report.played.saturating_sub(report.broken.len());
        writeln!(page, "| {} | {} | {kept} of {} |", report.operation, calls.join(", "), report.points)?;
    }
    Ok(())
}

fn controls(page: &mut String, evidence: &Evidence) -> std::fmt::Result {
    let (bugs, nothing): (Vec<_>, Vec<_>) =
        evidence.controls.iter().partition(|(name, _)| *name != control::NOTHING_WRONG);
    let caught = bugs.iter().filter(|(_, catch)| catch.first.is_some()).count();
    writeln!(page, "\n### Bugs put in on purpose\n")?;
    writeln!(page, "{caught} of {} are noticed.", bugs.len())?;
    for (_, catch) in nothing {
        writeln!(page, "With nothing put in, the same {} histories say nothing.", catch.played)?;
    }
    writeln!(
        page,
        "\n| bug | seeds until noticed | by | seeds until the end state alone tells |\n| --- | ---: | --- | ---: |"
    )?;
    for (name, catch) in bugs {
        writeln!(page, "| {name} | {} |", noticed(catch))?;
    }
    Ok(())
}

fn noticed(catch: &Catch) -> String {
    let at_rest = catch.at_rest.as_ref().map_or("—".to_owned(), |notice| notice.seeds.to_string());
    match &catch.first {
        Some(notice) => format!("{} | {} | {at_rest}", notice.seeds, notice.by.replace('|', "/")),
        None => format!("not in {} | | {at_rest}", catch.played),
    }
}

/// A fault, for people.
fn told(fault: &str) -> &'static str {
    match fault {
        "refused" => "connections refused",
        "server_error" => "calls answered by an internal error, nothing done",
        "throttled" => "calls throttled",
        "conflict" => "transaction conflicts",
        "lost_answer" => "calls done whose answer was lost",
        "late_answer" => "calls done whose answer came too late",
        "error_after" => "calls done and answered by an internal error",
        "partial" => "batches done in part",
        "crash_before" => "functions killed before a call",
        "crash_after" => "functions killed after a call, before its answer",
        _ => "other faults",
    }
}

/// The most that goes wrong, if none of so many did.
fn share(n: u64) -> String {
    rule_of_three(n).map_or("—".to_owned(), |share| format!("{share:.1e}"))
}

/// A number as one reads it.
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
