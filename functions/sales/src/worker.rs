//! What inventory decided, from the queue into the orders.
//!
//! Messages come at least once and in any order; [`DecisionStore::note`] makes neither matter.

use std::sync::Arc;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use erp_aws::batch::{MessageError, handle_each};
use erp_aws::metric::{self, Metric};
use erp_contracts::data::StockDecided;
use erp_contracts::{Event, EventKind, StoreError};
use erp_domain::order::StockStatus;
use erp_orders::ports::{DecisionStore, NoSuchOrder, Noted};
use lambda_runtime::{LambdaEvent, service_fn};

/// Handles batches in Lambda until the environment ends.
///
/// # Errors
/// When the runtime cannot go on.
pub async fn run(store: impl DecisionStore + 'static) -> Result<(), lambda_runtime::Error> {
    let store: Arc<dyn DecisionStore> = Arc::new(store);
    lambda_runtime::run(service_fn(move |batch: LambdaEvent<SqsEvent>| {
        let store = Arc::clone(&store);
        async move { Ok::<_, lambda_runtime::Error>(handle_batch(store.as_ref(), batch.payload).await) }
    }))
    .await
}

/// Notes the decisions of a batch, and names the messages that failed.
pub async fn handle_batch(store: &dyn DecisionStore, batch: SqsEvent) -> SqsBatchResponse {
    handle_each(batch, |event| handle(store, event)).await
}

/// Notes one decision.
///
/// # Errors
/// [`MessageError::Poison`] when the event does not carry what its kind says. [`MessageError::Retry`] when the table
/// does not answer, and when there is no such order: an event cannot come before its order, so that is a fault
/// somewhere, and the dead-letter queue is where faults are looked at.
pub async fn handle(store: &dyn DecisionStore, event: Event) -> Result<(), MessageError> {
    let Some(decided) = decision(&event)? else {
        // The subscription's filter lets none of these through. Should one come, it is no reason to stop a queue.
        tracing::warn!(event_id = %event.id, kind = %event.kind, "not for sales orders, ignored");
        return Ok(());
    };
    match store.note(&decided, &event).await {
        Ok(noted) => {
            let request_id = event.correlation_id.as_deref().unwrap_or("-");
            tracing::info!(event_id = %event.id, order_id = %decided.order_id, request_id, ?noted, "decision noted");
            if noted == Noted::Duplicate {
                metric::count(Metric::EventsDeduplicated);
            }
            Ok(())
        }
        Err(StoreError::Conflict(NoSuchOrder)) => {
            Err(MessageError::Retry(format!("there is no order {}", decided.order_id)))
        }
        Err(error @ StoreError::Answered) => Err(MessageError::Retry(error.to_string())),
        Err(StoreError::Unavailable(cause)) => Err(MessageError::Retry(cause.to_string())),
    }
}

/// Reads what inventory decided, if the event is about that.
///
/// # Errors
/// [`MessageError::Poison`] when the event does not carry what its kind says.
pub fn decision(event: &Event) -> Result<Option<StockDecided>, MessageError> {
    let Some(stock_status) = stock_status(event.kind) else { return Ok(None) };
    let decided: StockDecided = event.data().map_err(|error| MessageError::Poison(error.to_string()))?;
    if decided.stock_status != stock_status {
        let found = decided.stock_status.as_str();
        return Err(MessageError::Poison(format!("{} carries the stock status {found}", event.kind)));
    }
    Ok(Some(decided))
}

/// What an event of this kind makes of an order; nothing, if it is not about orders' stock.
fn stock_status(kind: EventKind) -> Option<StockStatus> {
    match kind {
        EventKind::OrderAllocated => Some(StockStatus::Allocated),
        EventKind::OrderBackordered => Some(StockStatus::Backordered),
        EventKind::OrderReleased => Some(StockStatus::Released),
        EventKind::CustomerCreated
        | EventKind::CustomerUpdated
        | EventKind::CustomerDeleted
        | EventKind::VendorCreated
        | EventKind::VendorUpdated
        | EventKind::VendorDeleted
        | EventKind::SalesConfirmed
        | EventKind::SalesPaid
        | EventKind::SalesCancelled
        | EventKind::PurchaseReceived
        | EventKind::PurchasePaid
        | EventKind::PurchaseCancelled
        | EventKind::ItemCreated
        | EventKind::ItemUpdated
        | EventKind::ItemDeleted
        | EventKind::StockAdjusted
        | EventKind::UserRegistered
        | EventKind::PasswordResetRequested => None,
    }
}
