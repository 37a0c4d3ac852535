//! What a message says, what is true by now, and what sending it back would change. It is read exactly as its worker
//! reads it, and decided exactly as its worker decides.

use erp_aws::batch::MessageError;
use erp_contracts::Event;
use erp_contracts::data::StockDecided;
use erp_domain::Id;
use erp_domain::order::{Order, OrderKind};
use erp_domain::stock::{Allocation, AllocationState, Demand, Fact, Step, decide};
use erp_orders::audit::Audited;
use inventory::worker::Asked;
use serde::Serialize;

use super::{Consumer, DlqError, Letter};
use crate::reconcile::Books;

/// What is to be known of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Why it can never be handled, if that is so. The worker would say the same.
    pub poison: Option<String>,
    /// What it asks.
    pub asks: String,
    /// What is true now.
    pub now: Vec<String>,
    /// What would come of sending it back.
    pub redriving: String,
    /// Whether that would change anything. What changes nothing can be discarded.
    pub would_change: bool,
}

impl Explanation {
    fn poison(reason: String) -> Self {
        Self {
            poison: Some(reason),
            asks: "nothing that the worker understands".to_owned(),
            now: Vec::new(),
            redriving: "would fail in the same way, unless the worker has learned to read it since"
                .to_owned(),
            would_change: false,
        }
    }

    fn of(
        asks: impl Into<String>,
        now: Vec<String>,
        redriving: impl Into<String>,
        would_change: bool,
    ) -> Self {
        Self { poison: None, asks: asks.into(), now, redriving: redriving.into(), would_change }
    }
}

/// Explains a message of a queue.
///
/// # Errors
/// When a table does not answer.
pub async fn explain(books: &Books, consumer: Consumer, letter: &Letter) -> Result<Explanation, DlqError> {
    let event = match Event::parse(&letter.body) {
        Ok(event) => event,
        Err(error) => return Ok(Explanation::poison(error.to_string())),
    };
    let explained = match consumer {
        Consumer::Inventory => match inventory::worker::asked(&event) {
            Ok(asked) => by_inventory(books, asked).await?,
            Err(error) => unreadable(error),
        },
        Consumer::Sales => match sales::worker::decision(&event) {
            Ok(Some(decided)) => by_sales(books, &decided).await?,
            Ok(None) => none_of_his(),
            Err(error) => unreadable(error),
        },
    };
    Ok(explained)
}

fn unreadable(error: MessageError) -> Explanation {
    let (MessageError::Poison(reason) | MessageError::Retry(reason)) = error;
    Explanation::poison(reason)
}

fn none_of_his() -> Explanation {
    Explanation::of("nothing: its kind is none of this worker's", vec![], "would take it away", false)
}

async fn by_inventory(books: &Books, asked: Asked) -> Result<Explanation, DlqError> {
    match asked {
        Asked::Settle(fact) => settle(books, fact.order_id, fact.fact, &fact.demand).await,
        Asked::Follow(order_id) => follow(books, order_id).await,
        Asked::Serve(item_id) => {
            let levels = books.inventory.levels(&[item_id]).await?;
            let now = levels.iter().map(|level| format!("there are {} of it", level.quantity)).collect();
            let asks = format!("that the orders that wait for the item {item_id} be served");
            Ok(Explanation::of(asks, now, "would serve those that wait and can be served whole", true))
        }
        Asked::Nothing => Ok(none_of_his()),
    }
}

async fn settle(
    books: &Books,
    order_id: Id<Order>,
    fact: Fact,
    demand: &Demand,
) -> Result<Explanation, DlqError> {
    let kind = if fact == Fact::Received { OrderKind::Purchase } else { OrderKind::Sales };
    let allocation = allocation(books, order_id).await?;
    let order = order(books, kind, order_id).await?;
    let asks = match fact {
        Fact::Confirmed => format!("stock for the sales order {order_id}: {}", told(demand)),
        Fact::Cancelled => format!("that the cancelled sales order {order_id} give back what it holds"),
        Fact::Received => {
            format!("that what the purchase order {order_id} brought be added: {}", told(demand))
        }
    };
    let mut now = vec![order_now(kind, order.as_ref()), allocation_now(allocation.as_ref())];
    let (redriving, would_change) = match decide(allocation.as_ref().map(|found| found.state), fact) {
        Step::Allocate => {
            let short = short(books, demand).await?;
            let waits = allocation.as_ref().is_some_and(|found| found.state == AllocationState::Backordered);
            match (short.is_empty(), waits) {
                (true, _) => ("would take it out of stock: there is enough".to_owned(), true),
                (false, waits) => {
                    now.extend(short);
                    let line = if waits { "would leave it waiting" } else { "would put it in line" };
                    (format!("{line}: there is too little"), !waits)
                }
            }
        }
        Step::Receive => ("would add it to stock".to_owned(), true),
        Step::Release => ("would remember that it was cancelled; it holds nothing".to_owned(), true),
        Step::GiveBack => ("would give back what it holds".to_owned(), true),
        Step::Settled => match allocation {
            // A receipt is followed up with its own message.
            Some(found) if found.state == AllocationState::Received => follow_up(books, &found).await?,
            _ => ("would change nothing: it was done already".to_owned(), false),
        },
    };
    Ok(Explanation::of(asks, now, redriving, would_change))
}

async fn follow(books: &Books, order_id: Id<Order>) -> Result<Explanation, DlqError> {
    let asks = format!("what follows from inventory's decision about the order {order_id}: movements, lines");
    let allocation = allocation(books, order_id).await?;
    let now = vec![allocation_now(allocation.as_ref())];
    let (redriving, would_change) = match allocation {
        None => ("would fail again: there is no allocation".to_owned(), false),
        Some(found) => follow_up(books, &found).await?,
    };
    Ok(Explanation::of(asks, now, redriving, would_change))
}

/// What following a decision up would still do.
async fn follow_up(books: &Books, allocation: &Allocation) -> Result<(String, bool), DlqError> {
    let movements = allocation.movements();
    let mut missing = movements.len();
    for chunk in movements.chunks(100) {
        missing -= books.inventory.written(chunk).await?.len();
    }
    let stands = allocation.state != AllocationState::Backordered
        && !books.inventory.lines(allocation).await?.is_empty();
    let mut does = Vec::new();
    if missing > 0 {
        does.push(format!("write {missing} missing movements"));
    }
    if stands {
        does.push("take the order out of its lines".to_owned());
    }
    if allocation.brought() {
        does.push("serve those that wait for what it brought".to_owned());
    }
    Ok(match does.as_slice() {
        [] => ("would change nothing: it was done already".to_owned(), false),
        does => (format!("would {}", does.join(" and ")), true),
    })
}

async fn by_sales(books: &Books, decided: &StockDecided) -> Result<Explanation, DlqError> {
    let StockDecided { order_id, stock_status, sequence, .. } = decided;
    let asks = format!(
        "that the order {order_id} show {}, inventory's decision number {sequence}",
        stock_status.as_str()
    );
    let order = order(books, OrderKind::Sales, *order_id).await?;
    let now = vec![order_now(OrderKind::Sales, order.as_ref())];
    let (redriving, would_change) = match order {
        None => ("would fail again: there is no such order".to_owned(), false),
        Some(found) if found.stock_sequence < *sequence => ("would be news to it".to_owned(), true),
        Some(found) if found.stock_sequence == *sequence => {
            ("would change nothing: it shows this already".to_owned(), false)
        }
        Some(_) => ("would only complete its history: it shows a newer decision".to_owned(), true),
    };
    Ok(Explanation::of(asks, now, redriving, would_change))
}

async fn allocation(books: &Books, order_id: Id<Order>) -> Result<Option<Allocation>, DlqError> {
    match books.inventory.allocations(&[order_id]).await?.pop() {
        Some((_, None)) => Err(DlqError::Store(format!("the allocation of {order_id} cannot be read"))),
        found => Ok(found.and_then(|(_, allocation)| allocation)),
    }
}

async fn order(books: &Books, kind: OrderKind, id: Id<Order>) -> Result<Option<Audited>, DlqError> {
    let store = match kind {
        OrderKind::Sales => &books.sales,
        OrderKind::Purchase => &books.purchase,
    };
    match store.find_all(&[id]).await?.pop() {
        Some((_, None)) => Err(DlqError::Store(format!("the order {id} cannot be read"))),
        found => Ok(found.and_then(|(_, order)| order)),
    }
}

/// The items of which there is too little.
async fn short(books: &Books, demand: &Demand) -> Result<Vec<String>, DlqError> {
    let items: Vec<_> = demand.keys().copied().collect();
    let levels = books.inventory.levels(&items).await?;
    let have = |item| levels.iter().find(|level| level.item_id == item).map_or(0, |level| level.quantity);
    let short = demand.iter().filter(|(item, wanted)| have(**item) < **wanted);
    Ok(short.map(|(item, wanted)| format!("{item}: {} of {wanted} are there", have(*item))).collect())
}

fn told(demand: &Demand) -> String {
    demand.iter().map(|(item, quantity)| format!("{quantity} of {item}")).collect::<Vec<_>>().join(", ")
}

fn order_now(kind: OrderKind, order: Option<&Audited>) -> String {
    let title = kind.title();
    match (kind, order) {
        (_, None) => format!("{title}: there is none with this id"),
        (OrderKind::Purchase, Some(found)) => format!("{title}: {}", found.order.status),
        (OrderKind::Sales, Some(found)) => format!(
            "{title}: {}, shows {} (decision {})",
            found.order.status,
            found.order.stock_status.as_str(),
            found.stock_sequence
        ),
    }
}

fn allocation_now(allocation: Option<&Allocation>) -> String {
    match allocation {
        None => "Allocation: none".to_owned(),
        Some(found) => format!("Allocation: {} (decision {})", found.state.as_str(), found.sequence),
    }
}
