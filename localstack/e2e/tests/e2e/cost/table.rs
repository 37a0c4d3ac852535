//! The table of costs in docs/runbook.md.

use std::fmt::Write as _;

use erp_testkit::snapshot::assert_file;

use super::price::PRICE_LIST;
use crate::target::workspace;

const BEGIN: &str = "<!-- cost: written by `INSTA_UPDATE=always cargo test -p erp-e2e --test e2e cost` -->\n";
const END: &str = "<!-- end of cost -->\n";
/// Maximum relative difference of a cost. The size of the logs, which is part of the cost, varies between
/// runs.
const TOLERANCE: f64 = 0.1;

/// The measured usage and cost of an operation.
pub(super) struct Row {
    /// Name of the operation.
    pub(super) name: String,
    /// SDK calls, invocations, read units, write units, publications and queue requests. These do not vary.
    pub(super) counts: Vec<String>,
    /// US dollars per million.
    pub(super) dollars: f64,
}

/// Compares the table in the runbook with the measured rows, or rewrites it if `INSTA_UPDATE` is `always`.
#[track_caller]
pub(super) fn assert_table(rows: &[Row]) {
    let path = workspace().join("docs/runbook.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the runbook has the marker of the table's begin");
    let (committed, after) = rest.split_once(END).expect("the runbook has the marker of the table's end");
    assert_file(&path, &format!("{before}{BEGIN}{}{END}{after}", render(rows, committed)));
}

/// Returns the table. A committed row remains if its cost differs by less than the tolerance.
fn render(rows: &[Row], committed: &str) -> String {
    let mut table = "
| operation | SDK calls | invocations | read units | write units | published | queue requests | $ per million |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"
    .to_owned();
    for row in rows.iter().map(render_row) {
        let row = committed.lines().find(|line| is_same(line, &row)).map_or(row.clone(), str::to_owned);
        writeln!(table, "{row}").unwrap();
    }
    writeln!(table, "\nPrices of {PRICE_LIST}, us-east-1.\n").unwrap();
    table
}

fn render_row(row: &Row) -> String {
    format!("| {} | {} | {:.2} |", row.name, row.counts.join(" | "), row.dollars)
}

/// Returns whether two rows have equal counts and similar costs.
fn is_same(committed: &str, measured: &str) -> bool {
    let [committed, measured] =
        [committed, measured].map(|row| row.trim_end_matches(" |").rsplit_once(" | "));
    let (Some((committed, cost)), Some((measured, measured_cost))) = (committed, measured) else {
        return false;
    };
    let dollars = |text: &str| text.parse::<f64>().ok();
    let (Some(cost), Some(measured_cost)) = (dollars(cost), dollars(measured_cost)) else { return false };
    committed == measured && (cost - measured_cost).abs() <= TOLERANCE * measured_cost
}
