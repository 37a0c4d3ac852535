//! Proves what `docs/promises.md` says, and writes it.
#![expect(clippy::print_stdout, reason = "a command says what it found")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use erp_simulation::control::{self, CONTROLS};
use erp_simulation::crash::{self, Report};

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("controls") {
        let caught = in_parallel(&CONTROLS, |control| control::search(control.make, 1..61, 200, false));
        for (control, caught) in CONTROLS.iter().zip(caught) {
            println!("{}\n    {:?}\n    {:?}", control.name, caught.first, caught.at_rest);
        }
        return ExitCode::SUCCESS;
    }
    if std::env::args().nth(1).as_deref() == Some("conditions") {
        let sites: Vec<_> = control::written(1..40, 200).into_iter().collect();
        let caught =
            in_parallel(&sites, |(site, _)| control::search(|| control::strip(site), 1..61, 200, true));
        for ((site, times), caught) in sites.iter().zip(caught) {
            println!(
                "{times:6} {} {} {} {}\n    {:?}\n    {:?}",
                site.table, site.row, site.action, site.condition, caught.first, caught.at_rest
            );
        }
        return ExitCode::SUCCESS;
    }
    let operations = crash::operations();
    let reports: Vec<Report> = in_parallel(&operations, |operation| crash::stop_everywhere(operation, 0, 1));
    for report in &reports {
        println!(
            "{:50} {:3} of {:3}",
            report.operation,
            report.played - report.broken.len().min(report.played),
            report.points
        );
        for broken in report.broken.iter().take(3) {
            println!("    {broken}");
        }
    }
    ExitCode::SUCCESS
}

/// Does something with each of them on every processor; the results in their order.
fn in_parallel<T: Sync, R: Send>(work: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = work.get(index) else { break };
                    let result = each(one);
                    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
