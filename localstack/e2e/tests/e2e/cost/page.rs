//! The table of docs/runbook.md.

use std::fmt::Write as _;

use super::price::PRICES_OF;
use crate::target::workspace;

const BEGIN: &str =
    "<!-- cost: measured by `cargo test -p erp-e2e --test e2e cost`; UPDATE=1 writes it anew -->\n";
const END: &str = "<!-- end of cost -->\n";
/// Logs differ by some bytes from run to run, and so do the dollars.
const TOLERANCE: f64 = 0.1;

/// An operation.
pub(super) struct Row {
    pub(super) name: String,
    /// Calls, invocations, read and write units, publications, requests to queues: exactly these.
    pub(super) counts: Vec<String>,
    /// Per million.
    pub(super) dollars: f64,
}

/// Compares the page with what was measured, or makes it so.
pub(super) fn check_or_write(rows: &[Row]) {
    let path = workspace().join("docs/runbook.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the runbook has a place for the table");
    let (written, after) = rest.split_once(END).expect("the table in the runbook has an end");
    let table = render(rows);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    let differing: Vec<_> =
        rows.iter().map(render_row).filter(|row| !written.lines().any(|line| agree(line, row))).collect();
    let lines = |table: &str| table.lines().filter(|line| line.starts_with("| `")).count();
    assert!(
        differing.is_empty() && lines(written) == rows.len(),
        "docs/runbook.md says something else than was measured; look at it, then\n  \
         UPDATE=1 cargo test -p erp-e2e --test e2e cost\nwrites:\n{}",
        differing.join("\n")
    );
}

/// Whether two rows say the same, but for a few cents.
fn agree(written: &str, measured: &str) -> bool {
    let [written, measured] = [written, measured].map(|row| row.trim_end_matches(" |").rsplit_once(" | "));
    let (Some((written, cost)), Some((measured, measured_cost))) = (written, measured) else { return false };
    let cents = |text: &str| text.parse::<f64>().ok();
    let (Some(cost), Some(measured_cost)) = (cents(cost), cents(measured_cost)) else { return false };
    written == measured && (cost - measured_cost).abs() <= TOLERANCE * measured_cost
}

fn render(rows: &[Row]) -> String {
    let mut table = "
| operation | SDK calls | invocations | read units | write units | published | queue requests | $ per million |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"
    .to_owned();
    for row in rows {
        writeln!(table, "{}", render_row(row)).unwrap();
    }
    writeln!(table, "\nPrices of {PRICES_OF}, us-east-1.\n").unwrap();
    table
}

fn render_row(row: &Row) -> String {
    format!("| {} | {} | {:.2} |", row.name, row.counts.join(" | "), row.dollars)
}
