//! Events from `stock-queue`, each mapped to its use case.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use erp_aws::batch::{MessageError, WorkQueue};
use erp_aws::deadline;
use erp_contracts::data::{BackordersRemaining, OrderChanged, StockAdjusted, StockDecided};
use erp_contracts::{Event, EventKind};
use erp_domain::{ItemId, OrderId};
use lambda_runtime::{LambdaEvent, service_fn};
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::{OrderDemand, OrderFact};
use crate::service::{Allocations, OrderEvent};

/// Runs in Lambda until the environment ends.
pub async fn run(allocations: Allocations, queue: WorkQueue) -> Result<(), lambda_runtime::Error> {
    let (allocations, queue) = (&allocations, &queue);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let deadline = deadline::of_invocation(event.context.deadline);
        Ok::<_, lambda_runtime::Error>(work(allocations, queue, event.payload, deadline).await)
    }))
    .await
}

/// Processes a batch and reports the messages that are still in the queue.
pub async fn work(
    allocations: &Allocations,
    queue: &WorkQueue,
    batch: SqsEvent,
    deadline: Instant,
) -> SqsBatchResponse {
    queue.process(batch, deadline, |event| handle(allocations, event)).await
}

/// The use case that an event requires.
#[derive(Debug, Clone)]
pub enum Command {
    /// Apply an event of an order to its allocation.
    ApplyEvent(OrderEvent),
    /// Apply the side effects of a decision about an order.
    ApplySideEffects(OrderId),
    /// Fulfil the back-orders of an item whose stock a change increased.
    FulfilBackorders {
        /// The item.
        item_id: ItemId,
        /// The change.
        change_id: Uuid,
    },
    /// Continue to fulfil the back-orders of an item.
    ContinueBackorders(BackordersRemaining),
    /// Do nothing.
    Ignore,
}

impl Command {
    /// Parses an event.
    ///
    /// # Errors
    /// [`MessageError::Poison`] if its payload does not have the shape of its type.
    pub fn parse(event: &Event) -> Result<Self, MessageError> {
        Ok(match event.kind {
            EventKind::SalesConfirmed => Self::apply(event, OrderFact::Confirmed)?,
            EventKind::SalesCancelled => Self::apply(event, OrderFact::Cancelled)?,
            EventKind::PurchaseReceived => Self::apply(event, OrderFact::Received)?,
            EventKind::OrderAllocated | EventKind::OrderReleased => {
                Self::ApplySideEffects(read::<StockDecided>(event)?.order_id)
            }
            EventKind::StockAdjusted => {
                let StockAdjusted { item_id, change, .. } = read(event)?;
                if change > 0 {
                    Self::FulfilBackorders { item_id, change_id: event.id }
                } else {
                    Self::Ignore
                }
            }
            EventKind::BackordersRemaining => Self::ContinueBackorders(read(event)?),
            other => {
                tracing::warn!(kind = %other, "event of a type that the subscription should filter out");
                Self::Ignore
            }
        })
    }

    fn apply(event: &Event, fact: OrderFact) -> Result<Self, MessageError> {
        let changed: OrderChanged<IgnoredAny> = read(event)?;
        let order = OrderDemand { order_id: changed.order_id, demand: changed.demand(), since: event.time };
        Ok(Self::ApplyEvent(OrderEvent { order, fact, cause: event.cause() }))
    }
}

async fn handle(allocations: &Allocations, event: Event) -> Result<(), MessageError> {
    let cause = event.cause();
    let done = match Command::parse(&event)? {
        Command::ApplyEvent(event) => allocations.apply_event(&event).await,
        Command::ApplySideEffects(order_id) => allocations.apply_side_effects(order_id, &cause).await,
        Command::FulfilBackorders { item_id, change_id } => {
            allocations.fulfil_backorders(std::iter::once(item_id), change_id, &cause).await
        }
        Command::ContinueBackorders(walk) => allocations.continue_backorders(walk, &cause).await,
        Command::Ignore => Ok(()),
    };
    done.map_err(|error| MessageError::retry(&error))
}

fn read<T: DeserializeOwned>(event: &Event) -> Result<T, MessageError> {
    event.data().map_err(|error| MessageError::Poison(error.to_string()))
}
