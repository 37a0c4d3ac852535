//! Events from `stock-queue`, each to its use case.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use erp_aws::batch::{MessageError, handle_each};
use erp_contracts::data::{OrderChanged, StockAdjusted, StockDecided};
use erp_contracts::{Event, EventKind, StoreError};
use erp_domain::stock::Fact;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::de::DeserializeOwned;

use crate::allocations::{Allocations, OrderFact};

/// Works in Lambda until the environment ends.
///
/// # Errors
/// When the runtime cannot go on.
pub async fn run(allocations: Allocations) -> Result<(), lambda_runtime::Error> {
    let allocations = &allocations;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        Ok::<_, lambda_runtime::Error>(work(allocations, event.payload).await)
    }))
    .await
}

/// Works through a batch; names the messages that failed.
pub async fn work(allocations: &Allocations, batch: SqsEvent) -> SqsBatchResponse {
    handle_each(batch, |event| handle(allocations, event)).await
}

async fn handle(allocations: &Allocations, event: Event) -> Result<(), MessageError> {
    match event.kind {
        EventKind::SalesConfirmed => settle(allocations, &event, Fact::Confirmed).await,
        EventKind::SalesCancelled => settle(allocations, &event, Fact::Cancelled).await,
        EventKind::PurchaseReceived => settle(allocations, &event, Fact::Received).await,
        EventKind::OrderAllocated | EventKind::OrderReleased => {
            let decided: StockDecided = read(&event)?;
            allocations.follow(decided.order_id, &event.cause()).await.map_err(retry)
        }
        EventKind::StockAdjusted => {
            let adjusted: StockAdjusted = read(&event)?;
            if adjusted.change > 0 {
                allocations.serve(std::iter::once(adjusted.item_id), &event.cause()).await.map_err(retry)?;
            }
            Ok(())
        }
        other => {
            // The subscriptions let nothing else through; if they do, nothing is asked of us.
            tracing::warn!(kind = %other, "an event that is none of ours");
            Ok(())
        }
    }
}

async fn settle(allocations: &Allocations, event: &Event, fact: Fact) -> Result<(), MessageError> {
    let order: OrderChanged = read(event)?;
    let demand = order.demand();
    let fact = OrderFact { order_id: order.order_id, fact, demand, at: event.time, cause: event.cause() };
    allocations.settle(&fact).await.map_err(retry)
}

fn read<T: DeserializeOwned>(event: &Event) -> Result<T, MessageError> {
    event.data().map_err(|error| MessageError::Poison(error.to_string()))
}

fn retry(error: StoreError) -> MessageError {
    MessageError::Retry(erp_http::app::chain(&error))
}
