//! Events from `stock-queue`, each to its use case.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use erp_aws::batch::{MessageError, handle_each};
use erp_contracts::data::{OrderChanged, StockAdjusted, StockDecided};
use erp_contracts::{Event, EventKind, StoreError};
use erp_domain::Id;
use erp_domain::item::Item;
use erp_domain::order::Order;
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

/// What an event asks of inventory.
#[derive(Debug, Clone)]
pub enum Asked {
    /// To make what happened to an order true of the stock.
    Settle(OrderFact),
    /// To do what follows from inventory's own decision about an order.
    Follow(Id<Order>),
    /// To let stock that arrived serve those that wait for the item.
    Serve(Id<Item>),
    /// Nothing.
    Nothing,
}

/// Reads what an event asks.
///
/// # Errors
/// [`MessageError::Poison`] when the event does not carry what its kind says.
pub fn asked(event: &Event) -> Result<Asked, MessageError> {
    match event.kind {
        EventKind::SalesConfirmed => fact(event, Fact::Confirmed),
        EventKind::SalesCancelled => fact(event, Fact::Cancelled),
        EventKind::PurchaseReceived => fact(event, Fact::Received),
        EventKind::OrderAllocated | EventKind::OrderReleased => {
            let decided: StockDecided = read(event)?;
            Ok(Asked::Follow(decided.order_id))
        }
        EventKind::StockAdjusted => {
            let adjusted: StockAdjusted = read(event)?;
            Ok(if adjusted.change > 0 { Asked::Serve(adjusted.item_id) } else { Asked::Nothing })
        }
        other => {
            // The subscriptions let nothing else through; if they do, nothing is asked of us.
            tracing::warn!(kind = %other, "an event that is none of ours");
            Ok(Asked::Nothing)
        }
    }
}

async fn handle(allocations: &Allocations, event: Event) -> Result<(), MessageError> {
    let cause = event.cause();
    let done = match asked(&event)? {
        Asked::Settle(fact) => allocations.settle(&fact).await,
        Asked::Follow(order_id) => allocations.follow(order_id, &cause).await,
        Asked::Serve(item_id) => allocations.serve(std::iter::once(item_id), &cause).await,
        Asked::Nothing => Ok(()),
    };
    done.map_err(retry)
}

fn fact(event: &Event, fact: Fact) -> Result<Asked, MessageError> {
    let order: OrderChanged = read(event)?;
    let demand = order.demand();
    let fact = OrderFact { order_id: order.order_id, fact, demand, at: event.time, cause: event.cause() };
    Ok(Asked::Settle(fact))
}

fn read<T: DeserializeOwned>(event: &Event) -> Result<T, MessageError> {
    event.data().map_err(|error| MessageError::Poison(error.to_string()))
}

fn retry(error: StoreError) -> MessageError {
    MessageError::Retry(erp_contracts::chain(&error))
}
