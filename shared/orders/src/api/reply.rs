//! Success. Answers to changes are made before they are saved, so they come as functions.

use erp_contracts::store::From as Start;
use erp_contracts::{Answer, Event, Page, Rows, Write};
use erp_domain::order::{Order, OrderKind, Transitioned};
use erp_http::paging::Meta;
use erp_http::{Idempotency, Problem, Reply, RequestInfo};
use serde::Serialize;

use crate::ports::Summary;

/// What a transition comes with.
pub fn advancing<D>(info: &RequestInfo, key: Idempotency) -> Write<Transitioned>
where
    D: for<'a> From<&'a Order> + Serialize,
{
    info.write(key, advanced::<D>)
}

/// 201 with a new order.
///
/// # Errors
/// When it cannot be written as JSON, which is a fault of ours.
pub fn created<D>(order: &Order) -> Result<Answer, serde_json::Error>
where
    D: for<'a> From<&'a Order> + Serialize,
{
    let message = format!("{} created successfully", order.kind.title());
    let location = format!("/api/{}/orders/{}", order.kind.as_str(), order.id);
    Ok(Reply::created(&message, &D::from(order), location)?.version(order.version).0)
}

/// 200 with an order that was asked for.
///
/// # Errors
/// As [`created`].
pub fn found<D>(order: &Order) -> Result<Answer, serde_json::Error>
where
    D: for<'a> From<&'a Order> + Serialize,
{
    said::<D>(order, "retrieved")
}

/// 200 with an order that was changed.
///
/// # Errors
/// As [`created`].
pub fn updated<D>(order: &Order) -> Result<Answer, serde_json::Error>
where
    D: for<'a> From<&'a Order> + Serialize,
{
    said::<D>(order, "updated")
}

/// 200 with an order after a transition.
fn advanced<D>(done: &Transitioned) -> Result<Answer, serde_json::Error>
where
    D: for<'a> From<&'a Order> + Serialize,
{
    said::<D>(&done.order, done.transition.participle())
}

fn said<D>(order: &Order, what: &str) -> Result<Answer, serde_json::Error>
where
    D: for<'a> From<&'a Order> + Serialize,
{
    let message = format!("{} {what} successfully", order.kind.title());
    Ok(Reply::ok(&message, &D::from(order))?.version(order.version).0)
}

/// 200 with a page of orders.
///
/// # Errors
/// As [`created`].
pub fn listed<D>(kind: OrderKind, page: Page, found: Rows<Summary>) -> Result<Reply, Problem>
where
    D: From<Summary> + Serialize,
{
    let data: Vec<D> = found.rows.into_iter().map(D::from).collect();
    let message = format!("{}s retrieved successfully", kind.title());
    Ok(Reply::list(&message, &data, Meta::new(page, data.len(), found.next))?)
}

/// 200 with a page of what happened to an order. An order has a handful of events, so all are read, and the page is
/// cut out of them.
///
/// # Errors
/// As [`created`].
pub fn history(kind: OrderKind, page: Page, events: &[Event]) -> Result<Reply, Problem> {
    let skipped = match page.from {
        Start::Offset(offset) => offset.min(events.len()),
        Start::After(last) => {
            events.iter().position(|event| event.id == last).map_or(events.len(), |found| found + 1)
        }
    };
    let left = events.get(skipped..).unwrap_or_default();
    let shown = left.get(..page.limit).unwrap_or(left);
    let next = shown.last().filter(|_| shown.len() < left.len()).map(|event| event.id);
    let message = format!("{} events retrieved successfully", kind.title());
    Ok(Reply::list(&message, shown, Meta::new(page, shown.len(), next))?)
}
