//! Refusals, as clients see them.

use erp_domain::order::{IllegalTransition, LinesError, MAX_LINES, NotADraft, OrderKind, Status};
use erp_http::{FieldError, Kind, Problem};
use serde_json::json;

use super::party_field;
use crate::Refusal;
use crate::pricing::{Fault, Shortage};

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(kind) => Self::not_found(kind.title()),
            Refusal::Faults(kind, faults) => {
                Self::invalid(faults.into_iter().map(|fault| field_error(kind, fault)).collect())
            }
            Refusal::Illegal(IllegalTransition { kind, from, transition }) => {
                let cannot = format!("it cannot be {}", transition.participle());
                illegal(kind, from, &cannot)
            }
            Refusal::NotADraft(NotADraft { kind, status }) => {
                illegal(kind, status, "only drafts can be changed")
            }
            Refusal::Short(shortages) => short(&shortages),
            Refusal::VersionMismatch(found) => Self::version_mismatch(found),
            Refusal::Busy => Self::new(Kind::Conflict, "Others change this at the same time; try again."),
        }
    }
}

fn illegal(kind: OrderKind, found: Status, consequence: &str) -> Problem {
    let detail = format!("This {} order is {found}; {consequence}.", kind.as_str());
    Problem::new(Kind::IllegalTransition, detail).with("status_found", json!(found))
}

fn field_error(kind: OrderKind, fault: Fault) -> FieldError {
    match fault {
        Fault::UnknownParty => {
            let reason = format!("there is no such {}", kind.party().as_str());
            FieldError::body(format!("/{}", party_field(kind)), reason)
        }
        Fault::UnknownItem(index) => {
            FieldError::body(format!("/items/{index}/item_id"), "there is no such item")
        }
        Fault::Subtotal(index) => {
            FieldError::body(format!("/items/{index}/quantity"), LinesError::Subtotal(index).to_string())
        }
        Fault::Total => FieldError::body("/items", LinesError::Total.to_string()),
        Fault::Count(count) => {
            let reason = format!("must have 1 to {MAX_LINES} elements, not {count}");
            FieldError::body("/items", reason)
        }
    }
}

/// Says what is short per item, and points at the lines of the order that want it.
fn short(shortages: &[Shortage]) -> Problem {
    let sentences = shortages.iter().map(|Shortage { item_id, wanted, available, .. }| {
        format!("{wanted} of item {item_id} are wanted, {available} are there")
    });
    let detail = format!("Not enough in stock: {}.", sentences.collect::<Vec<_>>().join("; "));
    let items = shortages.iter().map(|Shortage { item_id, wanted, available, .. }| {
        json!({"item_id": item_id, "wanted": wanted, "available": available})
    });
    let problem = Problem::new(Kind::InsufficientStock, detail).with("shortages", items.collect());
    let mut lines: Vec<(usize, i64)> =
        shortages.iter().flat_map(|short| short.lines.iter().map(|line| (*line, short.available))).collect();
    lines.sort_unstable();
    lines.into_iter().fold(problem, |problem, (line, available)| {
        problem.at(&format!("/items/{line}/quantity"), &format!("only {available} are in stock"))
    })
}
