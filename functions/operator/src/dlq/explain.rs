//! The meaning of a message, the current state, and the effect of a redrive. Messages are parsed and
//! decisions are made by the workers' own code.

use erp_aws::StoreError;
use erp_aws::batch::MessageError;
use erp_contracts::Event;
use erp_contracts::data::{BackordersRemaining, StockDecided};
use erp_domain::{Demand, OrderId};
use inventory::domain::{Allocation, AllocationState, OrderDemand, OrderFact, Step, decide};
use inventory::worker::Command;
use serde::Serialize;

use super::{Consumer, DeadLetter};
use crate::reconcile::{Ledger, Order, OrderKind, describe_demand};

/// The explanation of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The worker's error, if the message is a poison message.
    pub poison: Option<String>,
    /// What the worker does with the message.
    pub command: String,
    /// The current state of the order, its allocation and its items.
    pub current: Vec<String>,
    /// The effect of a redrive.
    pub redrive: String,
    /// Whether a redrive would change anything. If not, the message can be discarded.
    pub would_change: bool,
}

impl Explanation {
    fn poison(reason: String) -> Self {
        Self {
            poison: Some(reason),
            command: "none: the worker cannot decode the message".to_owned(),
            current: Vec::new(),
            redrive: "would fail again, unless the worker has been changed".to_owned(),
            would_change: false,
        }
    }

    fn new(command: impl Into<String>, current: Vec<String>, effect: Effect) -> Self {
        let Effect { redrive, would_change } = effect;
        Self { poison: None, command: command.into(), current, redrive, would_change }
    }

    fn ignored() -> Self {
        let effect = Effect::none("would delete the message");
        Self::new("none: the worker ignores this type of event", Vec::new(), effect)
    }
}

/// The effect of a redrive.
struct Effect {
    redrive: String,
    would_change: bool,
}

impl Effect {
    fn change(redrive: impl Into<String>) -> Self {
        Self { redrive: redrive.into(), would_change: true }
    }

    fn none(redrive: impl Into<String>) -> Self {
        Self { redrive: redrive.into(), would_change: false }
    }

    fn already_applied() -> Self {
        Self::none("would change nothing: it was applied before")
    }
}

/// Explains a message of a worker's queue.
pub async fn explain(
    ledger: &Ledger,
    consumer: Consumer,
    letter: &DeadLetter,
) -> Result<Explanation, StoreError> {
    let event = match Event::parse(&letter.body) {
        Ok(event) => event,
        Err(error) => return Ok(Explanation::poison(error.to_string())),
    };
    let error = match consumer {
        Consumer::Inventory => match Command::parse(&event) {
            Ok(command) => return explain_command(ledger, command).await,
            Err(error) => error,
        },
        Consumer::Sales => match sales::worker::decision(&event) {
            Ok(Some(decided)) => return explain_decision(ledger, &decided).await,
            Ok(None) => return Ok(Explanation::ignored()),
            Err(error) => error,
        },
    };
    let (MessageError::Poison(reason) | MessageError::Retry(reason)) = error;
    Ok(Explanation::poison(reason))
}

async fn explain_command(ledger: &Ledger, command: Command) -> Result<Explanation, StoreError> {
    match command {
        Command::ApplyEvent(event) => explain_order_event(ledger, &event.order, event.fact).await,
        Command::ApplySideEffects(order_id) => explain_side_effects(ledger, order_id).await,
        Command::FulfilBackorders { item_id, .. }
        | Command::ContinueBackorders(BackordersRemaining { item_id, .. }) => {
            let stock = ledger.inventory.stock_records(&[item_id]).await?;
            let current = stock.iter().map(|stock| format!("Stock: {}", stock.quantity)).collect();
            let effect = Effect::change("would fulfil the back-orders that can be fulfilled whole");
            Ok(Explanation::new(format!("fulfil the back-orders of the item {item_id}"), current, effect))
        }
        Command::Ignore => Ok(Explanation::ignored()),
    }
}

async fn explain_order_event(
    ledger: &Ledger,
    order: &OrderDemand,
    fact: OrderFact,
) -> Result<Explanation, StoreError> {
    let OrderDemand { order_id, demand, .. } = order;
    let quantities = describe_demand(demand);
    let (kind, command) = match fact {
        OrderFact::Confirmed => {
            (OrderKind::Sales, format!("allocate stock to the sales order {order_id}: {quantities}"))
        }
        OrderFact::Cancelled => {
            (OrderKind::Sales, format!("release the allocation of the cancelled sales order {order_id}"))
        }
        OrderFact::Received => {
            (OrderKind::Purchase, format!("add the purchase order {order_id} to stock: {quantities}"))
        }
    };
    let allocation = find_allocation(ledger, *order_id).await?;
    let found = find_order(ledger, kind, *order_id).await?;
    let mut current = vec![describe_order(kind, found.as_ref()), describe_allocation(allocation.as_ref())];
    let state = allocation.as_ref().map(Allocation::state);
    let effect = match decide(state, fact) {
        Step::Allocate => {
            let shortages = shortages(ledger, demand).await?;
            let effect = match (shortages.is_empty(), state) {
                (true, _) => Effect::change("would allocate it: stock is sufficient"),
                (false, Some(AllocationState::Backordered)) => {
                    Effect::none("would leave it in the back-order queue: stock is insufficient")
                }
                (false, _) => Effect::change("would put it into the back-order queue: stock is insufficient"),
            };
            current.extend(shortages);
            effect
        }
        Step::Receive => Effect::change("would add it to stock"),
        Step::RecordCancellation => Effect::change("would record the cancellation; the order has no stock"),
        Step::ReturnStock => Effect::change("would return its quantities to stock"),
        Step::AlreadyApplied => match allocation {
            // The worker applies the side effects of a receipt with the same message.
            Some(allocation) if allocation.state() == AllocationState::Received => {
                side_effects(ledger, &allocation).await?
            }
            _ => Effect::already_applied(),
        },
    };
    Ok(Explanation::new(command, current, effect))
}

async fn explain_side_effects(ledger: &Ledger, order_id: OrderId) -> Result<Explanation, StoreError> {
    let command = format!(
        "apply the side effects of the decision about the order {order_id}: movements, back-order queues"
    );
    let allocation = find_allocation(ledger, order_id).await?;
    let current = vec![describe_allocation(allocation.as_ref())];
    let effect = match allocation {
        None => Effect::none("would fail again: there is no allocation"),
        Some(allocation) => side_effects(ledger, &allocation).await?,
    };
    Ok(Explanation::new(command, current, effect))
}

/// Determines the side effects that are still to be applied.
async fn side_effects(ledger: &Ledger, allocation: &Allocation) -> Result<Effect, StoreError> {
    let movements = allocation.movements();
    let missing = movements.len() - ledger.inventory.recorded_movements(&movements).await?.len();
    let is_queued = allocation.state() != AllocationState::Backordered
        && !ledger.inventory.queued_items(&[allocation]).await?.is_empty();
    let mut effects = Vec::new();
    if missing > 0 {
        effects.push(format!("write {missing} missing movements"));
    }
    if is_queued {
        effects.push("remove the order from the back-order queues".to_owned());
    }
    if allocation.returned_stock().is_some() {
        effects.push("fulfil back-orders of its items".to_owned());
    }
    Ok(match effects.as_slice() {
        [] => Effect::already_applied(),
        effects => Effect::change(format!("would {}", effects.join(" and "))),
    })
}

async fn explain_decision(ledger: &Ledger, decided: &StockDecided) -> Result<Explanation, StoreError> {
    let StockDecided { order_id, stock_status, sequence, .. } = decided;
    let command =
        format!("write the stock status {stock_status} into the order {order_id} (decision {sequence})");
    let order = find_order(ledger, OrderKind::Sales, *order_id).await?;
    let current = vec![describe_order(OrderKind::Sales, order.as_ref())];
    let effect = match order {
        Some(Order::Sales(order)) if order.stock_sequence < *sequence => {
            Effect::change("would update the stock status")
        }
        Some(Order::Sales(order)) if order.stock_sequence == *sequence => Effect::already_applied(),
        Some(_) => Effect::change("would only complete the history: the order shows a newer decision"),
        None => Effect::none("would fail again: there is no such order"),
    };
    Ok(Explanation::new(command, current, effect))
}

async fn find_allocation(ledger: &Ledger, order_id: OrderId) -> Result<Option<Allocation>, StoreError> {
    readable("allocation of", ledger.inventory.allocations(&[order_id]).await?)
}

async fn find_order(ledger: &Ledger, kind: OrderKind, id: OrderId) -> Result<Option<Order>, StoreError> {
    readable("order", ledger.find_orders(kind, &[id]).await?)
}

fn readable<T>(what: &str, mut rows: Vec<(OrderId, Option<T>)>) -> Result<Option<T>, StoreError> {
    match rows.pop() {
        Some((id, None)) => Err(StoreError::new(format!("the {what} {id} cannot be decoded"))),
        found => Ok(found.and_then(|(_, row)| row)),
    }
}

/// Describes the items whose stock is less than the order needs.
async fn shortages(ledger: &Ledger, demand: &Demand) -> Result<Vec<String>, StoreError> {
    let stock = ledger.stock_of(demand).await?;
    let available = |item| stock.get(&item).map_or(0, |stock| stock.quantity);
    let short = demand.iter().filter(|(item, quantity)| available(*item) < quantity.get());
    Ok(short
        .map(|(item, quantity)| format!("{item}: {} of {} available", available(item), quantity.get()))
        .collect())
}

fn describe_order(kind: OrderKind, order: Option<&Order>) -> String {
    match (kind, order) {
        (OrderKind::Sales, None) => "Sales order: none".to_owned(),
        (OrderKind::Purchase, None) => "Purchase order: none".to_owned(),
        (_, Some(Order::Sales(order))) => format!(
            "Sales order: {}, stock status {} (decision {})",
            order.status, order.stock_status, order.stock_sequence
        ),
        (_, Some(Order::Purchase(order))) => format!("Purchase order: {}", order.status),
    }
}

fn describe_allocation(allocation: Option<&Allocation>) -> String {
    match allocation {
        None => "Allocation: none".to_owned(),
        Some(found) => format!("Allocation: {} (decision {})", found.state(), found.sequence()),
    }
}
