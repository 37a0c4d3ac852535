//! The history of an order: its events, oldest first.

use erp_aws::outbox::{EVENT_PREFIX, EventRow};
use erp_aws::{Page, PageRequest, PageStart, StoreError, Table};
use erp_contracts::Event;
use erp_domain::OrderId;

use crate::keys;

/// More events than an order can have: each transition happens once, and so does each state of its
/// allocation.
const MAX_EVENTS: usize = 100;

/// Reads the events of an order, strongly consistent. There are none if it does not exist.
pub async fn read(table: &Table, id: OrderId) -> Result<Vec<Event>, StoreError> {
    let pk = keys::order(id).pk;
    let rows: Vec<EventRow> = table.query_prefix(&pk, EVENT_PREFIX, None, MAX_EVENTS).await?;
    let mut events: Vec<Event> = rows.iter().map(|row| Event::parse(&row.event)).collect::<Result<_, _>>()?;
    // Event ids of several contexts do not sort by time.
    events.sort_by_key(|event| (event.time, event.id));
    Ok(events)
}

/// Cuts a page out of the events.
pub fn page(events: Vec<Event>, request: PageRequest) -> Page<Event> {
    let skipped = match request.start {
        PageStart::Offset(offset) => offset,
        PageStart::After(last) => {
            events.iter().position(|event| event.id == last).map_or(events.len(), |found| found + 1)
        }
    };
    let mut rest = events.into_iter().skip(skipped);
    let rows: Vec<Event> = rest.by_ref().take(request.limit).collect();
    let next = rows.last().map(|event| event.id).filter(|_| rest.next().is_some());
    Page { rows, next }
}
