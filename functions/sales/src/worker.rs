//! Writes inventory's decisions from the queue into the orders.
//!
//! Messages are delivered at least once and in any order; [`SalesStore::apply_decision`] tolerates both.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use erp_aws::batch::{MessageError, WorkQueue};
use erp_aws::deadline;
use erp_aws::metric::{self, Metric};
use erp_contracts::data::{StockDecided, StockDecision};
use erp_contracts::{Event, EventKind};
use lambda_runtime::{LambdaEvent, service_fn};
use tokio::time::Instant;

use crate::store::{DecisionOutcome, SalesStore};

/// The event types of inventory's decisions; the queue is subscribed to these.
const DECISIONS: [(EventKind, StockDecision); 3] = [
    (EventKind::OrderAllocated, StockDecision::Allocated),
    (EventKind::OrderBackordered, StockDecision::Backordered),
    (EventKind::OrderReleased, StockDecision::Released),
];

/// Handles batches in Lambda until the environment ends.
pub async fn run(store: SalesStore, queue: WorkQueue) -> Result<(), lambda_runtime::Error> {
    let (store, queue) = (&store, &queue);
    lambda_runtime::run(service_fn(async |batch: LambdaEvent<SqsEvent>| {
        let deadline = deadline::of_invocation(batch.context.deadline);
        Ok::<_, lambda_runtime::Error>(handle_batch(store, queue, batch.payload, deadline).await)
    }))
    .await
}

/// Handles a batch and reports the messages that are still in the queue.
pub async fn handle_batch(
    store: &SalesStore,
    queue: &WorkQueue,
    batch: SqsEvent,
    deadline: Instant,
) -> SqsBatchResponse {
    queue.process(batch, deadline, |event| handle(store, event)).await
}

/// Writes one decision.
///
/// # Errors
/// [`MessageError::Poison`] if the payload does not match the event type. [`MessageError::Retry`] if the
/// table is unavailable or the order does not exist: an event follows its order, so a missing order is a
/// defect, and the message becomes overdue.
pub async fn handle(store: &SalesStore, event: Event) -> Result<(), MessageError> {
    let Some(decided) = decision(&event)? else {
        // The subscription's filter excludes these; one that is delivered all the same must not block the
        // queue.
        tracing::warn!(event_id = %event.id, kind = %event.kind, "event of another type ignored");
        return Ok(());
    };
    let outcome =
        store.apply_decision(&decided, &event).await.map_err(|error| MessageError::retry(&error))?;
    let request_id = event.correlation_id.as_deref().unwrap_or("-");
    let (event_id, order_id) = (event.id, decided.order_id);
    tracing::info!(%event_id, %order_id, request_id, ?outcome, "stock status updated");
    if outcome == DecisionOutcome::Duplicate {
        metric::count(Metric::EventsDeduplicated);
    }
    Ok(())
}

/// Reads the decision in an event; `None` if the event is not about the stock of an order.
///
/// # Errors
/// [`MessageError::Poison`] if the payload does not match the event type.
pub fn decision(event: &Event) -> Result<Option<StockDecided>, MessageError> {
    let announced = DECISIONS.iter().find(|(kind, _)| *kind == event.kind);
    let Some((_, stock_status)) = announced else { return Ok(None) };
    let decided: StockDecided = event.data().map_err(|error| MessageError::Poison(error.to_string()))?;
    if decided.stock_status != *stock_status {
        let found = decided.stock_status;
        return Err(MessageError::Poison(format!("{} has the stock status {found}", event.kind)));
    }
    Ok(Some(decided))
}
