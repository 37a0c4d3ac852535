//! The meaning of a message, the current state, and the effect of a redrive. Messages are parsed and
//! decisions are made by the workers' own code.

use erp_aws::batch::MessageError;
use erp_contracts::Event;
use erp_contracts::data::StockDecided;
use erp_domain::{Demand, ItemId, OrderId};
use inventory::domain::{Allocation, AllocationState, OrderDemand, OrderFact, Step, decide};
use inventory::worker::Command;
use serde::Serialize;

use super::{Consumer, DeadLetter, DlqError};
use crate::reconcile::{Ledger, Order, OrderKind, describe_demand};

/// Movements looked up at once.
const CHUNK: usize = 100;

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
        Self::new(
            "none: the worker ignores this type of event",
            vec![],
            Effect::none("would delete the message"),
        )
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
///
/// # Errors
/// If a table is unavailable.
pub async fn explain(
    ledger: &Ledger,
    consumer: Consumer,
    letter: &DeadLetter,
) -> Result<Explanation, DlqError> {
    let event = match Event::parse(&letter.body) {
        Ok(event) => event,
        Err(error) => return Ok(Explanation::poison(error.to_string())),
    };
    match consumer {
        Consumer::Inventory => match Command::parse(&event) {
            Ok(command) => explain_command(ledger, command).await,
            Err(error) => Ok(undecodable(error)),
        },
        Consumer::Sales => match sales::worker::decision(&event) {
            Ok(Some(decided)) => explain_decision(ledger, &decided).await,
            Ok(None) => Ok(Explanation::ignored()),
            Err(error) => Ok(undecodable(error)),
        },
    }
}

fn undecodable(error: MessageError) -> Explanation {
    let (MessageError::Poison(reason) | MessageError::Retry(reason)) = error;
    Explanation::poison(reason)
}

async fn explain_command(ledger: &Ledger, command: Command) -> Result<Explanation, DlqError> {
    match command {
        Command::ApplyEvent(event) => explain_order_event(ledger, &event.order, event.fact).await,
        Command::ApplySideEffects(order_id) => explain_side_effects(ledger, order_id).await,
        Command::FulfilBackorders(item_id) => {
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
) -> Result<Explanation, DlqError> {
    let OrderDemand { order_id, demand, .. } = order;
    let kind = if fact == OrderFact::Received { OrderKind::Purchase } else { OrderKind::Sales };
    let allocation = find_allocation(ledger, *order_id).await?;
    let found = find_order(ledger, kind, *order_id).await?;
    let command = match fact {
        OrderFact::Confirmed => {
            format!("allocate stock to the sales order {order_id}: {}", describe_demand(demand))
        }
        OrderFact::Cancelled => format!("release the allocation of the cancelled sales order {order_id}"),
        OrderFact::Received => {
            format!("add the purchase order {order_id} to stock: {}", describe_demand(demand))
        }
    };
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

async fn explain_side_effects(ledger: &Ledger, order_id: OrderId) -> Result<Explanation, DlqError> {
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
async fn side_effects(ledger: &Ledger, allocation: &Allocation) -> Result<Effect, DlqError> {
    let movements = allocation.movements();
    let mut missing = movements.len();
    for chunk in movements.chunks(CHUNK) {
        missing -= ledger.inventory.recorded_movements(chunk).await?.len();
    }
    let is_queued = allocation.state() != AllocationState::Backordered
        && !ledger.inventory.queued_items(allocation).await?.is_empty();
    let mut effects = Vec::new();
    if missing > 0 {
        effects.push(format!("write {missing} missing movements"));
    }
    if is_queued {
        effects.push("remove the order from the back-order queues".to_owned());
    }
    if allocation.returned_stock() {
        effects.push("fulfil back-orders of its items".to_owned());
    }
    Ok(match effects.as_slice() {
        [] => Effect::already_applied(),
        effects => Effect::change(format!("would {}", effects.join(" and "))),
    })
}

async fn explain_decision(ledger: &Ledger, decided: &StockDecided) -> Result<Explanation, DlqError> {
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

async fn find_allocation(ledger: &Ledger, order_id: OrderId) -> Result<Option<Allocation>, DlqError> {
    match ledger.inventory.allocations(&[order_id]).await?.pop() {
        Some((_, None)) => Err(DlqError::Store(format!("the allocation of {order_id} cannot be decoded"))),
        found => Ok(found.and_then(|(_, allocation)| allocation)),
    }
}

async fn find_order(ledger: &Ledger, kind: OrderKind, id: OrderId) -> Result<Option<Order>, DlqError> {
    match ledger.find_orders(kind, &[id]).await?.pop() {
        Some((_, None)) => Err(DlqError::Store(format!("the order {id} cannot be decoded"))),
        found => Ok(found.and_then(|(_, order)| order)),
    }
}

/// Describes the items whose stock is less than the order needs.
async fn shortages(ledger: &Ledger, demand: &Demand) -> Result<Vec<String>, DlqError> {
    let items: Vec<ItemId> = demand.items().collect();
    let stock = ledger.inventory.stock_records(&items).await?;
    let available = |item| stock.iter().find(|stock| stock.item_id == item).map_or(0, |stock| stock.quantity);
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
