//! What must hold, as plain functions of what was read. Order and allocation are two rows that agree only in the end:
//! what may be seen on the way is a suspicion with an age, what may never be seen has none.

use erp_domain::Timestamp;
use erp_domain::order::{OrderKind, Status, StockStatus};
use erp_domain::stock::{Allocation, AllocationState, MovementKind};
use erp_orders::audit::Audited;
use inventory::audit::Balance;

use super::finding::Kind;

/// Something that does not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    /// What.
    pub kind: Kind,
    /// In figures.
    pub detail: String,
    /// Since when, if it may be so for a while.
    pub since: Option<Timestamp>,
}

impl Suspicion {
    fn at_no_time(kind: Kind, detail: String) -> Self {
        Self { kind, detail, since: None }
    }

    fn not_for_long(kind: Kind, detail: String, since: Timestamp) -> Self {
        Self { kind, detail, since: Some(since) }
    }

    /// Whether it is wrong, if whatever came after `before` may still be on its way.
    pub fn is_wrong(&self, before: Timestamp) -> bool {
        self.since.is_none_or(|since| since < before)
    }
}

/// What the balance of an item says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is right.
    Right,
    /// It never may be so.
    Wrong(Kind, String),
    /// Some of its movements are not written yet.
    Behind,
}

/// Looks at a balance. The stock counts its changes, and every change has one movement, so it is known whether any
/// are still to come.
pub fn balance(balance: &Balance) -> Verdict {
    let Balance { level, movements, sum } = *balance;
    let Some(level) = level else {
        return Verdict::Wrong(Kind::NoStock, format!("there are {movements} movements"));
    };
    let figures = format!(
        "{} in stock after {} changes, {movements} movements come to {sum}",
        level.quantity, level.sequence
    );
    if level.quantity < 0 {
        Verdict::Wrong(Kind::NegativeStock, figures)
    } else if movements < level.sequence {
        Verdict::Behind
    } else if movements > level.sequence {
        Verdict::Wrong(Kind::MovementWithoutChange, figures)
    } else if sum == i128::from(level.quantity) {
        Verdict::Right
    } else {
        Verdict::Wrong(Kind::StockDiffers, figures)
    }
}

/// Looks at an allocation by itself.
pub fn allocation(allocation: &Allocation) -> Option<Suspicion> {
    use MovementKind as M;
    let moves: Vec<M> = allocation.moves.iter().map(|step| step.kind).collect();
    let fits = match allocation.state {
        AllocationState::Backordered => moves.is_empty(),
        AllocationState::Allocated => moves == [M::Allocated],
        AllocationState::Received => moves == [M::Received],
        AllocationState::Released => moves.is_empty() || moves == [M::Allocated, M::Released],
    };
    (!fits).then(|| {
        let words: Vec<&str> = moves.iter().map(|kind| kind.as_str()).collect();
        let detail = format!("{} after moving {words:?}", allocation.state.as_str());
        Suspicion::at_no_time(Kind::MovesDiffer, detail)
    })
}

/// Looks at an order and its allocation, which was read first.
pub fn order(audited: &Audited, allocation: Option<&Allocation>) -> Vec<Suspicion> {
    let mut found: Vec<Suspicion> = states(audited, allocation).into_iter().collect();
    if let Some(allocation) = allocation {
        found.extend(demand(audited, allocation));
        found.extend(noted(audited, allocation));
    }
    found
}

/// Whether the two states go together.
fn states(audited: &Audited, allocation: Option<&Allocation>) -> Option<Suspicion> {
    use {AllocationState as A, OrderKind as K, Status as S};
    let order = &audited.order;
    let state = allocation.map(|allocation| allocation.state);
    let detail = format!(
        "the {} order is {}, its allocation {}",
        order.kind.as_str(),
        order.status,
        state.map_or("not there", A::as_str)
    );
    match (order.kind, order.status, state) {
        (K::Sales, S::Draft, None)
        | (K::Sales, S::Confirmed | S::Paid, Some(A::Allocated | A::Backordered))
        | (K::Sales, S::Cancelled, Some(A::Released))
        | (K::Purchase, S::Draft | S::Cancelled, None)
        | (K::Purchase, S::Received | S::Paid, Some(A::Received)) => None,
        // Inventory hears of it a moment later.
        (K::Sales, S::Confirmed | S::Paid, None)
        | (K::Sales, S::Cancelled, None | Some(A::Allocated | A::Backordered))
        | (K::Purchase, S::Received | S::Paid, None) => {
            Some(Suspicion::not_for_long(Kind::NotDecided, detail, order.updated_at))
        }
        (K::Sales, S::Draft, Some(_))
        | (K::Sales, S::Confirmed | S::Paid, Some(A::Released | A::Received))
        | (K::Sales, S::Cancelled, Some(A::Received))
        | (K::Sales, S::Received, _)
        | (K::Purchase, S::Draft | S::Cancelled, Some(_))
        | (K::Purchase, S::Received | S::Paid, Some(A::Allocated | A::Backordered | A::Released))
        | (K::Purchase, S::Confirmed, _) => Some(Suspicion::at_no_time(Kind::StateDiffers, detail)),
    }
}

/// Whether the allocation moves what the order has. One that was cancelled first moved nothing.
fn demand(audited: &Audited, allocation: &Allocation) -> Option<Suspicion> {
    let wanted = audited.order.lines.demand();
    let moved_nothing = allocation.state == AllocationState::Released && allocation.moves.is_empty();
    (!moved_nothing && allocation.demand != wanted).then(|| {
        let detail = format!("the order has {wanted:?}, the allocation {:?}", allocation.demand);
        Suspicion::at_no_time(Kind::DemandDiffers, detail)
    })
}

/// Whether the order shows what inventory decided; purchase orders are told nothing.
fn noted(audited: &Audited, allocation: &Allocation) -> Option<Suspicion> {
    let decided = allocation.state.stock_status()?;
    let order = &audited.order;
    if order.kind == OrderKind::Purchase {
        return None;
    }
    let says = |status: StockStatus, sequence| format!("{} ({sequence})", status.as_str());
    let detail = format!(
        "the order shows {}, inventory decided {}",
        says(order.stock_status, audited.stock_sequence),
        says(decided, allocation.sequence)
    );
    if audited.stock_sequence < allocation.sequence {
        let last = allocation.moves.last().map_or(allocation.since, |step| step.at);
        let since = last.max(allocation.since).max(order.updated_at);
        Some(Suspicion::not_for_long(Kind::NotNoted, detail, since))
    } else if audited.stock_sequence > allocation.sequence || order.stock_status != decided {
        Some(Suspicion::at_no_time(Kind::StatusDiffers, detail))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use erp_domain::order::{Lines, NewLine, Order};
    use erp_domain::ports::RandomIds;
    use erp_domain::stock::Move;
    use erp_domain::{Id, Ids as _, LineQuantity, Money};

    use super::*;

    fn early() -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn level(quantity: i64, sequence: u64) -> Option<inventory::audit::Level> {
        let item_id = Id::new(uuid::Uuid::nil());
        Some(inventory::audit::Level { item_id, quantity, sequence, updated_at: early() })
    }

    #[test]
    fn a_balance_is_right_wrong_or_behind() {
        let of = |level, movements, sum| balance(&Balance { level, movements, sum });
        let kind = |verdict| match verdict {
            Verdict::Wrong(kind, _) => Some(kind),
            Verdict::Right | Verdict::Behind => None,
        };
        assert_eq!(of(level(0, 0), 0, 0), Verdict::Right);
        assert_eq!(of(level(7, 2), 2, 7), Verdict::Right);
        assert_eq!(of(level(7, 3), 2, 9), Verdict::Behind);
        assert_eq!(kind(of(level(7, 2), 2, 8)), Some(Kind::StockDiffers));
        assert_eq!(kind(of(level(7, 2), 3, 7)), Some(Kind::MovementWithoutChange));
        assert_eq!(kind(of(level(-1, 2), 2, -1)), Some(Kind::NegativeStock), "even if the sum is the same");
        assert_eq!(kind(of(None, 0, 0)), Some(Kind::NoStock));
    }

    fn audited(kind: OrderKind, status: Status) -> Audited {
        let line = NewLine {
            item_id: Id::new(RandomIds.next()),
            quantity: LineQuantity::new(2).unwrap(),
            unit_price: Money::ZERO,
        };
        let lines = Lines::price(&[line], &RandomIds).unwrap();
        let (id, party) = (Id::new(RandomIds.next()), Id::new(RandomIds.next()));
        let mut order = Order::draft(id, kind, party, lines, "USD".to_owned(), early());
        order.status = status;
        Audited { order, stock_sequence: 0 }
    }

    fn allocated(audited: &mut Audited, state: AllocationState) -> Allocation {
        let step = |kind| Move { id: RandomIds.next(), kind, at: early() };
        let moves = match state {
            AllocationState::Backordered => vec![],
            AllocationState::Allocated => vec![step(MovementKind::Allocated)],
            AllocationState::Received => vec![step(MovementKind::Received)],
            AllocationState::Released => vec![step(MovementKind::Allocated), step(MovementKind::Released)],
        };
        if let Some(status) = state.stock_status() {
            (audited.order.stock_status, audited.stock_sequence) = (status, 1);
        }
        let (order_id, demand) = (audited.order.id, audited.order.lines.demand());
        Allocation { order_id, state, demand, sequence: 1, since: early(), moves }
    }

    /// Every status of both kinds with every state: what goes together, what may for a while, what never may.
    #[test]
    fn what_goes_together_is_known_for_every_status_and_state() {
        use AllocationState as A;
        let mut table = String::new();
        for kind in [OrderKind::Sales, OrderKind::Purchase] {
            for &status in kind.statuses() {
                let mut row = format!("{} {status}:", kind.as_str());
                for state in
                    [None, Some(A::Backordered), Some(A::Allocated), Some(A::Released), Some(A::Received)]
                {
                    let mut audited = audited(kind, status);
                    let allocation = state.map(|state| allocated(&mut audited, state));
                    assert_eq!(allocation.as_ref().and_then(super::allocation), None);
                    let found = order(&audited, allocation.as_ref());
                    row.push_str(match found.as_slice() {
                        [] => " right",
                        [Suspicion { since: Some(_), .. }] => " soon",
                        _ => " never",
                    });
                }
                table.push_str(&row);
                table.push('\n');
            }
        }
        // Without an allocation, backordered, allocated, released, received.
        assert_eq!(
            table,
            "sales draft: right never never never never\n\
             sales confirmed: soon right right never never\n\
             sales paid: soon right right never never\n\
             sales cancelled: soon soon soon right never\n\
             purchase draft: right never never never never\n\
             purchase received: soon never never never right\n\
             purchase paid: soon never never never right\n\
             purchase cancelled: right never never never never\n"
        );
    }

    #[test]
    fn what_lags_behind_is_wrong_only_when_it_is_old() {
        let suspicion = |since| Suspicion { kind: Kind::NotDecided, detail: String::new(), since };
        let before = early().plus_seconds(60);
        assert!(suspicion(None).is_wrong(before) && suspicion(Some(early())).is_wrong(before));
        assert!(!suspicion(Some(before)).is_wrong(before));
    }
}
